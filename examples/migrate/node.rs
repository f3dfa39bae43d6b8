//! Nodes of distributed memory, on the ends of a link.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, anyhow};
use giantvm_core::{NodeId, PageSize};
use giantvm_dsm::backing::BackingError;
use giantvm_dsm::engine::{Dsm, DsmOptions, Handlers, Watcher};
use giantvm_dsm::protocol::HomeMap;
use giantvm_transport::{Loss, Transport};

use crate::link::PATIENCE;
use crate::protocol::ProtocolKind;
use crate::vm::Size;

/// What both nodes have in common.
pub(crate) struct Shared {
    pub(crate) size: Size,
    pub(crate) protocol: ProtocolKind,
    pub(crate) options: DsmOptions,
    /// The home of all pages.
    pub(crate) home: NodeId,
    /// Whether the nodes part because something else went wrong, of which the caller tells.
    pub(crate) parting: Arc<AtomicBool>,
}

/// Ends the process: a thread that waits for a page that never comes would not.
struct Loud(Arc<AtomicBool>);

impl Watcher for Loud {
    fn lost(&self, node: NodeId, loss: &Loss) {
        if self.0.load(Ordering::Acquire) {
            return;
        }
        eprintln!("node {node} was lost: {loss}");
        std::process::abort();
    }

    fn failed(&self, error: &BackingError) {
        eprintln!("a node cannot serve its memory: {error}");
        std::process::abort();
    }
}

/// Starts the node of an end.
pub(crate) fn start(end: &Arc<dyn Transport>, shared: &Shared) -> anyhow::Result<Dsm> {
    let homes = HomeMap::even(shared.size.pages(), [shared.home]);
    let watcher = Loud(Arc::clone(&shared.parting));
    let handlers = Handlers::default().watch(Arc::new(watcher));
    let end = Arc::clone(end);
    let dsm = shared
        .protocol
        .start(end, PageSize::K4, homes, handlers, shared.options);
    dsm.context("`cargo run --release --example doctor` says what this host lacks")
}

/// Ends both at the same time, since either serves the other until then.
pub(crate) fn finish(nodes: [Dsm; 2]) -> anyhow::Result<()> {
    let [first, second] = nodes;
    std::thread::scope(|scope| {
        let other = scope.spawn(|| second.finish(PATIENCE));
        first.finish(PATIENCE)?;
        other.join().map_err(|_| anyhow!("a node panicked"))??;
        Ok(())
    })
}
