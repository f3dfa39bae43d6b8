//! The one descriptor that tells of everything: an epoll over all sockets, a timer and a flag.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use giantvm_core::wire::Class;
use giantvm_core::{MAX_NODES, NodeId};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::alarm::Alarm;
use crate::pipe::doorbell::Doorbell;

const CLASSES: usize = Class::ALL.len();
/// Most links of a node, and so the tokens below this are links.
const LINKS: usize = MAX_NODES * CLASSES;
const TIMER: u64 = LINKS as u64;
const ALARM: u64 = TIMER + 1;
/// The bell of the pipes with node 0; those with the others follow.
const BELLS: u64 = ALARM + 1;
/// Room for every event source at once.
const EVENTS: usize = LINKS + 2 + MAX_NODES;

/// What became ready.
#[derive(Debug, Clone, Copy)]
pub(super) enum Signal {
    /// The timer ticked.
    Tick,
    /// A connection can be read, written, or both.
    Link {
        node: NodeId,
        class: Class,
        read: bool,
        write: bool,
    },
    /// A peer has written to a pipe, or made room in one.
    Bell { node: NodeId },
}

/// What became ready at once; kept between polls so that none allocates.
#[derive(Debug)]
pub(super) struct Signals(Vec<(u64, EventFlags)>);

impl Signals {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(EVENTS))
    }
}

#[derive(Debug)]
pub(super) struct Poller {
    epoll: OwnedFd,
    timer: OwnedFd,
    pub(super) alarm: Alarm,
}

impl Poller {
    pub(super) fn new(tick: Duration) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let interval = Timespec::try_from(tick).map_err(io::Error::other)?;
        let every = Itimerspec {
            it_interval: interval,
            it_value: interval,
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &every)?;
        let alarm = Alarm::new()?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        epoll::add(
            &epoll,
            alarm.bell(),
            EventData::new_u64(ALARM),
            EventFlags::IN,
        )?;
        Ok(Self {
            epoll,
            timer,
            alarm,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    pub(super) fn watch(
        &self,
        socket: BorrowedFd<'_>,
        node: NodeId,
        class: Class,
    ) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            socket,
            token(node, class),
            interest(false),
        )?)
    }

    /// Watches the bell that `node` rings for its pipes.
    pub(super) fn watch_bell(&self, bell: &Doorbell, node: NodeId) -> io::Result<()> {
        let token = EventData::new_u64(BELLS + node.index() as u64);
        Ok(epoll::add(&self.epoll, bell, token, EventFlags::IN)?)
    }

    /// Asks to be told, or not to be told any more, when `socket` can be written.
    pub(super) fn watch_write(&self, socket: BorrowedFd<'_>, node: NodeId, class: Class, on: bool) {
        // Fails only for a socket that is no longer watched, which needs nothing.
        epoll::modify(&self.epoll, socket, token(node, class), interest(on)).ok();
    }

    pub(super) fn forget(&self, socket: BorrowedFd<'_>) {
        epoll::delete(&self.epoll, socket).ok();
    }

    /// Makes the descriptor silent for good.
    pub(super) fn stop(&self) {
        self.forget(self.timer.as_fd());
        self.forget(self.alarm.bell().as_fd());
    }

    /// Finds out what is ready, without waiting.
    pub(super) fn look(&self, signals: &mut Signals) {
        let now = Timespec::default();
        signals.0.clear();
        let mut room = [MaybeUninit::uninit(); EVENTS];
        // If it was interrupted, whatever is ready stays so.
        if let Ok((ready, _)) = epoll::wait(&self.epoll, &mut room, Some(&now)) {
            let each = ready.iter().map(|event| (event.data.u64(), event.flags));
            signals.0.extend(each);
        }
    }

    /// The next thing that was ready.
    pub(super) fn next(&self, signals: &mut Signals) -> Option<Signal> {
        loop {
            let (token, flags) = signals.0.pop()?;
            if let Some(signal) = self.signal(token, flags) {
                return Some(signal);
            }
        }
    }

    fn signal(&self, token: u64, flags: EventFlags) -> Option<Signal> {
        match token {
            TIMER => {
                rustix::io::read(&self.timer, &mut [0; 8]).ok();
                Some(Signal::Tick)
            }
            link if link < TIMER => {
                let link = usize::try_from(link).ok()?;
                Some(Signal::Link {
                    node: NodeId::try_from(link / CLASSES).ok()?,
                    class: Class::ALL[link % CLASSES],
                    read: flags.intersects(!EventFlags::OUT),
                    write: flags.contains(EventFlags::OUT),
                })
            }
            bell if bell >= BELLS => {
                let node = usize::try_from(bell - BELLS).ok()?;
                Some(Signal::Bell {
                    node: NodeId::try_from(node).ok()?,
                })
            }
            _ => None,
        }
    }
}

fn token(node: NodeId, class: Class) -> EventData {
    EventData::new_u64((node.index() * CLASSES + class.index()) as u64)
}

fn interest(write: bool) -> EventFlags {
    let read = EventFlags::IN | EventFlags::RDHUP;
    if write { read | EventFlags::OUT } else { read }
}
