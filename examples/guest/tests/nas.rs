//! The NAS benchmarks on plain threads of one process.

mod host;
mod support;

use std::sync::atomic::Ordering::SeqCst;

use giantvm_guest::programs::{Check, Failure, Values, ep};
use giantvm_guest::{Config, ConfigError, Fault, Memory, Program, Run, abi};
use host::{Host, assert_passes, config};

const KERNELS: [Program; 3] = [Program::Cg, Program::Mg, Program::Ft];

/// A benchmark of a class.
fn run_of(program: Program, class: &str) -> Run {
    let mut letters = program.classes().iter();
    let (_, parameter) = letters.find(|(letter, _)| *letter == class).unwrap();
    let mut run = Run::from(program);
    run.parameters[0] = *parameter;
    run
}

fn kernels(vcpus: usize, class: &str) -> Config {
    let runs = KERNELS.map(|program| run_of(program, class));
    config(vcpus, runs.to_vec())
}

/// What a passing run reports.
fn values(config: &Config) -> Vec<Values> {
    let host = Host::new(config);
    host.run();
    let verdicts = host.verdicts(config).into_iter();
    verdicts
        .map(|verdict| verdict.result.unwrap().values)
        .collect()
}

#[test]
fn class_s_gives_the_published_values_and_the_same_bits_on_any_number_of_threads() {
    let alone = values(&kernels(1, "S"));
    for vcpus in [2, 3, 4, 7] {
        assert_eq!(values(&kernels(vcpus, "S")), alone, "{vcpus} threads");
    }
}

#[test]
fn class_w_gives_the_published_values() {
    assert_passes(&kernels(3, "W"));
}

#[test]
fn more_threads_than_planes_are_no_trouble() {
    assert_passes(&config(34, vec![run_of(Program::Mg, "S")]));
}

#[test]
fn is_of_class_a_has_the_published_ranks() {
    let run = run_of(Program::Is, "A");
    let memory = run.memory(2).next_multiple_of(2 << 20);
    assert_passes(&Config {
        memory,
        ..config(2, vec![run])
    });
}

#[test]
fn every_letter_stands_for_a_class() {
    let benchmarks = [Program::Is, Program::Cg, Program::Mg, Program::Ft];
    for program in benchmarks {
        let needed = ["S", "W", "A"].map(|class| run_of(program, class).memory(4));
        assert!(abi::DATA < needed[0] && needed.is_sorted(), "{needed:?}");
    }
    for class in ["S", "W", "A"] {
        assert!(ep::published(run_of(Program::Ep, class).parameters[0]).is_some());
    }
}

#[test]
fn a_forged_value_is_found() {
    let config = kernels(2, "S");
    let host = Host::new(&config);
    host.run();
    let forged = |entry: usize, value: u64, check: Check| {
        let memory = Memory::of(&host.words);
        let word = memory.word(abi::result_block(entry) + 32 + 8 * value);
        let found = word.load(SeqCst);
        // A last bit is rounding; one in the middle is far beyond what any benchmark allows.
        word.store(found ^ 1 << 30, SeqCst);
        let result = host.verdicts(&config)[entry].result;
        assert!(
            matches!(result, Err(Fault::Differs { check: at, .. }) if at == check),
            "{result:?}"
        );
        word.store(found, SeqCst);
        assert!(host.verdicts(&config)[entry].result.is_ok());
    };
    forged(0, 0, Check::CgZeta);
    forged(1, 0, Check::MgNorm);
    for step in 0..6 {
        forged(2, 2 * step, Check::FtReal);
        forged(2, 2 * step + 1, Check::FtImaginary);
    }
}

#[test]
fn a_class_that_does_not_exist_is_refused() {
    let runs = KERNELS.map(|program| Run {
        program,
        parameters: [6, 0, 0, 0],
    });
    let config = config(2, runs.to_vec());
    let host = Host::new(&config);
    host.run();
    for verdict in host.verdicts(&config) {
        let failure = Failure::Parameter { index: 0, value: 6 };
        assert_eq!(verdict.result, Err(Fault::Guest { vcpu: 0, failure }));
    }
}

#[test]
fn memory_that_a_class_does_not_fit_in_is_refused() {
    for program in KERNELS {
        let run = run_of(program, "A");
        let short = Config {
            memory: run.memory(4).next_multiple_of(2 << 20) - (2 << 20),
            ..config(4, vec![run])
        };
        let refused = short.table().unwrap_err();
        assert!(
            matches!(refused, ConfigError::ProgramMemory { program: at, .. } if at == program),
            "{refused}"
        );
    }
}
