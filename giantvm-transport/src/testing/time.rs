//! Checks of the logical time that frames carry.

use giantvm_core::Stamp;
use giantvm_core::wire::{Class, Frame};

use super::Net;
use super::net::id;

/// A frame that claims a time of its own, which must not count.
fn forged(from: usize, kind: u8, payload: Vec<u8>) -> Frame {
    let mut frame = Net::frame(from, kind, payload);
    frame.stamp = Stamp::MAX;
    frame
}

fn stamps_of(net: &Net, node: usize, class: Class) -> Vec<Stamp> {
    let of_class = net.frames(node).filter(|(got, _)| *got == class);
    of_class.map(|(_, frame)| frame.stamp).collect()
}

pub(super) fn stamps(net: &mut Net) {
    let times = [0, 1, 1, 7, 3, 1 << 40].map(Stamp);
    for time in times {
        net.node(0).clock().advance(time);
        for class in Class::ALL {
            net.node(0)
                .send(id(1), class, forged(0, 0, Vec::new()))
                .expect("sent");
        }
    }
    let all = times.len() * Class::ALL.len();
    net.run_until("stamped frames", |net| net.frames(1).count() == all);
    for class in Class::ALL {
        let expected = [0, 1, 1, 7, 7, 1 << 40].map(Stamp);
        assert_eq!(stamps_of(net, 1, class), expected, "stamps of {class:?}");
    }
    // What was heard is the node's to take up, and not the transport's.
    assert_eq!(
        net.node(1).clock().now(),
        Stamp::ZERO,
        "the receiver's time"
    );
    net.node(1)
        .send(id(0), Class::Control, forged(1, 0, Vec::new()))
        .expect("sent");
    net.run_until("the answer", |net| net.frames(0).count() == 1);
    let stamp = stamps_of(net, 0, Class::Control);
    assert_eq!(stamp, [Stamp::ZERO], "the answer's stamp");
}

pub(super) fn racing(net: &mut Net) {
    const FRAMES: u64 = 1000;
    let node = net.node(0).clone();
    let other = node.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || (0..10 * FRAMES).for_each(|time| other.clock().advance(Stamp(time))));
        for number in 0..FRAMES {
            // As if a store at this time had just been let happen.
            let floor = node.clock().now().max(Stamp(8 * number));
            node.clock().advance(floor);
            let frame = forged(0, 0, floor.0.to_le_bytes().to_vec());
            let class = Class::ALL[usize::from(number % 2 == 0)];
            node.send(id(1), class, frame).expect("sent");
        }
    });
    let all = usize::try_from(FRAMES).expect("small");
    net.run_until("frames of racing threads", |net| {
        net.frames(1).count() == all
    });
    for (_, frame) in net.frames(1) {
        let floor = frame.payload[..].try_into().map(u64::from_le_bytes);
        let floor = Stamp(floor.expect("eight bytes"));
        assert!(
            floor <= frame.stamp && frame.stamp <= node.clock().now(),
            "a frame sent at {floor} or later has {}",
            frame.stamp
        );
    }
    for class in Class::ALL {
        let stamps = stamps_of(net, 1, class);
        assert!(stamps.is_sorted(), "stamps of {class:?} go back");
    }
}
