//! The one descriptor that tells of everything: an epoll over all sockets, a timer and a flag.

use std::io;
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

const CLASSES: usize = Class::ALL.len();
/// Most links of a node, and so the tokens below this are links.
const LINKS: usize = MAX_NODES * CLASSES;
const TIMER: u64 = LINKS as u64;
const ALARM: u64 = TIMER + 1;
/// Room for every event source at once.
const EVENTS: usize = LINKS + 2;

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

    /// What is ready, without waiting.
    pub(super) fn signals(&self) -> Vec<Signal> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS);
        let now = Timespec::default();
        let room = rustix::buffer::spare_capacity(&mut events);
        if epoll::wait(&self.epoll, room, Some(&now)).is_err() {
            // Interrupted: whatever is ready stays so.
            return Vec::new();
        }
        events
            .iter()
            .filter_map(|event| self.signal(event))
            .collect()
    }

    fn signal(&self, event: &epoll::Event) -> Option<Signal> {
        let (data, flags) = (event.data, event.flags);
        match data.u64() {
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
