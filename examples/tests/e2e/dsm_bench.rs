//! The example `dsm_bench`, with as little to do as possible.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::built;

#[test]
fn the_report_has_every_figure_beside_its_floor() {
    if built::lacks_userfaultfd("the_report_has_every_figure_beside_its_floor") {
        return;
    }
    let arguments = [
        "--pages", "20", "--rounds", "1", "--scan", "1", "--json", "-",
    ];
    for protocol in ["directory", "ivy", "lease"] {
        let arguments = [&arguments[..], &["--protocol", protocol]].concat();
        assert_complete(&built::run("dsm_bench", &arguments), protocol);
    }
}

fn assert_complete(run: &built::Run, protocol: &str) {
    assert!(run.status.success(), "{run:?}");
    assert!(run.stderr.contains("round 1 of 1"), "{run:?}");
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["protocol"], protocol);
    let positive = |row: &Value, field: &str| {
        let figure = row[field].as_f64();
        assert!(
            figure.is_some_and(|figure| figure > 0.0),
            "{field} of {row}"
        );
    };
    let named = |rows: &Value| {
        let names = rows.as_array().unwrap().iter();
        names
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        named(&report["results"]),
        ["remote read", "remote write", "upgrade"]
    );
    for row in report["results"].as_array().unwrap() {
        assert_eq!(
            (&row["transport"], &row["mode"]),
            (&"tcp".into(), &"blocking".into())
        );
        for field in ["p50_us", "p99_us", "floor_p50_us", "floor_p99_us", "ratio"] {
            positive(row, field);
        }
    }
    let throughputs = ["page ping-pong", "sequential read", "sequential write"];
    assert_eq!(named(&report["throughputs"]), throughputs);
    for row in report["throughputs"].as_array().unwrap() {
        assert!(row["unit"].is_string());
        ["value", "floor", "ratio"]
            .iter()
            .for_each(|field| positive(row, field));
    }
}

#[test]
fn bad_arguments_and_files_are_one_clear_line() {
    for arguments in [
        ["--pages", "0"],
        ["--far", "1,2"],
        ["--json", "/no/such/folder/x"],
    ] {
        let run = built::run("dsm_bench", &arguments);
        assert!(!run.status.success(), "{arguments:?}");
        assert!(!run.stderr.contains("panicked"), "{run:?}");
    }
}

#[test]
fn a_killed_bench_leaves_no_process_behind() {
    if built::lacks_userfaultfd("a_killed_bench_leaves_no_process_behind") {
        return;
    }
    let mut bench = Command::new(built::path("dsm_bench"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let far = eventually(|| {
        let id = bench.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        let child = children.split_whitespace().next()?.to_owned();
        // Once it has a thread besides the first it has asked to end with its parent.
        let threads = fs::read_dir(format!("/proc/{child}/task")).ok()?.count();
        (threads > 1).then_some(child)
    });
    bench.kill().unwrap();
    bench.wait().unwrap();
    let far = far.expect("node b starts");
    let ended = eventually(|| {
        // Whoever inherits it may leave a zombie.
        let stat = fs::read_to_string(format!("/proc/{far}/stat")).unwrap_or_default();
        let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
        (state.is_empty() || state.starts_with('Z')).then_some(())
    });
    assert!(ended.is_some(), "process {far} is still there");
}

fn eventually<T>(look: impl Fn() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        let found = look();
        if found.is_some() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}
