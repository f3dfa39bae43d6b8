//! Feeds a protocol, one input at a time, and lets its commands be carried out.

mod clock;
mod faults;
mod kept;
mod leave;
mod linger;
mod loss;
mod orders;
mod room;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use giantvm_core::wire::{DecodeError, Frame};
use giantvm_core::{Epoch, NodeId, PageIndex, Stamp};
use giantvm_transport::Transport;

use self::clock::Clock;
use self::kept::Kept;
use self::leave::Leaving;
use super::ahead::Ahead;
use super::batch::Batch;
use super::budget::{Budget, Plan};
use super::departure::Wishes;
use super::execute::execute;
use super::heat::{Gauge, Record};
use super::hold::Verdict;
use super::hooks::FaultWatch;
use super::letter;
use super::migratory::Migratory;
use super::orders::PinReply;
use super::outlet::Outlet;
use super::parcel::{Packing, Parcels, Tag};
use super::pins::{MAX_WAITING, Pins};
use super::refused::Refused;
use super::sequence::Arrival;
use super::sheaf;
use super::stats::{DsmStats, MemoryStats};
use crate::backing::{Backing, BackingError};
use crate::protocol::{
    Access, CoherenceProtocol, Command, Contents, Departure, Input, PageMessage, Rights, Tick,
};

/// The latest time that a peer may say it is: half of all there are, so that a peer that names
/// another cannot take the rest from everyone.
const LATEST: Stamp = Stamp(u64::MAX / 2);

/// Inputs that come together and are taken to come at one time: a few microseconds, and looking at the
/// clock costs as much as a tenth of what is done with each.
const AT_ONE_TIME: u32 = 8;

/// A message that arrived, and what came with it.
#[derive(Debug)]
struct Letter<M> {
    from: NodeId,
    message: M,
    tag: Tag,
    /// The page, if there is one, as it was before it was packed.
    page: Bytes,
}

/// A protocol node with its backing and its way out, without a thread of its own.
///
/// The pump feeds it; tests may feed it by hand.
#[derive(Debug)]
pub struct Driver<P: CoherenceProtocol> {
    protocol: P,
    backing: Box<dyn Backing>,
    outlet: Outlet,
    clock: Clock,
    /// When the clock was looked at last, and for how many more inputs that is good.
    looked: (Tick, u32),
    /// Kept between inputs so that no input allocates.
    commands: Vec<Command<P::Message>>,
    /// What frames that came together leave to do: not empty only between a [`take`](Self::take) and a [`flush`](Self::flush).
    batch: Batch<P::Message>,
    ahead: Ahead,
    /// Pages that were asked for ahead of time and are not here, at most [`faults::MOST_COMING`].
    coming: BTreeSet<PageIndex>,
    /// Which pages stay, if memory has a limit, and what is to be done about the others.
    budget: Option<Budget>,
    plan: Plan,
    /// What of it the counters show.
    shown: MemoryStats,
    migratory: Migratory,
    heat: Record,
    watch: FaultWatch,
    pins: Pins<Letter<P::Message>>,
    /// Who waits for a page to be pinned.
    pinning: Vec<(PageIndex, PinReply)>,
    kept: Kept,
    /// Whether words that nobody waits for may wait for company.
    lingers: bool,
    /// This node's departure, and what the counters show of it.
    leaving: Option<Leaving>,
    wishes: Wishes,
    shown_departure: Departure,
}

impl<P: CoherenceProtocol> Driver<P> {
    /// Puts a node together.
    pub fn new(
        protocol: P,
        backing: Box<dyn Backing>,
        transport: Arc<dyn Transport>,
        epoch: Epoch,
    ) -> Self {
        let outlet = Outlet::new(transport, epoch, backing.page_size());
        Self {
            protocol,
            backing,
            outlet,
            clock: Clock::host(),
            looked: (Tick::default(), 0),
            commands: Vec::new(),
            batch: Batch::new(),
            ahead: Ahead::new(0),
            coming: BTreeSet::new(),
            budget: None,
            plan: Plan::default(),
            shown: MemoryStats::default(),
            migratory: Migratory::blind(),
            heat: Record::default(),
            watch: FaultWatch::default(),
            pins: Pins::new(),
            pinning: Vec::new(),
            kept: Kept::none(),
            lingers: false,
            leaving: None,
            wishes: Wishes::default(),
            shown_departure: Departure::default(),
        }
    }

    /// The counters, which the driver goes on updating.
    #[must_use]
    pub fn stats(&self) -> Arc<Mutex<DsmStats>> {
        self.outlet.stats.clone()
    }

    /// What is known of pages, which the driver goes on noting.
    pub(super) fn heat(&self) -> Gauge {
        self.heat.gauge()
    }

    /// The backing.
    #[must_use]
    pub fn backing(&mut self) -> &mut dyn Backing {
        &mut *self.backing
    }

    /// Takes loads for stores where that was right before, or not, as at first.
    #[must_use]
    pub fn guessing(mut self, guesses: bool) -> Self {
        self.migratory = if guesses {
            Migratory::new()
        } else {
            Migratory::blind()
        };
        self
    }

    /// Keeps pages that others want for the threads that they came for, or not, as at first. Who feeds
    /// the driver has to [release](Self::release) them then.
    #[must_use]
    pub fn holding(mut self, holds: bool) -> Self {
        let seed = self.outlet.transport.local().get().into();
        self.kept = if holds { Kept::new(seed) } else { Kept::none() };
        self
    }

    /// Asks for up to `most` pages ahead of a thread that walks through memory; for none at first.
    #[must_use]
    pub fn reading_ahead(mut self, most: u32) -> Self {
        self.ahead = Ahead::new(most);
        self
    }

    /// Notes which pages are asked for and taken most, or not, as at first.
    #[must_use]
    pub fn noting_heat(mut self, notes: bool) -> Self {
        self.heat = if notes {
            Record::new(self.clock.origin())
        } else {
            Record::default()
        };
        self
    }

    /// Tells who watches of faults that other nodes answered; nobody at first.
    #[must_use]
    pub(super) fn telling(mut self, watch: FaultWatch) -> Self {
        self.watch = watch;
        self
    }

    /// Packs the pages that it sends as `parcels` say; sends them as they are at first.
    #[must_use]
    pub fn packing(mut self, parcels: Parcels) -> Self {
        self.outlet.packer.set(parcels);
        self
    }

    /// Checks what frames of every service have in common.
    ///
    /// # Errors
    /// [`Refused::Epoch`].
    pub fn admit(&self, frame: &Frame) -> Result<(), Refused> {
        let expected = self.outlet.epoch;
        if frame.epoch == expected {
            return Ok(());
        }
        Err(Refused::Epoch {
            got: frame.epoch,
            expected,
        })
    }

    /// Feeds a frame of [`Service::Dsm`](giantvm_core::wire::Service::Dsm) that was [admitted](Self::admit).
    ///
    /// # Errors
    /// The outer error is the backing's, and the node has to stop. The inner one is the peer's
    /// fault: the message that is refused has changed nothing, and the link to it has to end.
    pub fn frame(&mut self, frame: &Frame) -> Result<Result<(), Refused>, BackingError> {
        let taken = self.take(frame)?;
        self.flush()?;
        Ok(taken)
    }

    /// As [`frame`](Self::frame), for one of several that came together: changes of the memory that
    /// go better together may wait for the [`flush`](Self::flush) after the last one.
    ///
    /// # Errors
    /// As of [`frame`](Self::frame).
    pub fn take(&mut self, frame: &Frame) -> Result<Result<(), Refused>, BackingError> {
        if self.outlet.is_lingering() {
            self.outlet.hurry(frame.from);
        }
        if frame.kind != sheaf::KIND {
            return self.take_one(frame);
        }
        match sheaf::untie(frame) {
            Ok(letters) => {
                for letter in letters {
                    if let Err(refused) = self.take_one(&letter)? {
                        return Ok(Err(refused));
                    }
                }
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error.into())),
        }
    }

    /// Feeds a frame that is one letter.
    fn take_one(&mut self, frame: &Frame) -> Result<Result<(), Refused>, BackingError> {
        match self.read(frame) {
            Ok(Some(letter)) => self.accept(letter),
            Ok(None) => Ok(Ok(())),
            Err(refused) => Ok(Err(refused)),
        }
    }

    /// Does what the frames [taken](Self::take) so far left to do.
    ///
    /// # Errors
    /// [`BackingError`]: the node has to stop.
    pub fn flush(&mut self) -> Result<(), BackingError> {
        self.read_ahead()?;
        // What comes next comes later.
        self.looked.1 = 0;
        // Others can answer while what came is mapped.
        self.outlet.flush();
        self.batch.flush(&mut *self.backing, &mut self.outlet)?;
        self.outlet.flush();
        for fault in self.outlet.served.drain(..) {
            self.watch.served(&fault);
            self.heat.served(fault);
        }
        Ok(())
    }

    /// Takes note of the logical time at which a peer sent a frame of another service.
    ///
    /// # Errors
    /// The outer error is the backing's, and the node has to stop. The inner one is the peer's
    /// fault: its time is so late that none could come after it.
    pub fn heard(&mut self, stamp: Stamp) -> Result<Result<(), Refused>, BackingError> {
        if stamp > LATEST {
            return Ok(Err(Refused::Stamp(stamp)));
        }
        // A lease that is over is still mapped until then, and whoever acts on the frame could read it.
        self.flush()?;
        self.outlet.transport.clock().advance(stamp);
        if stamp > self.protocol.clock() {
            self.feed(Input::Heard { stamp })?;
        }
        Ok(Ok(()))
    }

    /// Asks for a page to be given up. A pinned one stays.
    ///
    /// # Errors
    /// [`BackingError`]: the node has to stop.
    pub fn evict(&mut self, page: PageIndex) -> Result<(), BackingError> {
        if self.pins.contains(page) {
            return Ok(());
        }
        self.feed(Input::Evict { page })
    }

    /// Pins a page that this node may write, until it was [unpinned](Self::unpin) as often.
    /// `false` if it cannot be pinned now: it was asked for, if need be, and who wants it tries
    /// again when something happened.
    ///
    /// # Errors
    /// [`BackingError`]: the node has to stop.
    pub fn pin(&mut self, page: PageIndex) -> Result<bool, BackingError> {
        let overdue = self.is_overdue(self.now());
        let writable = self.protocol.rights(page) == Some(Rights::Write);
        if writable && !overdue && self.pins.pin(page) {
            self.keep(page)?;
            return Ok(true);
        }
        if !writable && page.0 < self.backing.pages() {
            let access = Access::Write;
            self.feed(Input::Fault { page, access })?;
        }
        Ok(false)
    }

    /// Whether a time-out waits, perhaps for pins.
    fn is_overdue(&self, now: Tick) -> bool {
        self.protocol.next_timeout().is_some_and(|due| due <= now)
    }

    /// Takes one pin off a page. With the last one, what waited for it is handled. Returns the
    /// peers among those that sent it whose message is refused: the link to each has to end.
    ///
    /// # Errors
    /// [`BackingError`]: the node has to stop.
    pub fn unpin(&mut self, page: PageIndex) -> Result<Vec<(NodeId, Refused)>, BackingError> {
        let mut refusals: Vec<(NodeId, Refused)> = Vec::new();
        for letter in self.pins.unpin(page) {
            // Of a peer that was refused nothing more is heard; the others wait for an answer.
            if refusals.iter().any(|&(peer, _)| peer == letter.from) {
                continue;
            }
            if let Err(refused) = self.deliver(self.now(), &letter)? {
                refusals.push((letter.from, refused));
            }
        }
        self.flush()?;
        Ok(refusals)
    }

    /// Pins a page for a thread that waits for it, now or later.
    fn pin_for(&mut self, page: PageIndex, reply: PinReply) -> Result<(), BackingError> {
        if !reply.is_awaited() || page.0 >= self.backing.pages() {
            return Ok(());
        }
        if !self.pin(page)? {
            self.pinning.push((page, reply));
        } else if !reply.give() {
            // Whoever asked has given up: nothing was held meanwhile.
            self.pins.unpin(page);
        }
        Ok(())
    }

    /// Tries again to pin pages that could not be pinned before. Call it when something happened.
    /// Returns how many pages local threads were woken for since the last call.
    ///
    /// # Errors
    /// [`BackingError`]: the node has to stop.
    pub(super) fn retry_pins(&mut self) -> Result<usize, BackingError> {
        if self.pinning.is_empty() {
            // The usual case, on the way of every fault: nothing is allocated.
            let count = self.outlet.woken.len();
            self.outlet.woken.clear();
            return Ok(count);
        }
        let woken = std::mem::take(&mut self.outlet.woken);
        for (page, reply) in std::mem::take(&mut self.pinning) {
            let writable = self.protocol.rights(page) == Some(Rights::Write);
            if writable || woken.contains(&page) {
                self.pin_for(page, reply)?;
            } else if reply.is_awaited() {
                self.pinning.push((page, reply));
            }
        }
        Ok(woken.len())
    }

    /// How many pages local threads began to wait for since the last call.
    pub(super) fn take_begun(&mut self) -> usize {
        std::mem::take(&mut self.outlet.begun)
    }

    /// Whether local threads wait for a page.
    pub(super) fn awaits(&self) -> bool {
        self.outlet.is_awaiting()
    }

    /// Handles a message now, or once its page is pinned no longer.
    fn accept(&mut self, letter: Letter<P::Message>) -> Result<Result<(), Refused>, BackingError> {
        let (page, from, now) = (letter.message.page(), letter.from, self.about_now());
        // As with other pins, those that follow one another must not stop time-outs for ever. Who
        // gathers gives way by itself.
        if !self.pins.contains(page)
            && (!self.is_overdue(now) || self.is_gathered(page, now))
            && let Verdict::Stay(at) = self.judge(page, now)
            && self.pins.pin(page)
        {
            self.kept.keep(at, page);
        }
        let waiting = self.pins.waiting_for(page, |waiting| waiting.from == from);
        if waiting >= MAX_WAITING {
            return Ok(Err(Refused::Crowd(page)));
        }
        match self.pins.hold(page, letter) {
            Some(letter) => self.deliver(now, &letter),
            None => Ok(Ok(())),
        }
    }

    fn deliver(
        &mut self,
        now: Tick,
        letter: &Letter<P::Message>,
    ) -> Result<Result<(), Refused>, BackingError> {
        let input = Input::Message {
            from: letter.from,
            message: letter.message.clone(),
            payload: letter.tag.contents(),
        };
        match self.protocol.handle(now, input, &mut self.commands) {
            Ok(()) => {
                let (from, message, tag) = (letter.from, &letter.message, letter.tag);
                self.outlet.packer.believed(from, message, tag);
                self.carry_out(now, Some(letter))?;
                if tag.contents() == Contents::Page {
                    let page = message.page();
                    self.outlet.packer.crossed(from, page, &letter.page);
                }
                Ok(Ok(()))
            }
            Err(violation) => {
                self.commands.clear();
                Ok(Err(violation.into()))
            }
        }
    }

    /// Feeds an input that is no peer's.
    fn feed(&mut self, input: Input<P::Message>) -> Result<(), BackingError> {
        self.give(input)?;
        self.flush()
    }

    /// As [`feed`](Self::feed), but for the flush that has to follow.
    fn give(&mut self, input: Input<P::Message>) -> Result<(), BackingError> {
        let fault = match &input {
            Input::Fault { page, .. } => Some(*page),
            _ => None,
        };
        let now = self.about_now();
        if let Err(violation) = self.protocol.handle(now, input, &mut self.commands) {
            // The page of a fault is outside the memory, or the protocol is wrong.
            tracing::error!(%violation, "the protocol refused an input of its own node");
            self.commands.clear();
            if let Some(page) = fault {
                self.outlet.forget(page);
            }
        }
        let sends = |command: &Command<_>| matches!(command, Command::Send { .. });
        self.outlet.alone = fault.is_some() && !self.commands.iter().any(sends);
        self.carry_out(now, None)?;
        self.outlet.alone = false;
        Ok(())
    }

    /// The message in a frame; `None` if it was here before.
    fn read(&mut self, frame: &Frame) -> Result<Option<Letter<P::Message>>, Refused> {
        let (message, tag, number) = letter::open::<P::Message>(frame)?;
        let (expected, got) = (self.backing.page_size().bytes(), frame.payload.len());
        if tag == Tag::Page(Packing::Whole) && got != expected {
            return Err(Refused::Decode(DecodeError::PayloadLength {
                service: frame.service,
                kind: frame.kind,
                expected,
                got,
            }));
        }
        let (from, outlet) = (frame.from, &mut self.outlet);
        match outlet.sequences.arrived(from, tag.contents(), number) {
            Arrival::Next => {}
            Arrival::Again => return Ok(None),
            Arrival::Gap(missing) => return Err(Refused::Missing(missing)),
        }
        let page = match tag {
            Tag::Bare(_) => Bytes::new(),
            Tag::Page(packing) => {
                let (page, payload) = (message.page(), &frame.payload);
                outlet.packer.unpack(from, page, packing, payload)?
            }
        };
        Ok(Some(Letter {
            from,
            message,
            tag,
            page,
        }))
    }

    /// Carries out the commands of one input.
    fn carry_out(
        &mut self,
        now: Tick,
        answers: Option<&Letter<P::Message>>,
    ) -> Result<(), BackingError> {
        // Before any access that the commands allow: what a thread sends after it must be later.
        let clock = self.protocol.clock();
        if clock > Stamp::ZERO {
            self.outlet.transport.clock().advance(clock);
        }
        let payload = answers.map(|letter| &letter.page[..]);
        self.outlet.patience = self.lingers.then(|| linger::until(now));
        for command in &self.commands {
            match *command {
                Command::Unmap { page, .. } => {
                    self.migratory.lost(page);
                    self.ahead.lost(page, now);
                    self.kept.took(page, now);
                }
                Command::Protect { page } => self.kept.took(page, now),
                Command::Map { page, rights } => {
                    self.coming.remove(&page);
                    if payload.is_some_and(|page| !page.is_empty()) {
                        self.ahead.came(page, rights, now);
                    }
                }
                Command::MapZero { page, .. } => {
                    self.coming.remove(&page);
                }
                Command::Wake { page } if self.outlet.is_awaited(page) => {
                    self.ahead.settle(page);
                    self.kept.woke(page, now, payload, &mut *self.backing);
                }
                _ => {}
            }
            if let Some(budget) = &mut self.budget {
                budget.note(command);
            }
        }
        let from = answers.map(|letter| letter.from);
        self.heat.carried_out(&self.commands, from);
        let rights = |page| self.protocol.rights(page);
        self.outlet.packer.watch(&self.commands, rights);
        let (outlet, batch) = (&mut self.outlet, &mut self.batch);
        let done = execute(&self.commands, payload, &mut *self.backing, outlet, batch);
        self.commands.clear();
        done
    }

    /// The time, or that of an input just before that came together with this one.
    fn about_now(&mut self) -> Tick {
        let (at, left) = self.looked;
        self.looked = match left.checked_sub(1) {
            Some(left) => (at, left),
            None => (self.now(), AT_ONE_TIME - 1),
        };
        self.looked.0
    }

    fn now(&self) -> Tick {
        self.clock.now()
    }

    /// The way out.
    pub(super) fn transport(&self) -> &Arc<dyn Transport> {
        &self.outlet.transport
    }
}
