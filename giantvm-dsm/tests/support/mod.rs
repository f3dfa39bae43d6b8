//! Several nodes in one process, each with its own real memory.

mod loud;

use std::sync::Arc;
use std::time::Duration;

use giantvm_core::testing::skip;
use giantvm_core::wire::Limits;
use giantvm_core::{Epoch, NodeId, PageIndex, PageSize};
use giantvm_dsm::engine::{Dsm, DsmStats, Handlers};
use giantvm_dsm::protocol::{CoherenceProtocol, HomeMap};
use giantvm_dsm::sync::{Barrier, OwnPages};
use giantvm_dsm::uffd::Support;
use giantvm_dsm::view::Region;
use giantvm_transport::{Transport, inproc};
use zerocopy::FromBytes;

use self::loud::Loud;

const PATIENCE: Duration = Duration::from_secs(60);

/// What the nodes share, and two barriers on the first pages.
#[derive(Debug, FromBytes)]
#[repr(C)]
pub(crate) struct Shared<T> {
    start: OwnPages<Barrier>,
    end: OwnPages<Barrier>,
    pub(crate) body: T,
}

impl<T> Shared<T> {
    /// Waits until a thread of each node is here.
    pub(crate) fn meet(&self, nodes: u8) {
        self.start.wait(nodes.into());
    }
}

/// Runs `work` on `nodes` nodes, each with its own memory, and returns what each gave and counted.
pub(crate) fn on_nodes<P, T, R>(
    test: &str,
    nodes: u8,
    work: impl Fn(u8, &Shared<T>) -> R + Sync,
) -> Option<Vec<(R, DsmStats)>>
where
    P: CoherenceProtocol,
    T: FromBytes + Sync + 'static,
    R: Send,
{
    if !Support::probe().missing() {
        skip(test, "userfaultfd is not usable");
        return None;
    }
    let limits = Limits::for_pages(PageSize::K4);
    let transports = inproc::cluster(nodes.into(), Epoch::FIRST, limits);
    let transports = transports.expect("a cluster of this size");
    std::thread::scope(|scope| {
        let node = |transport: Arc<inproc::InprocTransport>| {
            let work = &work;
            scope.spawn(move || on_node::<P, T, R>(transport, nodes, work))
        };
        let threads: Vec<_> = transports.into_iter().map(node).collect();
        Some(threads.into_iter().map(|t| t.join().unwrap()).collect())
    })
}

/// Runs `work` on this process's node.
pub(crate) fn on_node<P, T, R>(
    transport: Arc<dyn Transport>,
    nodes: u8,
    work: impl Fn(u8, &Shared<T>) -> R,
) -> (R, DsmStats)
where
    P: CoherenceProtocol,
    T: FromBytes + Sync + 'static,
{
    let number = transport.local().get();
    let size = PageSize::K4;
    let pages = size.pages_for(size_of::<Shared<T>>() as u64);
    let homes = HomeMap::even(pages, NodeId::first(nodes.into()));
    let handlers = Handlers::default().watch(Arc::new(Loud));
    let dsm = Dsm::start::<P>(transport, Epoch::FIRST, size, homes, handlers).unwrap();
    let shared: Region<Shared<T>> = Region::new(dsm.mapping(), PageIndex(0)).unwrap();
    shared.meet(nodes);
    let result = work(number, &shared);
    shared.end.wait(nodes.into());
    let stats = dsm.stats();
    drop(shared);
    dsm.finish(PATIENCE).unwrap();
    (result, stats)
}
