//! Nodes leave a running machine with their share of its memory, and its guest does not notice.

use std::fs;
use std::process::{Child, Command};
use std::time::Duration;

use crate::aggregate_moves::{order, said, start};
use crate::machine::{end_within, text, turn};

const LIMIT: Duration = Duration::from_secs(240);
/// Some seconds of work, of which the memory is a part.
const WORK: &str = "ep:W,sum,ticket,ep:W,is,ipi,clock,ep:W,sum,io,ep:W,is";

/// The process of a node of the machine that this process started.
fn process(machine: &Child, member: u8) -> u32 {
    let id = machine.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let is_member = |child: &u32| {
        let arguments = fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
        arguments.contains(&format!("--member\0{member}\0"))
    };
    let mut children = children.split_whitespace().map(|id| id.parse().unwrap());
    children.find(is_member).expect("the node's process")
}

/// Evacuates the last of three nodes and kills it; the guest ends as if nothing had happened. What was
/// said of the departure.
fn leaves_and_is_killed(test: &str, machine: &[&str], evacuate: &[&str]) -> Option<String> {
    let _turn = turn(test, true)?;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("machine");
    let socket = socket.to_str().unwrap();
    let size = ["--nodes", "3", "--vcpus", "3", "--program", WORK];
    let machine = start(socket, &[&size[..], machine].concat());
    // Some of the work is done, so there is memory to leave.
    std::thread::sleep(Duration::from_millis(1500));
    let emptied = order(socket, evacuate);
    assert!(emptied.status.success(), "{}", text(&emptied));
    let told = said(&emptied);
    assert!(told.contains("it may be ended"), "{told}");
    let node = process(&machine, 2).to_string();
    let killed = Command::new("kill").args(["-9", &node]).status().unwrap();
    assert!(killed.success(), "it had ended before");
    let no_heir = order(socket, &["evacuate", "n1", "--heir", "n2"]);
    let why = "has to be another, and never left";
    assert!(text(&no_heir).contains(why), "{}", text(&no_heir));
    let output = end_within(machine, LIMIT);
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        said(&output).contains("every result is right"),
        "{}",
        text(&output)
    );
    Some(told)
}

#[test]
fn a_node_that_left_is_killed_and_the_guest_goes_on_over_shared_rings() {
    let test = "a_node_that_left_is_killed_shm";
    leaves_and_is_killed(test, &["--transport", "shm"], &["evacuate", "n2"]);
}

#[test]
fn a_node_that_left_slowly_is_killed_and_the_guest_goes_on_over_sockets() {
    let evacuate = ["evacuate", "n2", "--bandwidth", "50M", "--heir", "n0"];
    let test = "a_node_that_left_is_killed_tcp";
    let told = leaves_and_is_killed(test, &["--transport", "tcp"], &evacuate);
    assert!(told.is_none_or(|told| told.contains("node n0 took over")));
}

#[test]
fn a_node_with_little_memory_leaves_for_the_one_with_the_most_room_and_is_killed() {
    // None gives as much as the guest has, and only the second has room for what the last is home to.
    let memory = ["--memory", "160M", "--node-memory", "96M,144M,96M"];
    let test = "a_node_with_little_memory_leaves";
    let told = leaves_and_is_killed(test, &memory, &["evacuate", "n2"]);
    assert!(told.is_none_or(|told| told.contains("node n1 took over")));
}

#[test]
fn a_node_whose_memory_fits_no_other_stays_with_its_vcpus_and_the_guest_goes_on() {
    let Some(_turn) = turn("a_node_whose_memory_fits_no_other", true) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("machine");
    let socket = socket.to_str().unwrap();
    let size = ["--nodes", "3", "--vcpus", "3", "--program", "ep,sum,is"];
    let memory = ["--memory", "160M", "--node-memory", "64M"];
    let machine = start(socket, &[&size[..], &memory].concat());
    for (evacuate, why) in [
        (&["evacuate", "n2"][..], "node n0 has "),
        (&["evacuate", "n2", "--heir", "n1"], "node n1 has "),
        (&["evacuate", "n2", "--heir", "n2"], "cannot take over"),
        (&["evacuate", "n2", "--heir", "n7"], "there is no node"),
    ] {
        let refused = order(socket, evacuate);
        assert!(!refused.status.success(), "{}", text(&refused));
        assert!(text(&refused).contains(why), "{}", text(&refused));
        assert!(
            !text(&refused).contains("runs no vCPU"),
            "{}",
            text(&refused)
        );
    }
    let output = end_within(machine, LIMIT);
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_node_that_is_called_back_while_it_leaves_leaves_and_comes_back() {
    let Some(_turn) = turn("a_node_that_is_called_back_while_it_leaves", true) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("machine");
    let socket = socket.to_str().unwrap();
    let machine = start(socket, &["--nodes", "3", "--vcpus", "3", "--program", WORK]);
    std::thread::sleep(Duration::from_millis(1500));
    let (comes, leaves) = std::thread::scope(|scope| {
        let slowly = ["evacuate", "n2", "--bandwidth", "20M"];
        let leaves = scope.spawn(move || order(socket, &slowly));
        std::thread::sleep(Duration::from_millis(200));
        (order(socket, &["admit", "n2"]), leaves.join().unwrap())
    });
    for done in [&leaves, &comes] {
        assert!(done.status.success(), "{}", text(done));
    }
    let output = end_within(machine, LIMIT);
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_node_leaves_comes_back_and_leaves_again() {
    let Some(_turn) = turn("a_node_leaves_comes_back", true) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("machine");
    let socket = socket.to_str().unwrap();
    let machine = start(socket, &["--nodes", "3", "--vcpus", "3", "--program", WORK]);
    for request in ["evacuate", "admit", "evacuate", "admit"] {
        let done = order(socket, &[request, "n2"]);
        assert!(done.status.success(), "{request}: {}", text(&done));
    }
    let kept = order(socket, &["evacuate", "n0"]);
    assert!(kept.status.success(), "{}", text(&kept));
    assert!(said(&kept).contains("do not end it"), "{}", said(&kept));
    let output = end_within(machine, LIMIT);
    assert!(output.status.success(), "{}", text(&output));
}
