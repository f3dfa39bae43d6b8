//! A memory of what crossed a transport last.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use giantvm_core::wire::{Class, Frame, Service};
use giantvm_core::{NodeId, NodeSet};

use crate::{Event, LogicalClock, Loss, SendError, Traffic, Transport};

/// Which way something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From this node to the peer.
    Sent,
    /// From the peer to this node.
    Received,
    /// The link to the peer ended.
    Lost,
}

/// One event of a [`Recording`]; its `Display` is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When, counted from the recording's start.
    pub at: Duration,
    /// The other node.
    pub peer: NodeId,
    /// Which way it went.
    pub direction: Direction,
    /// Class, service, kind and bytes on the wire of a frame; `None` for a loss.
    pub frame: Option<(Class, Service, u8, usize)>,
    /// Why a frame was not sent, or why the link ended.
    pub failure: Option<String>,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = match self.direction {
            Direction::Sent => "->",
            Direction::Received => "<-",
            Direction::Lost => "xx",
        };
        write!(f, "{:>12.6} {arrow} {}", self.at.as_secs_f64(), self.peer)?;
        if let Some((class, service, kind, bytes)) = self.frame {
            write!(f, " {class:?} {service:?}.{kind} {bytes} B")?;
        }
        match &self.failure {
            Some(failure) => write!(f, " ({failure})"),
            None => Ok(()),
        }
    }
}

/// A transport that remembers the last events; its `Display` is one line an event, oldest first.
///
/// ```
/// use giantvm_core::wire::{Class, Frame, Limits, Service};
/// use giantvm_core::{Epoch, NodeId, PageSize};
/// use giantvm_transport::wrap::Recording;
/// use giantvm_transport::{Transport, inproc};
///
/// let nodes = inproc::cluster(2, Epoch::FIRST, Limits::for_pages(PageSize::K4))?;
/// let node = Recording::new(nodes[0].clone(), 100);
/// let frame = Frame::control(Service::Dsm, 7, NodeId::ZERO, Epoch::FIRST, b"hi")?;
/// node.send(NodeId::new(1)?, Class::Control, frame)?;
/// assert!(node.to_string().ends_with("-> 1 Control Dsm.7 26 B\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Recording {
    inner: Arc<dyn Transport>,
    ring: Mutex<VecDeque<Record>>,
    capacity: usize,
    started: Instant,
}

impl Recording {
    /// Remembers the last `capacity` events of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Transport>, capacity: usize) -> Self {
        Self {
            inner,
            ring: Mutex::default(),
            capacity,
            started: Instant::now(),
        }
    }

    /// The events remembered, oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.iter().cloned().collect()
    }

    fn note(
        &self,
        peer: NodeId,
        direction: Direction,
        frame: Option<(Class, Service, u8, usize)>,
        failure: Option<String>,
    ) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        while ring.len() >= self.capacity.max(1) {
            ring.pop_front();
        }
        ring.push_back(Record {
            at: self.started.elapsed(),
            peer,
            direction,
            frame,
            failure,
        });
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.records()
            .iter()
            .try_for_each(|record| writeln!(f, "{record}"))
    }
}

fn outline(class: Class, frame: &Frame) -> (Class, Service, u8, usize) {
    (class, frame.service, frame.kind, frame.wire_len())
}

impl Transport for Recording {
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
        let outline = outline(class, &frame);
        let sent = self.inner.send(to, class, frame);
        let failure = sent.as_ref().err().map(ToString::to_string);
        self.note(to, Direction::Sent, Some(outline), failure);
        sent
    }

    fn poll(&self, sink: &mut dyn FnMut(Event)) -> usize {
        self.inner.poll(&mut |event| {
            match &event {
                Event::Frame { class, frame } => {
                    let outline = outline(*class, frame);
                    self.note(frame.from, Direction::Received, Some(outline), None);
                }
                Event::Lost { node, loss } => {
                    self.note(*node, Direction::Lost, None, Some(loss.to_string()));
                }
            }
            sink(event);
        })
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.inner.ready()
    }

    fn traffic(&self) -> Traffic {
        self.inner.traffic()
    }

    fn sever(&self, node: NodeId, loss: Loss) {
        self.inner.sever(node, loss);
    }

    fn close(&self) {
        self.inner.close();
    }
}
