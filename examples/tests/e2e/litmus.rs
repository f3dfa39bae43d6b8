//! The litmus tests over memory that four node processes share.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::aggregate_runs::run;
use crate::machine::{aggregate, text, turn};

/// Least rounds of every test in every variant.
const ROUNDS: u64 = 100_000;
/// Ten tests, on one page and on two, by plain and by locked stores.
const CASES: usize = 40;

/// Runs them all and asserts that x86-TSO allows whatever came about.
fn assert_within_tso(vcpu: &str) {
    let shape = ["--nodes", "4", "--vcpus", "4", "--program", "litmus"];
    let report = run(&[&shape[..], &["--vcpu", vcpu]].concat());
    let cases = report["programs"][0]["litmus"].as_array().unwrap();
    let mut names = BTreeSet::new();
    for case in cases {
        let name = format!("{} {} {}", case["test"], case["pages"], case["locked"]);
        assert_eq!(case["forbidden"], 0, "{case:#}");
        assert!(case["rounds"].as_u64().unwrap() >= ROUNDS, "{case:#}");
        let outcomes = case["outcomes"].as_array().unwrap();
        let counted: u64 = outcomes.iter().filter_map(|o| o["rounds"].as_u64()).sum();
        assert_eq!(case["rounds"], counted, "{case:#}");
        // Threads that never met would leave one outcome or two.
        assert!(outcomes.len() > 1, "{case:#}");
        println!("{name}: {} rounds, {} weak", case["rounds"], case["weak"]);
        names.insert(name);
    }
    assert_eq!(names.len(), CASES, "{names:?}");
    let remote = |node: &Value| node["faults_remote"].as_u64().unwrap();
    for node in report["nodes"].as_array().unwrap() {
        assert!(remote(node) > CASES as u64, "{node:#}");
    }
}

#[test]
fn litmus_outcomes_on_threads_are_within_tso() {
    if let Some(_turn) = turn("litmus_outcomes_on_threads_are_within_tso", false) {
        assert_within_tso("thread");
    }
}

#[test]
fn litmus_outcomes_on_vcpus_are_within_tso() {
    if let Some(_turn) = turn("litmus_outcomes_on_vcpus_are_within_tso", true) {
        assert_within_tso("kvm");
    }
}

#[test]
fn litmus_tests_say_how_many_vcpus_they_need() {
    if let Some(_turn) = turn("litmus_tests_say_how_many_vcpus_they_need", false) {
        let few = ["--vcpus", "3", "--program", "litmus", "--vcpu", "thread"];
        let output = aggregate(&few).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(
            text(&output).contains("needs 4 vCPUs, has 3"),
            "{}",
            text(&output)
        );
    }
}
