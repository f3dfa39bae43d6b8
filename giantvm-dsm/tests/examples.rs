//! The programs that show the kit do what their help says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// An example of this package, which `cargo test` builds beside the tests.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let path = profile.join("examples").join(name);
    let shown = path.display();
    assert!(
        path.exists(),
        "{shown} is not built: run `cargo build --examples` with the same profile"
    );
    path
}

fn run(name: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, .. } = Command::new(built(name)).args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap())
}

#[test]
fn a_protocol_of_ones_own_passes_the_suite() {
    let (code, said) = run("custom_protocol", &["--quick"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Every law was kept"), "{said}");
}

#[test]
fn a_bug_is_caught_with_a_law_a_seed_a_small_scenario_and_a_trace() {
    let (code, said) = run("custom_protocol", &["--bug"]);
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "A law is broken: single-writer",
        "seed 0, step",
        "The smallest scenario found that fails so:",
        "Protect; to",
        "after this: single-writer",
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
}

#[test]
fn the_command_that_a_failure_ends_with_shows_it_again() {
    let shown = |said: &str| said.split_once("A law is broken").unwrap().1.to_owned();
    for arguments in [&["--bug"][..], &["--bug", "--quick"]] {
        let said = run("custom_protocol", arguments).1;
        let advice = said.lines().last().unwrap();
        let (_, again) = advice.split_once("custom_protocol -- ").unwrap();
        let again: Vec<_> = again.split(' ').collect();
        assert!(again.contains(&"--seed"), "{advice}");
        let (code, again) = run("custom_protocol", &again);
        assert_eq!(code, Some(1), "{again}");
        assert_eq!(shown(&said), shown(&again), "equal seeds give equal traces");
    }
}

#[test]
fn the_protocol_of_the_example_has_under_250_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root.join("../examples/custom_protocol/protocol.rs");
    assert!(std::fs::read_to_string(file).unwrap().lines().count() < 250);
}

#[test]
fn seeds_that_once_failed_are_soaked_with_every_protocol() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seeds.txt");
    for protocol in ["directory", "ivy", "lease"] {
        let (code, said) = run("soak", &["--protocol", protocol, "--seed-file", seeds]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("3 seeds"), "{said}");
    }
}

#[test]
fn a_soak_sums_up_in_one_line_of_json() {
    let (code, said) = run("soak", &["--protocol", "ivy", "--seeds", "3..5", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&report["protocol"], &report["seeds"]),
        (&"ivy".into(), &2.into())
    );
    assert!(report["steps"].as_u64().unwrap() > 0, "{said}");
    assert!(report["failure"].is_null(), "{said}");
}

#[test]
fn a_soak_that_finds_a_bug_fails_and_notes_a_seed_that_finds_it_again() {
    let record = Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak-record.txt");
    let _ = std::fs::remove_file(&record);
    let record = record.to_str().unwrap();
    let lease = ["--protocol", "lease", "--jobs", "1"];
    let bug = ["--mutant", "LeaseNeverEnds"];
    let found = run(
        "soak",
        &[&lease[..], &bug, &["--seeds", "0..50", "--record", record]].concat(),
    );
    assert_eq!(found.0, Some(1), "{}", found.1);
    for part in [
        "single-writer",
        "The smallest scenario",
        "To see it again",
        "1 failed",
    ] {
        assert!(found.1.contains(part), "{part} is not in:\n{}", found.1);
    }
    let (code, said) = run(
        "soak",
        &[&lease[..], &bug, &["--seed-file", record, "--json"]].concat(),
    );
    assert_eq!(code, Some(1), "{said}");
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["failure"]["law"], "single-writer");
    assert_eq!(
        run("soak", &["--seed-file", record]).0,
        Some(0),
        "without the bug"
    );
}

#[test]
fn a_soak_of_nothing_is_a_usage_error() {
    assert_eq!(run("soak", &["--seed-file", "/dev/null"]).0, Some(2));
    assert_eq!(run("soak", &["--mutant", "NoSuchBug"]).0, Some(2));
}

#[test]
fn a_wrong_range_of_seeds_is_a_usage_error() {
    assert_eq!(run("soak", &["--seeds", "9..3"]).0, Some(2));
    assert_eq!(run("soak", &["--seeds", "0.."]).0, Some(2));
}

#[test]
fn equal_seeds_compare_all_protocols_on_all_workloads_alike() {
    let compare = || run("compare_protocols", &["--rounds", "0", "--json", "-"]);
    let (code, said) = compare();
    assert_eq!((code, &said), (Some(0), &compare().1));
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    let rows = report["simulated"].as_array().unwrap();
    for protocol in ["directory", "ivy", "lease"] {
        let of: Vec<_> = rows
            .iter()
            .filter(|row| row["protocol"] == protocol)
            .collect();
        assert!(of.len() >= 3 && of.len() * 3 == rows.len(), "{protocol}");
        for row in of {
            assert_eq!(row["verified"], true, "{row}");
            assert_eq!(row["accesses"], row["planned"], "{row}");
            assert!(row["messages"].as_u64() > Some(0), "{row}");
        }
    }
    assert_eq!(report["measured"].as_array().map(Vec::len), Some(0));
}

#[test]
fn real_memory_is_measured_with_every_protocol() {
    if !giantvm_dsm::uffd::Support::probe().missing() {
        let test = "real_memory_is_measured_with_every_protocol";
        return giantvm_core::testing::skip(test, "userfaultfd is not usable");
    }
    let (code, said) = run("compare_protocols", &["--rounds", "1", "--json", "-"]);
    assert_eq!(code, Some(0), "{said}");
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    let times = report["measured"].as_array().unwrap();
    for protocol in ["directory", "ivy", "lease"] {
        let of = times.iter().filter(|time| time["protocol"] == protocol);
        assert!(of.count() >= 3, "{said}");
    }
}
