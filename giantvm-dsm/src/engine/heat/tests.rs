use proptest::prelude::*;

use super::*;
use crate::protocol::directory::Message;
use crate::protocol::{Attach, FrameFate};

impl Heat {
    fn faulted(&mut self, now: Tick, page: PageIndex, access: Access) {
        self.count(now, Note::Asked(page, access));
    }

    fn carried_out(&mut self, now: Tick, commands: &[Command<Message>], from: Option<NodeId>) {
        let notes = (0..commands.len()).filter_map(|at| noted(commands, at, from));
        notes.for_each(|note| self.count(now, note));
    }
}

const PAGE: PageIndex = PageIndex(5);
const OTHER: PageIndex = PageIndex(6);

fn node(number: u8) -> NodeId {
    NodeId::new(number).unwrap()
}

fn ms(time: u64) -> Tick {
    Tick(time * 1_000_000)
}

/// A message about `page` to `to`.
fn send(to: u8, page: PageIndex) -> Command<Message> {
    let access = Access::Read;
    Command::Send {
        to: node(to),
        message: Message::Request { page, access },
        attach: Attach::Nothing,
    }
}

fn unmap(page: PageIndex) -> Command<Message> {
    let frame = FrameFate::Keep;
    Command::Unmap { page, frame }
}

fn only(heat: &mut Heat, now: Tick) -> PageHeat {
    let pages = heat.pages(now);
    assert_eq!(pages.len(), 1, "{pages:?}");
    pages[0]
}

#[test]
fn a_page_that_is_back_soon_has_made_a_turn() {
    let mut heat = Heat::new();
    for turn in 0..10 {
        heat.faulted(ms(turn), PAGE, Access::Write);
        heat.carried_out(ms(turn), &[unmap(PAGE), send(2, PAGE)], Some(node(1)));
    }
    let page = only(&mut heat, ms(10));
    assert_eq!((page.reads, page.writes), (0, 10));
    assert_eq!(
        (page.taken, page.turns),
        (10, 9),
        "the first came from nowhere"
    );
    assert!(page.is_ping_pong());
    assert_eq!(page.heat(), 20);
}

#[test]
fn a_page_that_is_back_late_or_was_not_taken_has_made_no_turn() {
    let mut heat = Heat::new();
    for turn in 0..10 {
        heat.faulted(ms(turn * 100), PAGE, Access::Read);
        heat.faulted(ms(turn * 100), PAGE, Access::Write);
        heat.carried_out(ms(turn * 100 + 50), &[unmap(PAGE)], None);
    }
    let page = only(&mut heat, ms(1000));
    assert_eq!(
        (page.reads, page.writes, page.taken, page.turns),
        (10, 10, 10, 0)
    );
    assert!(!page.is_ping_pong());
}

#[test]
fn a_turn_that_reads_and_then_writes_is_one() {
    let mut heat = Heat::new();
    for turn in 0..10 {
        heat.faulted(ms(turn), PAGE, Access::Read);
        heat.faulted(ms(turn), PAGE, Access::Write);
        heat.carried_out(ms(turn), &[unmap(PAGE)], Some(node(1)));
    }
    let page = only(&mut heat, ms(10));
    assert_eq!((page.faults(), page.turns), (20, 9));
    assert!(page.is_ping_pong());
}

#[test]
fn who_gets_the_answer_took_the_page_and_who_sent_it_gave_it() {
    let mut heat = Heat::new();
    heat.faulted(ms(0), PAGE, Access::Read);
    heat.carried_out(ms(0), &[Command::Store { page: PAGE }], Some(node(3)));
    let commands = [send(7, PAGE), unmap(PAGE), send(8, OTHER), send(2, PAGE)];
    heat.carried_out(ms(1), &commands, Some(node(1)));
    let page = only(&mut heat, ms(1));
    let peers = NodeSet::only(node(3)).with(node(2));
    assert_eq!(page.peers, peers, "node 1 only passed on what node 2 wants");
    heat.carried_out(ms(2), &[Command::Protect { page: PAGE }], Some(node(4)));
    assert_eq!(only(&mut heat, ms(2)).peers, peers.with(node(4)));
}

#[test]
fn a_page_that_only_came_ahead_of_a_thread_is_not_noted() {
    let mut heat = Heat::new();
    heat.carried_out(ms(0), &[Command::Store { page: PAGE }], Some(node(3)));
    assert_eq!(heat.pages(ms(0)), []);
}

#[test]
fn what_is_long_ago_counts_less_and_is_forgotten_in_the_end() {
    let mut heat = Heat::new();
    for _ in 0..100 {
        heat.faulted(ms(0), PAGE, Access::Write);
        heat.carried_out(ms(0), &[unmap(PAGE)], Some(node(1)));
    }
    let at = |seconds: u64| Tick(seconds * 1_000_000_000);
    let page = only(&mut heat, at(9));
    assert_eq!((page.writes, page.taken, page.turns), (100, 100, 99));
    let page = only(&mut heat, at(11));
    assert_eq!((page.writes, page.taken, page.turns), (50, 50, 49));
    assert_eq!(page.peers, NodeSet::only(node(1)));
    let page = only(&mut heat, at(21));
    assert_eq!((page.writes, page.peers), (25, NodeSet::EMPTY));
    assert_eq!(heat.pages(at(200)), []);
}

#[test]
fn a_long_silence_counts_once() {
    let mut heat = Heat::new();
    for _ in 0..64 {
        heat.faulted(ms(0), PAGE, Access::Read);
    }
    for time in [35_000, 36_000, 39_000] {
        assert_eq!(only(&mut heat, ms(time)).reads, 8, "at {time} ms");
    }
}

/// What happens to a page.
#[derive(Debug, Clone, Copy)]
enum Event {
    Fault(u64, bool),
    Taken(u64),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let page = || prop_oneof![0..8_u64, any::<u64>()];
    prop_oneof![
        (page(), any::<bool>()).prop_map(|(page, write)| Event::Fault(page, write)),
        page().prop_map(Event::Taken),
        (0..30_000_000_000_u64).prop_map(Event::Wait),
    ]
}

proptest! {
    #[test]
    fn nothing_is_counted_that_was_not_there(events in prop::collection::vec(event(), 0..200)) {
        let (mut heat, mut now) = (Heat::new(), Tick(0));
        for event in &events {
            match *event {
                Event::Fault(page, write) => {
                    let access = if write { Access::Write } else { Access::Read };
                    heat.faulted(now, PageIndex(page), access);
                }
                Event::Taken(page) => {
                    heat.carried_out(now, &[unmap(PageIndex(page))], Some(node(1)));
                }
                Event::Wait(time) => now.0 += time,
            }
        }
        for page in heat.pages(now) {
            let count = |of: fn(&Event, u64) -> bool| {
                events.iter().filter(|event| of(event, page.page.0)).count() as u64
            };
            let faults = count(|event, is| matches!(event, Event::Fault(page, _) if *page == is));
            let taken = count(|event, is| matches!(event, Event::Taken(page) if *page == is));
            prop_assert!(page.faults() <= faults, "{page:?}");
            prop_assert!(u64::from(page.taken) <= taken, "{page:?}");
            prop_assert!(page.turns <= page.taken, "{page:?}");
        }
    }
}

/// Prints what noting an event costs: `cargo test --release -p giantvm-dsm -- --ignored heat --nocapture`.
#[test]
#[ignore = "it measures"]
fn what_an_event_costs() {
    use std::time::{Duration, Instant};

    const EVENTS: u64 = 2_000_000;
    const BATCH: u64 = 100;
    for (name, spread) in [
        ("one page", 1),
        ("1000 pages", 1000),
        ("a million pages", 1_000_000),
    ] {
        let (mut heat, mut record) = (Heat::new(), Record::new(Instant::now()));
        let page = |event: u64| PageIndex(event.wrapping_mul(0x9e37_79b9) % spread);
        let start = Instant::now();
        for event in 0..EVENTS {
            heat.faulted(Tick(event * 5000), page(event), Access::Write);
        }
        let alone = start.elapsed();
        let (mut noting, mut counting) = (Duration::ZERO, Duration::ZERO);
        for batch in 0..EVENTS / BATCH {
            let start = Instant::now();
            for event in 0..BATCH {
                record.faulted(page(batch * BATCH + event), Access::Write);
            }
            noting += start.elapsed();
            let start = Instant::now();
            record.count(Tick(batch * BATCH * 5000));
            counting += start.elapsed();
        }
        let each = |time: Duration| time.as_secs_f64() * 1e9 / EVENTS as f64;
        println!(
            "{name}: {:.0} ns, in batches of {BATCH} {:.1} to note and {:.0} to count",
            each(alone),
            each(noting),
            each(counting)
        );
    }
    let mut record = Record::new(Instant::now());
    for page in 0..1_000_000 {
        record.faulted(PageIndex(page), Access::Read);
        record.count(Tick(0));
    }
    let start = Instant::now();
    let pages = record.gauge().hottest(20);
    println!(
        "a look at {} of {MOST} pages: {:?}",
        pages.len(),
        start.elapsed()
    );
}
