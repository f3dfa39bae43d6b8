//! Packs what a node sends, unpacks what it receives, and remembers what both need for that.

use bytes::Bytes;
use giantvm_core::{NodeId, NodeSet, PageIndex, PageSize};

use super::ask::{Ask, Asks};
use super::error::BadParcel;
use super::links::Links;
use super::options::{Parcels, When};
use super::pack::{is_zero, pack};
use super::packing::{Packing, Tag};
use super::standby::Standby;
use super::travelled::Travelled;
use super::unpack::unpack;
use crate::protocol::{Command, PageMessage, Rights};

/// Pages that are not compressed after one that compression did not make shorter.
const SPARED: u8 = 16;

/// What a node knows of the pages that it sends and receives.
#[derive(Debug)]
pub(in crate::engine) struct Packer {
    local: NodeId,
    size: PageSize,
    options: Parcels,
    links: Links,
    travelled: Travelled,
    standby: Standby,
    asks: Asks,
    /// The payload that was packed last.
    payload: Vec<u8>,
    /// How many pages are still not to be compressed.
    spared: u8,
}

impl Packer {
    /// One that sends every page as it is.
    pub(in crate::engine) fn new(local: NodeId, near: NodeSet, size: PageSize) -> Self {
        Self {
            local,
            size,
            options: Parcels::PLAIN,
            links: Links::new(near, size.bytes()),
            travelled: Travelled::default(),
            standby: Standby::new(0),
            asks: Asks::default(),
            payload: Vec::new(),
            spared: 0,
        }
    }

    /// Packs as `options` say, from now on.
    pub(in crate::engine) fn set(&mut self, options: Parcels) {
        self.options = options;
        let kept = options.deltas != When::Never;
        let copies = options.standby / self.size.bytes();
        self.standby = Standby::new(if kept { copies } else { 0 });
    }

    /// Looks at what is about to be done: names copies for pages that are asked for, and lets those go
    /// whose pages are here.
    pub(in crate::engine) fn watch<M: PageMessage>(
        &mut self,
        commands: &[Command<M>],
        rights: impl Fn(PageIndex) -> Option<Rights>,
    ) {
        if self.options.deltas == When::Never {
            return;
        }
        for command in commands {
            match command {
                // Only without a mapping: then nothing but the answer makes one.
                Command::Send { message, .. }
                    if message.asks_for(self.local) == Some(self.local)
                        && rights(message.page()).is_none() =>
                {
                    self.standby.name(message.page());
                }
                Command::Map { page, .. }
                | Command::MapZero { page, .. }
                | Command::Poison { page } => self.standby.answered(*page),
                Command::Send { .. }
                | Command::Linger { .. }
                | Command::Store { .. }
                | Command::Protect { .. }
                | Command::Unprotect { .. }
                | Command::Unmap { .. }
                | Command::Wake { .. } => {}
            }
        }
    }

    /// What goes with a message that carries no page. Its base is the [payload](Self::payload).
    pub(in crate::engine) fn ask(&mut self, message: &impl PageMessage) -> Ask {
        self.payload.clear();
        let page = message.page();
        let ask = match message.asks_for(self.local) {
            None => Ask::NOTHING,
            Some(node) if node == self.local => {
                self.links.asks();
                Ask {
                    base: self.standby.named(page).map(|base| base.digest),
                    squeeze: self.links.wants_compression(),
                }
            }
            Some(node) => self.asks.take(page, node),
        };
        if let Some(base) = ask.base {
            self.payload.extend_from_slice(&base.to_bytes());
        }
        ask
    }

    /// Takes note of a message that the protocol believed.
    pub(in crate::engine) fn believed(
        &mut self,
        from: NodeId,
        message: &impl PageMessage,
        tag: Tag,
    ) {
        let page = message.page();
        match (tag, message.asks_for(from)) {
            (Tag::Bare(ask), Some(node)) if node != self.local => self.asks.note(page, node, ask),
            (Tag::Bare(_), _) => {}
            (Tag::Page(_), _) => self.standby.answered(page),
        }
    }

    /// Packs `bytes` of `page` for `to`. The [payload](Self::payload) is what to send in its place,
    /// unless it goes whole.
    pub(in crate::engine) fn pack(&mut self, to: NodeId, page: PageIndex, bytes: &[u8]) -> Packing {
        self.payload.clear();
        let ask = self.asks.take(page, to);
        if self.options.zeroes && is_zero(bytes) {
            return Packing::Zero;
        }
        let base = ask.base.filter(|_| self.wants_deltas(to));
        let base = base.and_then(|digest| self.standby.find(page, digest));
        let squeeze = match self.options.lz4 {
            When::Never => false,
            When::Always => true,
            When::Pays => ask.squeeze && !self.links.is_near(to),
        };
        let squeezes = squeeze && self.spared == 0;
        self.spared = self.spared.saturating_sub(u8::from(squeeze));
        if base.is_none() && !squeezes {
            return Packing::Whole;
        }
        let packing = pack(bytes, base, squeezes, &mut self.payload);
        if squeezes && packing == Packing::Whole {
            self.spared = SPARED;
        }
        packing
    }

    /// What [`pack`](Self::pack) or [`ask`](Self::ask) made last.
    pub(in crate::engine) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The page in a parcel.
    pub(in crate::engine) fn unpack(
        &mut self,
        from: NodeId,
        page: PageIndex,
        packing: Packing,
        payload: &Bytes,
    ) -> Result<Bytes, BadParcel> {
        if self.options.lz4 == When::Pays {
            self.links.arrived(from, payload.len());
        }
        unpack(packing, payload, self.size, self.standby.named(page))
    }

    /// A page crossed the link with `peer`: what it held may be a base later.
    pub(in crate::engine) fn crossed(&mut self, peer: NodeId, page: PageIndex, bytes: &[u8]) {
        let wanted = self.wants_deltas(peer);
        if wanted && (self.travelled.again(page) || self.standby.contains(page)) {
            self.standby.keep(page, bytes);
        }
    }

    fn wants_deltas(&self, peer: NodeId) -> bool {
        match self.options.deltas {
            When::Never => false,
            When::Always => true,
            When::Pays => self.links.delta_pays(peer),
        }
    }
}
