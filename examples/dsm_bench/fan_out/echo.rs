//! Bare round trips to several nodes at once, over the transport that the nodes use.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use giantvm_core::wire::{Class, Frame, Service};
use giantvm_core::{Epoch, NodeId};
use giantvm_transport::{Event, Transport};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::floor::Wait;
use crate::sample::Times;

/// How often a sleeper looks whether it is still needed.
const PERIOD: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};
/// How often this node shows that it lives.
const BEAT: Duration = Duration::from_millis(50);
/// As long as the messages that are compared with it.
const BODY: [u8; 24] = [0; 24];

/// The near end.
#[derive(Debug)]
pub(super) struct Echoes {
    transport: Arc<dyn Transport>,
    /// Held while answers are waited for.
    asking: Mutex<()>,
    done: AtomicBool,
}

impl Echoes {
    pub(super) fn new(transport: Arc<dyn Transport>) -> Self {
        Self {
            transport,
            asking: Mutex::default(),
            done: AtomicBool::new(false),
        }
    }

    /// Times asking the first `nodes` others at once until all have answered, by the faster way to
    /// wait.
    pub(super) fn trips(&self, nodes: u8, count: u64) -> anyhow::Result<Times> {
        let _asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let [busy, blocking] = [Wait::Busy, Wait::Blocking].map(|wait| {
            let mut times = Times::default();
            // The others still sleep before the first, and shall sleep after the last.
            self.trip(nodes, Wait::Blocking, wait)?;
            for left in (0..count).rev() {
                let then = if left == 0 { Wait::Blocking } else { wait };
                times.time(|| self.trip(nodes, wait, then))?;
            }
            anyhow::Ok(times)
        });
        let (busy, blocking) = (busy?, blocking?);
        Ok(if busy.median() <= blocking.median() {
            busy
        } else {
            blocking
        })
    }

    /// Shows the others that this node lives, until the end.
    pub(super) fn live(&self) {
        while !self.done.load(Ordering::Relaxed) {
            if let Ok(_asking) = self.asking.try_lock() {
                self.transport.poll(&mut |_| ());
            }
            std::thread::sleep(BEAT);
        }
    }

    /// Lets the others end.
    pub(super) fn end(&self) {
        self.done.store(true, Ordering::Relaxed);
        self.transport.close();
    }

    fn trip(&self, nodes: u8, wait: Wait, then: Wait) -> anyhow::Result<()> {
        let (local, kind) = (self.transport.local(), then as u8);
        for node in 1..=nodes {
            let frame = Frame::control(Service::Machine, kind, local, Epoch::FIRST, &BODY)?;
            self.transport
                .send(NodeId::new(node)?, Class::Control, frame)?;
        }
        let mut left = nodes;
        while left > 0 {
            for event in next(&*self.transport, wait) {
                match event {
                    Event::Frame { .. } => left -= 1,
                    Event::Lost { node, loss } => bail!("node {node} is lost: {loss}"),
                }
            }
        }
        Ok(())
    }
}

/// The far end: answers, and waits as the last question says, until node a ends.
pub(super) fn answer(transport: &dyn Transport) -> anyhow::Result<()> {
    let (local, mut wait) = (transport.local(), Wait::Blocking);
    loop {
        for event in next(transport, wait) {
            match event {
                Event::Frame { frame, .. } => {
                    let from = frame.from;
                    wait = if frame.kind == Wait::Busy as u8 {
                        Wait::Busy
                    } else {
                        Wait::Blocking
                    };
                    let frame = Frame {
                        from: local,
                        ..frame
                    };
                    let sent = transport.send(from, Class::Control, frame);
                    sent.context("an echo was not sent")?;
                }
                Event::Lost { node, .. } if node == NodeId::ZERO => return Ok(()),
                Event::Lost { .. } => {}
            }
        }
    }
}

/// What came, if something does before it is time to look again.
fn next(transport: &dyn Transport, wait: Wait) -> Vec<Event> {
    let mut events = Vec::new();
    let mut sink = |event| events.push(event);
    let count = match wait {
        Wait::Busy => transport.glance(&mut sink),
        Wait::Blocking => transport.poll(&mut sink),
    };
    match wait {
        _ if count > 0 => {}
        Wait::Busy => std::thread::yield_now(),
        Wait::Blocking => {
            let ready = transport.ready();
            // If it is interrupted, the caller comes again.
            poll(&mut [PollFd::new(&ready, PollFlags::IN)], Some(&PERIOD)).ok();
        }
    }
    events
}
