//! What DaS promises whatever it is told: it settles, keeps within capacities, and does nothing
//! without a reason.

use std::collections::BTreeMap;

use giantvm_core::NodeId;
use giantvm_sched::das::{Move, Parameters, Planner, Why};
use giantvm_sched::schedule::{Capacity, Faults, Machine, Nanos, PageGroup, ThreadId};
use proptest::prelude::*;

const PERIOD: u64 = 100_000_000;

fn node(number: u8) -> NodeId {
    NodeId::new(number).unwrap()
}

fn at(period: u64) -> Nanos {
    Nanos(period * PERIOD)
}

/// A planner with threads placed on nodes, all of them runnable.
fn planner(vcpus: &[usize], placed: &[u8]) -> Planner {
    let machine = Machine::new(vcpus).unwrap();
    let mut planner = Planner::new(machine, Parameters::default());
    for (thread, &on) in (0..).map(ThreadId).zip(placed) {
        planner.place(Nanos(0), thread, node(on)).unwrap();
    }
    planner
}

fn faults(thread: u32, group: u64, reads: u32, writes: u32, home: u8) -> Faults {
    Faults {
        thread: ThreadId(thread),
        group: PageGroup(group),
        reads,
        writes,
        stall: Nanos(u64::from(reads + writes) * 20_000),
        home: node(home),
    }
}

prop_compose! {
    fn any_faults(threads: u32, nodes: u8)(
        thread in 0..threads, group in 0..12_u64, reads in 0..2000_u32, writes in 0..2000_u32,
        home in 0..nodes,
    ) -> Faults {
        faults(thread, group, reads, writes, home)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn constant_input_leads_to_a_bounded_number_of_moves_and_then_none(
        input in prop::collection::vec(any_faults(10, 3), 0..40),
        placed in prop::collection::vec(0..3_u8, 10),
        links in prop::collection::vec(1_000..200_000_u64, 3),
    ) {
        let mut planner = planner(&[4, 2, 2], &placed);
        for (cost, (a, b)) in links.into_iter().zip([(0, 1), (0, 2), (1, 2)]) {
            planner.set_link(node(a), node(b), Nanos(cost)).unwrap();
        }
        let (mut moves, mut last) = (0, 0);
        for period in 1..1200 {
            for faults in &input {
                planner.observe(at(period), faults).unwrap();
            }
            let count = planner.plan(at(period)).moves().count();
            moves += count;
            last = if count > 0 { period } else { last };
        }
        prop_assert!(moves <= 100, "{} moves", moves);
        prop_assert!(last < 600, "still moving in period {}", last);
    }

    #[test]
    fn no_node_is_given_more_threads_than_it_takes(
        input in prop::collection::vec(prop::collection::vec(any_faults(12, 3), 0..20), 1..30),
        placed in prop::collection::vec(0..3_u8, 12),
        limits in prop::collection::vec(0..9_usize, 3),
    ) {
        let mut planner = planner(&[4, 2, 2], &placed);
        let mut on = [0_usize; 3];
        placed.iter().for_each(|&of| on[usize::from(of)] += 1);
        for (number, &threads) in (0..).zip(&limits) {
            let capacity = Capacity { threads, groups: 2, ..Capacity::of_vcpus(2) };
            planner.set_capacity(node(number), capacity).unwrap();
        }
        let mut rooms = [2; 3];
        for (period, input) in (1..).zip(&input) {
            for faults in input {
                planner.observe(at(period), faults).unwrap();
            }
            for step in planner.plan(at(period)).steps {
                let before = on;
                for of in &step.moves {
                    match of {
                        Move::Thread { thread, from, to } => {
                            prop_assert_eq!(planner.node_of(*thread), Some(*to));
                            on[from.index()] -= 1;
                            on[to.index()] += 1;
                        }
                        Move::Home { to, .. } => {
                            prop_assert!(rooms[to.index()] > 0);
                            rooms[to.index()] -= 1;
                        }
                    }
                }
                for node in 0..3 {
                    prop_assert!(on[node] <= limits[node].max(before[node]), "{:?}", on);
                }
            }
        }
    }

    #[test]
    fn threads_that_move_often_do_so_more_and_more_rarely_whatever_the_input(
        input in prop::collection::vec(prop::collection::vec(any_faults(6, 3), 0..12), 1..20),
        placed in prop::collection::vec(0..3_u8, 6),
    ) {
        let mut planner = planner(&[2, 2, 2], &placed);
        let mut moved: BTreeMap<ThreadId, Vec<u64>> = BTreeMap::new();
        for (period, input) in (1..600).zip(input.iter().cycle()) {
            for faults in input {
                planner.observe(at(period), faults).unwrap();
            }
            for of in planner.plan(at(period)).moves() {
                if let Move::Thread { thread, .. } = of {
                    moved.entry(thread).or_default().push(period);
                }
            }
        }
        for times in moved.values() {
            prop_assert!(times.windows(2).all(|of| of[1] - of[0] >= 10), "{:?}", times);
            prop_assert!(times.windows(4).all(|of| of[3] - of[0] >= 50), "{:?}", times);
        }
    }

    #[test]
    fn nor_do_threads_move_often_whatever_they_are_said_to_compute(
        input in prop::collection::vec(prop::collection::vec(any_faults(6, 3), 0..12), 1..20),
        computed in prop::collection::vec(prop::collection::vec(0..=PERIOD, 6), 1..20),
        placed in prop::collection::vec(0..3_u8, 6),
    ) {
        let mut planner = planner(&[1, 1, 1], &placed);
        let mut moved: BTreeMap<ThreadId, Vec<u64>> = BTreeMap::new();
        let all = input.iter().cycle().zip(computed.iter().cycle());
        for (period, (input, computed)) in (1..600).zip(all) {
            for (thread, cpu) in (0..).map(ThreadId).zip(computed) {
                planner.ran(at(period), thread, Nanos(PERIOD / 2), Nanos(*cpu)).unwrap();
            }
            for faults in input {
                planner.observe(at(period), faults).unwrap();
            }
            for of in planner.plan(at(period)).moves() {
                if let Move::Thread { thread, .. } = of {
                    moved.entry(thread).or_default().push(period);
                }
            }
        }
        for times in moved.values() {
            prop_assert!(times.len() <= 24, "{:?}", times);
        }
    }

    #[test]
    fn the_same_input_leads_to_the_same_plans(
        input in prop::collection::vec(any_faults(8, 2), 0..60),
        placed in prop::collection::vec(0..2_u8, 8),
    ) {
        let run = || {
            let mut planner = planner(&[3, 3], &placed);
            let mut plans = Vec::new();
            for (period, faults) in (1..).zip(&input) {
                planner.observe(at(period / 3), faults).unwrap();
                plans.push(planner.plan(at(period / 3)));
            }
            plans
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn without_faults_a_balanced_machine_stays_as_it_is(
        placed in prop::collection::vec(0..2_u8, 0..8),
    ) {
        prop_assume!((0..2).all(|on| placed.iter().filter(|&&of| of == on).count() <= 4));
        let mut planner = planner(&[4, 4], &placed);
        for period in 1..50 {
            let plan = planner.plan(at(period));
            prop_assert_eq!((plan.steps, plan.weighed), (Vec::new(), 0));
        }
    }

    #[test]
    fn independent_threads_are_spread(
        placed in prop::collection::vec(0..3_u8, 1..40),
    ) {
        let mut planner = planner(&[4, 2, 2], &placed);
        for period in 1..100 {
            planner.plan(at(period));
        }
        let mut on = [0_usize; 3];
        for thread in (0..).map(ThreadId).take(placed.len()) {
            on[planner.node_of(thread).unwrap().index()] += 1;
        }
        for (count, vcpus) in on.into_iter().zip([4, 2, 2]) {
            let share = placed.len().div_ceil(8) * vcpus;
            prop_assert!(count <= share.max(vcpus) + 1, "{:?}", on);
        }
    }

    #[test]
    fn what_a_period_costs_is_bounded(
        input in prop::collection::vec(any_faults(40, 4), 0..400),
    ) {
        let placed: Vec<_> = (0..40).map(|thread| thread % 4).collect();
        let mut planner = planner(&[4; 4], &placed);
        for period in 1..4 {
            for faults in &input {
                planner.observe(at(period), faults).unwrap();
            }
            let steps = planner.parameters().steps as u64 + 1;
            // Moves, swaps, gatherings and homes: the search's own bound.
            let most = 40 * 4 + 16 * 40 + 20 * 4 * 2 + 12 * 4;
            prop_assert!(planner.plan(at(period)).weighed <= steps * most);
        }
    }
}

/// Two threads that take one page group from one another, until the planner rests; where they are.
fn ping_pong(planner: &mut Planner, periods: std::ops::Range<u64>) -> [NodeId; 2] {
    for period in periods {
        let [a, b] = [0, 1].map(|thread| planner.node_of(ThreadId(thread)).unwrap());
        if a != b {
            for thread in [0, 1] {
                planner
                    .observe(at(period), &faults(thread, 7, 0, 2500, 0))
                    .unwrap();
            }
        }
        planner.plan(at(period));
    }
    [0, 1].map(|thread| planner.node_of(ThreadId(thread)).unwrap())
}

#[test]
fn two_threads_that_ping_pong_end_on_one_node_and_stay_there() {
    let mut planner = planner(&[2, 2], &[0, 1]);
    let [a, b] = ping_pong(&mut planner, 1..20);
    assert_eq!(a, b);
    for periods in [20..200, 200..400] {
        assert_eq!(ping_pong(&mut planner, periods), [a, a]);
    }
}

/// Threads that each have a processor and compute in `cpu` percent of the time, over some periods. Those that are
/// not together with thread 0 store to what it stores to, and stall in `stall` percent of the time.
fn at_work(
    planner: &mut Planner,
    threads: u32,
    (cpu, stall): (u64, u64),
    periods: std::ops::Range<u64>,
) -> usize {
    let percent = PERIOD / 100;
    let mut moves = 0;
    for period in periods {
        let first = planner.node_of(ThreadId(0));
        let are_apart = (0..threads).any(|thread| planner.node_of(ThreadId(thread)) != first);
        for thread in (0..threads).map(ThreadId) {
            let on = planner.node_of(thread);
            let sharers = (0..threads).filter(|&of| planner.node_of(ThreadId(of)) == on);
            let held = Nanos(PERIOD / sharers.count() as u64);
            let used = if are_apart {
                Nanos(held.0 / 100 * cpu)
            } else {
                held
            };
            planner.ran(at(period), thread, held, used).unwrap();
            if are_apart {
                let mut faults = faults(thread.0, 7, 0, 1, 0);
                faults.stall = Nanos(stall * percent);
                planner.observe(at(period), &faults).unwrap();
            }
        }
        moves += planner.plan(at(period)).moves().count();
    }
    moves
}

fn nodes_of(planner: &Planner, threads: u32) -> Vec<NodeId> {
    let nodes = (0..threads).map(|thread| planner.node_of(ThreadId(thread)));
    nodes.collect::<Option<_>>().unwrap()
}

#[test]
fn threads_that_get_little_done_apart_take_turns_on_one_vcpu_at_once_and_stay() {
    for threads in [2_u8, 4, 8] {
        let placed: Vec<u8> = (0..threads).map(|thread| thread % 4).collect();
        let mut planner = planner(&[1, 1, 1, 1], &placed);
        let threads = threads.into();
        let moves = at_work(&mut planner, threads, (10, 30), 1..6);
        let together = nodes_of(&planner, threads);
        assert!(together.iter().all(|of| *of == together[0]), "{together:?}");
        let more = at_work(&mut planner, threads, (10, 30), 6..80);
        assert_eq!(
            (nodes_of(&planner, threads), more),
            (together, 0),
            "{moves} moves before"
        );
        // Whether it still is as it was is tried more and more rarely.
        let tried = at_work(&mut planner, threads, (10, 30), 80..2000);
        assert!(tried <= 60, "{tried} moves in three minutes");
    }
}

#[test]
fn threads_that_get_much_done_apart_stay_apart_whatever_keeps_them_from_the_rest() {
    // They compute most of the time; their hosts have other work; their hosts have, and they stall a little.
    for (cpu, stall) in [(70, 30), (40, 0), (40, 3)] {
        let mut planner = planner(&[1, 1], &[0, 1]);
        let moves = at_work(&mut planner, 2, (cpu, stall), 1..200);
        assert_eq!(moves, 0, "{cpu} % and {stall} %");
    }
}

#[test]
fn a_team_comes_together_where_the_node_is_that_it_asks() {
    for near in [0, 1] {
        let mut parameters = Parameters::default();
        parameters.near = Some(node(near));
        let mut planner = Planner::new(Machine::new(&[1, 1]).unwrap(), parameters);
        for (thread, on) in [(0, 0), (1, 1)] {
            planner.place(Nanos(0), ThreadId(thread), node(on)).unwrap();
        }
        at_work(&mut planner, 2, (10, 30), 1..6);
        assert_eq!(nodes_of(&planner, 2), [node(near); 2]);
    }
}

#[test]
fn they_stay_apart_where_no_node_takes_both() {
    let mut planner = planner(&[2, 2], &[0, 1]);
    for on in [0, 1] {
        let capacity = Capacity {
            threads: 1,
            ..Capacity::of_vcpus(2)
        };
        planner.set_capacity(node(on), capacity).unwrap();
    }
    assert_eq!(ping_pong(&mut planner, 1..50), [node(0), node(1)]);
}

#[test]
fn sharing_one_vcpu_is_better_than_waiting_for_pages_most_of_the_time() {
    let mut often = planner(&[1, 1], &[0, 1]);
    for period in 1..150 {
        for thread in [0, 1] {
            if often.node_of(ThreadId(0)) != often.node_of(ThreadId(1)) {
                often
                    .observe(at(period), &faults(thread, 7, 0, 4900, 0))
                    .unwrap();
            }
        }
        often.plan(at(period));
    }
    assert_eq!(often.node_of(ThreadId(0)), often.node_of(ThreadId(1)));
    let mut seldom = planner(&[1, 1], &[0, 1]);
    assert_eq!(
        ping_pong(&mut seldom, 1..40),
        [node(0), node(1)],
        "half of it is lost either way"
    );
}

#[test]
fn faults_of_one_period_only_move_nothing() {
    let mut planner = planner(&[2, 2], &[0, 1]);
    for thread in [0, 1] {
        planner
            .observe(at(1), &faults(thread, 7, 0, 4000, 0))
            .unwrap();
    }
    let moved: usize = (1..50)
        .map(|period| planner.plan(at(period)).moves().count())
        .sum();
    assert_eq!(moved, 0);
}

#[test]
fn a_step_says_what_it_is_for_and_what_it_saves() {
    let mut planner = planner(&[2, 2], &[0, 1]);
    let mut steps = Vec::new();
    for period in 1..30 {
        if planner.node_of(ThreadId(0)) != planner.node_of(ThreadId(1)) {
            for thread in [0, 1] {
                planner
                    .observe(at(period), &faults(thread, 7, 0, 1000, 0))
                    .unwrap();
            }
        }
        steps.extend(planner.plan(at(period)).steps);
    }
    let [step] = &steps[..] else {
        panic!("{steps:?}");
    };
    assert_eq!(step.why, Why::Sharing);
    // 20 ms of each in a period of 100 ms: less when it is decided, as the average is still rising.
    assert!((20_000_000..=400_000_000).contains(&step.gain), "{step:?}");
    assert!(step.cost > Nanos(50_000), "{step:?}");
}

#[test]
fn a_home_is_asked_once_to_come_and_then_its_user_goes_there() {
    let mut planner = planner(&[1, 1], &[0, 1]);
    let mut moves = BTreeMap::new();
    for period in 1..300 {
        // The planner's wish is not heard: the home stays where it is.
        planner
            .observe(at(period), &faults(1, 7, 300, 0, 0))
            .unwrap();
        for of in planner.plan(at(period)).moves() {
            *moves.entry(format!("{of:?}")).or_insert(0) += 1;
        }
    }
    let (group, from, to) = (PageGroup(7), node(0), node(1));
    let home = Move::Home { group, from, to };
    assert_eq!(moves.get(&format!("{home:?}")), Some(&1), "{moves:?}");
    // As it did not come, the thread went there instead.
    assert_eq!(planner.node_of(ThreadId(1)), Some(from));
}

#[test]
fn a_share_that_is_cut_sends_threads_away() {
    let mut planner = planner(&[2, 2], &[0, 0, 1]);
    assert_eq!(planner.plan(at(1)).steps, []);
    let capacity = Capacity {
        millicpus: 1000,
        ..Capacity::of_vcpus(2)
    };
    planner.set_capacity(node(0), capacity).unwrap();
    let plan = planner.plan(at(2));
    assert_eq!(plan.steps.len(), 1);
    assert_eq!(plan.steps[0].why, Why::Balance);
}

#[test]
fn a_thread_that_hardly_waits_is_not_bound_to_its_pages() {
    let mut planner = planner(&[1, 1], &[0, 1]);
    assert!(!planner.is_bound(ThreadId(0)));
    planner.observe(at(1), &faults(0, 7, 0, 10, 1)).unwrap();
    assert!(!planner.is_bound(ThreadId(0)), "200 us in seconds");
    planner.observe(at(1), &faults(0, 8, 0, 200, 1)).unwrap();
    assert!(planner.is_bound(ThreadId(0)));
    for period in 2..200 {
        planner.plan(at(period));
    }
    assert!(!planner.is_bound(ThreadId(0)), "that was long ago");
}
