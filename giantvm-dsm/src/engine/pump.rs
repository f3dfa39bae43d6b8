//! The pump: the one thread that moves pages, frames and faults of a node.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use giantvm_core::wire::{Frame, Service};
use giantvm_core::{NodeId, NodeSet};
use giantvm_transport::{Event, Loss};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::driver::Driver;
use super::farewells::Farewells;
use super::finish;
use super::hooks::Handlers;
use super::orders::{MAX_ORDERS, Orders};
use super::refused::Refused;
use super::stop::StopSwitch;
use crate::backing::{BackingError, Fault};
use crate::protocol::CoherenceProtocol;

/// Descriptors that a pump watches: the backing, the transport, orders, the stop, and the timer.
const WATCHED: usize = 5;
/// What the timer is watched as, and all others.
const TIMER: u64 = 1;
const OTHER: u64 = 0;

/// The pump's state; [`run`](Self::run) is its thread.
#[derive(Debug)]
pub(super) struct Pump<P: CoherenceProtocol> {
    driver: Driver<P>,
    handlers: Handlers,
    farewells: Arc<Farewells>,
    orders: Arc<Orders>,
    stop: Arc<StopSwitch>,
    epoll: OwnedFd,
    /// Readable when the time-out of a wait is over.
    timer: OwnedFd,
    /// Peers whose loss was handled: nothing of theirs is fed any more.
    lost: NodeSet,
    inbox: Vec<Event>,
    faults: Vec<Fault>,
}

impl<P: CoherenceProtocol> Pump<P> {
    pub(super) fn new(
        mut driver: Driver<P>,
        handlers: Handlers,
        farewells: Arc<Farewells>,
        orders: Arc<Orders>,
        stop: Arc<StopSwitch>,
    ) -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let add = |fd: BorrowedFd<'_>, token| {
            epoll::add(&epoll, fd, EventData::new_u64(token), EventFlags::IN)
        };
        let watch = |fd: BorrowedFd<'_>| add(fd, OTHER);
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        add(timer.as_fd(), TIMER)?;
        watch(driver.backing().ready())?;
        watch(driver.transport().ready())?;
        watch(orders.bell().as_fd())?;
        watch(stop.bell().as_fd())?;
        Ok(Self {
            driver,
            handlers,
            farewells,
            orders,
            stop,
            epoll,
            timer,
            lost: NodeSet::EMPTY,
            inbox: Vec::new(),
            faults: Vec::new(),
        })
    }

    /// Serves until told to stop or until the backing fails.
    pub(super) fn run(mut self) {
        if let Err(error) = self.serve() {
            tracing::error!(%error, "this node cannot serve its memory any more");
            if let Some(watcher) = self.handlers.watcher() {
                watcher.failed(&error);
            }
        }
    }

    fn serve(&mut self) -> Result<(), BackingError> {
        while !self.stop.is_set() {
            let busy = self.take_frames()? | self.take_faults()? | self.take_orders()?;
            let timeout = self.driver.tick()?;
            self.driver.retry_pins()?;
            if !busy {
                self.wait(timeout);
            }
        }
        Ok(())
    }

    /// Waits until something happens or a time-out is due.
    ///
    /// `epoll_wait` counts in milliseconds, far more than a contended page rests, so the time-out
    /// is a timer's that is watched like everything else.
    fn wait(&self, timeout: Option<Duration>) {
        if timeout.is_some_and(|left| left.is_zero()) {
            return;
        }
        let mut once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::default(),
        };
        if let Some(left) = timeout {
            once.it_value = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            if let Err(error) = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once) {
                tracing::error!(%error, "the pump's timer cannot be set; it looks again at once");
                return;
            }
        }
        let mut events = [epoll::Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(OTHER),
        }; WATCHED];
        // An interrupted wait is a wait that ended early: the loop looks again. So does a timer that
        // was set for an earlier wait.
        let count = epoll::wait(&self.epoll, &mut events, None).unwrap_or(0);
        if events[..count]
            .iter()
            .any(|event| event.data.u64() == TIMER)
        {
            // Not readable is what it should become, so "would block" is no error.
            rustix::io::read(&self.timer, &mut [0; 8]).ok();
        }
    }

    fn take_faults(&mut self) -> Result<bool, BackingError> {
        let mut faults = std::mem::take(&mut self.faults);
        self.driver.backing().take_faults(&mut faults)?;
        let any = !faults.is_empty();
        for fault in faults.drain(..) {
            self.driver.fault(fault)?;
        }
        self.faults = faults;
        Ok(any)
    }

    /// Does what local threads asked for so far.
    fn take_orders(&mut self) -> Result<bool, BackingError> {
        let mut any = false;
        for _ in 0..MAX_ORDERS {
            let Some(order) = self.orders.pop() else {
                break;
            };
            any = true;
            for (from, refused) in self.driver.order(order)? {
                self.cut_off(from, &refused)?;
            }
        }
        Ok(any)
    }

    fn take_frames(&mut self) -> Result<bool, BackingError> {
        let mut inbox = std::mem::take(&mut self.inbox);
        let transport = self.driver.transport().clone();
        let any = transport.poll(&mut |event| inbox.push(event)) > 0;
        for event in inbox.drain(..) {
            match event {
                Event::Frame { frame, .. } if self.lost.contains(frame.from) => {
                    tracing::debug!(from = %frame.from, "frame of a lost peer dropped");
                }
                Event::Frame { frame, .. } => {
                    let from = frame.from;
                    if let Err(refused) = self.dispatch(&frame)? {
                        self.cut_off(from, &refused)?;
                    }
                }
                Event::Lost { node, loss } => self.forget(node, &loss)?,
            }
        }
        self.inbox = inbox;
        Ok(any)
    }

    fn dispatch(&mut self, frame: &Frame) -> Result<Result<(), Refused>, BackingError> {
        if let Err(refused) = self.driver.admit(frame) {
            return Ok(Err(refused));
        }
        // Coherence messages say themselves what they have to of logical time.
        if frame.service == Service::Dsm && frame.kind != finish::KIND {
            return self.driver.frame(frame);
        }
        if let Err(refused) = self.driver.heard(frame.stamp)? {
            return Ok(Err(refused));
        }
        match frame.service {
            Service::Dsm => Ok(finish::received(&self.farewells, frame).map_err(Refused::from)),
            service => Ok(match self.handlers.handler(service) {
                Some(handler) => handler
                    .frame(frame)
                    .map_err(|refusal| Refused::Handler(refusal.to_string())),
                None => Err(Refused::NoHandler(service)),
            }),
        }
    }

    /// Ends the link to a peer that sent what no correct peer sends.
    fn cut_off(&mut self, from: NodeId, refused: &Refused) -> Result<(), BackingError> {
        tracing::error!(%from, %refused, "the link to a peer ends");
        let loss = Loss::Refused(refused.to_string());
        self.driver.transport().sever(from, loss.clone());
        self.forget(from, &loss)
    }

    fn forget(&mut self, node: NodeId, loss: &Loss) -> Result<(), BackingError> {
        if self.lost.contains(node) {
            return Ok(());
        }
        self.lost = self.lost.with(node);
        if self.farewells.left(node) {
            // The peer said that it is done before it went: nothing of it was needed any more.
            return Ok(());
        }
        if let Some(watcher) = self.handlers.watcher() {
            watcher.lost(node, loss);
        }
        self.driver.lost(node)
    }
}
