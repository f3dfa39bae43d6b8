//! Nodes that are processes: this test's own program, started again, and linked by TCP.

use std::env;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Command, Stdio};

use giantvm_core::testing::skip;
use giantvm_core::{NodeId, PageIndex};
use giantvm_dsm::protocol::CoherenceProtocol;
use giantvm_dsm::testing::history::{Action, History, Location, Operation};
use giantvm_dsm::uffd::Support;
use giantvm_transport::tcp::TcpConnector;
use giantvm_transport::{JoinConfig, NodeEntry, join_blocking};

use super::record::{Mix, Words};
use super::{NODES, THREADS, support, work};

/// Tells a process which node it is and where all listen. It inherits its own socket as standard
/// input, and writes its history to standard error, as the other one is the test harness's.
const NODE: &str = "GIANTVM_HISTORIES_NODE";

/// What the threads of all processes did; `None` without userfaultfd. `node` is the name of the
/// test that calls [`be_node`].
pub(crate) fn recorded(test: &str, node: &str) -> Option<History> {
    if !Support::probe().missing() {
        skip(test, "userfaultfd is not usable");
        return None;
    }
    let listeners: Vec<_> = (0..NODES)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
        .collect();
    let addresses: Vec<_> = listeners
        .iter()
        .map(|listener| listener.local_addr().unwrap().to_string())
        .collect();
    let start = |(number, listener): (usize, TcpListener)| {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", node, "--ignored", "--nocapture"])
            .env(NODE, format!("{number} {}", addresses.join(" ")))
            .stdin(OwnedFd::from(listener))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let nodes: Vec<_> = listeners.into_iter().enumerate().map(start).collect();
    // All at once: a node whose pipe is full does not end, and the others wait for it.
    let outputs = std::thread::scope(|scope| {
        let threads: Vec<_> = nodes
            .into_iter()
            .map(|node| scope.spawn(|| node.wait_with_output().unwrap()))
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().unwrap())
            .collect::<Vec<_>>()
    });
    let threads = outputs.iter().flat_map(|output| {
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "a node failed: {text}");
        let threads: Vec<_> = text.lines().map(read).collect();
        assert_eq!(threads.len(), THREADS as usize);
        threads
    });
    Some(History::new(threads.collect()))
}

/// What a process does that [`recorded`] starts; nothing in any other.
pub(crate) fn be_node<P: CoherenceProtocol>(mix: Mix) {
    let Ok(node) = env::var(NODE) else {
        return;
    };
    let (number, addresses) = node.split_once(' ').unwrap();
    let local = NodeId::try_from(number.parse::<usize>().unwrap()).unwrap();
    let entry = |address: &str| NodeEntry {
        name: address.into(),
        address: address.into(),
    };
    let entries = addresses.split(' ').map(entry).collect();
    let listener = io::stdin().as_fd().try_clone_to_owned().unwrap().into();
    let config = JoinConfig::new("histories", entries, local);
    let connector = TcpConnector::with_listener(config, listener);
    let transport = join_blocking(&connector, &|_| ()).unwrap();
    let (threads, _) =
        support::on_node::<P, Words, _>(transport, NODES, |node, shared| work(node, shared, mix));
    let lines: String = threads.iter().map(|thread| line(thread) + "\n").collect();
    io::stderr().write_all(lines.as_bytes()).unwrap();
}

/// A thread's operations in one line, as [`read`] reads it.
fn line(thread: &[Operation]) -> String {
    let word = |operation: &Operation| {
        let Location { page, word } = operation.location;
        let (kind, value, previous) = match operation.action {
            Action::Load(value) => (0, value, 0),
            Action::Store(value) => (1, value, 0),
            Action::Swap { value, previous } => (2, value, previous),
        };
        format!("{} {word} {kind} {value} {previous}", page.0)
    };
    thread.iter().map(word).collect::<Vec<_>>().join(",")
}

fn read(line: &str) -> Vec<Operation> {
    let operation = |text: &str| {
        let numbers: Vec<u64> = text
            .split(' ')
            .map(|number| number.parse().unwrap())
            .collect();
        let [page, word, kind, value, previous] = numbers[..] else {
            panic!("no operation: {text}");
        };
        let word = u32::try_from(word).unwrap();
        let location = Location {
            page: PageIndex(page),
            word,
        };
        let action = match kind {
            0 => Action::Load(value),
            1 => Action::Store(value),
            _ => Action::Swap { value, previous },
        };
        Operation { location, action }
    };
    line.split(',').map(operation).collect()
}
