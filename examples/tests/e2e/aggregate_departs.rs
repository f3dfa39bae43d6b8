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

/// Evacuates the last of three nodes and kills it; the guest ends as if nothing had happened.
fn leaves_and_is_killed(test: &str, transport: &str, evacuate: &[&str]) {
    let Some(_turn) = turn(test, true) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("machine");
    let socket = socket.to_str().unwrap();
    let size = ["--nodes", "3", "--vcpus", "3"];
    let options = ["--transport", transport, "--program", WORK];
    let machine = start(socket, &[&size[..], &options].concat());
    // Some of the work is done, so there is memory to leave.
    std::thread::sleep(Duration::from_millis(1500));
    let emptied = order(socket, evacuate);
    assert!(emptied.status.success(), "{}", text(&emptied));
    let told = said(&emptied);
    assert!(told.contains("it may be ended"), "{told}");
    let node = process(&machine, 2).to_string();
    let killed = Command::new("kill").args(["-9", &node]).status().unwrap();
    assert!(killed.success(), "it had ended before");
    let output = end_within(machine, LIMIT);
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        said(&output).contains("every result is right"),
        "{}",
        text(&output)
    );
}

#[test]
fn a_node_that_left_is_killed_and_the_guest_goes_on_over_shared_rings() {
    leaves_and_is_killed("a_node_that_left_is_killed_shm", "shm", &["evacuate", "n2"]);
}

#[test]
fn a_node_that_left_slowly_is_killed_and_the_guest_goes_on_over_sockets() {
    let evacuate = ["evacuate", "n2", "--bandwidth", "50M"];
    leaves_and_is_killed("a_node_that_left_is_killed_tcp", "tcp", &evacuate);
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
