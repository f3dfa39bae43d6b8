//! What nothing on this host can beat as long as everyone blocks in the kernel while waiting: one
//! bare fault, one bare round trip, one bare stream.

mod fault;
mod link;

pub(crate) use link::{RawLink, answer};

use fault::Fault;
use link::Ask;

use crate::sample::Times;

/// The floors of one round.
#[derive(Debug)]
pub(crate) struct Floors {
    /// A fault on a page that is not here, without asking anyone for it.
    pub(crate) missing: Times,
    /// A fault on a page that may only be read, without telling anyone.
    pub(crate) protected: Times,
    /// A request, and a reply with a page.
    pub(crate) page: Times,
    /// A request, and a reply without.
    pub(crate) control: Times,
    /// Mebibytes a second, one way.
    pub(crate) stream: f64,
}

impl Floors {
    /// `count` faults and round trips of each kind, and a stream of `bytes`.
    pub(crate) fn measure(link: &mut RawLink, count: u64, bytes: u64) -> anyhow::Result<Self> {
        Ok(Self {
            missing: fault::times(count, Fault::Missing)?,
            protected: fault::times(count, Fault::Protected)?,
            page: link.round_trips(count, Ask::Page)?,
            control: link.round_trips(count, Ask::Control)?,
            stream: link.stream(bytes)?,
        })
    }

    /// Microseconds of getting a page from another node: a fault and a round trip.
    pub(crate) fn fetch(&self, percent: usize) -> f64 {
        self.missing.percentile(percent) + self.page.percentile(percent)
    }

    /// Microseconds of getting the right to write from another node.
    pub(crate) fn upgrade(&self, percent: usize) -> f64 {
        self.protected.percentile(percent) + self.control.percentile(percent)
    }

    /// Round trips a second of a page that is fetched once each way.
    pub(crate) fn ping_pong(&self) -> f64 {
        1e6 / (2.0 * self.fetch(50))
    }
}
