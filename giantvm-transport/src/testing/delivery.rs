//! Checks of what arrives.

use giantvm_core::wire::Class;
use giantvm_core::{NodeId, NodeSet};

use super::net::id;
use super::{LIMITS, Net};
use crate::SendError;

pub(super) fn peers(net: &mut Net) {
    for index in 0..3 {
        let node = net.node(index);
        assert_eq!(node.local(), id(index), "local");
        assert_eq!(node.peers(), NodeSet::first(3).without(id(index)), "peers");
        assert!(node.near().is_subset(node.peers()), "near");
        assert!(node.adjacent().is_subset(node.near()), "adjacent");
    }
}

pub(super) fn order(net: &mut Net) {
    const EACH: u8 = 250;
    for kind in 0..EACH {
        for class in Class::ALL {
            net.send(0, 1, class, kind);
            net.send(1, 0, class, kind);
        }
    }
    let all = Class::ALL.len() * usize::from(EACH);
    net.run_until("frames of three classes both ways", |net| {
        net.frames(0).count() >= all && net.frames(1).count() >= all
    });
    let expected: Vec<_> = (0..EACH).collect();
    for (node, class) in [0, 1]
        .into_iter()
        .flat_map(|node| Class::ALL.map(|class| (node, class)))
    {
        let of_class = net.frames(node).filter(|(got, _)| *got == class);
        let kinds: Vec<_> = of_class.map(|(_, frame)| frame.kind).collect();
        assert_eq!(kinds, expected, "order of {class:?} at node {node}");
    }
}

pub(super) fn all_to_all(net: &mut Net) {
    for from in 0..4 {
        for to in (0..4).filter(|to| *to != from) {
            net.send(
                from,
                to,
                Class::Demand,
                u8::try_from(10 * from + to).expect("small"),
            );
        }
    }
    net.run_until("a frame from each of three peers", |net| {
        (0..4).all(|node| net.frames(node).count() == 3)
    });
    for to in 0..4 {
        let mut got: Vec<_> = net
            .frames(to)
            .map(|(_, frame)| (frame.from, frame.kind))
            .collect();
        got.sort_unstable();
        let others = (0..4).filter(|from| *from != to);
        let expected: Vec<_> = others
            .map(|from| (id(from), u8::try_from(10 * from + to).expect("small")))
            .collect();
        assert_eq!(got, expected, "frames at node {to}");
    }
}

pub(super) fn large(net: &mut Net) {
    let payload = |seed: u8| -> Vec<u8> {
        let start = seed.into();
        let bytes = (0..=250_u8).cycle().skip(start);
        bytes.take(LIMITS.max_payload as usize - start).collect()
    };
    for (seed, class) in (0..60).zip(Class::ALL.into_iter().cycle()) {
        let frame = Net::frame(0, seed, payload(seed));
        net.node(0)
            .send(id(1), class, frame)
            .expect("a payload of the limit is taken");
    }
    net.run_until("60 large frames", |net| net.frames(1).count() == 60);
    for (_, frame) in net.frames(1) {
        assert!(
            frame.payload == payload(frame.kind),
            "payload {}",
            frame.kind
        );
    }
}

pub(super) fn refused(net: &mut Net) {
    let send = |to: NodeId, bytes: usize| {
        let frame = Net::frame(0, 0, vec![0; bytes]);
        net.node(0).send(to, Class::Bulk, frame)
    };
    for stranger in [id(0), id(2), id(63)] {
        let refusal = send(stranger, 0);
        assert_eq!(refusal, Err(SendError::NoPeer(stranger)), "send to no peer");
    }
    let limit = LIMITS.max_payload as usize;
    let got = limit + 1;
    assert_eq!(
        send(id(1), got),
        Err(SendError::TooLong { got, limit }),
        "too long"
    );
    assert_eq!(send(id(1), 0), Ok(()), "a refused frame harms nothing");
    net.run_until("the good frame", |net| net.frames(1).count() == 1);
}

pub(super) fn counted(net: &mut Net) {
    let frame = Net::frame(0, 0, vec![0; 1000]);
    let bytes = frame.wire_len() as u64;
    let before = (net.node(0).traffic(), net.node(1).traffic());
    for _ in 0..10 {
        net.node(0)
            .send(id(1), Class::Bulk, frame.clone())
            .expect("sent");
    }
    net.run_until("ten frames", |net| net.frames(1).count() == 10);
    let after = (net.node(0).traffic(), net.node(1).traffic());
    // Signs of life are counted too, so there may be more.
    assert!(
        after.0.frames_sent >= before.0.frames_sent + 10,
        "frames sent"
    );
    assert!(
        after.0.bytes_sent >= before.0.bytes_sent + 10 * bytes,
        "bytes sent"
    );
    assert!(
        after.1.frames_received >= before.1.frames_received + 10,
        "frames received"
    );
    assert!(
        after.1.bytes_received >= before.1.bytes_received + 10 * bytes,
        "bytes received"
    );
}

pub(super) fn threads(net: &mut Net) {
    const THREADS: u8 = 4;
    const EACH: u32 = 1000;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let node = net.node(0).clone();
            scope.spawn(move || {
                for number in 0..EACH {
                    let frame = Net::frame(0, thread, number.to_le_bytes().to_vec());
                    node.send(id(1), Class::Control, frame).expect("sent");
                }
            });
        }
    });
    let all = usize::from(THREADS) * EACH as usize;
    net.run_until("frames of four threads", |net| net.frames(1).count() == all);
    for thread in 0..THREADS {
        let of_thread = net.frames(1).filter(|(_, frame)| frame.kind == thread);
        let numbers = of_thread.map(|(_, frame)| frame.payload.to_vec());
        let expected = (0..EACH).map(|number| number.to_le_bytes().to_vec());
        assert!(numbers.eq(expected), "order of thread {thread}");
    }
}
