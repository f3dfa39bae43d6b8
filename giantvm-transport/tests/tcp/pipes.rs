//! Nodes of one host, which share memory.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::thread;

use giantvm_core::wire::{Class, Frame};
use giantvm_core::{NodeId, NodeSet};
use giantvm_transport::testing::{Net, socket_cluster, tcp_cluster};
use giantvm_transport::{Event, Loss, Transport};
use rustix::event::{PollFd, PollFlags, poll};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn pair() -> [Arc<dyn Transport>; 2] {
    let nodes = tcp_cluster(2, V4).unwrap();
    nodes.try_into().unwrap()
}

#[test]
fn peers_on_this_host_are_near_also_when_they_are_reached_by_sockets() {
    for nodes in [tcp_cluster(3, V4), socket_cluster(3, V4)] {
        for node in nodes.unwrap() {
            assert_eq!(node.near(), node.peers());
        }
    }
}

#[test]
fn peers_are_adjacent_only_if_they_are_reached_by_pipes() {
    for node in tcp_cluster(3, V4).unwrap() {
        assert_eq!(node.adjacent(), node.peers());
    }
    for node in socket_cluster(3, V4).unwrap() {
        assert_eq!(node.adjacent(), NodeSet::EMPTY);
    }
}

fn page(kind: u8) -> Frame {
    Net::frame(0, kind, vec![kind; 4096])
}

/// Everything that comes until `done` says so.
fn gather(node: &dyn Transport, done: impl Fn(&[Event]) -> bool) -> Vec<Event> {
    let mut events = Vec::new();
    while !done(&events) {
        if node.poll(&mut |event| events.push(event)) == 0 {
            let ready = PollFlags::IN;
            poll(&mut [PollFd::from_borrowed_fd(node.ready(), ready)], None).unwrap();
        }
    }
    events
}

fn kinds(events: &[Event]) -> Vec<u8> {
    let kind = |event: &Event| match event {
        Event::Frame { frame, .. } => Some(frame.kind),
        Event::Lost { .. } => None,
    };
    events.iter().filter_map(kind).collect()
}

#[test]
fn more_than_a_ring_holds_waits_its_turn_and_comes_in_order() {
    let [a, b] = pair();
    let b_id = b.local();
    let sent: Vec<u8> = (0..=u8::MAX).cycle().take(1000).collect();
    for &kind in &sent {
        a.send(b_id, Class::Demand, page(kind)).unwrap();
    }
    let pump = thread::spawn(move || {
        // Its ring is full: it is told when there is room.
        gather(&*a, |events| !events.is_empty());
        a
    });
    let got = gather(&*b, |events| events.len() == sent.len());
    assert_eq!(kinds(&got), sent);
    b.send(NodeId::ZERO, Class::Control, Net::frame(1, 0, Vec::new()))
        .unwrap();
    pump.join().unwrap();
}

#[test]
fn a_page_that_is_sent_from_its_place_comes_as_a_payload() {
    let [a, b] = pair();
    let head = Net::frame(0, 9, Vec::new());
    a.send_page(b.local(), Class::Demand, head, &[7; 4096])
        .unwrap();
    let got = gather(&*b, |events| !events.is_empty());
    let [Event::Frame { class, frame }] = &got[..] else {
        panic!("{got:?}");
    };
    assert_eq!(
        (*class, &frame.payload[..]),
        (Class::Demand, &[7; 4096][..])
    );
    assert_eq!(a.traffic().bytes_sent, b.traffic().bytes_received);
}

#[test]
fn a_glance_finds_frames_and_a_wait_after_a_poll_is_woken() {
    let [a, b] = pair();
    for round in 0..200 {
        a.send(b.local(), Class::Control, Net::frame(0, round, Vec::new()))
            .unwrap();
        let mut events = Vec::new();
        while events.is_empty() {
            b.glance(&mut |event| events.push(event));
        }
        assert_eq!(kinds(&events), [round]);
        let sender = {
            let (a, to) = (Arc::clone(&a), b.local());
            thread::spawn(move || a.send(to, Class::Bulk, page(round)))
        };
        assert_eq!(kinds(&gather(&*b, |events| !events.is_empty())), [round]);
        sender.join().unwrap().unwrap();
    }
}

#[test]
fn what_was_sent_before_a_close_is_read_before_the_loss() {
    let [a, b] = pair();
    for kind in 0..20 {
        a.send(b.local(), Class::Demand, page(kind)).unwrap();
    }
    a.close();
    let lost = |event: &Event| matches!(event, Event::Lost { .. });
    let got = gather(&*b, |events| events.iter().any(lost));
    assert_eq!(kinds(&got), (0..20).collect::<Vec<_>>());
    let Some(Event::Lost { node, loss }) = got.last() else {
        panic!("{got:?}");
    };
    assert_eq!((*node, loss), (NodeId::ZERO, &Loss::Closed));
    assert_eq!(b.poll(&mut |event| panic!("{event:?}")), 0);
}

#[test]
fn bytes_that_are_no_frame_end_the_link() {
    let [a, b] = pair();
    let impostor = Net::frame(1, 0, Vec::new());
    a.send(b.local(), Class::Control, impostor).unwrap();
    let got = gather(&*b, |events| !events.is_empty());
    let [Event::Lost { node, loss }] = &got[..] else {
        panic!("{got:?}");
    };
    assert_eq!((*node, loss), (NodeId::ZERO, &Loss::Impostor(b.local())));
}
