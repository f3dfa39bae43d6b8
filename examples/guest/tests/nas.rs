//! The NAS kernels on plain threads of one process.

mod host;
mod support;

use giantvm_guest::{Program, Run};
use host::{Host, assert_passes, config};

fn run_of(program: Program, class: &str) -> Run {
    let (_, parameter) = *program
        .classes()
        .iter()
        .find(|(letter, _)| *letter == class)
        .unwrap();
    Run {
        program,
        parameters: [parameter, 0, 0, 0],
    }
}

const KERNELS: [Program; 3] = [Program::Cg, Program::Mg, Program::Ft];

#[test]
fn class_s_gives_the_published_values_on_any_number_of_threads() {
    for vcpus in [1, 2, 3, 4, 7] {
        let runs = KERNELS.map(|program| run_of(program, "S"));
        assert_passes(&config(vcpus, runs.to_vec()));
    }
}

#[test]
fn class_w_gives_the_published_values() {
    let runs = KERNELS.map(|program| run_of(program, "W"));
    assert_passes(&config(3, runs.to_vec()));
}

#[test]
fn every_number_of_threads_gives_the_same_bits() {
    let values = |vcpus| {
        let runs = KERNELS.map(|program| run_of(program, "S"));
        let config = config(vcpus, runs.to_vec());
        let host = Host::new(&config);
        host.run();
        let verdicts = host.verdicts(&config).into_iter();
        verdicts
            .map(|verdict| verdict.result.unwrap().values)
            .collect::<Vec<_>>()
    };
    let alone = values(1);
    for vcpus in [2, 3, 5, 8] {
        assert_eq!(values(vcpus), alone, "{vcpus} threads");
    }
}
