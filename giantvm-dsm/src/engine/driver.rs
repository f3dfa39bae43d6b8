//! Carries out a protocol's commands: one input at a time, each completely.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use giantvm_core::wire::{Class, DecodeError, Frame, Service};
use giantvm_core::{Epoch, NodeId, PageIndex, Stamp};
use giantvm_transport::{Loss, SendError, Transport};

use super::stats::{DsmStats, FaultKind};
use crate::backing::{Backing, BackingError, Fault};
use crate::protocol::{
    Access, Attach, CoherenceProtocol, Command, Contents, Input, PageMessage, Rights, Tick,
    Violation,
};

/// Why a peer's frame was refused. The link to the peer has to end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The frame is no message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The message cannot come from a correct peer.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The frame is of another membership epoch.
    #[error("frame of epoch {got} in epoch {expected}")]
    Epoch {
        /// The frame's epoch.
        got: Epoch,
        /// The epoch of this node.
        expected: Epoch,
    },
    /// The service that the frame is for refused it.
    #[error("{0}")]
    Handler(String),
    /// No one here handles the frame's service.
    #[error("no handler for service {0:?}")]
    NoHandler(Service),
}

/// A fault whose answer is under way.
#[derive(Debug)]
struct Waiting {
    since: Instant,
    access: Access,
    before: Option<Rights>,
}

/// A protocol node with its backing and its way out, without a thread of its own.
///
/// The pump feeds it; tests may feed it by hand.
#[derive(Debug)]
pub struct Driver<P: CoherenceProtocol> {
    protocol: P,
    backing: Box<dyn Backing>,
    transport: Arc<dyn Transport>,
    epoch: Epoch,
    origin: Instant,
    stats: Arc<Mutex<DsmStats>>,
    /// Faults under way by page: at most one entry a local thread.
    waiting: HashMap<PageIndex, Waiting>,
    /// Kept between inputs so that no input allocates.
    commands: Vec<Command<P::Message>>,
}

impl<P: CoherenceProtocol> Driver<P> {
    /// Puts a node together.
    pub fn new(
        protocol: P,
        backing: Box<dyn Backing>,
        transport: Arc<dyn Transport>,
        epoch: Epoch,
    ) -> Self {
        Self {
            protocol,
            backing,
            transport,
            epoch,
            origin: Instant::now(),
            stats: Arc::default(),
            waiting: HashMap::new(),
            commands: Vec::new(),
        }
    }

    /// The counters, which the driver goes on updating.
    #[must_use]
    pub fn stats(&self) -> Arc<Mutex<DsmStats>> {
        self.stats.clone()
    }

    /// The backing.
    #[must_use]
    pub fn backing(&mut self) -> &mut dyn Backing {
        &mut *self.backing
    }

    /// Feeds a local fault.
    ///
    /// # Errors
    /// [`BackingError`]: the node has to stop.
    pub fn fault(&mut self, fault: Fault) -> Result<(), BackingError> {
        let Fault { page, access } = fault;
        let before = self.protocol.rights(page);
        let waiting = self.waiting.entry(page).or_insert_with(|| Waiting {
            since: Instant::now(),
            access,
            before,
        });
        // A reader and a writer may wait for one page: their common answer is the writer's.
        waiting.access = waiting.access.max(access);
        let input = Input::Fault { page, access };
        if let Err(violation) = self.protocol.handle(self.now(), input, &mut self.commands) {
            // A local fault is not a peer's doing: its page is outside the memory.
            tracing::error!(%violation, "a local fault was refused");
            self.waiting.remove(&page);
        }
        let alone = !self
            .commands
            .iter()
            .any(|c| matches!(c, Command::Send { .. }));
        self.carry_out(None, alone)
    }

    /// Checks what frames of every service have in common.
    ///
    /// # Errors
    /// [`Refused::Epoch`].
    pub fn admit(&self, frame: &Frame) -> Result<(), Refused> {
        if frame.epoch == self.epoch {
            return Ok(());
        }
        Err(Refused::Epoch {
            got: frame.epoch,
            expected: self.epoch,
        })
    }

    /// Takes up the time `stamp` of a frame that `from` sent, of any service and
    /// [admitted](Self::admit): before anyone here acts on the frame.
    pub fn heard(&mut self, from: NodeId, stamp: Stamp) {
        tracing::trace!(%from, %stamp, "heard");
        self.transport.clock().advance(stamp);
    }

    /// Feeds a frame of [`Service::Dsm`] that was [admitted](Self::admit).
    ///
    /// # Errors
    /// The outer error is the backing's, and the node has to stop. The inner one is the peer's
    /// fault: nothing has changed, and the link to it has to end.
    pub fn frame(&mut self, frame: &Frame) -> Result<Result<(), Refused>, BackingError> {
        let fed = self.read(frame).and_then(|input| {
            self.protocol
                .handle(self.now(), input, &mut self.commands)
                .map_err(Refused::from)
        });
        match fed {
            Ok(()) => self.carry_out(Some(&frame.payload), false).map(Ok),
            Err(refused) => {
                self.commands.clear();
                Ok(Err(refused))
            }
        }
    }

    /// Feeds the loss of a peer.
    ///
    /// # Errors
    /// [`BackingError`]: the node has to stop.
    pub fn lost(&mut self, node: NodeId) -> Result<(), BackingError> {
        self.feed(Input::Lost { node })
    }

    /// Feeds the time-out that is due, if one is. Returns how long until the next one.
    ///
    /// # Errors
    /// [`BackingError`]: the node has to stop.
    pub fn tick(&mut self) -> Result<Option<Duration>, BackingError> {
        let now = self.now();
        match self.protocol.next_timeout() {
            Some(due) if due <= now => {
                self.feed(Input::Timeout)?;
                Ok(Some(Duration::ZERO))
            }
            Some(due) => Ok(Some(Duration::from_nanos(due.0 - now.0))),
            None => Ok(None),
        }
    }

    fn feed(&mut self, input: Input<P::Message>) -> Result<(), BackingError> {
        match self.protocol.handle(self.now(), input, &mut self.commands) {
            Ok(()) => self.carry_out(None, false),
            Err(violation) => {
                tracing::error!(%violation, "the protocol refused an input of its own node");
                self.commands.clear();
                Ok(())
            }
        }
    }

    fn read(&self, frame: &Frame) -> Result<Input<P::Message>, Refused> {
        let message = P::Message::decode(frame)?;
        let page_size = self.backing.page_size().bytes();
        let payload = match frame.payload.len() {
            0 => Contents::Nothing,
            len if len == page_size => Contents::Page,
            len => {
                return Err(Refused::Decode(DecodeError::PayloadLength {
                    service: frame.service,
                    kind: frame.kind,
                    expected: page_size,
                    got: len,
                }));
            }
        };
        Ok(Input::Message {
            from: frame.from,
            message,
            payload,
        })
    }

    /// Carries out the commands of one input. `alone`: they answer a fault without any message.
    fn carry_out(&mut self, payload: Option<&Bytes>, alone: bool) -> Result<(), BackingError> {
        let mut commands = std::mem::take(&mut self.commands);
        for command in commands.drain(..) {
            match command {
                Command::Send {
                    to,
                    message,
                    attach,
                } => self.send(to, &message, attach)?,
                Command::Store { page } => {
                    let data = payload.map_or(&[][..], |bytes| bytes);
                    self.backing.store(page, data)?;
                    self.count(|stats| stats.pages_received += 1);
                }
                Command::Map { page, rights } => self.backing.map(page, rights)?,
                Command::MapZero { page, rights } => {
                    self.backing.map_zero(page, rights)?;
                    self.count(|stats| stats.zero_grants += 1);
                }
                Command::Protect { page } => {
                    self.backing.protect(page)?;
                    self.count(|stats| stats.downgrades += 1);
                }
                Command::Unprotect { page } => self.backing.unprotect(page)?,
                Command::Unmap { page, frame } => {
                    self.backing.unmap(page, frame)?;
                    self.count(|stats| stats.invalidations += 1);
                }
                Command::Wake { page } => self.wake(page, alone)?,
                Command::Poison { page } => self.backing.poison(page)?,
            }
        }
        self.commands = commands;
        Ok(())
    }

    fn send(
        &mut self,
        to: NodeId,
        message: &P::Message,
        attach: Attach,
    ) -> Result<(), BackingError> {
        let (kind, body) = message.encode();
        let (class, payload) = match attach {
            Attach::Nothing => (Class::Control, Bytes::new()),
            Attach::Page => {
                self.count(|stats| stats.pages_sent += 1);
                let frame = self.backing.frame(message.page())?;
                (Class::Demand, Bytes::copy_from_slice(frame))
            }
        };
        let frame = Frame {
            service: Service::Dsm,
            kind,
            from: self.transport.local(),
            epoch: self.epoch,
            stamp: Stamp::ZERO,
            body,
            payload,
        };
        match self.transport.send(to, class, frame) {
            // A loss comes as an event of its own, in its turn.
            Ok(()) | Err(SendError::Lost(_)) => {}
            // A coherence message that is not sent leaves the peer waiting for ever: rather lose it.
            Err(error) => self.transport.sever(to, Loss::Refused(error.to_string())),
        }
        Ok(())
    }

    fn wake(&mut self, page: PageIndex, alone: bool) -> Result<(), BackingError> {
        self.backing.wake(page)?;
        if let Some(waiting) = self.waiting.remove(&page) {
            let kind = if alone {
                FaultKind::Local
            } else {
                FaultKind::remote(waiting.access, waiting.before)
            };
            self.count(|stats| stats.count_fault(kind, waiting.since.elapsed()));
        }
        Ok(())
    }

    fn count(&self, update: impl FnOnce(&mut DsmStats)) {
        update(&mut self.stats.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn now(&self) -> Tick {
        Tick(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The way out.
    pub(super) fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }
}
