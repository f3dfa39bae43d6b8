//! Where the pump sleeps: everything that may wake it, and a timer.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// Descriptors that a pump watches.
const WATCHED: usize = 5;

/// What ended a sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// Local threads, which have faulted or ask for something; or no one knows.
    Locals,
    /// Peers.
    Peers,
    /// The time, and nothing else.
    Time,
}

/// What is watched, as the system gives it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
enum Watched {
    Backing,
    Transport,
    Orders,
    Stop,
    Timer,
}

/// An epoll over what a pump waits for.
///
/// `epoll_wait` counts in milliseconds, far more than a contended page rests, so a time-out is a
/// timer's that is watched like everything else.
#[derive(Debug)]
pub(super) struct Sleep {
    epoll: OwnedFd,
    /// Readable when the time-out of a wait is over.
    timer: OwnedFd,
}

/// The descriptors that end a sleep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wakers<'a> {
    pub(super) backing: BorrowedFd<'a>,
    pub(super) transport: BorrowedFd<'a>,
    pub(super) orders: BorrowedFd<'a>,
    pub(super) stop: BorrowedFd<'a>,
}

impl Sleep {
    pub(super) fn new(wakers: Wakers<'_>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        for (fd, watched) in [
            (wakers.backing, Watched::Backing),
            (wakers.transport, Watched::Transport),
            (wakers.orders, Watched::Orders),
            (wakers.stop, Watched::Stop),
            (timer.as_fd(), Watched::Timer),
        ] {
            let data = EventData::new_u64(watched as u64);
            epoll::add(&epoll, fd, data, EventFlags::IN)?;
        }
        Ok(Self { epoll, timer })
    }

    /// Sleeps until something happens or `timeout` is over.
    pub(super) fn until(&self, timeout: Option<Duration>) -> Woken {
        if timeout.is_some_and(|left| left.is_zero()) {
            return Woken::Locals;
        }
        if let Some(left) = timeout
            && let Err(error) = self.set(left)
        {
            tracing::error!(%error, "the pump's timer cannot be set; it looks again at once");
            return Woken::Locals;
        }
        let mut events = [epoll::Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(Watched::Stop as u64),
        }; WATCHED];
        // An interrupted wait is a wait that ended early: the pump looks again. So does a timer that
        // was set for an earlier wait.
        let count = epoll::wait(&self.epoll, &mut events, None).unwrap_or(0);
        let woke = |watched| {
            let is = |event: &epoll::Event| event.data.u64() == watched as u64;
            events[..count].iter().any(is)
        };
        let timer = |event: &epoll::Event| event.data.u64() == Watched::Timer as u64;
        if woke(Watched::Timer) {
            // Not readable is what it should become, so "would block" is no error.
            rustix::io::read(&self.timer, &mut [0; 8]).ok();
        }
        if woke(Watched::Backing) || woke(Watched::Orders) {
            Woken::Locals
        } else if count > 0 && events[..count].iter().all(timer) {
            Woken::Time
        } else {
            Woken::Peers
        }
    }

    fn set(&self, left: Duration) -> io::Result<()> {
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            },
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}
