//! vCPUs of a running machine are moved from outside, and its guest does not notice.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Output};
use std::time::Duration;

use crate::machine::{aggregate, end_within, text, turn};

const LIMIT: Duration = Duration::from_secs(240);

/// Starts a machine that takes orders, and waits until it does.
pub(crate) fn start(socket: &str, options: &[&str]) -> Child {
    let arguments = [&["--control", socket], options].concat();
    let mut machine = aggregate(&arguments).spawn().unwrap();
    while !Path::new(socket).exists() {
        assert!(machine.try_wait().unwrap().is_none(), "it ends at once");
        std::thread::sleep(Duration::from_millis(5));
    }
    machine
}

/// Gives an order to the machine with this socket.
pub(crate) fn order(socket: &str, arguments: &[&str]) -> Output {
    let arguments = [&["--control", socket], arguments].concat();
    let child = aggregate(&arguments).spawn().unwrap();
    end_within(child, LIMIT)
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn vcpus_move_to_and_fro_while_the_guest_computes_and_every_result_is_right() {
    let Some(_turn) = turn("vcpus_move_to_and_fro", true) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("machine");
    let socket = socket.to_str().unwrap();
    let work = "ticket,sum,ep,is,ipi,io,io,io,io,clock,ep:W,ipi,io,sum";
    let options = ["--nodes", "2", "--vcpus", "3", "--program", work];
    let mut machine = start(socket, &options);
    // Whatever it prints must not block it.
    let mut printed = machine.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        printed.read_to_string(&mut text).ok();
        text
    });
    let mut moves = 0;
    'machine: loop {
        for (vcpu, node) in [
            ("1", "n1"),
            ("0", "n1"),
            ("2", "n0"),
            ("1", "n0"),
            ("0", "n0"),
            ("2", "n1"),
        ] {
            let output = order(socket, &["move-vcpu", vcpu, node]);
            if machine.try_wait().unwrap().is_some() {
                break 'machine;
            }
            // At its end the machine may go before it has answered.
            if output.status.success() {
                moves += 1;
                assert!(said(&output).contains(&format!("vCPU {vcpu} is on node {node}")));
            }
        }
    }
    let output = end_within(machine, LIMIT);
    let printed = reader.join().unwrap();
    println!("{moves} moves");
    assert!(moves > 0, "none: {}\n{printed}", text(&output));
    assert!(output.status.success(), "{}\n{printed}", text(&output));
    assert!(printed.contains("every result is right"), "{printed}");
    assert!(!Path::new(socket).exists(), "the socket is left behind");
}

#[test]
fn a_node_is_emptied_of_vcpus_and_filled_again_and_what_stays_is_named() {
    let Some(_turn) = turn("a_node_is_emptied", true) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("machine");
    let socket = socket.to_str().unwrap();
    let options = [
        "--nodes",
        "2",
        "--vcpus",
        "4",
        "--program",
        "ep:W,sum,ep:W,sum,ep:W,ipi",
    ];
    let machine = start(socket, &options);
    for (arguments, why) in [
        (&["move-vcpu", "1", "n7"][..], "there is no node `n7`"),
        (&["move-vcpu", "9", "n0"], "the machine has no vCPU 9"),
    ] {
        let refused = order(socket, arguments);
        assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
        assert!(text(&refused).contains(why), "{}", text(&refused));
    }
    let emptied = order(socket, &["evacuate", "n1"]);
    assert!(emptied.status.success(), "{}", text(&emptied));
    let told = said(&emptied);
    assert!(told.contains("node n1 runs no vCPU any more"), "{told}");
    assert!(told.contains("it may be ended"), "{told}");
    let filled = order(socket, &["admit", "n1"]);
    assert!(filled.status.success(), "{}", text(&filled));
    // What has devices stays, and so does what it needs for them.
    let kept = order(socket, &["evacuate", "n0"]);
    assert!(kept.status.success(), "{}", text(&kept));
    for stays in [
        "its share of the memory",
        "the serial device",
        "do not end it",
    ] {
        assert!(said(&kept).contains(stays), "{}", said(&kept));
    }
    let output = end_within(machine, LIMIT);
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_machine_whose_vcpus_have_to_stay_says_why() {
    let Some(_turn) = turn("a_machine_whose_vcpus_have_to_stay", false) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("machine");
    let socket = socket.to_str().unwrap();
    let options = ["--nodes", "2", "--vcpus", "2", "--vcpu", "thread"];
    let work = ["--program", "ep:W,ep:W,ep:W,ep:W"];
    let machine = start(socket, &[&options[..], &work].concat());
    for arguments in [&["move-vcpu", "1", "n0"][..], &["evacuate", "n1"]] {
        let refused = order(socket, arguments);
        assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
        assert!(
            text(&refused).contains("no vCPU of this machine can be moved"),
            "{}",
            text(&refused)
        );
    }
    let output = end_within(machine, LIMIT);
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn an_order_to_no_machine_says_so() {
    let refused = order("/nowhere/at/all", &["move-vcpu", "1", "n0"]);
    assert!(
        text(&refused).contains("no machine takes orders"),
        "{}",
        text(&refused)
    );
    let nameless = aggregate(&["move-vcpu", "1", "n0"]).output().unwrap();
    assert_eq!(nameless.status.code(), Some(2), "{}", text(&nameless));
}
