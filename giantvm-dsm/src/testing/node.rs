//! One simulated node: the real protocol, a simulated backing, and virtual threads.

use std::collections::VecDeque;

use bytes::Bytes;
use giantvm_core::{NodeId, PageIndex, PageSize};

use super::config::{Config, Op};
use crate::backing::sim::{SimBacking, SimMemory};
use crate::backing::{Backing, BackingError};
use crate::protocol::{Attach, CoherenceProtocol, Command, Rights, Tick};

/// A virtual thread: what it still has to do, and whether it waits.
#[derive(Debug, Default)]
pub(super) struct Thread {
    pub program: VecDeque<Op>,
    /// The page it waits for.
    pub blocked: Option<PageIndex>,
}

/// A message that a node sends, with its payload.
pub(super) type Sent<M> = (NodeId, M, Option<Bytes>);

/// What carrying out commands made happen outside the node.
#[derive(Debug)]
pub(super) struct Outcome<M> {
    pub sent: Vec<Sent<M>>,
    pub woken: Vec<usize>,
}

/// A simulated node.
#[derive(Debug)]
pub(super) struct Node<P> {
    pub id: NodeId,
    pub protocol: P,
    pub backing: SimBacking,
    pub memory: SimMemory,
    pub threads: Vec<Thread>,
    /// The time-out that is already planned.
    pub timer: Option<Tick>,
    /// Whether it still takes part: not killed, not hostile.
    pub alive: bool,
}

impl<P: CoherenceProtocol> Node<P> {
    pub(super) fn new(id: NodeId, protocol: P, config: &Config) -> Self {
        let pages = usize::try_from(config.pages).expect("pages that fit this machine");
        let backing = SimBacking::new(PageSize::K4, pages);
        Self {
            id,
            protocol,
            memory: backing.memory(),
            backing,
            threads: (0..config.threads).map(|_| Thread::default()).collect(),
            timer: None,
            alive: config.hostile != Some(id),
        }
    }

    /// What local threads may really do with `page`; nothing on a dead node.
    pub(super) fn mapped(&self, page: PageIndex) -> Option<Rights> {
        let rights = self.memory.inspect(page, |rights, _| rights);
        rights.filter(|_| self.alive)
    }

    /// Carries out commands, in order and completely.
    pub(super) fn carry_out(
        &mut self,
        commands: &[Command<P::Message>],
        payload: Option<&Bytes>,
    ) -> Result<Outcome<P::Message>, BackingError> {
        let mut outcome = Outcome {
            sent: Vec::new(),
            woken: Vec::new(),
        };
        for command in commands {
            self.carry_out_one(command, payload, &mut outcome)?;
        }
        Ok(outcome)
    }

    fn carry_out_one(
        &mut self,
        command: &Command<P::Message>,
        payload: Option<&Bytes>,
        outcome: &mut Outcome<P::Message>,
    ) -> Result<(), BackingError> {
        match command {
            Command::Send {
                to,
                message,
                attach,
            } => {
                let page = crate::protocol::PageMessage::page(message);
                let payload = match attach {
                    Attach::Nothing => None,
                    Attach::Page => Some(Bytes::copy_from_slice(self.backing.frame(page)?)),
                };
                outcome.sent.push((*to, message.clone(), payload));
                Ok(())
            }
            Command::Store { page } => self.backing.store(*page, payload.map_or(&[], |p| p)),
            Command::Map { page, rights } => self.backing.map(*page, *rights),
            Command::MapZero { page, rights } => self.backing.map_zero(*page, *rights),
            Command::Protect { page } => self.backing.protect(*page),
            Command::Unprotect { page } => self.backing.unprotect(*page),
            Command::Unmap { page, frame } => self.backing.unmap(*page, *frame),
            Command::Poison { page } => self.backing.poison(*page),
            Command::Wake { page } => {
                for (number, thread) in self.threads.iter_mut().enumerate() {
                    if thread.blocked == Some(*page) {
                        thread.blocked = None;
                        outcome.woken.push(number);
                    }
                }
                self.backing.wake(*page)
            }
        }
    }
}
