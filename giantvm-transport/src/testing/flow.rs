//! Checks of what comes first, what wakes, and what ends.

use std::time::Duration;

use giantvm_core::wire::Class;

use super::Net;
use super::net::id;
use crate::{Event, Loss, SendError};

/// Frames of the largest size that stand in an urgent frame's way: 16 MiB.
const PILE: usize = 256;

pub(super) fn urgent(net: &mut Net) {
    for _ in 0..PILE {
        let page = Net::frame(0, 1, vec![0; 64 << 10]);
        net.node(0)
            .send(id(1), Class::Bulk, page)
            .expect("16 MiB are within any queue");
    }
    net.send(0, 1, Class::Control, 2);
    net.run_until("the urgent frame", |net| {
        net.frames(1).any(|(class, _)| class == Class::Control)
    });
    let before = net
        .frames(1)
        .take_while(|(class, _)| *class != Class::Control)
        .count();
    assert!(
        before < PILE / 2,
        "an urgent frame came after {before} of {PILE} bulk frames"
    );
    net.run_until("the bulk", |net| net.frames(1).count() == PILE + 1);
}

pub(super) fn ready(net: &mut Net) {
    const FRAMES: usize = 300;
    let quiet = |net: &mut Net| (0..100).any(|_| net.turn(|_| true) == 0 && !net.is_ready(1));
    assert!(quiet(net), "ready without work");
    for _ in 0..FRAMES {
        net.send(0, 1, Class::Control, 0);
    }
    // Node 0 must go on: it may have more to flush, and signs of life to give.
    net.run_some_until("ready with work", |node| node == 0, |net| net.is_ready(1));
    assert!(net.is_ready(1), "ready is not level-triggered");
    while net.frames(1).count() < FRAMES {
        let before = net.frames(1).count();
        net.run_some_until(
            "ready while work is left",
            |node| node == 0,
            |net| net.is_ready(1),
        );
        net.turn(|_| true);
        let after = net.frames(1).count();
        assert!(after - before <= FRAMES, "more than there is");
    }
    assert!(quiet(net), "ready after the work is done");
}

pub(super) fn close(net: &mut Net) {
    for kind in 0..100 {
        net.send(0, 1, Class::Control, kind);
        net.send(0, 1, Class::Bulk, kind);
    }
    net.node(0).close();
    let refusal = net
        .node(0)
        .send(id(1), Class::Control, Net::frame(0, 0, Vec::new()));
    assert_eq!(refusal, Err(SendError::Lost(id(1))), "a closed node sends");
    assert_eq!(net.node(0).poll(&mut |_| ()), 0, "a closed node receives");
    net.run_until("the loss of node 0", |net| {
        !net.losses(1).is_empty() && !net.losses(2).is_empty()
    });
    assert_eq!(net.frames(1).count(), 200, "frames sent before the close");
    let last = net.events[1].last();
    let loss = Loss::Closed;
    assert!(
        matches!(last, Some(Event::Lost { loss: got, .. }) if *got == loss),
        "{last:?}"
    );
    let refusal = net
        .node(1)
        .send(id(0), Class::Control, Net::frame(1, 0, Vec::new()));
    assert_eq!(
        refusal,
        Err(SendError::Lost(id(0))),
        "a lost node is sent to"
    );
    net.nodes[0] = None;
    net.send(1, 2, Class::Control, 7);
    net.run_until("traffic between the others", |net| {
        net.frames(2).count() == 1
    });
    net.run_for(Duration::from_millis(100));
    let text = loss.to_string();
    for node in [1, 2] {
        assert_eq!(
            net.losses(node),
            [(0, text.clone())],
            "losses at node {node}"
        );
    }
}

pub(super) fn sever(net: &mut Net) {
    let loss = Loss::Refused("page 9 is out of range".to_owned());
    let text = loss.to_string();
    net.node(0).sever(id(1), loss.clone());
    net.node(0).sever(id(1), loss);
    net.send(1, 2, Class::Control, 1);
    net.run_until("the end of one link", |net| {
        net.losses(0).len() == 1 && net.losses(1).len() == 1 && net.frames(2).count() == 1
    });
    net.run_for(Duration::from_millis(100));
    assert_eq!(net.losses(0), [(1, text)], "the severing side");
    assert_eq!(
        net.losses(1),
        [(0, Loss::Closed.to_string())],
        "the severed side"
    );
    assert_eq!(net.losses(2), [], "a third node");
    let refusal = net
        .node(0)
        .send(id(1), Class::Control, Net::frame(0, 0, Vec::new()));
    assert_eq!(
        refusal,
        Err(SendError::Lost(id(1))),
        "a severed link carries"
    );
}
