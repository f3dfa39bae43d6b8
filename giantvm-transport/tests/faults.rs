//! What the wrappers do when they are told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use giantvm_core::NodeId;
use giantvm_core::wire::Class;
use giantvm_transport::testing::{EPOCH, LIMITS, Net};
use giantvm_transport::wrap::{Direction, Faults, Faulty, Recording};
use giantvm_transport::{Transport, inproc};

fn pair() -> [Arc<dyn Transport>; 2] {
    let nodes = inproc::cluster(2, EPOCH, LIMITS).unwrap();
    let nodes: Vec<Arc<dyn Transport>> = nodes.into_iter().map(|node| node as _).collect();
    nodes.try_into().unwrap()
}

/// Which of 1000 frames arrive with these faults, by class.
fn survivors(faults: Faults) -> BTreeMap<Class, Vec<u8>> {
    let [a, b] = pair();
    let mut net = Net::new(vec![a, Arc::new(Faulty::new(b, faults).unwrap())]);
    for kind in 0..250 {
        for class in Class::ALL {
            net.send(0, 1, class, kind);
        }
    }
    net.run_for(Duration::from_millis(100));
    let mut arrived: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (class, frame) in net.frames(1) {
        arrived.entry(class).or_default().push(frame.kind);
    }
    arrived
}

#[test]
fn delayed_frames_arrive_later_all_of_them_and_in_the_order_of_their_class() {
    let [a, b] = pair();
    let faults = Faults {
        delay: std::array::from_fn(|_| Duration::from_millis(30)..Duration::from_millis(60)),
        ..Faults::default()
    };
    let mut net = Net::new(vec![a, Arc::new(Faulty::new(b, faults).unwrap())]);
    let start = Instant::now();
    for kind in 0..100 {
        net.send(0, 1, Class::Demand, kind);
    }
    net.run_until("the first frame", |net| net.frames(1).count() > 0);
    assert!(start.elapsed() >= Duration::from_millis(30), "not delayed");
    net.run_until("all frames", |net| net.frames(1).count() == 100);
    let kinds: Vec<_> = net.frames(1).map(|(_, frame)| frame.kind).collect();
    assert_eq!(kinds, (0..100).collect::<Vec<u8>>());
}

#[test]
fn ready_tells_of_a_delayed_frame_when_it_is_due_and_not_before() {
    let [a, b] = pair();
    let faults = Faults {
        delay: std::array::from_fn(|_| Duration::from_millis(50)..Duration::from_millis(50)),
        ..Faults::default()
    };
    let mut net = Net::new(vec![a, Arc::new(Faulty::new(b, faults).unwrap())]);
    let start = Instant::now();
    net.send(0, 1, Class::Control, 1);
    assert!(
        net.is_ready(1),
        "the frame must be fetched before it can be delayed"
    );
    assert_eq!(net.turn(|_| true), 0);
    while !net.is_ready(1) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(start.elapsed() >= Duration::from_millis(50));
    net.turn(|_| true);
    assert_eq!(net.frames(1).count(), 1);
    assert!(!net.is_ready(1));
}

#[test]
fn drops_are_the_same_for_the_same_seed_and_only_of_their_class() {
    let faults = |seed| Faults {
        seed,
        drop_per_million: [0, 0, 500_000],
        ..Faults::default()
    };
    let once = survivors(faults(1));
    assert_eq!(once[&Class::Control].len(), 250);
    assert!(
        (50..200).contains(&once[&Class::Bulk].len()),
        "half of 250 are dropped"
    );
    assert_eq!(survivors(faults(1)), once);
    assert_ne!(survivors(faults(2)), once);
}

#[test]
fn a_cut_link_is_lost_at_once_and_what_was_on_its_way_with_it() {
    let [a, b] = pair();
    let faulty = Faulty::new(b, Faults::delay_up_to(1, Duration::from_millis(50))).unwrap();
    let faulty = Arc::new(faulty);
    let node = Arc::clone(&faulty);
    let mut net = Net::new(vec![a, node]);
    net.send(0, 1, Class::Control, 1);
    net.turn(|_| true);
    faulty.cut(NodeId::ZERO);
    net.run_until("the losses", |net| {
        net.losses(0).len() == 1 && net.losses(1).len() == 1
    });
    net.run_for(Duration::from_millis(80));
    assert_eq!(net.frames(1).count(), 0);
    assert_eq!(net.losses(1).len(), 1);
}

#[test]
fn a_recording_keeps_the_last_events_one_line_each() {
    let [a, b] = pair();
    let recording = Arc::new(Recording::new(b, 3));
    let node = Arc::clone(&recording);
    let mut net = Net::new(vec![a, node]);
    for kind in 0..5 {
        net.send(0, 1, Class::Bulk, kind);
    }
    net.turn(|_| true);
    net.send(1, 0, Class::Control, 9);
    net.node(0).close();
    net.turn(|_| true);
    let directions: Vec<_> = recording
        .records()
        .iter()
        .map(|record| record.direction)
        .collect();
    assert_eq!(
        directions,
        [Direction::Received, Direction::Sent, Direction::Lost]
    );
    let text = recording.to_string();
    assert_eq!(text.lines().count(), 3);
    assert!(text.contains("<- 0 Bulk Dsm.4 32 B"), "{text}");
    assert!(
        text.contains("xx 0 (the peer closed the connection)"),
        "{text}"
    );
}
