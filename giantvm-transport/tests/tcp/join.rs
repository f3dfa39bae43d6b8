//! Joining: in any order, in spite of strangers, and with an error that says what to mend.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::raw_peer::{Wire, greet, introduce, link_frame};
use giantvm_core::NodeId;
use giantvm_core::wire::Class;
use giantvm_transport::handshake::{HandshakeError, Refusal};
use giantvm_transport::tcp::TcpConnector;
use giantvm_transport::testing::{Net, loopback_configs};
use giantvm_transport::{JoinConfig, JoinError, Transport, join_blocking};

type Joined = Result<Arc<dyn Transport>, JoinError>;
type Place = (JoinConfig, TcpListener);

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn join((config, listener): Place) -> JoinHandle<Joined> {
    let connector = TcpConnector::with_listener(config, listener);
    thread::spawn(move || join_blocking(&connector, &|_| ()))
}

fn places<const N: usize>() -> [Place; N] {
    let places = loopback_configs(N, V4).unwrap();
    places.try_into().unwrap()
}

fn error(thread: JoinHandle<Joined>) -> JoinError {
    thread.join().unwrap().expect_err("the join fails")
}

fn works(threads: impl IntoIterator<Item = JoinHandle<Joined>>) {
    let nodes = threads
        .into_iter()
        .map(|thread| thread.join().unwrap().unwrap());
    let mut net = Net::new(nodes.collect());
    net.send(0, 1, Class::Control, 1);
    net.run_until("a frame", |net| net.frames(1).count() == 1);
}

#[test]
fn nodes_join_in_any_order_and_hear_who_is_missing() {
    let [a, b, c] = places();
    // The last dials both others; nobody listens yet where it dials.
    drop((a.1, b.1));
    let lines = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&lines);
    let connector = TcpConnector::with_listener(c.0, c.1);
    let late = thread::spawn(move || {
        join_blocking(&connector, &|progress| {
            heard.lock().unwrap().push(progress.to_string());
        })
    });
    let told = || {
        lines
            .lock()
            .unwrap()
            .iter()
            .any(|line| line.contains("not started"))
    };
    while !told() {
        thread::sleep(Duration::from_millis(10));
    }
    let start = |config| thread::spawn(move || join_blocking(&TcpConnector::new(config), &|_| ()));
    let middle = start(b.0);
    let first = start(a.0);
    works([first, middle, late]);
    let lines = lines.lock().unwrap();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("waiting for a at 127.0.0.1:")),
        "{lines:?}"
    );
}

#[test]
fn host_names_are_resolved() {
    let [mut a, mut b] = places();
    for place in [&mut a, &mut b] {
        for node in &mut place.0.nodes {
            node.address = node.address.replace("127.0.0.1", "localhost");
        }
    }
    works([join(a), join(b)]);
}

#[test]
fn differing_settings_fail_the_join_on_both_sides_with_the_key() {
    let [mut a, mut b] = places();
    a.0.settings.insert("memory".into(), "512M".into());
    b.0.settings.insert("memory".into(), "1G".into());
    let (a, b) = (join(a), join(b));
    let (a, b) = (error(a).to_string(), error(b).to_string());
    let here = "configuration differs: `memory` is `512M` here and `1G` on node b";
    assert!(a.ends_with(here), "{a}");
    let there = "configuration differs: `memory` is `1G` here and `512M` on node a";
    assert!(b.ends_with(there), "{b}");
}

#[test]
fn differing_limits_and_node_tables_are_named_like_settings() {
    let [a, mut b] = places();
    b.0.limits.max_payload += 1;
    let (_, b) = (join(a), join(b));
    assert!(
        error(b)
            .to_string()
            .contains("`cluster.max_payload` is `65537` here and `65536`")
    );
}

#[test]
fn a_node_of_another_cluster_is_refused_and_the_others_join() {
    let [a, b] = places();
    let mut stranger = b.0.clone();
    stranger.cluster = "production".into();
    let listener = TcpListener::bind((V4, 0)).unwrap();
    let a = join(a);
    let error = error(join((stranger, listener)));
    assert!(
        matches!(&error, JoinError::Handshake { error: HandshakeError::Cluster { there, .. }, .. } if there == "testing"),
        "{error}"
    );
    works([a, join(b)]);
}

#[test]
fn the_wrong_node_at_an_address_is_named() {
    let [a, b, mut c] = places();
    // To c, the addresses of a and b are swapped.
    let address = std::mem::take(&mut c.0.nodes[0].address);
    c.0.nodes[0].address = std::mem::replace(&mut c.0.nodes[1].address, address);
    let (_a, _b) = (join(a), join(b));
    let error = error(join(c)).to_string();
    // Whichever of the two was reached first.
    let swapped = [
        "the peer is node 1 `b`, expected node 0 `a`",
        "the peer is node 0 `a`, expected node 1 `b`",
    ];
    assert!(swapped.iter().any(|text| error.contains(text)), "{error}");
}

#[test]
fn a_second_process_of_the_same_node_is_refused() {
    let [a, b, c] = places();
    let second = (b.0.clone(), TcpListener::bind((V4, 0)).unwrap());
    let address = a.0.nodes[0].address.clone();
    // Hand-made, the first b is known to have joined before the second starts.
    let local = introduce(&b.0);
    let a = join(a);
    let held = Class::ALL.map(|class| greet(local.clone(), NodeId::ZERO, &address, class));
    let error = error(join(second));
    let duplicate = HandshakeError::Refused(Refusal::Duplicate);
    assert!(
        matches!(&error, JoinError::Handshake { error, .. } if *error == duplicate),
        "{error}"
    );
    drop(held);
    // The place is free again once the first is gone.
    works([a, join(b), join(c)]);
}

#[test]
fn a_taken_port_is_named() {
    let [a, _b] = places();
    let error = join_blocking(&TcpConnector::new(a.0), &|_| ()).expect_err("the port is taken");
    let port = a.1.local_addr().unwrap().port();
    assert!(matches!(&error, JoinError::AddressInUse { port: taken, .. } if *taken == port));
    let line = error.to_string();
    assert!(
        line.contains(&format!("port {port}")) && line.contains("another port"),
        "{line}"
    );
}

#[test]
fn an_address_of_another_host_cannot_be_listened_at() {
    let [mut a, _b] = places();
    a.0.listen = Some("192.0.2.1:7000".into());
    let error = join_blocking(&TcpConnector::new(a.0), &|_| ()).expect_err("not our address");
    assert!(matches!(error, JoinError::Listen { .. }), "{error}");
}

#[test]
fn the_deadline_names_the_missing_nodes() {
    let [mut a, _b, mut c] = places();
    drop(_b.1);
    a.0.deadline = Duration::from_millis(700);
    c.0.deadline = a.0.deadline;
    let (a, c) = (join(a), join(c));
    for error in [error(a), error(c)] {
        let JoinError::Deadline { missing, .. } = &error else {
            panic!("{error}");
        };
        let names: Vec<_> = missing
            .iter()
            .map(|missing| missing.name.as_str())
            .collect();
        // The other one that gives up first may be missing by then too.
        assert!(names.contains(&"b"), "{error}");
    }
}

#[test]
fn a_host_that_cannot_be_found_is_named() {
    let [_a, mut b] = places();
    b.0.nodes[0].address = "no such host:7000".into();
    // On a busy machine it takes a while to find out.
    b.0.deadline = Duration::from_secs(3);
    let error = error(join(b));
    assert!(matches!(error, JoinError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("no such host:7000"), "{error}");
}

#[test]
fn strangers_do_not_disturb_the_join() {
    let [a, b] = places();
    let address = a.0.nodes[0].address.clone();
    let a = join(a);
    // Some say nothing, more than may be pending at once.
    let silent: Vec<_> = (0..300)
        .map(|_| TcpStream::connect(&address).unwrap())
        .collect();
    for noise in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0; 4096],
        &[0xff; 3],
        b"GV\x09\x00",
    ] {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(noise).unwrap();
    }
    // A frame that is out of turn is answered and ends the connection.
    let mut early = Wire::connect(&address);
    early.send(&link_frame(NodeId::new(1).unwrap(), 5));
    assert!(early.receive().is_some());
    assert!(early.receive().is_none());
    works([a, join(b)]);
    drop(silent);
}

#[test]
fn a_stranger_that_says_nothing_is_dropped_in_time() {
    let [a, _b] = places();
    let address = a.0.nodes[0].address.clone();
    let _a = join(a);
    let mut silent = TcpStream::connect(&address).unwrap();
    silent
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    // The node hangs up: an end, not the time-out of this side.
    let end = silent.read(&mut [0]);
    assert!(matches!(end, Ok(0)), "{end:?}");
}

#[test]
fn a_node_that_goes_away_during_the_join_may_come_back() {
    let [a, b, c] = places();
    let address = a.0.nodes[0].address.clone();
    let local = introduce(&b.0);
    let a = join(a);
    let first = Class::ALL.map(|class| greet(local.clone(), NodeId::ZERO, &address, class));
    drop(first);
    works([a, join(b), join(c)]);
}

#[test]
fn a_cluster_of_one_joins_at_once() {
    let [only] = places();
    let node = join(only).join().unwrap().unwrap();
    assert!(node.peers().is_empty());
    assert_eq!(node.poll(&mut |_| ()), 0);
}
