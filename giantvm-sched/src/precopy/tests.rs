use proptest::prelude::*;

use super::*;

const SECOND: Nanos = Nanos(1_000_000_000);
const GIB: u64 = 1 << 30;

fn round(sent: u64, took: Nanos, dirty: u64) -> Round {
    Round { sent, took, dirty }
}

#[test]
fn a_machine_that_stores_nothing_is_sent_once() {
    let mut migration = Precopy::new(Terms::default(), GIB);
    let next = migration.after(round(GIB, SECOND, 0));
    assert_eq!(next, Next::Stop(Because::Fits));
    assert_eq!((migration.rounds(), migration.sent()), (1, GIB));
}

#[test]
fn the_rest_may_take_the_downtime_and_no_longer() {
    let fits = 300_000_000;
    for (dirty, next) in [(fits, Next::Stop(Because::Fits)), (fits + 1, Next::Again)] {
        let mut migration = Precopy::new(Terms::default(), 1_000_000_000);
        assert_eq!(migration.after(round(1_000_000_000, SECOND, dirty)), next);
    }
}

#[test]
fn who_stores_faster_than_the_link_is_stopped_after_so_many_rounds_or_bytes() {
    let terms = Terms {
        rounds: 4,
        ..Terms::default()
    };
    let mut migration = Precopy::new(terms, 100 * GIB);
    for _ in 0..3 {
        assert_eq!(migration.after(round(GIB, SECOND, GIB)), Next::Again);
    }
    let last = migration.after(round(GIB, SECOND, GIB));
    assert_eq!(last, Next::Stop(Because::Rounds));

    let mut migration = Precopy::new(Terms::default(), GIB);
    for _ in 0..3 {
        assert_eq!(migration.after(round(GIB, SECOND, GIB)), Next::Again);
    }
    let last = migration.after(round(GIB, SECOND, GIB));
    assert_eq!(last, Next::Stop(Because::Times));
}

#[test]
fn a_slow_round_does_not_make_the_link_slower() {
    let mut migration = Precopy::new(Terms::default(), 10 * GIB);
    assert_eq!(
        migration.after(round(10 * GIB, SECOND, GIB * 4)),
        Next::Again
    );
    // A hundredth of the speed; the rest would take 2 s at it, and 20 ms at the link's.
    let slow = round(GIB / 10, SECOND, GIB / 5);
    assert_eq!(migration.after(slow), Next::Stop(Because::Fits));
}

#[test]
fn stopping_is_for_good() {
    let mut migration = Precopy::new(Terms::default(), GIB);
    migration.after(round(GIB, SECOND, 0));
    let next = migration.after(round(GIB, SECOND, GIB));
    assert_eq!(next, Next::Stop(Because::Fits));
    assert_eq!(migration.rounds(), 1);
}

proptest! {
    #[test]
    fn every_migration_ends_within_its_limits(
        rounds in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 40),
        memory in any::<u64>(), terms in (any::<u64>(), 0..40_u32, any::<u32>()),
    ) {
        let (downtime, most, times) = terms;
        let terms = Terms { downtime: Nanos(downtime), rounds: most, times };
        let mut migration = Precopy::new(terms, memory);
        let again = rounds.iter().take_while(|&&(sent, took, dirty)| {
            migration.after(round(sent, Nanos(took), dirty)) == Next::Again
        });
        prop_assert!(again.count() < most.max(1) as usize);
    }

    #[test]
    fn an_estimate_sends_all_memory_and_stands_still_no_longer_than_all_takes(
        used in 0..1_u64 << 44, hot in 0..1_u64 << 44, rate in 0..1_u64 << 36, link in 1..1_u64 << 40,
    ) {
        let machine = Dirtying { used, hot, rate };
        let terms = Terms::default();
        let of = estimate(terms, &machine, link);
        prop_assert!(of.bytes >= used);
        prop_assert!(of.downtime <= of.took);
        prop_assert!(of.rounds >= 1 && of.rounds <= terms.rounds);
        // Rounds are at most three memories and the one that went beyond, and then the rest.
        prop_assert!(of.bytes <= used.saturating_mul(u64::from(terms.times) + 2));
        let idle = estimate(terms, &Dirtying { rate: 0, ..machine }, link);
        prop_assert!(idle.bytes <= of.bytes && idle.downtime <= of.downtime);
    }
}
