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
    for (protocol, load, pump, place) in [
        ("directory", "both", "adaptive", "split"),
        ("ivy", "none", "blocking", "free"),
        ("lease", "none", "latency", "split"),
    ] {
        let options = [
            ["--only", "faults"],
            ["--protocol", protocol],
            ["--load", load],
            ["--pump", pump],
            ["--place", place],
            ["--pages", "20"],
            ["--rounds", "1"],
            ["--scan", "1"],
            ["--writing", "5"],
            ["--json", "-"],
        ];
        let run = built::run("dsm_bench", options.as_flattened());
        assert!(run.status.success(), "{run:?}");
        assert!(run.stderr.contains("round 1 of 1"), "{run:?}");
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(report["protocol"], protocol);
        assert_eq!(report["pump"], pump);
        assert_eq!(report["place"], place);
        let states: &[bool] = if load == "both" {
            &[false, true]
        } else {
            &[false]
        };
        for &loaded in states {
            assert_complete(&report, loaded);
        }
    }
}

fn assert_complete(report: &Value, loaded: bool) {
    let faults = ["remote read", "remote write", "upgrade", "random read"];
    let latencies = rows(report, "results", loaded, &faults);
    for row in latencies {
        for field in ["p50_us", "p99_us", "floor_p50_us", "floor_p99_us"] {
            positive(&row[field]);
        }
        for ratio in ["ratio", "ratio_p99"] {
            positive(&row[ratio]["median"]);
        }
        assert_eq!(row["p50_us_of_rounds"].as_array().unwrap().len(), 1);
        assert!(row["verdict"].is_string());
    }
    let throughputs = [
        "2 writers",
        "3 writers",
        "4 writers",
        "2 bare writers",
        "2 writers to bare",
        "flag",
        "sequential read",
        "sequential write",
        "1 threads",
        "2 threads",
        "4 threads",
        "8 threads",
    ];
    for row in rows(report, "throughputs", loaded, &throughputs) {
        positive(&row["floor"]);
        assert!(
            row["value"].is_f64() && row["ratio"]["median"].is_f64(),
            "{row}"
        );
        assert!(
            row["unit"].is_string() && row["verdict"].is_string(),
            "{row}"
        );
    }
    let steps = report["steps"].as_array().unwrap();
    let steps = steps.iter().filter(|row| row["loaded"] == loaded);
    let bare: Vec<_> = steps.map(|row| positive(&row["p50_us"])).collect();
    assert_eq!(
        bare.len(),
        12,
        "three faults, a page taken, and four round trips on each of two transports"
    );
    for row in rows(report, "streams", loaded, &["tcp stream", "shm stream"]) {
        positive(&row["mib_per_second"]);
    }
}

/// Those of one state of the machine, which have to have these names.
fn rows<'a>(report: &'a Value, table: &str, loaded: bool, names: &[&str]) -> Vec<&'a Value> {
    let rows = report[table].as_array().unwrap().iter();
    let rows: Vec<_> = rows.filter(|row| row["loaded"] == loaded).collect();
    let found: Vec<_> = rows
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(found, names);
    rows
}

fn positive(figure: &Value) {
    let number = figure.as_f64();
    assert!(number.is_some_and(|figure| figure > 0.0), "{figure}");
}

#[test]
fn the_picture_has_a_panel_of_each_kind_under_its_title() {
    if built::lacks_userfaultfd("the_picture_has_a_panel_of_each_kind_under_its_title") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bench.svg");
    let options = [
        ["--only", "faults,fan-out"],
        ["--pages", "5"],
        ["--rounds", "1"],
        ["--scan", "1"],
        ["--writing", "5"],
        ["--load", "none"],
        ["--writers", "2"],
        ["--svg", file.to_str().unwrap()],
    ];
    let run = built::run("dsm_bench", options.as_flattened());
    assert!(run.status.success(), "{run:?}");
    let svg = fs::read_to_string(file).unwrap();
    assert!(
        svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"),
        "{svg}"
    );
    for text in [
        "Linux",
        "--only faults,fan-out",
        "Latency, idle machine",
        "Throughput against threads",
        "Throughput against nodes",
        "A store against the nodes that share its page",
        "floor of upgrade",
    ] {
        assert!(svg.contains(text), "{text}");
    }
}

/// The report of one part, and nothing of the others.
fn part(name: &str, options: &[&str]) -> Value {
    let smallest = [
        "--only", name, "--rounds", "1", "--scan", "1", "--json", "-",
    ];
    let run = built::run("dsm_bench", &[&smallest, options].concat());
    assert!(run.status.success(), "{run:?}");
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(report.get("results").is_none(), "{report}");
    assert!(report["machine"].is_string() && report["command"].is_string());
    report
}

#[test]
fn one_store_takes_every_copy_away_in_one_round_trip() {
    if built::lacks_userfaultfd("one_store_takes_every_copy_away_in_one_round_trip") {
        return;
    }
    let report = part("fan-out", &["--pages", "3"]);
    let rows = report["fan_out"].as_array().unwrap();
    let found: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["home"].as_str().unwrap(),
                row["sharers"].as_u64().unwrap(),
            )
        })
        .collect();
    let sharers = [1, 2, 3, 7, 15];
    let expected = ["writer", "sharer"].map(|home| sharers.map(|sharers| (home, sharers)));
    assert_eq!(found, expected.as_flattened());
    for row in rows {
        for field in [
            "p50_us",
            "floor_p50_us",
            "growth",
            "floor_growth",
            "messages",
        ] {
            positive(&row[field]);
        }
        // Figures that do not depend on time.
        let (hops, home) = (row["hops"].as_u64().unwrap(), &row["home"]);
        assert!(hops <= if home == "writer" { 2 } else { 3 }, "{row}");
    }
    let lease = part("fan-out", &["--pages", "2", "--protocol", "lease"]);
    assert!(lease["fan_out"][0]["hops"].is_null());
}

#[test]
fn scattered_pages_are_taken_in_every_way() {
    if built::lacks_userfaultfd("scattered_pages_are_taken_in_every_way") {
        return;
    }
    let report = part("scatter", &["--pages", "3"]);
    let scatter = &report["scatter"];
    let ways = scatter["ways"].as_array().unwrap();
    assert_eq!(ways.len() % 3, 0, "three ways of each memory");
    for way in ways {
        positive(&way["p50_us"]);
        positive(&way["ratio"]["median"]);
        assert!(way["memory"].is_string());
    }
    let walked = &scatter["walked"];
    let [pages, sweeps] = ["pages", "sweeps"].map(|field| walked[field].as_u64().unwrap());
    assert!(0 < sweeps && sweeps <= pages, "{walked}");
}

#[test]
fn a_start_takes_no_memory_for_pages_that_are_not_used() {
    if built::lacks_userfaultfd("a_start_takes_no_memory_for_pages_that_are_not_used") {
        return;
    }
    let report = part("start", &["--pages", "500"]);
    let rows = report["start"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        positive(&row["ms"]["median"]);
        assert_eq!(row["gib"], 64);
        assert!(
            row["bytes_per_page"]["median"].as_f64().unwrap() < 8.0,
            "{row}"
        );
        positive(&row["bytes_per_used_page"]["median"]);
        assert!(row["bytes_by_type"].as_u64().unwrap() <= 24);
    }
}

#[test]
fn scans_stand_beside_a_bare_stream() {
    if built::lacks_userfaultfd("scans_stand_beside_a_bare_stream") {
        return;
    }
    for transport in ["shm", "tcp"] {
        let report = part("scan", &["--transport", transport]);
        let rows = report["scan"].as_array().unwrap();
        let touches: Vec<_> = rows.iter().map(|row| row["touch"].as_str()).collect();
        assert_eq!(touches, [Some("load"), Some("store")]);
        for row in rows {
            for field in ["rate", "stream", "ratio"] {
                positive(&row[field]["median"]);
            }
        }
    }
}

#[test]
fn pages_in_order_come_ahead() {
    if built::lacks_userfaultfd("pages_in_order_come_ahead") {
        return;
    }
    let report = part("ahead", &["--pages", "60"]);
    let rows = report["ahead"].as_array().unwrap();
    let orders: Vec<_> = rows
        .iter()
        .map(|row| row["order"].as_str().unwrap())
        .collect();
    let expected = [
        "random",
        "random, all",
        "forward",
        "backward",
        "every third",
    ];
    assert_eq!(orders, expected);
    for row in rows {
        for field in ["on", "off", "ratio"] {
            positive(&row[field]["median"]);
        }
    }
}

#[test]
fn the_steps_of_a_store_add_up_to_it() {
    if built::lacks_userfaultfd("the_steps_of_a_store_add_up_to_it") {
        return;
    }
    let report = part("steps", &["--pages", "50"]);
    let stores = report["stores"].as_array().unwrap();
    assert_eq!(
        stores.len(),
        2,
        "a store that fetches a page, and one that does not"
    );
    for store in stores {
        let steps = store["steps"].as_array().unwrap();
        let sum: f64 = steps.iter().map(|step| step["us"].as_f64().unwrap()).sum();
        let [whole, without, rest] =
            ["sum_us", "unwatched_us", "remainder_us"].map(|field| store[field].as_f64().unwrap());
        assert!((sum - whole).abs() < 1e-6, "{sum} of {whole}");
        assert!((whole + rest - without).abs() < 1e-6, "{store}");
        let nodes = steps.iter().map(|step| step["node"].as_str().unwrap());
        let nodes: Vec<_> = nodes.collect();
        assert!(nodes.contains(&"a") && nodes.contains(&"b"), "{nodes:?}");
    }
    let other = part("steps", &["--pages", "5", "--protocol", "ivy"]);
    assert!(other.get("stores").is_none(), "its steps are others");
}

#[test]
fn what_nodes_do_unasked_stands_beside_nodes_that_do_not() {
    if built::lacks_userfaultfd("what_nodes_do_unasked_stands_beside_nodes_that_do_not") {
        return;
    }
    let report = part("knobs", &["--pages", "20", "--writing", "5"]);
    let rows = report["knobs"].as_array().unwrap();
    let knobs: Vec<_> = rows
        .iter()
        .map(|row| row["knob"].as_str().unwrap())
        .collect();
    assert_eq!(knobs, ["migratory", "migratory", "hold", "homes move"]);
    for row in rows {
        assert!(
            row["on"]["median"].is_f64() && row["off"]["median"].is_f64(),
            "{row}"
        );
    }
}

#[test]
fn idle_nodes_are_watched_with_every_way_to_wait() {
    if built::lacks_userfaultfd("idle_nodes_are_watched_with_every_way_to_wait") {
        return;
    }
    let report = part("idle", &["--pages", "20", "--idle", "100"]);
    let rows = report["idle"].as_array().unwrap();
    let pumps: Vec<_> = rows
        .iter()
        .map(|row| row["pump"].as_str().unwrap())
        .collect();
    assert_eq!(pumps, ["adaptive", "latency", "blocking"]);
    for row in rows {
        let percent = row["percent"].as_array().unwrap();
        assert!(
            percent.iter().all(|node| node.as_f64().unwrap() >= 0.0),
            "{row}"
        );
    }
}

#[test]
fn bad_arguments_and_files_are_one_clear_line() {
    for arguments in [
        ["--pages", "0"],
        ["--far", "1,2"],
        ["--json", "/no/such/folder/x"],
        ["--svg", "/no/such/folder/x"],
        ["--writers", "5"],
        ["--only", "everything"],
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
