//! Sending from one thread while another flushes, or closes.

use std::io::IoSlice;

use giantvm_core::wire::HEADER;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use rustix::io::Errno;

use super::outlet::Outlet;
use super::output::{Line, Sent};
use crate::frame;

/// A socket with room for one frame, and the poller that watches it.
#[derive(Debug)]
struct Wire {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    room: usize,
    /// Bytes of frames with no body that were taken.
    taken: usize,
    watched: bool,
}

impl Wire {
    fn new() -> Self {
        Self {
            state: Mutex::new(State {
                room: HEADER,
                taken: 0,
                watched: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Waits as a poll does, for a socket that can be written: the peer reads.
    fn wait_writable(&self) {
        let mut state = self.state.lock().unwrap();
        while !state.watched {
            state = self.changed.wait(state).unwrap();
        }
        state.room = HEADER;
    }

    /// The peer reads, and nobody waits for it.
    fn make_room(&self) {
        self.state.lock().unwrap().room = HEADER;
    }

    fn frames(&self) -> usize {
        self.state.lock().unwrap().taken / HEADER
    }

    fn is_watched(&self) -> bool {
        self.state.lock().unwrap().watched
    }
}

impl Line for Wire {
    fn transmit(&self, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
        let mut state = self.state.lock().unwrap();
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let count = offered.min(state.room);
        state.room -= count;
        state.taken += count;
        Ok(count)
    }

    fn watch(&self, on: bool) {
        self.state.lock().unwrap().watched = on;
        self.changed.notify_all();
    }
}

#[test]
fn what_is_queued_while_the_queue_drains_goes_out_too() {
    loom::model(|| {
        let shared = Arc::new((Outlet::default(), Wire::new()));
        let sender = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (outlet, wire) = &*shared;
                for kind in 0..3 {
                    let sent = outlet.send(wire, &frame(1, kind), &[]);
                    assert!(matches!(sent, Sent::Now | Sent::Queued { .. }));
                }
            })
        };
        let (outlet, wire) = &*shared;
        // The first goes at once; each of the others needs room that only a flush finds.
        for _ in 0..2 {
            let before = wire.frames();
            wire.wait_writable();
            outlet.flush(wire).unwrap();
            assert!(wire.frames() > before);
        }
        sender.join().unwrap();
        assert_eq!(wire.frames(), 3);
        // Else every poll would find the empty queue ready to be flushed.
        assert!(!wire.is_watched());
    });
}

#[test]
fn a_queue_is_watched_exactly_while_something_waits_in_it() {
    loom::model(|| {
        let shared = Arc::new((Outlet::default(), Wire::new()));
        let (outlet, wire) = &*shared;
        assert_eq!(outlet.send(wire, &frame(1, 0), &[]), Sent::Now);
        let sender = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (outlet, wire) = &*shared;
                outlet.send(wire, &frame(1, 1), &[])
            })
        };
        wire.make_room();
        outlet.flush(wire).unwrap();
        sender.join().unwrap();
        assert_eq!(wire.is_watched(), wire.frames() == 1);
    });
}

#[test]
fn a_frame_sent_during_a_close_goes_out_before_the_end_or_is_refused() {
    loom::model(|| {
        let shared = Arc::new((Outlet::default(), Wire::new()));
        let sender = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (outlet, wire) = &*shared;
                outlet.send(wire, &frame(1, 0), &[])
            })
        };
        let (outlet, wire) = &*shared;
        outlet.close(wire);
        // Here the socket's sending direction is shut down.
        let at_the_end = wire.frames();
        let sent = sender.join().unwrap();
        assert_eq!(wire.frames(), at_the_end, "a frame after the end");
        let expected = match at_the_end {
            0 => Sent::Failed(Errno::PIPE),
            _ => Sent::Now,
        };
        assert_eq!(sent, expected);
    });
}

#[test]
fn what_is_posted_goes_out_with_what_another_thread_sends_or_before_it() {
    loom::model(|| {
        let shared = Arc::new((Outlet::default(), Wire::new()));
        let sender = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (outlet, wire) = &*shared;
                outlet.send(wire, &frame(1, 0), &[])
            })
        };
        let (outlet, wire) = &*shared;
        assert!(matches!(
            outlet.post(wire, &frame(1, 1), &[]),
            Sent::Now | Sent::Queued { .. }
        ));
        outlet.push(wire);
        sender.join().unwrap();
        // There was room for one, and the other is waited for.
        assert!(wire.is_watched());
        wire.make_room();
        outlet.flush(wire).unwrap();
        assert_eq!((wire.frames(), wire.is_watched()), (2, false));
    });
}

#[test]
fn a_flush_during_a_loss_leaves_nothing_to_be_flushed() {
    loom::model(|| {
        let shared = Arc::new((Outlet::default(), Wire::new()));
        let (outlet, wire) = &*shared;
        assert_eq!(outlet.send(wire, &frame(1, 0), &[]), Sent::Now);
        let sender = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (outlet, wire) = &*shared;
                outlet.send(wire, &frame(1, 1), &[])
            })
        };
        outlet.abandon();
        let sent = sender.join().unwrap();
        assert!(matches!(sent, Sent::Queued { .. } | Sent::Failed(_)));
        assert_eq!(
            outlet.send(wire, &frame(1, 2), &[]),
            Sent::Failed(Errno::PIPE)
        );
        assert_eq!(outlet.flush(wire), Err(Errno::PIPE));
        assert!(!wire.is_watched());
        assert_eq!(wire.frames(), 1);
    });
}
