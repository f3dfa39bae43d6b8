//! Packs what a node sends, unpacks what it receives, and remembers what both need for that.

use std::time::{Duration, Instant};

use bytes::Bytes;
use giantvm_core::{NodeId, NodeSet, PageIndex, PageSize};

use super::ask::{Ask, Asks};
use super::error::BadParcel;
use super::options::{Parcels, When};
use super::pack::{is_zero, pack};
use super::packing::{Packing, Tag};
use super::speed::Speed;
use super::standby::Standby;
use super::travelled::Travelled;
use super::unpack::unpack;
use super::worth::{Rate, delta_pays, lz4_pays};
use crate::protocol::{Command, PageMessage, Rights};

/// Pages that are not compressed after one that compression did not make shorter.
const SPARED: u8 = 16;

/// What a node knows of the pages that it sends and receives.
#[derive(Debug)]
pub(in crate::engine) struct Packer {
    local: NodeId,
    /// The peers that are on this host.
    near: NodeSet,
    size: PageSize,
    options: Parcels,
    origin: Instant,
    speeds: Vec<Speed>,
    /// Requests for pages that this node has sent.
    asked: u64,
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
            near,
            size,
            options: Parcels::PLAIN,
            origin: Instant::now(),
            speeds: Vec::new(),
            asked: 0,
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
                self.asked += 1;
                Ask {
                    base: self.standby.named(page).map(|base| base.digest),
                    squeeze: self.wants_compression(),
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
        let deltas = self.is_wanted(self.options.deltas, to, delta_pays);
        let base = ask.base.filter(|_| deltas);
        let base = base.and_then(|digest| self.standby.find(page, digest));
        let squeeze = match self.options.lz4 {
            When::Never => false,
            When::Always => true,
            When::Pays => ask.squeeze && !self.near.contains(to),
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
        if self.options.lz4 == When::Pays && !self.near.contains(from) {
            let now = self.now();
            let peers = self.speeds.len().max(from.index() + 1);
            self.speeds.resize(peers, Speed::default());
            if let Some(speed) = self.speeds.get_mut(from.index()) {
                speed.arrived(now, payload.len(), self.asked);
            }
        }
        unpack(packing, payload, self.size, self.standby.named(page))
    }

    /// A page crossed the link with `peer`: what it held may be a base later.
    pub(in crate::engine) fn crossed(&mut self, peer: NodeId, page: PageIndex, bytes: &[u8]) {
        if !self.is_wanted(self.options.deltas, peer, delta_pays) {
            return;
        }
        if self.travelled.again(page) || self.standby.contains(page) {
            self.standby.keep(page, bytes);
        }
    }

    fn is_wanted(&self, when: When, peer: NodeId, pays: fn(usize, Rate) -> bool) -> bool {
        match when {
            When::Never => false,
            When::Always => true,
            When::Pays => pays(self.size.bytes(), self.rate(peer)),
        }
    }

    /// Whether a link was seen to be so slow that pages had better come compressed.
    fn wants_compression(&self) -> bool {
        let measured = self.speeds.iter().filter_map(Speed::rate).min();
        measured.is_some_and(|rate| lz4_pays(self.size.bytes(), rate))
    }

    fn rate(&self, peer: NodeId) -> Rate {
        if self.near.contains(peer) {
            return Rate::HOST;
        }
        let speed = self.speeds.get(peer.index());
        speed.and_then(Speed::rate).unwrap_or(Rate::ASSUMED)
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }
}
