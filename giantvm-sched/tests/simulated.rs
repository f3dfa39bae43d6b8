//! DaS beside the model of Linux' default, on a simulated cluster.

use giantvm_core::NodeId;
use giantvm_sched::das::{Das, Parameters};
use giantvm_sched::fair::Fair;
use giantvm_sched::schedule::{Machine, Nanos, Scheduler};
use giantvm_sched::testing::{Outcome, Workload, simulate};
use proptest::prelude::*;

const SPAN: Nanos = Nanos(3_000_000_000);

fn run(machine: &Machine, workload: &Workload, scheduler: &mut dyn Scheduler) -> Outcome {
    let outcome = simulate(machine, workload, scheduler, SPAN);
    assert_eq!(outcome.refused, 0, "the simulation tells what cannot be");
    outcome
}

fn fair(vcpus: &[usize], workload: &Workload) -> Outcome {
    let machine = Machine::new(vcpus).unwrap();
    run(&machine, workload, &mut Fair::new(machine.clone()))
}

fn das(vcpus: &[usize], workload: &Workload) -> Outcome {
    let machine = Machine::new(vcpus).unwrap();
    run(
        &machine,
        workload,
        &mut Das::new(machine.clone(), Parameters::default()),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn das_is_never_much_worse_than_fair(seed in any::<u64>(), shape in 0..4_usize) {
        let vcpus = [&[2, 2][..], &[4, 4], &[2, 2, 2, 2], &[3, 1]][shape];
        let workload = Workload::random(seed);
        let (fair, das) = (fair(vcpus, &workload), das(vcpus, &workload));
        prop_assert!(
            // Teams that do not fit the nodes evenly take turns at being apart; where fair happens to have put
            // the one apart that suffers least, it does better: 91 of 100 was seen.
            das.work() * 100 >= fair.work() * 85,
            "{} on {:?}: {} of {}", workload.name, vcpus, das.work(), fair.work()
        );
        // A residency of 1 s, and of 2 s then, leaves room for two in the second half.
        let most = 2 * workload.threads.len() as u64;
        prop_assert!(das.late_moves <= most, "{}: {} late moves", workload.name, das.late_moves);
    }
}

#[test]
fn teams_that_fair_scatters_wait_much_less() {
    for seed in 0..4 {
        let workload = Workload::sharing(2, 4, 30, seed);
        let (fair, das) = (fair(&[4, 4], &workload), das(&[4, 4], &workload));
        if fair.late_faults > 1000 {
            assert!(
                das.late_faults * 20 < fair.late_faults,
                "{seed}: {das:?} {fair:?}"
            );
            assert!(das.work() > fair.work(), "{seed}: {das:?} {fair:?}");
        }
    }
    let scattered =
        (0..4).filter(|&seed| fair(&[4, 4], &Workload::sharing(2, 4, 30, seed)).late_faults > 1000);
    assert!(scattered.count() >= 2, "fair does scatter them");
}

#[test]
fn four_nodes_with_four_teams_come_to_rest_each_team_on_its_node() {
    let outcome = das(&[2; 4], &Workload::sharing(4, 2, 40, 3));
    assert_eq!(
        (outcome.late_faults, outcome.late_moves),
        (0, 0),
        "{outcome:?}"
    );
}

#[test]
fn threads_that_get_little_done_apart_take_turns_on_one_vcpu() {
    let mut machine = Machine::new(&[1, 1]).unwrap();
    let [here, there] = [0, 1].map(|node| NodeId::new(node).unwrap());
    machine.set_link(here, there, Nanos(200_000));
    let workload = Workload::sharing(1, 2, 90, 1);
    let fair = run(&machine, &workload, &mut Fair::new(machine.clone()));
    let mut das = Das::new(machine.clone(), Parameters::default());
    let das = run(&machine, &workload, &mut das);
    assert!(fair.late_faults > 1000, "{fair:?}");
    assert_eq!((das.late_faults, das.late_moves), (0, 0), "{das:?}");
    assert!(das.work() > 4 * fair.work(), "{das:?} {fair:?}");
    let (least, most) = (das.done.iter().min(), das.done.iter().max());
    assert!(least.unwrap() * 10 > most.unwrap() * 8, "{das:?}");
}

#[test]
fn independent_threads_are_left_alone_and_all_of_them_get_on() {
    let outcome = das(&[2, 2], &Workload::independent(8));
    assert_eq!((outcome.late_faults, outcome.moves), (0, 0), "{outcome:?}");
    let (least, most) = (outcome.done.iter().min(), outcome.done.iter().max());
    assert!(least.unwrap() * 10 > most.unwrap() * 8, "{outcome:?}");
}

#[test]
fn the_same_run_has_the_same_outcome() {
    let workload = Workload::in_step(2, 3, 100, 9);
    assert_eq!(das(&[2, 2], &workload), das(&[2, 2], &workload));
    assert_eq!(fair(&[2, 2], &workload), fair(&[2, 2], &workload));
}
