//! The complete machine, end to end: every program verified on every shape of cluster.

use std::time::Duration;

use serde_json::Value;

use crate::machine::{aggregate, end_within, text, turn};

/// Far more than any run takes, so that a hang ends.
const LIMIT: Duration = Duration::from_secs(600);

/// Runs a machine; its JSON report, checked for what every run must show.
pub(crate) fn run(arguments: &[&str]) -> Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let arguments = [arguments, &["--json", path]].concat();
    let child = aggregate(&arguments).spawn().unwrap();
    let output = end_within(child, LIMIT);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{arguments:?}: {}",
        text(&output)
    );
    let report: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(report["verified"], true, "{report:#}");
    for program in report["programs"].as_array().unwrap() {
        assert_eq!(program["verified"], true, "{program:#}");
    }
    report
}

fn assert_whole(report: &Value, nodes: usize, vcpus: u64) {
    let names: Vec<_> = report["programs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["name"])
        .collect();
    assert_eq!(
        names,
        ["ticket", "atomic", "sum", "ep", "is", "ipi", "io", "clock"]
    );
    let list = report["nodes"].as_array().unwrap();
    assert_eq!(list.len(), nodes);
    for node in list {
        assert!(node["faults_remote"].as_u64().unwrap() > 0, "{node:#}");
        assert!(node["ipis_sent"].as_u64().unwrap() > 0, "{node:#}");
    }
    let sum: u64 = list
        .iter()
        .map(|node| node["vcpus"].as_u64().unwrap())
        .sum();
    assert_eq!(sum, vcpus);
    let forwarded: u64 = list
        .iter()
        .map(|node| node["io_forwarded"].as_u64().unwrap())
        .sum();
    assert!(forwarded > 0, "{report:#}");
}

#[test]
fn two_nodes_and_four_vcpus_by_default() {
    if let Some(_turn) = turn("two_nodes_and_four_vcpus_by_default", true) {
        let report = run(&[]);
        assert_eq!(report["protocol"], "directory");
        assert_whole(&report, 2, 4);
    }
}

#[test]
fn three_nodes_and_five_vcpus() {
    if let Some(_turn) = turn("three_nodes_and_five_vcpus", true) {
        assert_whole(&run(&["--nodes", "3", "--vcpus", "5"]), 3, 5);
    }
}

#[test]
fn four_nodes_and_eight_vcpus() {
    if let Some(_turn) = turn("four_nodes_and_eight_vcpus", true) {
        assert_whole(&run(&["--nodes", "4", "--vcpus", "8"]), 4, 8);
    }
}

#[test]
fn all_nodes_in_one_process() {
    if let Some(_turn) = turn("all_nodes_in_one_process", true) {
        assert_whole(&run(&["--transport", "inproc"]), 2, 4);
        let more = ["--transport", "inproc", "--nodes", "3", "--vcpus", "5"];
        assert_whole(&run(&more), 3, 5);
    }
}

#[test]
fn host_threads_in_place_of_vcpus() {
    if let Some(_turn) = turn("host_threads_in_place_of_vcpus", false) {
        assert_whole(
            &run(&["--vcpu", "thread", "--nodes", "3", "--vcpus", "5"]),
            3,
            5,
        );
    }
}

/// Every program on three nodes that keep their memory coherent by `protocol`.
fn assert_whole_by(protocol: &str) {
    let report = run(&["--nodes", "3", "--protocol", protocol]);
    assert_eq!(report["protocol"], protocol);
    assert_whole(&report, 3, 4);
}

#[test]
fn every_program_by_directory() {
    if let Some(_turn) = turn("every_program_by_directory", true) {
        assert_whole_by("directory");
    }
}

#[test]
fn every_program_by_ivy() {
    if let Some(_turn) = turn("every_program_by_ivy", true) {
        assert_whole_by("ivy");
    }
}

#[test]
fn every_program_by_lease() {
    if let Some(_turn) = turn("every_program_by_lease", true) {
        assert_whole_by("lease");
    }
}

#[test]
fn loads_of_a_vcpu_are_read_faults() {
    if let Some(_turn) = turn("loads_of_a_vcpu_are_read_faults", true) {
        // Node 1 reads half of the 16384 pages that node 0 wrote, most of them ahead of a fault. What
        // is taken for a store goes without.
        let report = run(&["--program", "sum"]);
        let reader = &report["nodes"][1];
        let count = |name: &str| reader[name].as_u64().unwrap();
        assert!(count("pages_received") > 8000, "{reader:#}");
        let stores = count("faults_write") + count("faults_upgrade");
        assert!(stores < count("faults_read"), "{reader:#}");
    }
}

/// The NAS kernels of class S.
const KERNELS: [&str; 2] = ["--program", "cg:S,mg:S,ft:S"];

#[test]
fn nas_kernels_on_two_nodes() {
    if let Some(_turn) = turn("nas_kernels_on_two_nodes", true) {
        let report = run(&KERNELS);
        let programs = report["programs"].as_array().unwrap();
        let names: Vec<_> = programs.iter().map(|program| &program["name"]).collect();
        assert_eq!(names, ["cg", "mg", "ft"]);
    }
}

#[test]
fn nas_kernels_on_one_to_four_host_threads() {
    if let Some(_turn) = turn("nas_kernels_on_one_to_four_host_threads", false) {
        for vcpus in ["1", "2", "3", "4"] {
            let threads = ["--vcpu", "thread", "--nodes", "2", "--vcpus", vcpus];
            run(&[&threads[..], &KERNELS].concat());
        }
    }
}

#[test]
fn a_node_may_give_memory_only() {
    if let Some(_turn) = turn("a_node_may_give_memory_only", true) {
        let report = run(&["--nodes", "4", "--vcpus", "2", "--program", "ticket,io,ipi"]);
        let vcpus: Vec<_> = report["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| &n["vcpus"])
            .collect();
        assert_eq!(vcpus, [1, 1, 0, 0]);
    }
}

#[test]
fn one_node_needs_no_other() {
    if let Some(_turn) = turn("one_node_needs_no_other", true) {
        let report = run(&["--nodes", "1", "--vcpus", "3", "--program", "ep,is"]);
        assert_eq!(report["nodes"][0]["faults_remote"], 0);
    }
}

#[test]
fn the_boot_vcpu_starts_no_thread_before_it_can_start() {
    if let Some(_turn) = turn("the_boot_vcpu_starts_no_thread_before_it_can_start", false) {
        let one_node = ["--nodes", "1", "--vcpus", "8", "--vcpu", "thread"];
        for _ in 0..5 {
            run(&[&one_node[..], &["--program", "atomic"]].concat());
        }
    }
}

#[test]
fn an_idle_machine_leaves_its_hosts_idle() {
    if let Some(_turn) = turn("an_idle_machine_leaves_its_hosts_idle", true) {
        let cpu = |report: &Value| -> f64 {
            let nodes = report["nodes"].as_array().unwrap();
            nodes
                .iter()
                .map(|node| node["cpu_seconds"].as_f64().unwrap())
                .sum()
        };
        // Five idle seconds more; starting and stopping costs the same in both.
        let short = cpu(&run(&["--program", "idle"]));
        let long = cpu(&run(&["--program", "idle,idle,idle,idle,idle,idle"]));
        let share = (long - short) / 5.0 / 2.0;
        assert!(
            share < 0.05,
            "{share:.3} of a core per node while all vCPUs sleep"
        );
        println!("{share:.4} of a core per node while all vCPUs sleep");
    }
}
