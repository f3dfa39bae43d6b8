//! One simulated node: the real protocol, a simulated backing, and virtual threads.

use std::collections::VecDeque;

use bytes::Bytes;
use giantvm_core::{NodeId, PageIndex, PageSize};

use super::config::{Config, Op};
use super::network::Letter;
use crate::backing::BackingError;
use crate::backing::sim::{SimBacking, SimMemory};
use crate::engine::batch::Batch;
use crate::engine::budget::Budget;
use crate::engine::execute::{Deed, Outside, execute};
use crate::engine::pins::Pins;
use crate::engine::sequence::Sequences;
use crate::protocol::{CoherenceProtocol, Command, PageMessage, Rights, Tick};

/// A virtual thread: what it still has to do, and whether it waits.
#[derive(Debug, Default)]
pub(super) struct Thread {
    pub program: VecDeque<Op>,
    /// The page it waits for, and since when.
    pub blocked: Option<(PageIndex, Tick)>,
}

/// What carrying out commands made happen outside the node's memory.
#[derive(Debug)]
pub(super) struct Outcome<M> {
    pub sent: Vec<(NodeId, M, Option<Bytes>)>,
    pub woken: Vec<PageIndex>,
}

impl<M: PageMessage> Outside<M> for Outcome<M> {
    fn send(&mut self, to: NodeId, message: &M, page: Option<&[u8]>) {
        let payload = page.map(Bytes::copy_from_slice);
        self.sent.push((to, message.clone(), payload));
    }

    fn awaits(&self, _: PageIndex) -> bool {
        // As if no thread waited, so that mappings wait for the end of the batch.
        false
    }

    fn woke(&mut self, page: PageIndex) {
        self.woken.push(page);
    }

    fn did(&mut self, _: Deed) {}
}

/// A simulated node.
#[derive(Debug)]
pub(super) struct Node<P: CoherenceProtocol> {
    pub id: NodeId,
    pub protocol: P,
    pub backing: SimBacking,
    pub memory: SimMemory,
    pub threads: Vec<Thread>,
    pub sequences: Sequences,
    pub pins: Pins<Letter<P::Message>>,
    /// Which pages stay, if memory has a limit.
    pub budget: Option<Budget>,
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
            sequences: Sequences::default(),
            pins: Pins::new(),
            budget: None,
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
        if let Some(budget) = &mut self.budget {
            commands.iter().for_each(|command| budget.note(command));
        }
        let payload = payload.map(|bytes| &bytes[..]);
        let mut batch = Batch::new();
        let backing = &mut self.backing;
        execute(commands, payload, backing, &mut outcome, &mut batch)?;
        batch.flush(backing, &mut outcome)?;
        Ok(outcome)
    }

    /// Lets the threads go on that wait for `page`: which they are, and since when they waited.
    pub(super) fn unblock(&mut self, page: PageIndex) -> Vec<(usize, Tick)> {
        let threads = self.threads.iter_mut().enumerate();
        let woken = threads.filter_map(|(number, thread)| {
            let (_, since) = thread.blocked.take_if(|(blocked, _)| *blocked == page)?;
            Some((number, since))
        });
        woken.collect()
    }
}
