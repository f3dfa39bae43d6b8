//! What nothing on this host can beat: one bare fault, one bare round trip, one bare stream, from
//! the same processes on the same processors as the nodes.

mod fault;
mod ring;
mod swap;
mod tcp;
mod walk;
mod wire;

pub(crate) use fault::{Fault, times as faults};
pub(crate) use ring::Memory;
pub(crate) use wire::{Wait, answer};

use std::net::TcpListener;
use std::time::Duration;

use ring::{Rings, Use};
use swap::Swap;
use tcp::Tcp;
use walk::Walked;
use wire::{RawLink, Trips};

use crate::cli::Cli;
use crate::far::FarSide;
use crate::pair::Over;
use crate::sample::Times;
use crate::workload::Touch;

/// The near ends of what floors are measured on.
#[derive(Debug)]
pub(crate) struct Raw {
    tcp: RawLink<Tcp>,
    ring: RawLink<Rings>,
    swap: Swap,
    walked: Walked,
}

impl Raw {
    pub(crate) fn accept(
        listener: &TcpListener,
        memory: &Memory,
        far: &mut FarSide,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            tcp: RawLink(Tcp::accept(listener, far)?),
            ring: RawLink(memory.near(Use::Trips)?),
            swap: Swap::near(memory)?,
            walked: Walked::near(memory)?,
        })
    }

    /// Mebibytes a second of a bare stream, by the faster way to wait.
    pub(crate) fn stream(&mut self, over: Over, bytes: u64) -> std::io::Result<f64> {
        match over {
            Over::Shm => self.ring.best_stream(bytes),
            Over::Tcp => self.tcp.best_stream(bytes),
        }
    }

    /// Mebibytes a second of a thread that walks over `pages` of the far end, over a ring without nodes.
    pub(crate) fn walk(&mut self, pages: u64, touch: Touch) -> anyhow::Result<f64> {
        self.ring.best_walk(&mut self.walked, pages, touch)
    }

    /// Tells the far ends that nothing comes any more.
    pub(crate) fn end(&mut self) -> std::io::Result<()> {
        self.tcp.end()?;
        self.ring.end()
    }
}

/// The floors of one round.
#[derive(Debug)]
pub(crate) struct Floors {
    /// A load from a page that is not here, without asking anyone for it.
    pub(crate) missing: Times,
    /// A store to a page that is not here.
    pub(crate) absent: Times,
    /// A store to a page that may only be read, without telling anyone.
    pub(crate) protected: Times,
    /// Taking a page that may be read.
    pub(crate) unmaps: Times,
    pub(crate) tcp: Trips,
    pub(crate) ring: Trips,
    /// Handovers a second of a page that a thread of each process writes as often as it can.
    pub(crate) swaps: f64,
    /// What the nodes talk over.
    over: Over,
}

/// The least that one kind of remote fault can take.
#[derive(Debug)]
pub(crate) struct Floor {
    /// A fault and a round trip each, sample by sample.
    pub(crate) sums: Times,
    /// The sum of the medians, in microseconds.
    pub(crate) p50: f64,
}

impl Floor {
    /// Of the two ways to wait for the round trip, the faster.
    fn of(fault: &Times, trips: [&Times; 2]) -> Self {
        let [busy, blocking] = trips.map(|trip| Self {
            sums: fault.plus(trip),
            p50: fault.median() + trip.median(),
        });
        if busy.p50 <= blocking.p50 {
            busy
        } else {
            blocking
        }
    }
}

impl Floors {
    /// Everything once, with streams of `bytes`.
    pub(crate) fn measure(raw: &mut Raw, cli: &Cli, bytes: u64) -> anyhow::Result<Self> {
        let count = cli.pages;
        Ok(Self {
            over: cli.transport,
            missing: fault::times(count, Fault::Missing)?,
            absent: fault::times(count, Fault::Absent)?,
            protected: fault::times(count, Fault::Protected)?,
            unmaps: fault::unmaps(count)?,
            tcp: raw.tcp.trips(count, bytes)?,
            ring: raw.ring.trips(count, bytes)?,
            swaps: raw
                .ring
                .swaps(&mut raw.swap, Duration::from_millis(cli.writing))?,
        })
    }

    /// What the nodes' transport is compared with.
    pub(crate) const fn transport(&self) -> &Trips {
        match self.over {
            Over::Shm => &self.ring,
            Over::Tcp => &self.tcp,
        }
    }

    /// Of getting a page from another node to read it.
    pub(crate) fn read(&self) -> Floor {
        Floor::of(&self.missing, self.transport().pages())
    }

    /// Of getting a page from another node to write it.
    pub(crate) fn write(&self) -> Floor {
        Floor::of(&self.absent, self.transport().pages())
    }

    /// Of getting the right to write from another node.
    pub(crate) fn upgrade(&self) -> Floor {
        Floor::of(&self.protected, self.transport().controls())
    }

    /// Handovers a second of a page that nodes fetch from one another.
    pub(crate) fn handovers(&self) -> f64 {
        1e6 / self.write().p50
    }
}
