//! The live view of a machine, for programs and for people.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use giantvm_guest::abi;
use serde_json::Value;

use crate::machine::{aggregate, end_within, text, turn};

const LIMIT: Duration = Duration::from_secs(300);
const NODES: [&str; 3] = ["n0", "n1", "n2"];
const MEMORY: u64 = 256 << 20;

/// Runs a machine of three nodes on host threads. What it wrote to standard output and error.
fn run(arguments: &[&str]) -> (String, String) {
    let shape = ["--vcpu", "thread", "--nodes", "3", "--vcpus", "3"];
    let arguments = [&shape, arguments].concat();
    let output = end_within(aggregate(&arguments).spawn().unwrap(), LIMIT);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|out| String::from_utf8(out).unwrap());
    (stdout, stderr)
}

fn address(page: &Value) -> u64 {
    let text = page["address"].as_str().unwrap();
    u64::from_str_radix(text.strip_prefix("0x").unwrap(), 16).unwrap()
}

/// The pages of a list, all of which are the guest's.
fn pages(list: &Value) -> &[Value] {
    let pages = list.as_array().unwrap();
    assert!(pages.len() <= 20, "{list:#}");
    for page in pages {
        let address = address(page);
        assert!(
            address < MEMORY && address.is_multiple_of(abi::PAGE),
            "{page:#}"
        );
    }
    pages
}

/// Checks the lines of a run: samples of all nodes, and the report as the last.
fn check(lines: &str) {
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (report, samples) = lines.split_last().unwrap();
    let mut told = BTreeSet::new();
    for sample in samples {
        assert_eq!(sample["type"], "sample", "{sample:#}");
        for rate in [
            "read_faults",
            "pages_in",
            "bytes_out",
            "guesses",
            "read_ahead_used",
        ] {
            let rate = sample[format!("{rate}_per_second")].as_f64();
            assert!(rate.is_some_and(|rate| rate >= 0.0), "{sample:#}");
        }
        assert!(sample["in_flight"].is_u64(), "{sample:#}");
        if !pages(&sample["hottest"]).is_empty() {
            told.insert(sample["node"].as_str().unwrap());
        }
    }
    assert_eq!(told, NODES.into(), "every node has hot pages");
    assert_eq!(
        (&report["type"], &report["verified"]),
        (&"report".into(), &true.into())
    );
    // The tickets of the lock.
    let hottest = &pages(&report["hottest"])[0];
    assert!(
        (abi::HOT..abi::RESULTS).contains(&address(hottest)),
        "{hottest:#}"
    );
    let users: Vec<_> = hottest["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|u| &u["node"])
        .collect();
    assert_eq!(users, NODES);
}

#[test]
fn a_live_view_for_programs_is_a_line_a_node_and_second() {
    if let Some(_turn) = turn(
        "a_live_view_for_programs_is_a_line_a_node_and_second",
        false,
    ) {
        let (stdout, stderr) = run(&["--top", "--json", "--program", "ticket"]);
        check(&stdout);
        // What people read is elsewhere.
        assert!(stderr.contains("up, one of 3 vCPUs"), "{stderr}");
        assert!(stderr.contains("every result is right"), "{stderr}");
    }
}

#[test]
fn a_live_view_without_a_terminal_is_lines() {
    if let Some(_turn) = turn("a_live_view_without_a_terminal_is_lines", false) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        let file = path.to_str().unwrap();
        let (stdout, _) = run(&["--top", "--json", file, "--program", "ticket"]);
        assert!(!stdout.contains('\x1b'), "{stdout}");
        for word in [
            "each node does a second",
            "in flight",
            "n2",
            "0xa0",
            "up, one of",
            "is right",
        ] {
            assert!(stdout.contains(word), "no {word}: {stdout}");
        }
        check(&std::fs::read_to_string(Path::new(file)).unwrap());
    }
}
