//! Severing and closing: what any thread asks, and the polling thread finds.

use giantvm_core::NodeSet;
use loom::sync::Arc;
use loom::thread;

use super::alarm::Alarm;
use super::open::OpenLinks;
use crate::{Loss, node};

fn refused() -> Loss {
    Loss::Refused(String::new())
}

#[test]
fn a_poll_about_to_wait_is_woken_for_every_severed_link() {
    loom::model(|| {
        let alarm = Arc::new(Alarm::new().unwrap());
        let severers = [1, 2].map(|number| {
            let alarm = Arc::clone(&alarm);
            thread::spawn(move || alarm.sever(node(number), refused()))
        });
        let mut ended = Vec::new();
        while ended.len() < 2 {
            alarm.bell().wait();
            ended.extend(alarm.take().into_iter().map(|(node, _)| node.get()));
        }
        for severer in severers {
            severer.join().unwrap();
        }
        ended.sort_unstable();
        assert_eq!(ended, [1, 2]);
        assert!(!alarm.bell().rings());
    });
}

#[test]
fn a_raised_alarm_wakes_a_poll_that_takes_at_the_same_time() {
    loom::model(|| {
        let alarm = Arc::new(Alarm::new().unwrap());
        let severer = {
            let alarm = Arc::clone(&alarm);
            thread::spawn(move || alarm.sever(node(1), refused()))
        };
        // In a poll: takes what there is, and calls for the next one since it left work.
        let before = alarm.take().len();
        alarm.raise();
        severer.join().unwrap();
        alarm.bell().wait();
        assert_eq!(before + alarm.take().len(), 1);
        assert!(!alarm.bell().rings());
    });
}

#[test]
fn flag_and_bell_agree_after_a_raise_during_a_take() {
    loom::model(|| {
        let alarm = Arc::new(Alarm::new().unwrap());
        alarm.raise();
        let raiser = {
            let alarm = Arc::clone(&alarm);
            thread::spawn(move || alarm.raise())
        };
        alarm.take();
        raiser.join().unwrap();
        assert_eq!(alarm.is_raised(), alarm.bell().rings());
        // Flag and bell agree: the one that is set falls silent, the other one still rings.
        if alarm.bell().rings() {
            alarm.take();
            assert!(!alarm.bell().rings());
        } else {
            alarm.raise();
            assert!(alarm.bell().rings());
        }
    });
}

#[test]
fn one_of_two_closers_closes_and_nothing_opens_a_link_again() {
    loom::model(|| {
        let peers = NodeSet::first(3).without(node(0));
        let open = Arc::new(OpenLinks::new(node(0), peers));
        let closer = {
            let open = Arc::clone(&open);
            thread::spawn(move || open.close())
        };
        let shutter = {
            let open = Arc::clone(&open);
            thread::spawn(move || {
                open.shut(node(1));
                assert!(!open.peers().contains(node(1)));
            })
        };
        let closed = open.close();
        assert!(open.is_closed() && open.peers().is_empty());
        assert!(closed ^ closer.join().unwrap());
        shutter.join().unwrap();
        assert!(open.is_closed() && open.peers().is_empty());
    });
}
