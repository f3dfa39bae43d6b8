//! The sending side of the pipes to one peer.

use std::io::IoSlice;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use giantvm_core::wire::{Class, Frame};
use rustix::io::Errno;

use super::alarm::Alarm;
use super::outlet::Outlet;
use super::output::{Line, Sent};
use super::poller::Poller;
use crate::pipe::doorbell::Doorbell;
use crate::pipe::ring::Producer;
use crate::pipe::segment::SegmentRing;

/// What a node sends to a peer of the same host, by class.
#[derive(Debug)]
pub(super) struct PipeOutput {
    lanes: [Lane; Class::ALL.len()],
    /// Wakes the peer, and is rung by it.
    bell: Arc<Doorbell>,
}

#[derive(Debug)]
struct Lane {
    outlet: Outlet,
    ring: Mutex<Producer<SegmentRing>>,
    /// Whether something waits for room, as a hint to who looks.
    waits: AtomicBool,
    /// Frames that were posted since it was last looked whether the peer sleeps.
    posted: AtomicU32,
}

/// Frames that are written before it is looked whether the peer sleeps, which takes as long as a memory
/// access that both ends have to agree on.
const POSTED: u32 = 8;

/// A lane, and how its ends are woken.
struct Woken<'a> {
    lane: &'a Lane,
    bell: &'a Doorbell,
    alarm: &'a Alarm,
    /// Whether it may be looked later whether the peer sleeps.
    posts: bool,
}

impl Line for Woken<'_> {
    fn transmit(&self, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
        let mut ring = self
            .lane
            .ring
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let written = ring.write(slices).map_err(|_| Errno::PROTO)?;
        if written == 0 {
            return Ok(0);
        }
        let posted = &self.lane.posted;
        let before = posted.load(Ordering::Relaxed);
        if self.posts && before + 1 < POSTED {
            posted.store(before + 1, Ordering::Relaxed);
        } else {
            posted.store(0, Ordering::Relaxed);
            if ring.wakes_reader() {
                self.bell.ring();
            }
        }
        Ok(written)
    }

    fn watch(&self, on: bool) {
        self.lane.waits.store(on, Ordering::Relaxed);
        let ring = self
            .lane
            .ring
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Nonsense is found again, and reported, by whoever sends next.
        if ring.want_room(on) == Ok(true) && on {
            self.alarm.raise();
        }
    }
}

impl PipeOutput {
    pub(super) fn new(
        rings: [Producer<SegmentRing>; Class::ALL.len()],
        bell: Arc<Doorbell>,
    ) -> Self {
        let lanes = rings.map(|ring| Lane {
            outlet: Outlet::default(),
            ring: Mutex::new(ring),
            waits: AtomicBool::new(false),
            posted: AtomicU32::new(0),
        });
        Self { lanes, bell }
    }

    pub(super) fn send(&self, alarm: &Alarm, class: Class, frame: &Frame, page: &[u8]) -> Sent {
        let line = self.line(class, alarm);
        line.lane.outlet.send(&line, frame, page)
    }

    /// Takes `frame` as [`send`](Self::send) does, and may leave the peer asleep until the next
    /// [`push`](Self::push).
    pub(super) fn post(&self, alarm: &Alarm, class: Class, frame: &Frame, page: &[u8]) -> Sent {
        let posts = true;
        let line = Woken {
            posts,
            ..self.line(class, alarm)
        };
        line.lane.outlet.send(&line, frame, page)
    }

    /// Wakes the peer if it sleeps beside what was posted.
    pub(super) fn push(&self, class: Class) {
        let lane = &self.lanes[class.index()];
        let ring = lane.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if lane.posted.swap(0, Ordering::Relaxed) > 0 && ring.wakes_reader() {
            self.bell.ring();
        }
    }

    /// Whether something waits for the peer to make room, who rings then.
    pub(super) fn waits(&self) -> bool {
        let mut lanes = self.lanes.iter();
        lanes.any(|lane| lane.waits.load(Ordering::Relaxed))
    }

    /// Sends from the queues what the rings take.
    pub(super) fn flush(&self, alarm: &Alarm) -> Result<(), Errno> {
        Class::ALL.into_iter().try_for_each(|class| {
            let line = self.line(class, alarm);
            line.lane.outlet.flush(&line)
        })
    }

    /// Sends what goes without waiting, and nothing after it. Listens for the peer no longer.
    pub(super) fn close(&self, poller: &Poller) {
        let alarm = &poller.alarm;
        poller.forget(self.bell.as_fd());
        for class in Class::ALL {
            let line = self.line(class, alarm);
            line.lane.outlet.close(&line);
        }
    }

    /// Forgets what waits.
    pub(super) fn cut(&self) {
        self.lanes.iter().for_each(|lane| lane.outlet.abandon());
    }

    fn line<'a>(&'a self, class: Class, alarm: &'a Alarm) -> Woken<'a> {
        Woken {
            lane: &self.lanes[class.index()],
            bell: &self.bell,
            alarm,
            posts: false,
        }
    }
}
