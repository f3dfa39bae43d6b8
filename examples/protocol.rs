//! Which coherence protocol a program runs, as its command line says.

use std::sync::Arc;

use clap::ValueEnum;
use giantvm_core::{Epoch, PageSize};
use giantvm_dsm::engine::{Dsm, DsmOptions, Handlers, StartError};
use giantvm_dsm::protocol::{CoherenceProtocol, Directory, HomeMap, Ivy, Lease};
use giantvm_transport::Transport;

/// How nodes agree on who may read and write which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProtocolKind {
    /// A page's home knows who has copies, and takes them away before another node writes.
    Directory,
    /// A page's last writer knows who has copies; whoever wants it asks where it was last seen.
    Ivy,
    /// Copies are lent for a logical time; a write happens later and takes none of them away.
    Lease,
}

impl ProtocolKind {
    /// The protocol's own name, the same as on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Directory => Directory::NAME,
            Self::Ivy => Ivy::NAME,
            Self::Lease => Lease::NAME,
        }
    }

    /// Starts a node of a cluster whose nodes all run this protocol.
    pub(crate) fn start(
        self,
        transport: Arc<dyn Transport>,
        size: PageSize,
        homes: HomeMap,
        handlers: Handlers,
        options: DsmOptions,
    ) -> Result<Dsm, StartError> {
        let start = match self {
            Self::Directory => Dsm::start_with::<Directory>,
            Self::Ivy => Dsm::start_with::<Ivy>,
            Self::Lease => Dsm::start_with::<Lease>,
        };
        start(transport, Epoch::FIRST, size, homes, handlers, options)
    }
}
