//! The guest's programs on more threads than vCPUs, scheduled over one node and two.

use serde_json::Value;

use crate::aggregate_runs::run;
use crate::machine::turn;

const PROGRAMS: &str = "ep,is,cg,mg,ft";

/// Every benchmark, verified, under one scheduler on so many threads.
fn assert_right(vcpu: &str, scheduler: &str, [nodes, vcpus, threads]: [u64; 3]) -> Value {
    let numbers = [nodes, vcpus, threads].map(|number| number.to_string());
    let [nodes, vcpus, count] = numbers.each_ref().map(String::as_str);
    let report = run(&[
        "--vcpu",
        vcpu,
        "--scheduler",
        scheduler,
        "--program",
        PROGRAMS,
        "--nodes",
        nodes,
        "--vcpus",
        vcpus,
        "--threads",
        count,
    ]);
    let scheduling = &report["scheduling"];
    assert_eq!(scheduling["scheduler"], scheduler);
    let list = scheduling["threads"].as_array().unwrap();
    assert_eq!(list.len() as u64, threads, "{scheduling:#}");
    report
}

/// Remote faults that were put down to threads, and those that nodes counted.
fn faults(report: &Value) -> [u64; 2] {
    let sum = |list: &Value, of: &[&str]| -> u64 {
        let list = list.as_array().unwrap().iter();
        list.flat_map(|item| of.iter().map(|key| item[*key].as_u64().unwrap()))
            .sum()
    };
    [
        sum(
            &report["scheduling"]["threads"],
            &["faults_read", "faults_write"],
        ),
        sum(&report["nodes"], &["faults_remote"]),
    ]
}

#[test]
fn benchmarks_are_right_on_host_threads_under_both_schedulers() {
    let test = "benchmarks_are_right_on_host_threads_under_both_schedulers";
    let Some(_turn) = turn(test, false) else {
        return;
    };
    for scheduler in ["fair", "das"] {
        let alone = assert_right("thread", scheduler, [1, 2, 5]);
        assert_eq!(faults(&alone), [0, 0], "there is no other node");
        let two = assert_right("thread", scheduler, [2, 3, 8]);
        let [told, counted] = faults(&two);
        // What is missing was under way when it was last told, or was no thread's.
        assert!(told > 0 && 2 * told > counted, "{told} of {counted}");
    }
}

#[test]
fn benchmarks_are_right_in_the_guest_under_both_schedulers() {
    let test = "benchmarks_are_right_in_the_guest_under_both_schedulers";
    let Some(_turn) = turn(test, true) else {
        return;
    };
    for scheduler in ["fair", "das"] {
        assert_right("kvm", scheduler, [1, 2, 5]);
        let two = assert_right("kvm", scheduler, [2, 2, 6]);
        let [told, counted] = faults(&two);
        assert!(told > 0 && 2 * told > counted, "{told} of {counted}");
    }
}

#[test]
fn threads_are_carried_over_tcp_and_in_one_process() {
    let Some(_turn) = turn("threads_are_carried_over_tcp_and_in_one_process", false) else {
        return;
    };
    for arguments in [
        &[
            "--vcpu",
            "thread",
            "--transport",
            "tcp",
            "--nodes",
            "3",
            "--vcpus",
            "3",
        ][..],
        &[
            "--vcpu",
            "thread",
            "--transport",
            "inproc",
            "--nodes",
            "1",
            "--vcpus",
            "2",
        ],
    ] {
        run(&[arguments, &["--threads", "7", "--program", "mg,atomic"]].concat());
    }
}

#[test]
fn threads_that_get_little_done_apart_end_on_one_node() {
    let test = "threads_that_get_little_done_apart_end_on_one_node";
    let Some(_turn) = turn(test, false) else {
        return;
    };
    let report = run(&[
        "--vcpu",
        "thread",
        "--scheduler",
        "das",
        "--program",
        "cg,cg,cg,cg,cg,cg,cg,cg",
        "--nodes",
        "2",
        "--vcpus",
        "2",
        "--threads",
        "2",
    ]);
    let scheduling = &report["scheduling"];
    assert!(
        scheduling["changes_of_node"].as_u64().unwrap() > 0,
        "{scheduling:#}"
    );
    let threads = scheduling["threads"].as_array().unwrap().iter();
    let nodes: std::collections::BTreeSet<_> =
        threads.map(|thread| thread["node"].as_u64()).collect();
    assert_eq!(nodes.len(), 1, "{scheduling:#}");
}
