//! Faults on demand.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use giantvm_core::wire::{Class, Frame};
use giantvm_core::{NodeId, NodeSet};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::held::Held;
use crate::{Event, LogicalClock, Loss, SendError, Traffic, Transport};

/// What goes wrong, and how often. By default nothing does.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Where the random numbers start; the same seed and the same frames give the same faults.
    pub seed: u64,
    /// How long an arriving frame is held back, by class: evenly distributed over the range. The
    /// order within a class is kept.
    pub delay: [Range<Duration>; Class::ALL.len()],
    /// How many of a million arriving frames are dropped, by class. This breaks the promise of
    /// a [`Transport`]: it shows what a protocol does then.
    pub drop_per_million: [u32; Class::ALL.len()],
}

impl Faults {
    /// Every class is held back by up to `longest`.
    #[must_use]
    pub fn delay_up_to(seed: u64, longest: Duration) -> Self {
        Self {
            seed,
            delay: std::array::from_fn(|_| Duration::ZERO..longest),
            ..Self::default()
        }
    }
}

/// A transport that delays, drops and cuts off what arrives at it.
///
/// ```
/// use std::time::Duration;
/// use giantvm_core::wire::Limits;
/// use giantvm_core::{Epoch, NodeId, PageSize};
/// use giantvm_transport::wrap::{Faults, Faulty};
/// use giantvm_transport::{Event, Loss, Transport, inproc};
///
/// let nodes = inproc::cluster(2, Epoch::FIRST, Limits::for_pages(PageSize::K4))?;
/// let faults = Faults::delay_up_to(7, Duration::from_millis(5));
/// let node = Faulty::new(nodes[0].clone(), faults)?;
/// node.cut(NodeId::new(1)?);
/// node.poll(&mut |event| assert!(matches!(event, Event::Lost { loss: Loss::Io(_), .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Transport>,
    faults: Faults,
    state: Mutex<State>,
    epoll: OwnedFd,
    timer: OwnedFd,
    started: Instant,
}

#[derive(Debug)]
struct State {
    held: Held,
    random: u64,
    /// Peers of which nothing is delivered any more.
    ended: NodeSet,
}

impl Faulty {
    /// Puts `faults` between `inner` and its user.
    ///
    /// # Errors
    /// The operating system has no descriptor left.
    pub fn new(inner: Arc<dyn Transport>, faults: Faults) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        epoll::add(&epoll, inner.ready(), EventData::new_u64(0), EventFlags::IN)?;
        epoll::add(&epoll, &timer, EventData::new_u64(1), EventFlags::IN)?;
        let state = State {
            held: Held::new(),
            random: faults.seed,
            ended: NodeSet::EMPTY,
        };
        Ok(Self {
            inner,
            faults,
            state: Mutex::new(state),
            epoll,
            timer,
            started: Instant::now(),
        })
    }

    /// Cuts the connection to `node` as a network fault would, noticed at once: what is on its way
    /// is lost, and [`Loss::Io`] follows.
    pub fn cut(&self, node: NodeId) {
        self.sever(node, Loss::Io("cut by an injected fault".to_owned()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends an arriving event on its way through the faults.
    fn arrive(&self, event: Event) {
        let mut state = self.state();
        let now = self.started.elapsed();
        let Event::Frame { class, .. } = &event else {
            state.held.hold(event, now);
            return;
        };
        let class = class.index();
        let drop = u64::from(self.faults.drop_per_million[class]);
        if drop > 0 && draw(&mut state.random) % 1_000_000 < drop {
            return;
        }
        let range = &self.faults.delay[class];
        let span = range.end.saturating_sub(range.start).as_nanos();
        let span = u64::try_from(span).unwrap_or(u64::MAX);
        let extra = if span == 0 {
            0
        } else {
            draw(&mut state.random) % span
        };
        state
            .held
            .hold(event, now + range.start + Duration::from_nanos(extra));
    }

    /// The next event that is due and not of a peer that ended.
    fn take(&self) -> Option<Event> {
        let mut state = self.state();
        loop {
            let event = state.held.take(self.started.elapsed())?;
            match &event {
                Event::Frame { frame, .. } if state.ended.contains(frame.from) => {}
                Event::Lost { node, .. } if state.ended.contains(*node) => {}
                Event::Lost { node, .. } => {
                    state.ended = state.ended.with(*node);
                    return Some(event);
                }
                Event::Frame { .. } => return Some(event),
            }
        }
    }

    /// Sets the timer to the next due time, or stops it.
    fn arm(&self) {
        let due = self.state().held.next_due();
        // A timer value of zero would stop it: what is overdue rings in a nanosecond.
        let wait = due.map_or(Duration::ZERO, |due| {
            due.saturating_sub(self.started.elapsed())
                .max(Duration::from_nanos(1))
        });
        let timer = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(wait).unwrap_or_default(),
        };
        // Fails only for values that are no time; this one was made from a duration.
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &timer).ok();
    }
}

/// The next number of the SplitMix64 sequence.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Transport for Faulty {
    fn local(&self) -> NodeId {
        self.inner.local()
    }

    fn peers(&self) -> NodeSet {
        self.inner.peers()
    }

    fn near(&self) -> NodeSet {
        self.inner.near()
    }

    fn adjacent(&self) -> NodeSet {
        self.inner.adjacent()
    }

    fn clock(&self) -> &LogicalClock {
        self.inner.clock()
    }

    fn send(&self, to: NodeId, class: Class, frame: Frame) -> Result<(), SendError> {
        self.inner.send(to, class, frame)
    }

    fn poll(&self, sink: &mut dyn FnMut(Event)) -> usize {
        let arrived = self.inner.poll(&mut |event| self.arrive(event));
        let mut delivered = 0;
        while delivered < arrived.max(64)
            && let Some(event) = self.take()
        {
            delivered += 1;
            sink(event);
        }
        self.arm();
        delivered
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    fn traffic(&self) -> Traffic {
        self.inner.traffic()
    }

    fn sever(&self, node: NodeId, loss: Loss) {
        self.state().held.discard(node);
        self.inner.sever(node, loss);
    }

    fn close(&self) {
        self.inner.close();
        self.state().held = Held::new();
        self.arm();
    }
}
