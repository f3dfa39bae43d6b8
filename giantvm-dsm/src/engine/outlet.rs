//! Where a driver's messages go, and who counts what it does.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use giantvm_core::wire::{Body, Class, Frame, Service};
use giantvm_core::{Epoch, NodeId, PageIndex, PageSize, Stamp};
use giantvm_transport::{Loss, SendError, Transport};

use super::execute::{Deed, Outside};
use super::hooks::ServedFault;
use super::letter;
use super::parcel::{Packer, Packing, Tag};
use super::sequence::Sequences;
use super::sheaf::Sheaf;
use super::stats::{DsmStats, FaultKind};
use crate::backing::Fault;
use crate::mutants::mutant;
use crate::protocol::{Access, PageMessage, Rights, Tick};

/// A fault whose answer is under way.
#[derive(Debug)]
struct Waiting {
    since: Instant,
    access: Access,
    before: Option<Rights>,
    /// Who waits: the first, and the others, who are rare.
    first: Waiter,
    others: Vec<Waiter>,
}

/// A thread that waits for a page.
#[derive(Debug, Clone, Copy)]
struct Waiter {
    thread: u32,
    access: Access,
    since: Instant,
}

/// A driver's way out of its memory: frames, counters, and who waits for a page.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) epoch: Epoch,
    pub(super) sequences: Sequences,
    pub(super) packer: Packer,
    /// Letters that wait for others to the same node, by node; most are empty.
    sheaves: Vec<(NodeId, Sheaf)>,
    /// The payload of the sheaf that was bound last.
    bound: Vec<u8>,
    /// Whether the transport has something that is to be flushed.
    posted: bool,
    /// Until when what the input being carried out says may wait, where it may at all.
    pub(super) patience: Option<Tick>,
    /// The first time at which a sheaf that waits for company has to go.
    lingers: Option<Tick>,
    pub(super) stats: Arc<Mutex<DsmStats>>,
    /// Faults under way by page: at most one entry a local thread.
    waiting: HashMap<PageIndex, Waiting>,
    /// Pages woken since someone last looked.
    pub(super) woken: Vec<PageIndex>,
    /// Faults that other nodes answered, since someone last looked.
    pub(super) served: Vec<ServedFault>,
    /// How many pages local threads began to wait for since someone last looked.
    pub(super) begun: usize,
    /// Whether the input being carried out is a fault that needs no message.
    pub(super) alone: bool,
}

impl Outlet {
    pub(super) fn new(transport: Arc<dyn Transport>, epoch: Epoch, size: PageSize) -> Self {
        Self {
            packer: Packer::new(transport.local(), transport.near(), size),
            transport,
            epoch,
            sequences: Sequences::default(),
            sheaves: Vec::new(),
            bound: Vec::new(),
            posted: false,
            patience: None,
            lingers: None,
            stats: Arc::default(),
            waiting: HashMap::new(),
            woken: Vec::new(),
            served: Vec::new(),
            begun: 0,
            alone: false,
        }
    }

    /// Notes that a local thread waits for a page; the protocol is asked for `access`.
    pub(super) fn awaits(&mut self, fault: Fault, access: Access, before: Option<Rights>) {
        let waiter = Waiter {
            thread: fault.thread,
            access: fault.access,
            since: Instant::now(),
        };
        match self.waiting.entry(fault.page) {
            Entry::Vacant(none) => {
                self.begun += 1;
                none.insert(Waiting {
                    since: waiter.since,
                    access,
                    before,
                    first: waiter,
                    others: Vec::new(),
                });
            }
            Entry::Occupied(mut waiting) => {
                let waiting = waiting.get_mut();
                // A reader and a writer may wait for one page: their common answer is the writer's.
                waiting.access = waiting.access.max(access);
                let known = |of: &Waiter| of.thread == waiter.thread;
                if !known(&waiting.first) && !waiting.others.iter().any(known) {
                    waiting.others.push(waiter);
                }
            }
        }
        self.count(|stats| stats.waiting = self.waiting.len());
    }

    /// Whether local threads wait for any page.
    pub(super) fn is_awaiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether local threads wait for `page`.
    pub(super) fn is_awaited(&self, page: PageIndex) -> bool {
        self.waiting.contains_key(&page)
    }

    /// Forgets who waits for a page.
    pub(super) fn forget(&mut self, page: PageIndex) {
        self.waiting.remove(&page);
        self.count(|stats| stats.waiting = self.waiting.len());
    }

    /// A coherence message that is not sent leaves the peer waiting for ever: rather lose it.
    fn give_up(&self, to: NodeId, error: &dyn std::error::Error) {
        self.transport.sever(to, Loss::Refused(error.to_string()));
    }

    fn pack(&mut self, to: NodeId, page: PageIndex, bytes: &[u8]) -> Tag {
        let packing = self.packer.pack(to, page, bytes);
        let packed = match packing {
            Packing::Whole => bytes.len(),
            _ => self.packer.payload().len(),
        };
        self.count(|stats| {
            stats.pages_sent += 1;
            stats.parcels.add(packing, bytes.len(), packed);
        });
        Tag::Page(packing)
    }

    fn is_adjacent(&self, node: NodeId) -> bool {
        self.transport.adjacent().contains(node)
    }

    /// A frame of this node, without its payload.
    fn frame(&self, kind: u8, body: Body) -> Frame {
        Frame {
            service: Service::Dsm,
            kind,
            from: self.transport.local(),
            epoch: self.epoch,
            // The transport's to say.
            stamp: Stamp::ZERO,
            body,
            payload: Bytes::new(),
        }
    }

    fn sent(&self, to: NodeId, sent: Result<(), SendError>) {
        match sent {
            // A loss comes as an event of its own, in its turn.
            Ok(()) | Err(SendError::Lost(_)) => {}
            Err(error) => self.give_up(to, &error),
        }
    }

    /// Has a letter wait for others to the same node, if no more than fit; `until` then, if it may wait for
    /// more than what is said now.
    fn bind(&mut self, to: NodeId, letter: Frame, until: Option<Tick>) {
        let known = self.sheaves.iter().position(|(node, _)| *node == to);
        let at = known.unwrap_or_else(|| {
            self.sheaves.push((to, Sheaf::default()));
            self.sheaves.len() - 1
        });
        let Some((_, sheaf)) = self.sheaves.get_mut(at) else {
            return;
        };
        sheaf.add(letter.kind, letter.body, until);
        if sheaf.is_full() {
            self.send_sheaf(at, false);
        } else if let Some(until) = until {
            self.lingers = Some(self.lingers.map_or(until, |first| first.min(until)));
        }
    }

    /// Whether anything waits for company.
    pub(super) const fn is_lingering(&self) -> bool {
        self.lingers.is_some()
    }

    /// What waits for company to go to `node` waits no longer than this input.
    pub(super) fn hurry(&mut self, node: NodeId) {
        let mut sheaves = self.sheaves.iter_mut();
        if let Some((_, sheaf)) = sheaves.find(|(to, _)| *to == node) {
            sheaf.hurry();
        }
    }

    /// Sends what has waited for company until `now`.
    pub(super) fn send_late(&mut self, now: Tick) {
        if self.lingers.is_some_and(|until| until <= now) {
            let late = |sheaf: &Sheaf| sheaf.lingers().is_some_and(|until| until <= now);
            self.send_sheaves(late);
            self.flush_posted();
        }
    }

    /// Sends the sheaves that are `due`.
    fn send_sheaves(&mut self, due: impl Fn(&Sheaf) -> bool) {
        let count = self.sheaves.iter().filter(|(_, sheaf)| due(sheaf)).count();
        if count == 0 {
            return;
        }
        let alone = count == 1 && !self.posted;
        for at in 0..self.sheaves.len() {
            if self.sheaves.get(at).is_some_and(|(_, sheaf)| due(sheaf)) {
                self.send_sheaf(at, alone);
            }
        }
        if self.lingers.is_some() {
            let left = self.sheaves.iter().filter_map(|(_, sheaf)| sheaf.lingers());
            self.lingers = left.min();
        }
    }

    fn send_sheaf_to(&mut self, to: NodeId) {
        if let Some(at) = self.sheaves.iter().position(|(node, _)| *node == to) {
            self.send_sheaf(at, false);
        }
    }

    /// Sends what waits for others to a node: at once if it goes `alone`, which spares looking for it
    /// again.
    fn send_sheaf(&mut self, at: usize, alone: bool) {
        let Some((to, sheaf)) = self.sheaves.get_mut(at) else {
            return;
        };
        let to = *to;
        if let Some((kind, body)) = sheaf.bind(&mut self.bound) {
            let frame = self.frame(kind, body);
            let sent = if alone && self.bound.is_empty() {
                self.transport.send(to, Class::Control, frame)
            } else {
                self.posted = true;
                self.transport.post(to, Class::Control, frame, &self.bound)
            };
            self.sent(to, sent);
        }
    }

    /// Sends what was said so far, but for what may wait for company.
    pub(super) fn flush(&mut self) {
        self.send_sheaves(|sheaf| !sheaf.is_empty() && sheaf.lingers().is_none());
        self.flush_posted();
    }

    /// Sends all that was said.
    pub(super) fn flush_all(&mut self) {
        self.send_sheaves(|sheaf| !sheaf.is_empty());
        self.flush_posted();
    }

    fn flush_posted(&mut self) {
        if std::mem::take(&mut self.posted) && !mutant!(SheafIsNeverFlushed) {
            self.transport.flush();
        }
    }

    /// Takes a message to `to`, with its page if that goes along; `until` then it may wait for others.
    fn say<M: PageMessage>(
        &mut self,
        to: NodeId,
        message: &M,
        page: Option<&[u8]>,
        until: Option<Tick>,
    ) {
        let (class, tag) = match page {
            None => (Class::Control, Tag::Bare(self.packer.ask(message))),
            Some(page) => (Class::Demand, self.pack(to, message.page(), page)),
        };
        let number = self.sequences.number(to, tag.contents());
        match letter::seal(message, tag, number) {
            Ok((kind, body)) => {
                let whole = page.filter(|_| tag == Tag::Page(Packing::Whole));
                let payload = whole.unwrap_or(self.packer.payload());
                let frame = self.frame(kind, body);
                if class == Class::Demand {
                    let sent = self.transport.post(to, class, frame, payload);
                    self.posted = true;
                    self.sent(to, sent);
                } else if payload.is_empty() {
                    self.bind(to, frame, until);
                } else {
                    // What was said before it goes before it.
                    if !mutant!(SheafIsOvertaken) {
                        self.send_sheaf_to(to);
                    }
                    let sent = self.transport.post(to, class, frame, self.packer.payload());
                    self.posted = true;
                    self.sent(to, sent);
                }
            }
            Err(error) => return self.give_up(to, &error),
        }
        if let Some(page) = page {
            self.packer.crossed(to, message.page(), page);
        }
    }

    pub(super) fn count(&self, update: impl FnOnce(&mut DsmStats)) {
        update(&mut self.stats.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl<M: PageMessage> Outside<M> for Outlet {
    fn send(&mut self, to: NodeId, message: &M, page: Option<&[u8]>) {
        self.say(to, message, page, None);
    }

    fn send_later(&mut self, to: NodeId, message: &M) {
        let patience = self.patience.filter(|_| !self.is_adjacent(to));
        self.say(to, message, None, patience);
    }

    fn awaits(&self, page: PageIndex) -> bool {
        self.is_awaited(page)
    }

    fn woke(&mut self, page: PageIndex) {
        self.woken.push(page);
        if let Some(waiting) = self.waiting.remove(&page) {
            let kind = if self.alone {
                FaultKind::Local
            } else {
                FaultKind::remote(waiting.access, waiting.before)
            };
            let now = Instant::now();
            self.count(|stats| {
                stats.count_fault(kind, now - waiting.since);
                stats.waiting = self.waiting.len();
            });
            if kind != FaultKind::Local {
                let of = |waiter: Waiter| ServedFault {
                    page,
                    kind,
                    thread: waiter.thread,
                    access: waiter.access,
                    stall: now - waiter.since,
                };
                let all = std::iter::once(waiting.first).chain(waiting.others);
                self.served.extend(all.map(of));
            }
        }
    }

    fn did(&mut self, deed: Deed) {
        self.count(|stats| match deed {
            Deed::Stored => stats.pages_received += 1,
            Deed::Zeroed => stats.zero_grants += 1,
            Deed::Protected => stats.downgrades += 1,
            Deed::Unmapped => stats.invalidations += 1,
        });
    }
}
