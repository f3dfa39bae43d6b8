//! What goes wrong: nodes that die, people who interrupt, files that differ, ports that are taken.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Child, Output};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::machine::{aggregate, end_within, text, turn};

/// How long the survivors may take.
const TWO_SECONDS: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(60);
/// Keeps a machine busy for longer than any of these tests.
const LONG: &str = "ep:W,sum,ep:W,sum,ep:W,sum,ep:W,sum,ep:W,sum";

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.try_into().unwrap()).unwrap()
}

/// The node processes that a parent has started.
fn children_of(parent: u32) -> Vec<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = std::fs::read_to_string(path).unwrap();
    text.split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

/// Waits until the guest prints, so that vCPUs are at work on every node.
fn wait_for_guest(child: &mut Child) -> std::thread::JoinHandle<()> {
    use std::io::{BufRead, BufReader};
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("up, one of") {
        line.clear();
        assert!(
            lines.read_line(&mut line).unwrap() > 0,
            "the guest never came up"
        );
    }
    // Whatever else it prints must not block it.
    std::thread::spawn(move || {
        std::io::copy(&mut lines, &mut std::io::sink()).ok();
    })
}

fn assert_gone(processes: &[u32]) {
    for &process in processes {
        let deadline = Instant::now() + TWO_SECONDS;
        while test_kill_process(pid(process)).is_ok() {
            assert!(
                Instant::now() < deadline,
                "process {process} is left behind"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Starts a busy machine of three nodes, hits one with `signal`, and returns what is left to say.
fn hit_a_node(victim: usize, signal: Signal) -> Output {
    let mut parent = aggregate(&["--nodes", "3", "--vcpus", "3", "--program", LONG])
        .spawn()
        .unwrap();
    let drain = wait_for_guest(&mut parent);
    let nodes = children_of(parent.id());
    assert_eq!(nodes.len(), 3);
    std::thread::sleep(Duration::from_millis(200));
    kill_process(pid(nodes[victim]), signal).unwrap();
    let hit = Instant::now();
    let survivors: Vec<_> = nodes
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != victim)
        .map(|(_, &p)| p)
        .collect();
    assert_gone(&survivors);
    let took = hit.elapsed();
    assert!(took < TWO_SECONDS, "the survivors took {took:?}");
    let output = end_within(parent, LIMIT);
    assert_gone(&nodes);
    drain.join().unwrap();
    output
}

#[test]
fn killing_any_node_stops_all_others_within_two_seconds() {
    let Some(_turn) = turn("killing_any_node_stops_all_others", true) else {
        return;
    };
    for victim in 0..3 {
        let output = hit_a_node(victim, Signal::KILL);
        assert_eq!(output.status.code(), Some(3), "{}", text(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(&format!("node n{victim} was lost")), "{said}");
        assert!(said.contains("before any vCPU could read"), "{said}");
    }
}

#[test]
fn a_node_that_falls_silent_counts_as_lost() {
    let Some(_turn) = turn("a_node_that_falls_silent_counts_as_lost", true) else {
        return;
    };
    let output = hit_a_node(1, Signal::STOP);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("nothing heard from the peer"), "{said}");
}

#[test]
fn an_interrupt_ends_all_processes() {
    let Some(_turn) = turn("an_interrupt_ends_all_processes", true) else {
        return;
    };
    let mut parent = aggregate(&["--program", LONG]).spawn().unwrap();
    let drain = wait_for_guest(&mut parent);
    let nodes = children_of(parent.id());
    kill_process(pid(parent.id()), Signal::INT).unwrap();
    let output = end_within(parent, LIMIT);
    assert_eq!(output.status.code(), Some(130), "{}", text(&output));
    assert_gone(&nodes);
    drain.join().unwrap();
}

#[test]
fn no_node_outlives_the_process_that_started_it() {
    let Some(_turn) = turn("no_node_outlives_its_parent", true) else {
        return;
    };
    let mut parent = aggregate(&["--program", LONG]).spawn().unwrap();
    let drain = wait_for_guest(&mut parent);
    let nodes = children_of(parent.id());
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert_gone(&nodes);
    drain.join().unwrap();
}

/// A cluster file of three unequal nodes on loopback.
pub(crate) fn cluster(memory: &str, ports: &[u16; 3]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(
        file,
        "[cluster]\nname = \"test\"\nmemory = \"{memory}\"\ndeadline-seconds = 20\n"
    )
    .unwrap();
    for ((name, vcpus), port) in [("a", 2), ("b", 1), ("c", 0)].into_iter().zip(ports) {
        write!(
            file,
            "\n[[node]]\nname = \"{name}\"\naddress = \"127.0.0.1:{port}\"\nvcpus = {vcpus}\n"
        )
        .unwrap();
    }
    file
}

pub(crate) fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    listeners
        .each_ref()
        .map(|listener| listener.local_addr().unwrap().port())
}

fn node(file: &tempfile::NamedTempFile, name: &str) -> Child {
    node_with(file, name, &[])
}

/// The same with more arguments.
fn node_with(file: &tempfile::NamedTempFile, name: &str, more: &[&str]) -> Child {
    let path = file.path().to_str().unwrap();
    let common = [
        "--cluster",
        path,
        "--node",
        name,
        "--program",
        "ticket,io,ipi",
    ];
    aggregate(&[&common, more].concat()).spawn().unwrap()
}

#[test]
fn a_cluster_of_unequal_nodes_joins_in_any_order() {
    let Some(_turn) = turn("a_cluster_of_unequal_nodes_joins_in_any_order", true) else {
        return;
    };
    let file = cluster("128M", &free_ports());
    let last = node(&file, "c");
    std::thread::sleep(Duration::from_millis(300));
    let middle = node(&file, "b");
    std::thread::sleep(Duration::from_millis(300));
    let first = node(&file, "a");
    let outputs = [first, middle, last].map(|child| end_within(child, LIMIT));
    for output in &outputs {
        assert_eq!(output.status.code(), Some(0), "{}", text(output));
    }
    assert!(text(&outputs[0]).contains("every result is right"));
    assert!(
        text(&outputs[2]).contains("waiting for"),
        "{}",
        text(&outputs[2])
    );
}

#[test]
fn nodes_with_different_files_refuse_each_other_and_name_the_key() {
    let Some(_turn) = turn("nodes_with_different_files_refuse_each_other", true) else {
        return;
    };
    let ports = free_ports();
    let (one, other) = (cluster("128M", &ports), cluster("256M", &ports));
    let children = [node(&one, "a"), node(&other, "b")];
    for output in children.map(|child| end_within(child, LIMIT)) {
        assert_eq!(output.status.code(), Some(3), "{}", text(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("cluster.memory"), "{said}");
        assert!(
            said.contains("134217728") && said.contains("268435456"),
            "{said}"
        );
    }
}

#[test]
fn nodes_with_different_protocols_refuse_each_other_and_name_both() {
    let Some(_turn) = turn("nodes_with_different_protocols_refuse_each_other", true) else {
        return;
    };
    let file = cluster("128M", &free_ports());
    let children = ["ivy", "lease"]
        .into_iter()
        .zip(["a", "b"])
        .map(|(protocol, name)| node_with(&file, name, &["--protocol", protocol]));
    for child in children.collect::<Vec<_>>() {
        let output = end_within(child, LIMIT);
        assert_eq!(output.status.code(), Some(3), "{}", text(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("run.protocol"), "{said}");
        assert!(said.contains("`ivy`") && said.contains("`lease`"), "{said}");
    }
}

#[test]
fn a_taken_port_is_named_with_a_mend() {
    let Some(_turn) = turn("a_taken_port_is_named_with_a_mend", true) else {
        return;
    };
    let ports = free_ports();
    let _taken = TcpListener::bind(("127.0.0.1", ports[0])).unwrap();
    let output = end_within(node(&cluster("128M", &ports), "a"), LIMIT);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    let said = text(&output);
    assert!(
        said.contains(&ports[0].to_string()) && said.contains("in use"),
        "{said}"
    );
}

#[test]
fn mistakes_of_the_command_line_end_with_status_two_and_one_clear_line() {
    let Some(_turn) = turn("mistakes_of_the_command_line", true) else {
        return;
    };
    let bad = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(bad.path(), "[cluster]\nname = \"x\"\nmemory = \"lots\"\n").unwrap();
    let path = bad.path().to_str().unwrap();
    for (arguments, expected) in [
        (&["--nodes", "65"][..], "65"),
        (&["--memory", "100K"], "memory"),
        (&["--memory", "4G"], "memory"),
        (&["--program", "nonesuch"], "ticket, atomic"),
        (&["--protocol", "nonesuch"], "directory, ivy, lease"),
        (&["--program", "sum", "--memory", "32M"], "sum needs"),
        (&["--cluster", path, "--node", "a"], ":3:"),
        (
            &["--cluster", "/nonexistent", "--node", "a"],
            "/nonexistent",
        ),
        (&["--cluster", path], "--node"),
    ] {
        let output = end_within(aggregate(arguments).spawn().unwrap(), LIMIT);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    }
}
