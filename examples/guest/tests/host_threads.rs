//! The guest's programs on plain threads of one process.

mod host;
mod support;

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use giantvm_guest::programs::{Failure, Site};
use giantvm_guest::{Fault, Memory, Program, Run, abi};
use host::{Host, assert_passes, config};

fn quick() -> Vec<Run> {
    let run = |program, parameters| Run {
        program,
        parameters,
    };
    vec![
        run(Program::Ticket, [50, 8, 0, 0]),
        run(Program::Atomic, [1000, 0, 0, 0]),
        run(Program::Sum, [4 << 20, 7, 0, 0]),
        run(Program::Is, [16, 3, 0, 0]),
        run(Program::Ipi, [2, 0, 0, 0]),
        run(Program::Io, [20, 0, 0, 0]),
        run(Program::Clock, [50, 0, 0, 0]),
        run(Program::Idle, [20, 0, 0, 0]),
    ]
}

#[test]
fn every_program_passes_on_one_to_seven_threads() {
    for vcpus in [1, 2, 3, 7] {
        assert_passes(&config(vcpus, quick()));
    }
}

#[test]
fn every_program_passes_twice_in_one_run() {
    let runs = quick().into_iter().chain(quick()).collect();
    assert_passes(&config(4, runs));
}

#[test]
fn ep_class_s_gives_the_published_sums() {
    assert_passes(&config(4, vec![Program::Ep.into()]));
}

#[test]
fn is_sorts_every_class_that_fits() {
    for logarithm in [16, 20] {
        let run = Run {
            program: Program::Is,
            parameters: [logarithm, 10, 0, 0],
        };
        assert_passes(&config(3, vec![run]));
    }
}

#[test]
fn lines_are_whole_and_short() {
    let host = Host::new(&config(6, quick()));
    host.run();
    let serial = String::from_utf8(host.serial.into_inner().unwrap()).unwrap();
    for line in serial.lines() {
        assert!(line.starts_with("vcpu ") && line.len() <= 100, "{line:?}");
    }
    assert_eq!(
        serial
            .lines()
            .filter(|line| line.contains(": up, one of 6 vCPUs"))
            .count(),
        6
    );
    assert_eq!(
        serial.lines().last(),
        Some("vcpu 0 node 0: all programs passed")
    );
}

#[test]
fn lost_interrupts_end_in_a_failure_that_names_them() {
    let mut config = config(2, vec![Program::Atomic.into(), Program::Ipi.into()]);
    config.deadline = Duration::from_secs(3);
    let host = Host::new(&config);
    host.deaf.store(true, SeqCst);
    host.run();
    let verdicts = host.verdicts(&config);
    assert!(verdicts[0].result.is_ok());
    let failure = Failure::TimedOut(Site::Interrupt);
    assert!(
        matches!(verdicts[1].result, Err(Fault::Guest { failure: found, .. }) if found == failure),
        "{:?}",
        verdicts[1]
    );
    assert_eq!(host.status.get(), Some(&abi::status::TIMED_OUT));
}

#[test]
fn a_timer_that_never_goes_off_ends_in_a_failure() {
    let idle = Run {
        program: Program::Idle,
        parameters: [10, 0, 0, 0],
    };
    let mut config = config(3, vec![idle]);
    config.deadline = Duration::from_millis(500);
    let host = Host::new(&config);
    host.late.store(true, SeqCst);
    host.run();
    let failure = Failure::TimedOut(Site::Interrupt);
    let result = host.verdicts(&config)[0].result;
    assert!(
        matches!(result, Err(Fault::Guest { vcpu: 1 | 2, failure: found }) if found == failure),
        "{result:?}"
    );
    assert_eq!(host.status.get(), Some(&abi::status::TIMED_OUT));
}

#[test]
fn a_forged_result_is_found() {
    let config = config(2, vec![Program::Atomic.into()]);
    let host = Host::new(&config);
    host.run();
    let memory = Memory::of(&host.words);
    let value = memory.word(abi::result_block(0) + 32);
    value.fetch_add(1, SeqCst);
    let verdicts = host.verdicts(&config);
    assert!(matches!(
        verdicts[0].result,
        Err(Fault::Differs {
            expected: 1000,
            found: 1001,
            ..
        })
    ));
    memory.word(abi::result_block(0)).store(99, SeqCst);
    assert_eq!(host.verdicts(&config)[0].result, Err(Fault::Unknown(99)));
}

#[test]
fn parameters_that_no_program_takes_fail_and_the_next_program_runs() {
    let ep = Run {
        program: Program::Ep,
        parameters: [23, 0, 0, 0],
    };
    let config = config(2, vec![ep, Program::Atomic.into()]);
    let host = Host::new(&config);
    host.run();
    let verdicts = host.verdicts(&config);
    let failure = Failure::Parameter {
        index: 0,
        value: 23,
    };
    assert_eq!(verdicts[0].result, Err(Fault::Guest { vcpu: 0, failure }));
    assert!(verdicts[1].result.is_ok());
    assert_eq!(host.status.get(), Some(&abi::status::FAILED));
}
