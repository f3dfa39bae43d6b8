//! The pump: the one thread that moves pages, frames and faults of a node.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use giantvm_core::wire::{Class, Frame, Service};
use giantvm_core::{NodeId, NodeSet};
use giantvm_transport::{Event, Loss};

use super::crowd::Crowd;
use super::driver::Driver;
use super::farewells::Farewells;
use super::finish;
use super::hooks::Handlers;
use super::options::DsmOptions;
use super::orders::{MAX_ORDERS, Orders};
use super::refused::Refused;
use super::runtime::Runtime;
use super::sleep::{Sleep, Wakers, Woken};
use super::spin::Spin;
use super::stop::StopSwitch;
use super::terms::{self, Terms};
use crate::backing::{BackingError, Fault};
use crate::protocol::CoherenceProtocol;

/// Looks at the transport, which cost next to nothing, between two that ask the system.
const LOOKS: u32 = 16;

/// Passes between two in which local threads are asked what they want, while frames keep coming.
const PASSES: u32 = 8;

/// How the pump looks for frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// So that a sleep is woken by whatever comes after it.
    Thorough,
    /// So that it costs little, as the pump looks again at once.
    Quick,
}

/// The pump's state; [`run`](Self::run) is its thread.
#[derive(Debug)]
pub(super) struct Pump<P: CoherenceProtocol> {
    driver: Driver<P>,
    /// On which peers have to share the memory, too.
    terms: Terms,
    handlers: Handlers,
    farewells: Arc<Farewells>,
    orders: Arc<Orders>,
    stop: Arc<StopSwitch>,
    sleep: Sleep,
    options: DsmOptions,
    /// What times of the spinning are counted from.
    origin: Instant,
    /// Peers whose loss was handled: nothing of theirs is fed any more.
    lost: NodeSet,
    /// Peers that said on what terms they share the memory, and named those of this node.
    agreed: NodeSet,
    inbox: Vec<Event>,
    faults: Vec<Fault>,
}

impl<P: CoherenceProtocol> Pump<P> {
    pub(super) fn new(
        mut driver: Driver<P>,
        terms: Terms,
        handlers: Handlers,
        farewells: Arc<Farewells>,
        orders: Arc<Orders>,
        stop: Arc<StopSwitch>,
        options: DsmOptions,
    ) -> std::io::Result<Self> {
        let transport = driver.transport().clone();
        let sleep = Sleep::new(Wakers {
            backing: driver.backing().ready(),
            transport: transport.ready(),
            orders: orders.bell().as_fd(),
            stop: stop.bell().as_fd(),
        })?;
        Ok(Self {
            driver,
            terms,
            handlers,
            farewells,
            orders,
            stop,
            sleep,
            options,
            origin: Instant::now(),
            lost: NodeSet::EMPTY,
            agreed: NodeSet::EMPTY,
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
        self.options.priority.apply();
        // Here, as these ask about the thread that they are called on.
        let confined = available_parallelism().is_ok_and(|processors| processors.get() == 1);
        let (mut spin, mut crowd) = (Spin::new(self.options.waiting, confined), Crowd::new());
        let mut runtime = Runtime::default();
        // Passes since local threads were last asked what they want.
        let mut passes = PASSES;
        while !self.stop.is_set() {
            let mut busy = false;
            passes += 1;
            if passes >= PASSES {
                busy = self.take_local()?;
                passes = 0;
            }
            busy |= self.take_frames(Look::Quick)?;
            let timeout = self.settle(&mut spin)?;
            if busy || self.look_on(&mut spin, &mut crowd)? {
                continue;
            }
            // Only now are peers asked to wake the pump, which costs them a system call a message.
            if self.take_frames(Look::Thorough)? {
                continue;
            }
            let start = self.origin.elapsed();
            let woken = self.sleep.until(timeout);
            let now = self.origin.elapsed();
            let slept = now.saturating_sub(start);
            if spin.is_wanted() {
                runtime.slept(slept);
            }
            match woken {
                // That says nothing of when someone comes.
                Woken::Time => {}
                Woken::Locals => {
                    spin.slept(slept, false);
                    passes = PASSES;
                }
                Woken::Peers => {
                    spin.slept(slept, self.driver.awaits());
                    if spin.is_wanted() && runtime.others_ran(now) == Some(false) {
                        spin.none_ran();
                    }
                }
            }
        }
        self.driver.say_all();
        Ok(())
    }

    /// Does what inputs leave to do. Returns how long until the next time-out.
    fn settle(&mut self, spin: &mut Spin) -> Result<Option<Duration>, BackingError> {
        for (from, refused) in self.driver.release()? {
            self.cut_off(from, &refused)?;
        }
        let timeout = self.driver.tick()?;
        let leaving = self.driver.go_on_leaving()?;
        let timeout = match (timeout, leaving) {
            (Some(timeout), Some(leaving)) => Some(timeout.min(leaving)),
            (timeout, leaving) => timeout.or(leaving),
        };
        self.driver.make_room()?;
        spin.faulted(self.driver.take_begun());
        spin.woke(self.driver.retry_pins()?);
        Ok(timeout)
    }

    /// Looks for the next input without sleeping, for as long as that is worth it. Whether there was
    /// one.
    fn look_on(&mut self, spin: &mut Spin, crowd: &mut Crowd) -> Result<bool, BackingError> {
        let start = self.origin.elapsed();
        let awaits = self.driver.awaits();
        let budget = spin.budget(start, awaits, || crowd.is_there(start));
        if budget.is_zero() {
            return Ok(false);
        }
        loop {
            if self.look()? {
                spin.found(awaits);
                return Ok(true);
            }
            // To another node's pump on this processor; to no one else, if this one is real-time.
            std::thread::yield_now();
            let now = self.origin.elapsed();
            let took = now.saturating_sub(start);
            let due = self.settle(spin)?.is_some_and(|left| left.is_zero());
            if took >= budget || due || self.stop.is_set() {
                spin.looked(now, took, budget, awaits);
                return Ok(due);
            }
        }
    }

    /// Looks a few times for frames, and once for everything else.
    fn look(&mut self) -> Result<bool, BackingError> {
        for _ in 0..LOOKS {
            if self.take_frames(Look::Quick)? {
                return Ok(true);
            }
            std::hint::spin_loop();
        }
        self.take_local()
    }

    /// Takes what local threads want.
    fn take_local(&mut self) -> Result<bool, BackingError> {
        Ok(self.take_faults()? | self.take_orders()?)
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

    fn take_frames(&mut self, look: Look) -> Result<bool, BackingError> {
        let mut inbox = std::mem::take(&mut self.inbox);
        let transport = self.driver.transport();
        let mut sink = |event| inbox.push(event);
        let any = match look {
            Look::Thorough => transport.poll(&mut sink),
            Look::Quick => transport.glance(&mut sink),
        } > 0;
        if !any {
            self.inbox = inbox;
            return Ok(false);
        }
        for event in inbox.drain(..) {
            match event {
                Event::Frame { frame, .. } if self.lost.contains(frame.from) => {
                    tracing::debug!(from = %frame.from, "frame of a lost peer dropped");
                }
                Event::Frame { class, frame } => {
                    let from = frame.from;
                    if let Err(refused) = self.dispatch(class, &frame)? {
                        self.cut_off(from, &refused)?;
                    }
                }
                Event::Lost { node, loss } => self.forget(node, &loss)?,
            }
        }
        self.driver.flush()?;
        self.inbox = inbox;
        Ok(true)
    }

    fn dispatch(
        &mut self,
        class: Class,
        frame: &Frame,
    ) -> Result<Result<(), Refused>, BackingError> {
        if let Err(refused) = self.driver.admit(frame) {
            return Ok(Err(refused));
        }
        if frame.service == Service::Dsm && frame.kind == terms::KIND {
            return Ok(self.compare(frame));
        }
        // What is asked for comes after the terms; pages have a way of their own, and may be faster.
        let asks = frame.service == Service::Dsm && class == Class::Control;
        if asks && !self.agreed.contains(frame.from) {
            return Ok(Err(Refused::NoTerms));
        }
        // Coherence messages say themselves what they have to of logical time.
        if frame.service == Service::Dsm && frame.kind != finish::KIND {
            return self.driver.take(frame);
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

    /// Compares the terms that a peer says with those of this node.
    fn compare(&mut self, frame: &Frame) -> Result<(), Refused> {
        self.terms.compare(&Terms::read(frame)?)?;
        self.agreed = self.agreed.with(frame.from);
        Ok(())
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
        if self.driver.has_left(node) {
            // Nothing of it is needed any more: not even its farewell.
            self.farewells.received(node);
            self.farewells.left(node);
            if let Some(watcher) = self.handlers.watcher() {
                watcher.gone(node, loss);
            }
            return self.driver.lost(node);
        }
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
