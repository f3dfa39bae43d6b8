//! Two nodes that change and read pages by turns.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::ValueEnum;
use giantvm_core::{Epoch, NodeId, PageIndex, PageSize};
use giantvm_dsm::engine::parcel::{Packing, ParcelStats, Parcels, When};
use giantvm_dsm::engine::{Dsm, DsmOptions, Handlers};
use giantvm_dsm::protocol::HomeMap;
use giantvm_dsm::view::Region;
use giantvm_transport::tcp::TcpConnector;
use giantvm_transport::{JoinConfig, NodeEntry, SameHost, Transport, inproc, join_blocking};
use serde::Serialize;

use crate::protocol::ProtocolKind;

/// Words of a page.
const WORDS: usize = 512;
/// Pages that are used in turn, so that none still rests from the turn before.
const PAGES: u64 = 16;
/// Turns of each page before those that count: a page is worth a copy once it has travelled twice.
const WARM_UP: u64 = 3;
const PATIENCE: Duration = Duration::from_secs(30);

/// What the nodes talk over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Link {
    /// A queue in this process.
    Inproc,
    /// Memory that they share.
    Shm,
    /// TCP on loopback.
    Tcp,
}

/// What the page holds, and how it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Contents {
    Zero,
    Sparse,
    Dense,
    Random,
}

impl Contents {
    pub(crate) const ALL: [Self; 4] = [Self::Zero, Self::Sparse, Self::Dense, Self::Random];

    /// What word `at` of a page holds in a turn.
    fn word(self, turn: u64, at: usize) -> u64 {
        let small = at as u64 * 37 % 1000 + 1;
        match self {
            Self::Zero => 0,
            Self::Sparse if at == 100 => turn + 1,
            Self::Dense if at.is_multiple_of(16) => turn + small,
            Self::Sparse | Self::Dense => small,
            Self::Random => noise(turn * WORDS as u64 + at as u64),
        }
    }
}

/// A number that looks like no other.
fn noise(of: u64) -> u64 {
    let mut z = of.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// How pages are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    Plain,
    Zero,
    Delta,
    Lz4,
    Auto,
}

impl Mode {
    pub(crate) const ALL: [Self; 5] = [Self::Plain, Self::Zero, Self::Delta, Self::Lz4, Self::Auto];

    fn parcels(self) -> Parcels {
        let mut parcels = Parcels::PLAIN;
        match self {
            Self::Plain => {}
            Self::Zero => parcels.zeroes = true,
            Self::Delta => (parcels.deltas, parcels.standby) = (When::Always, 4 << 20),
            Self::Lz4 => parcels.lz4 = When::Always,
            Self::Auto => parcels = Parcels::AUTO,
        }
        parcels
    }
}

/// What came out for one kind of page and one way to pack it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) contents: Contents,
    pub(crate) mode: Mode,
    /// Bytes sent for a page, without the frame around them.
    pub(crate) page_bytes: f64,
    /// All bytes sent by both nodes for a read fault and the change before it.
    pub(crate) wire_bytes: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// How pages were packed most often.
    pub(crate) packing: String,
}

/// What was seen so far of one kind of page and one way to pack it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    times_us: Vec<f64>,
    moved: [u64; Packing::ALL.len()],
    packed: u64,
    sent: u64,
}

impl Measured {
    pub(crate) fn row(mut self, contents: Contents, mode: Mode) -> Row {
        self.times_us.sort_by(f64::total_cmp);
        let last = self.times_us.len().saturating_sub(1);
        let percentile = |percent: usize| self.times_us.get(last * percent / 100);
        let percentile = |percent| percentile(percent).copied().unwrap_or_default();
        let pages = self.moved.iter().sum::<u64>().max(1);
        let counts = Packing::ALL.into_iter().zip(self.moved);
        let most = counts.max_by_key(|&(_, count)| count);
        Row {
            contents,
            mode,
            page_bytes: self.packed as f64 / pages as f64,
            wire_bytes: self.sent as f64 / self.times_us.len().max(1) as f64,
            p50_us: percentile(50),
            p99_us: percentile(99),
            packing: most.map_or_else(String::new, |(packing, _)| format!("{packing:?}")),
        }
    }
}

/// The two nodes' ends, the writer's first.
fn ends(link: Link) -> anyhow::Result<[Arc<dyn Transport>; 2]> {
    let limits = giantvm_core::wire::Limits::for_pages(PageSize::K4);
    if link == Link::Inproc {
        let ends = inproc::cluster(2, Epoch::FIRST, limits)?;
        let ends: Vec<_> = ends
            .into_iter()
            .map(|end| end as Arc<dyn Transport>)
            .collect();
        return ends.try_into().ok().context("two ends");
    }
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr();
    let addresses = [listen()?, listen()?];
    let config = |local: NodeId| {
        let nodes = ["a", "b"].into_iter().zip(addresses);
        let nodes = nodes.map(|(name, address)| NodeEntry {
            name: name.into(),
            address: address.to_string(),
        });
        let mut config = JoinConfig::new("page-bytes", nodes.collect(), local);
        config.deadline = PATIENCE;
        config.same_host = match link {
            Link::Shm => SameHost::Share,
            Link::Inproc | Link::Tcp => SameHost::Sockets,
        };
        config
    };
    let join = |local: NodeId| join_blocking(&TcpConnector::new(config(local)), &|_| ());
    std::thread::scope(|scope| {
        let other = scope.spawn(|| join(NodeId::new(1)?).context("node b"));
        let first: Arc<dyn Transport> = join(NodeId::ZERO)?;
        let other: Arc<dyn Transport> = other.join().expect("it does not panic")?;
        Ok([first, other])
    })
}

/// Lets the writer change pages and the reader read them, so often.
pub(crate) fn measure(
    protocol: ProtocolKind,
    link: Link,
    (contents, mode): (Contents, Mode),
    faults: u64,
    so_far: &mut Measured,
) -> anyhow::Result<()> {
    let ends = ends(link)?;
    let mut options = DsmOptions::default();
    (options.parcels, options.read_ahead, options.migratory) = (mode.parcels(), 0, false);
    let start = |end: &Arc<dyn Transport>| {
        let homes = HomeMap::even(PAGES, [NodeId::ZERO]);
        let (size, handlers) = (PageSize::K4, Handlers::default());
        protocol.start(Arc::clone(end), size, homes, handlers, options)
    };
    let [writer, reader] = [start(&ends[0])?, start(&ends[1])?];
    let pages = |dsm: &Dsm| -> anyhow::Result<Vec<Region<[AtomicU64; WORDS]>>> {
        let pages = (0..PAGES).map(|page| Region::new(dsm.mapping(), PageIndex(page)));
        Ok(pages.collect::<Result<_, _>>()?)
    };
    let (written, read) = (pages(&writer)?, pages(&reader)?);
    let bytes = || ends.iter().map(|end| end.traffic().bytes_sent).sum::<u64>();
    let (mut cost, mut sent) = (ParcelStats::default(), 0);
    for turn in 0..WARM_UP * PAGES + faults {
        if turn == WARM_UP * PAGES {
            (cost, sent) = (writer.stats().parcels, bytes());
        }
        let page = usize::try_from(turn % PAGES)?;
        for (at, word) in written[page].iter().enumerate() {
            let value = contents.word(turn, at);
            // A store in any case, as the page has to be the writer's alone.
            if at == 0 || word.load(Ordering::Relaxed) != value {
                word.store(value, Ordering::Relaxed);
            }
        }
        let start = Instant::now();
        let first = read[page][0].load(Ordering::Relaxed);
        if turn >= WARM_UP * PAGES {
            so_far
                .times_us
                .push(start.elapsed().as_nanos() as f64 / 1e3);
        }
        ensure!(
            first == contents.word(turn, 0),
            "the reader sees the change"
        );
    }
    let after = writer.stats().parcels;
    for (all, packing) in so_far.moved.iter_mut().zip(Packing::ALL) {
        *all += after.count(packing) - cost.count(packing);
    }
    so_far.packed += after.packed - cost.packed;
    so_far.sent += bytes() - sent;
    drop((written, read));
    std::thread::scope(|scope| {
        let other = scope.spawn(|| reader.finish(PATIENCE));
        writer.finish(PATIENCE)?;
        other.join().expect("it does not panic")
    })?;
    Ok(())
}
