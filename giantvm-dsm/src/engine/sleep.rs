//! Where the pump sleeps: everything that may wake it, and a timer.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// Descriptors that a pump watches: the backing, the transport, orders, the stop, and the timer.
const WATCHED: usize = 5;
/// What the timer is watched as, and all others.
const TIMER: u64 = 1;
const OTHER: u64 = 0;

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

impl Sleep {
    pub(super) fn new(wakers: [BorrowedFd<'_>; WATCHED - 1]) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let add = |fd: BorrowedFd<'_>, token| {
            epoll::add(&epoll, fd, EventData::new_u64(token), EventFlags::IN)
        };
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        add(timer.as_fd(), TIMER)?;
        for waker in wakers {
            add(waker, OTHER)?;
        }
        Ok(Self { epoll, timer })
    }

    /// Sleeps until something happens or `timeout` is over.
    pub(super) fn until(&self, timeout: Option<Duration>) {
        if timeout.is_some_and(|left| left.is_zero()) {
            return;
        }
        if let Some(left) = timeout
            && let Err(error) = self.set(left)
        {
            tracing::error!(%error, "the pump's timer cannot be set; it looks again at once");
            return;
        }
        let mut events = [epoll::Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(OTHER),
        }; WATCHED];
        // An interrupted wait is a wait that ended early: the pump looks again. So does a timer that
        // was set for an earlier wait.
        let count = epoll::wait(&self.epoll, &mut events, None).unwrap_or(0);
        let rang = |event: &epoll::Event| event.data.u64() == TIMER;
        if events[..count].iter().any(rang) {
            // Not readable is what it should become, so "would block" is no error.
            rustix::io::read(&self.timer, &mut [0; 8]).ok();
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
