//! What a broken or dead peer does to a joined cluster: its link ends with a typed loss, and
//! nothing else changes.

use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::raw_peer::{cluster_with_raw_peer, link_frame};
use giantvm_core::NodeId;
use giantvm_core::wire::{Class, DecodeError, Frame, Service};
use giantvm_transport::testing::{Net, tcp_cluster};
use giantvm_transport::{Event, Loss, SendError};

fn node(index: u8) -> NodeId {
    NodeId::new(index).unwrap()
}

/// The first loss that node 0 saw.
fn loss(net: &Net) -> Option<(NodeId, Loss)> {
    net.events[0].iter().find_map(|event| match event {
        Event::Lost { node, loss } => Some((*node, loss.clone())),
        Event::Frame { .. } => None,
    })
}

/// Has the raw node send `bytes` to node 0 and returns the loss, after checking all the rest.
fn after_bytes(class: Class, bytes: &[u8]) -> Loss {
    let (mut net, mut wires) = cluster_with_raw_peer();
    wires[0][class.index()].stream.write_all(bytes).unwrap();
    net.run_until("the loss of the raw node", |net| loss(net).is_some());
    let (lost, loss) = loss(&net).unwrap();
    assert_eq!(lost, node(2));
    assert_eq!(net.frames(0).count(), 0);
    let refusal = net
        .node(0)
        .send(node(2), Class::Control, Net::frame(0, 0, Vec::new()));
    assert_eq!(refusal, Err(SendError::Lost(node(2))));
    net.send(0, 1, Class::Control, 1);
    net.send(1, 0, Class::Bulk, 2);
    net.run_until("traffic of the others", |net| {
        net.frames(0).count() == 1 && net.frames(1).count() == 1
    });
    assert_eq!(net.losses(0).len(), 1);
    loss
}

/// A good frame of the raw node, with one byte replaced.
fn spoiled(at: usize, value: u8) -> Vec<u8> {
    let mut bytes = bytes::BytesMut::new();
    Net::frame(2, 0, Vec::new()).encode(&mut bytes);
    bytes[at] = value;
    bytes.to_vec()
}

#[test]
fn a_wrong_magic_ends_the_link() {
    let loss = after_bytes(Class::Control, b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(
        loss,
        Loss::Protocol(DecodeError::BadMagic(u16::from_le_bytes(*b"GE")))
    );
}

#[test]
fn a_wrong_version_ends_the_link() {
    let loss = after_bytes(Class::Demand, &spoiled(2, 9));
    assert_eq!(loss, Loss::Protocol(DecodeError::UnsupportedVersion(9)));
}

#[test]
fn an_unknown_service_ends_the_link() {
    let loss = after_bytes(Class::Bulk, &spoiled(3, 77));
    assert_eq!(loss, Loss::Protocol(DecodeError::UnknownService(77)));
}

#[test]
fn wrong_lengths_end_the_link() {
    let loss = after_bytes(Class::Control, &spoiled(6, 49));
    assert_eq!(loss, Loss::Protocol(DecodeError::BodyTooLong(49)));
    let loss = after_bytes(Class::Bulk, &spoiled(11, 0xff));
    assert!(matches!(
        loss,
        Loss::Protocol(DecodeError::PayloadTooLong { .. })
    ));
}

#[test]
fn a_frame_in_another_name_ends_the_link() {
    assert_eq!(
        after_bytes(Class::Control, &spoiled(5, 1)),
        Loss::Impostor(node(1))
    );
    let loss = after_bytes(Class::Control, &spoiled(5, 64));
    assert!(matches!(
        loss,
        Loss::Protocol(DecodeError::BadField { field: "from", .. })
    ));
}

#[test]
fn a_handshake_message_after_the_join_ends_the_link() {
    for kind in [1, 5, 200] {
        let mut bytes = bytes::BytesMut::new();
        link_frame(node(2), kind).encode(&mut bytes);
        let service = Service::Link;
        let loss = after_bytes(Class::Control, &bytes);
        assert_eq!(
            loss,
            Loss::Protocol(DecodeError::UnknownKind { service, kind })
        );
    }
}

#[test]
fn frames_before_the_garbage_arrive() {
    let (mut net, mut wires) = cluster_with_raw_peer();
    wires[0][1].send(&Net::frame(2, 3, vec![1; 100]));
    wires[0][1].stream.write_all(&spoiled(0, 0)).unwrap();
    net.run_until("the loss", |net| loss(net).is_some());
    let kinds: Vec<u8> = net.frames(0).map(|(_, frame)| frame.kind).collect();
    assert_eq!(kinds, [3]);
}

#[test]
fn a_frame_cut_off_by_the_end_is_not_delivered() {
    let (mut net, mut wires) = cluster_with_raw_peer();
    let whole = spoiled(0, b'G');
    wires[0][2]
        .stream
        .write_all(&whole[..whole.len() - 1])
        .unwrap();
    drop(wires);
    net.run_until("the loss", |net| loss(net).is_some());
    assert_eq!(loss(&net), Some((node(2), Loss::Closed)));
    assert_eq!(net.frames(0).count(), 0);
}

#[test]
fn one_of_three_connections_that_ends_takes_the_others_along() {
    let (mut net, wires) = cluster_with_raw_peer();
    wires[0][2].stream.shutdown(Shutdown::Both).unwrap();
    net.run_until("the loss", |net| loss(net).is_some());
    assert_eq!(loss(&net), Some((node(2), Loss::Closed)));
}

#[test]
fn a_peer_that_dies_is_lost_well_before_its_silence_could_tell() {
    let (mut net, wires) = cluster_with_raw_peer();
    let start = Instant::now();
    drop(wires);
    net.run_until("the loss", |net| {
        loss(net).is_some() && !net.losses(1).is_empty()
    });
    // By its text it was not silence, however slow this machine is.
    assert_eq!(
        loss(&net),
        Some((node(2), Loss::Closed)),
        "after {:?}",
        start.elapsed()
    );
}

#[test]
fn a_peer_that_stops_polling_is_found_by_its_silence() {
    let mut net = Net::new(tcp_cluster(3, std::net::Ipv4Addr::LOCALHOST.into()).unwrap());
    net.run_for(Duration::from_millis(1200));
    assert_eq!(
        loss(&net),
        None,
        "a polled peer is not silent, though nothing is sent"
    );
    let pumped = |index| index != 2;
    net.run_some_until("silence", pumped, |net| {
        net.losses(0).len() == 1 && net.losses(1).len() == 1
    });
    let (lost, why) = loss(&net).unwrap();
    assert_eq!(lost, node(2));
    assert!(matches!(why, Loss::Silent(ms) if ms >= 800), "{why}");
}

#[test]
fn a_node_that_was_stopped_itself_does_not_blame_its_peers() {
    let mut net = Net::new(tcp_cluster(2, std::net::Ipv4Addr::LOCALHOST.into()).unwrap());
    net.run_for(Duration::from_millis(100));
    std::thread::sleep(Duration::from_millis(1500));
    net.run_for(Duration::from_millis(600));
    assert_eq!(net.losses(0), []);
    assert_eq!(net.losses(1), []);
}

#[test]
fn a_peer_that_does_not_read_fills_its_queue_and_no_more() {
    let (net, _wires) = cluster_with_raw_peer();
    let page = Net::frame(0, 0, vec![0; 64 << 10]);
    let send = |_: &usize| {
        net.node(0)
            .send(node(2), Class::Bulk, Frame::clone(&page))
            .is_err()
    };
    assert!((0..4000).find(send).is_some(), "a queue without an end");
    let refusal = net.node(0).send(node(2), Class::Bulk, page.clone());
    assert!(matches!(refusal, Err(SendError::Full { .. })));
    assert_eq!(
        net.node(0)
            .send(node(2), Class::Control, Net::frame(0, 0, vec![])),
        Ok(())
    );
}
