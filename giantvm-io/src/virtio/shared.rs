//! What a device's transport and its worker share.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};
use virtio_queue::Queue;

use super::state::{Change, State};

/// What a driver is to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// Chains of this queue were given back.
    Used(usize),
    /// The configuration changed, or the device stopped.
    Config,
}

/// How a transport interrupts. Called under the lock of the state, so that what goes out is in the
/// order of what happened.
pub(super) trait Interrupts: Send + 'static {
    fn signal(&mut self, signal: Signal);

    /// Back to the state after power-on.
    fn reset(&mut self);
}

/// What the worker is to do before anything else.
#[derive(Debug)]
pub(super) enum Order {
    /// To serve these queues.
    Start(u64, Vec<Option<Queue>>),
    /// To touch guest memory no more, and forget its queues.
    Stop,
    /// To end.
    Quit,
}

/// What a worker finds when it looks.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) order: Option<Order>,
    /// The queues whose bell rang.
    pub(super) rung: u64,
}

pub(super) struct Inner<I> {
    pub(super) state: State,
    pub(super) interrupts: I,
    order: Option<Order>,
    rung: u64,
    /// The worker has ended, or broken down.
    gone: bool,
}

/// The registers of a device, and what passes between them and the device's worker.
///
/// Locks are taken in this order: the bus' lock of the device, then the state. The worker takes the
/// state alone, and never while it touches guest memory or calls the device. So an access to a
/// register waits for nothing but other accesses; only one that stops the device waits until the
/// worker has left guest memory, which takes as long as one request at most.
pub(super) struct Shared<I> {
    inner: Mutex<Inner<I>>,
    /// The worker has done what it was ordered to.
    obeyed: Condvar,
    /// Wakes the worker.
    bell: OwnedFd,
    /// The worker is to take no more chains.
    halted: Arc<AtomicBool>,
}

impl<I: Interrupts> Shared<I> {
    pub(super) fn new(state: State, interrupts: I) -> io::Result<Self> {
        let inner = Inner {
            state,
            interrupts,
            order: None,
            rung: 0,
            gone: false,
        };
        Ok(Self {
            inner: Mutex::new(inner),
            obeyed: Condvar::new(),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            halted: Arc::default(),
        })
    }

    /// The registers' side: the state, under its lock.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner<I>> {
        // What it guards is changed by pure code, which does not panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The registers' side: a queue's bell.
    pub(super) fn ring(&self, queue: u32) {
        let mut inner = self.lock();
        if usize::try_from(queue).is_ok_and(|queue| queue < inner.state.queues()) {
            inner.rung |= 1 << queue;
            self.wake();
        }
    }

    /// The registers' side: the device starts.
    fn start(&self, mut inner: MutexGuard<'_, Inner<I>>, order: Order) {
        if inner.gone {
            if inner.state.stop() {
                inner.interrupts.signal(Signal::Config);
            }
            return;
        }
        self.halted.store(false, Ordering::Relaxed);
        inner.order = Some(order);
        self.wake();
    }

    /// The registers' side: the device stops. Returns when the worker is out of guest memory.
    fn stop(&self, mut inner: MutexGuard<'_, Inner<I>>) {
        self.halted.store(true, Ordering::Relaxed);
        inner.rung = 0;
        inner.order = Some(Order::Stop);
        self.wake();
        let busy = |inner: &mut Inner<I>| inner.order.is_some() && !inner.gone;
        let waited = self.obeyed.wait_while(inner, busy);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// The registers' side: as [`stop`](Self::stop), and all that the driver did is forgotten.
    pub(super) fn reset(&self) {
        let mut inner = self.lock();
        inner.state.reset();
        inner.interrupts.reset();
        self.stop(inner);
    }

    /// The registers' side: does what a change of the state asks for.
    pub(super) fn change(&self, mut inner: MutexGuard<'_, Inner<I>>, change: Change) {
        match change {
            Change::Nothing => {}
            Change::Start(features, queues) => self.start(inner, Order::Start(features, queues)),
            Change::Halt => {
                inner.interrupts.signal(Signal::Config);
                self.stop(inner);
            }
            Change::Reset => {
                inner.interrupts.reset();
                self.stop(inner);
            }
        }
    }

    /// The registers' side: the device is no longer needed. Does not wait.
    pub(super) fn quit(&self) {
        self.halted.store(true, Ordering::Relaxed);
        self.lock().order = Some(Order::Quit);
        self.wake();
    }

    /// The worker's side: takes what there is to do.
    pub(super) fn take(&self) -> Work {
        // Before the look, so that a bell after it wakes again.
        let mut count = [0; 8];
        // Fails where no one rang.
        rustix::io::read(&self.bell, &mut count).ok();
        let mut inner = self.lock();
        let order = match &inner.order {
            // It stands until it is obeyed.
            Some(Order::Stop) => Some(Order::Stop),
            _ => inner.order.take(),
        };
        Work {
            order,
            rung: std::mem::take(&mut inner.rung),
        }
    }

    /// The worker's side: it touches guest memory no more.
    pub(super) fn stopped(&self) {
        let mut inner = self.lock();
        if matches!(inner.order, Some(Order::Stop)) {
            inner.order = None;
        }
        self.obeyed.notify_all();
    }

    /// The worker's side: tells the driver, where the device has not been stopped meanwhile.
    pub(super) fn signal(&self, signal: Signal) {
        let mut inner = self.lock();
        if inner.state.is_live() {
            inner.interrupts.signal(signal);
        }
    }

    /// The worker's side: the device cannot go on.
    pub(super) fn broken(&self) {
        let mut inner = self.lock();
        if inner.state.stop() {
            inner.interrupts.signal(Signal::Config);
        }
    }

    /// The worker's side: it ends, and nothing is to wait for it.
    pub(super) fn gone(&self) {
        let mut inner = self.lock();
        inner.gone = true;
        if inner.state.stop() {
            inner.interrupts.signal(Signal::Config);
        }
        self.obeyed.notify_all();
    }

    /// What tells rings that the device is halted.
    pub(super) fn halted(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.halted)
    }

    /// Readable when there is something to do.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    fn wake(&self) {
        // Full only after 2^64 - 2 rings that no one heard, and readable then anyway.
        rustix::io::write(&self.bell, &1_u64.to_ne_bytes()).ok();
    }
}
