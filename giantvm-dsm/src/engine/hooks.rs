//! How the engine speaks to the program around it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use giantvm_core::wire::{Frame, Service};
use giantvm_core::{NodeId, PageIndex};
use giantvm_transport::Loss;

use super::stats::FaultKind;
use crate::backing::BackingError;
use crate::protocol::Access;

/// Takes the frames of one service, on the pump thread.
///
/// Must not block and must not touch the shared memory: while it does, no page moves.
pub trait FrameHandler: Send + Sync {
    /// Handles one frame.
    ///
    /// # Errors
    /// [`Refusal`] if no sound peer sends this: the link to its sender ends.
    fn frame(&self, frame: &Frame) -> Result<(), Refusal>;
}

/// Why a handler refused a peer's frame: any error, for its text.
pub type Refusal = Box<dyn std::error::Error + Send + Sync>;

/// Is told when the shared memory is no longer whole, on the pump thread. Must not block.
pub trait Watcher: Send + Sync {
    /// A peer is gone. Pages whose last value it alone held will never be mapped again; threads
    /// that touch them wait for ever, so the program has to stop them.
    fn lost(&self, node: NodeId, loss: &Loss);

    /// A peer is gone that had [left](super::Dsm::depart): nothing of the shared memory is lost.
    fn gone(&self, node: NodeId, loss: &Loss) {
        tracing::info!(%node, ?loss, "a node that had left is gone");
    }

    /// This node cannot serve its memory any more.
    fn failed(&self, error: &BackingError);
}

/// A thread's fault that another node had to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServedFault {
    /// The page.
    pub page: PageIndex,
    /// What was needed. If a load and a store waited for one page, both are the store's kind.
    pub kind: FaultKind,
    /// The system's number of the thread; 0 if it is not known.
    pub thread: u32,
    /// What this thread tried to do.
    pub access: Access,
    /// How long it waited: from when the pump read of the fault until it woke the thread.
    pub stall: Duration,
}

/// Is told of faults of local threads that other nodes answered, on the pump thread, when the
/// thread is woken. Must not block.
pub trait FaultWatcher: Send + Sync {
    /// A fault was answered.
    fn served(&self, fault: &ServedFault);
}

/// The frame handlers of a node, at most one a service, and its watcher.
#[derive(Clone, Default)]
pub struct Handlers {
    by_service: [Option<Arc<dyn FrameHandler>>; Service::ALL.len()],
    watcher: Option<Arc<dyn Watcher>>,
    faults: Option<Arc<dyn FaultWatcher>>,
}

impl Handlers {
    /// Gives the frames of `service` to `handler`.
    ///
    /// [`Service::Link`] never reaches a handler, and [`Service::Dsm`] is the engine's own.
    #[must_use]
    pub fn on(mut self, service: Service, handler: Arc<dyn FrameHandler>) -> Self {
        self.by_service[service as usize] = Some(handler);
        self
    }

    /// Tells `watcher` of losses and failures.
    #[must_use]
    pub fn watch(mut self, watcher: Arc<dyn Watcher>) -> Self {
        self.watcher = Some(watcher);
        self
    }

    /// Tells `watcher` of faults. Without one, none of them is looked at.
    #[must_use]
    pub fn on_faults(mut self, watcher: Arc<dyn FaultWatcher>) -> Self {
        self.faults = Some(watcher);
        self
    }

    pub(super) fn faults(&self) -> FaultWatch {
        FaultWatch(self.faults.clone())
    }

    pub(super) fn handler(&self, service: Service) -> Option<&dyn FrameHandler> {
        self.by_service[service as usize].as_deref()
    }

    pub(super) fn watcher(&self) -> Option<&dyn Watcher> {
        self.watcher.as_deref()
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services = Service::ALL
            .into_iter()
            .filter(|&service| self.handler(service).is_some());
        f.debug_struct("Handlers")
            .field("services", &services.collect::<Vec<_>>())
            .field("watcher", &self.watcher.is_some())
            .field("faults", &self.faults.is_some())
            .finish()
    }
}

/// Who is told of faults; nobody at first.
#[derive(Clone, Default)]
pub(super) struct FaultWatch(Option<Arc<dyn FaultWatcher>>);

impl FaultWatch {
    pub(super) fn served(&self, fault: &ServedFault) {
        if let Some(watcher) = &self.0 {
            watcher.served(fault);
        }
    }
}

impl fmt::Debug for FaultWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FaultWatch")
            .field(&self.0.is_some())
            .finish()
    }
}
