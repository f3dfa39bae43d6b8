//! A protocol under observation, and broken on purpose where a test wants that.

use giantvm_core::{NodeId, PageIndex, Stamp};

use crate::ledger::Ledger;
use crate::protocol::{CoherenceProtocol, Command, Input, Rights, Setup, Tick, Violation};

/// Changes what a protocol commands.
pub(crate) type Spoil<M> = fn(&mut Vec<Command<M>>);

/// How a test makes the nodes of a protocol.
#[derive(Debug)]
pub(crate) struct Subject<P: CoherenceProtocol> {
    pub(crate) make: fn(Setup) -> P,
    /// Takes all copies away before it lets a page be written. Then the order of reads and writes
    /// is the physical one, and the races of taking happen.
    pub(crate) takes: bool,
    pub(crate) spoil: Spoil<P::Message>,
}

impl<P: CoherenceProtocol> Clone for Subject<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: CoherenceProtocol> Copy for Subject<P> {}

/// A protocol that tells the ledger what it does.
#[derive(Debug)]
pub(crate) struct Watched<P: CoherenceProtocol> {
    inner: P,
    local: NodeId,
    ledger: Ledger,
    spoil: Spoil<P::Message>,
}

impl<P: CoherenceProtocol> Watched<P> {
    pub(crate) fn with(subject: Subject<P>, setup: Setup, ledger: Ledger) -> Self {
        Self {
            local: setup.local,
            inner: (subject.make)(setup),
            ledger,
            spoil: subject.spoil,
        }
    }
}

impl<P: CoherenceProtocol> CoherenceProtocol for Watched<P> {
    type Message = P::Message;

    const NAME: &'static str = "watched";

    fn new(_: Setup) -> Self {
        unreachable!("made with a ledger")
    }

    fn handle(
        &mut self,
        now: Tick,
        input: Input<P::Message>,
        commands: &mut Vec<Command<P::Message>>,
    ) -> Result<(), Violation> {
        match &input {
            Input::Fault { page, .. } => {
                let has_copy = self.inner.rights(*page).is_some();
                self.ledger.faulted(self.local, *page, has_copy);
            }
            Input::Evict { page } => self.ledger.evicts(self.local, *page),
            Input::Lost { .. } => self.ledger.lost(self.local),
            Input::Message { .. } | Input::Timeout | Input::Heard { .. } | Input::Depart(_) => {}
        }
        self.inner.handle(now, input, commands)?;
        for command in &*commands {
            match command {
                Command::Unmap { page, .. } => self.ledger.took(self.local, *page),
                Command::Wake { page } => self.ledger.woke(self.local, *page),
                _ => {}
            }
        }
        (self.spoil)(commands);
        Ok(())
    }

    fn next_timeout(&self) -> Option<Tick> {
        self.inner.next_timeout()
    }

    fn rights(&self, page: PageIndex) -> Option<Rights> {
        self.inner.rights(page)
    }

    fn in_flight(&self) -> usize {
        self.inner.in_flight()
    }

    fn clock(&self) -> Stamp {
        self.inner.clock()
    }

    fn lease(&self, page: PageIndex) -> Option<Stamp> {
        self.inner.lease(page)
    }
}
