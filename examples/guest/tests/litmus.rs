//! The litmus tests on plain threads, and whether anyone notices memory that is not coherent.

mod host;
mod support;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use giantvm_guest::programs::litmus::{Case, Outcome, Stores, Variable, table};
use giantvm_guest::programs::{Check, Failure};
use giantvm_guest::{Config, Fault, Judgement, Memory, Program, Run, abi, litmus};
use host::{Host, assert_passes, config};

fn rounds(rounds: u64) -> Vec<Run> {
    vec![Run {
        program: Program::Litmus,
        parameters: [rounds, 0, 0, 0],
    }]
}

fn tables(host: &Host, config: &Config) -> Vec<u8> {
    host.bytes(abi::LITMUS, config.litmus_tables())
}

#[test]
fn coherent_memory_passes_with_every_round_counted() {
    for vcpus in [4, 6] {
        let config = config(vcpus, rounds(5_001));
        let host = Host::new(&config);
        host.run();
        assert_eq!(host.status.get(), Some(&abi::status::PASSED));
        let verdicts = host.verdicts(&config);
        assert!(verdicts[0].result.is_ok(), "{verdicts:?}");
        let reports = litmus(&tables(&host, &config));
        assert_eq!(reports.len(), Case::COUNT);
        for report in reports {
            assert_eq!(report.rounds(), 5_001, "{}", report.case);
            assert_eq!(report.rounds_of(Judgement::Forbidden), 0);
            if report.case.stores == Stores::Locked {
                assert_eq!(report.rounds_of(Judgement::Weak), 0, "{}", report.case);
            }
        }
    }
}

#[test]
fn three_vcpus_are_too_few() {
    let config = config(3, rounds(100));
    let host = Host::new(&config);
    host.run();
    let failure = Failure::Vcpus {
        needed: 4,
        available: 3,
    };
    let result = host.verdicts(&config)[0].result;
    assert_eq!(result, Err(Fault::Guest { vcpu: 0, failure }));
    assert_eq!(failure.to_string(), "needs 4 vCPUs, has 3");
}

#[test]
fn no_rounds_are_no_parameter() {
    let config = config(4, rounds(0));
    let host = Host::new(&config);
    host.run();
    let failure = Failure::Parameter { index: 0, value: 0 };
    let result = host.verdicts(&config)[0].result;
    assert_eq!(result, Err(Fault::Guest { vcpu: 0, failure }));
}

#[test]
fn memory_that_loses_stores_is_noticed_by_the_guest() {
    let config = config(4, rounds(5_000));
    let host = Host::new(&config);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        // As if old copies of a page came back.
        scope.spawn(|| {
            let page = Memory::of(&host.words).words(abi::DATA, abi::PAGE / 8);
            while !ended.load(SeqCst) {
                page.iter().for_each(|word| word.store(0, SeqCst));
            }
        });
        host.run();
        ended.store(true, SeqCst);
    });
    let result = host.verdicts(&config)[0].result;
    let Err(Fault::Guest { failure, .. }) = result else {
        panic!("{result:?}");
    };
    assert!(
        matches!(failure, Failure::Wrong { check: Check::Forbidden, expected: 0, found } if found > 0),
        "{failure}"
    );
    assert_eq!(host.status.get(), Some(&abi::status::FAILED));
}

#[test]
fn an_outcome_that_the_guest_let_pass_is_noticed_by_the_host() {
    let config = config(4, rounds(100));
    let host = Host::new(&config);
    host.run();
    assert!(host.verdicts(&config)[0].result.is_ok());

    let case = Case::all().find(|case| case.test().name == "MP").unwrap();
    let ones = Outcome::default()
        .with_variable(Variable::X, 1)
        .with_variable(Variable::Y, 1);
    let memory = Memory::of(&host.words);
    let count =
        |outcome: Outcome| &memory.halves(table(case), Outcome::COUNT as u64)[outcome.index()];
    let seen = [ones, ones.with_register(0, 1).with_register(1, 1)];
    let one = seen.into_iter().find(|seen| count(*seen).load(SeqCst) > 0);
    count(one.unwrap()).fetch_sub(1, SeqCst);
    let rounds = Fault::Differs {
        check: Check::Rounds,
        expected: 100,
        found: 99,
    };
    assert_eq!(host.verdicts(&config)[0].result, Err(rounds));

    let outcome = ones.with_register(0, 1);
    count(outcome).fetch_add(1, SeqCst);
    let forbidden = Fault::Forbidden {
        case,
        outcome,
        rounds: 1,
    };
    assert_eq!(host.verdicts(&config)[0].result, Err(forbidden));
    assert_eq!(
        forbidden.to_string(),
        "MP, one page, plain stores: 1 rounds ended in r0=1 r1=0, which x86-TSO forbids"
    );
}

#[test]
fn other_programs_may_use_the_memory_before_and_after() {
    let sum = Run {
        program: Program::Sum,
        parameters: [4 << 20, 7, 0, 0],
    };
    let runs = [vec![sum], rounds(100), vec![sum]].concat();
    assert_passes(&config(4, runs));
}
