//! The host of thread vCPUs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use giantvm_core::{Msi, NodeId, VcpuId};

use super::cell::Cell;
use super::cpu::{Start, ThreadCpu};
use super::state;
use super::vcpu::ThreadVcpu;
use crate::clock::GuestClock;
use crate::error::VcpuError;
use crate::host::{InterruptSink, LONGEST_PAUSE, Vcpu, VcpuHost};
use crate::interrupt::Interrupt;
use crate::layout::{Layout, Places};
use crate::state::ArchState;

/// What every vCPU of a [`ThreadHost`] runs from its start on, like the one memory image of a
/// machine; programs tell their vCPUs apart by [`ThreadCpu::id`].
pub type Program = dyn Fn(&ThreadCpu) + Send + Sync;

/// The vCPUs of one node, each a thread that runs a closure.
///
/// ```
/// use std::sync::Arc;
/// use giantvm_core::{GuestAddress, NodeId, VcpuId};
/// use giantvm_vcpu::thread::{ThreadCpu, ThreadHost};
/// use giantvm_vcpu::clock::GuestClock;
/// use giantvm_vcpu::{
///     AccessSize, Exit, Interrupt, InterruptSink, Layout, StartState, Vcpu, VcpuError, VcpuHost,
/// };
///
/// struct Alone;
/// impl InterruptSink for Alone {
///     fn forward(&self, _: VcpuId, _: Interrupt) {}
///     fn failed(&self, _: VcpuId, _: VcpuError) {}
/// }
///
/// let layout = Layout::new(NodeId::ZERO, vec![NodeId::ZERO])?;
/// let program = |cpu: &ThreadCpu| cpu.port_write(0x3f8, AccessSize::Byte, u32::from(b'!'));
/// let clock = Arc::new(GuestClock::new());
/// let host = ThreadHost::new(layout, Arc::new(Alone), clock, Arc::new(program));
/// let mut vcpu = host.take(VcpuId::BOOT)?;
/// let (rip, rsp, cr3, rdi, rsi) = (0, 0, GuestAddress(0), 0, 0);
/// vcpu.set_start(&StartState::LongMode { rip, rsp, cr3, rdi, rsi })?;
/// let (port, size) = (0x3f8, AccessSize::Byte);
/// assert_eq!(vcpu.run()?, Exit::PortWrite { port, size, value: 33 });
/// assert_eq!(vcpu.run()?, Exit::Finished);
/// # Ok::<(), VcpuError>(())
/// ```
#[derive(Debug)]
pub struct ThreadHost {
    shared: Arc<Shared>,
    taken: Mutex<Vec<bool>>,
}

/// What all vCPUs of a host share.
pub(super) struct Shared {
    pub(super) places: Places,
    /// Held by who interrupts a vCPU of this node; for writing while one comes or goes, so that nobody
    /// finds its cell when it has left that.
    pub(super) senders: RwLock<()>,
    pub(super) clock: Arc<GuestClock>,
    pub(super) program: Arc<Program>,
    sink: Arc<dyn InterruptSink>,
    /// One a vCPU of the whole machine; those of other nodes are empty.
    cells: Vec<Cell<Start>>,
}

impl Shared {
    /// The cell of a vCPU of the machine.
    pub(super) fn cell(&self, id: VcpuId) -> &Cell<Start> {
        &self.cells[id.index()]
    }

    /// Interrupts a vCPU of the machine.
    pub(super) fn inject(&self, target: VcpuId, interrupt: Interrupt) {
        let senders = self.senders.read().unwrap_or_else(PoisonError::into_inner);
        if self.places.now().is_local(target) {
            let init = || (target == VcpuId::BOOT).then_some(Start::Reset);
            self.cell(target).interrupt(interrupt, init, Start::Sipi);
        } else {
            drop(senders);
            self.sink.forward(target, interrupt);
        }
    }

    /// Takes a vCPU of this node out of its cell, if it can be moved now.
    pub(super) fn give_up(&self, id: VcpuId, to: NodeId) -> Option<ArchState> {
        let _senders = self.senders.write().unwrap_or_else(PoisonError::into_inner);
        let still = self.cell(id).leave()?;
        self.places.set(id, to);
        Some(state::of(&still))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}

impl ThreadHost {
    /// A host whose vCPUs run `program` and read the time from `clock`.
    #[must_use]
    pub fn new(
        layout: Layout,
        sink: Arc<dyn InterruptSink>,
        clock: Arc<GuestClock>,
        program: Arc<Program>,
    ) -> Self {
        let cells = layout.all().map(|_| Cell::new()).collect();
        let taken = Mutex::new(vec![false; layout.count()]);
        let shared = Shared {
            places: Places::new(layout),
            senders: RwLock::new(()),
            clock,
            program,
            sink,
            cells,
        };
        Self {
            shared: Arc::new(shared),
            taken,
        }
    }

    fn local(&self) -> Vec<&Cell<Start>> {
        let layout = self.shared.places.now();
        layout.local().map(|id| self.shared.cell(id)).collect()
    }

    fn vcpu(&self, id: VcpuId) -> Box<dyn Vcpu> {
        let shared = Arc::clone(&self.shared);
        Box::new(ThreadVcpu { id, shared })
    }
}

impl VcpuHost for ThreadHost {
    fn layout(&self) -> Arc<Layout> {
        self.shared.places.now()
    }

    fn take(&self, id: VcpuId) -> Result<Box<dyn Vcpu>, VcpuError> {
        self.shared.places.now().require_local(id)?;
        let mut taken = self.taken.lock().expect("no panic under this lock");
        match std::mem::replace(&mut taken[id.index()], true) {
            true => Err(VcpuError::Taken(id)),
            false => Ok(self.vcpu(id)),
        }
    }

    fn adopt(&self, id: VcpuId, state: &ArchState, _: i64) -> Result<Box<dyn Vcpu>, VcpuError> {
        let still = state::read(state)?;
        let senders = &self.shared.senders;
        let _senders = senders.write().unwrap_or_else(PoisonError::into_inner);
        let layout = self.shared.places.now();
        layout.require_remote(id)?;
        self.shared.cell(id).arrive(still);
        self.shared.places.set(id, layout.node());
        Ok(self.vcpu(id))
    }

    fn relocate(&self, id: VcpuId, to: NodeId) -> Result<(), VcpuError> {
        let senders = &self.shared.senders;
        let _senders = senders.write().unwrap_or_else(PoisonError::into_inner);
        let layout = self.shared.places.now();
        layout.require_remote(id)?;
        if to == layout.node() {
            return Err(VcpuError::IsLocal(id));
        }
        self.shared.places.set(id, to);
        Ok(())
    }

    fn inject(&self, target: VcpuId, interrupt: Interrupt) -> Result<(), VcpuError> {
        let known = self.shared.places.now().node_of(target);
        known.ok_or(VcpuError::NoSuchVcpu(target))?;
        self.shared.inject(target, interrupt);
        Ok(())
    }

    fn signal_msi(&self, msi: Msi) -> Result<(), VcpuError> {
        // Physical destinations only: programs have no logical ids.
        let (target, interrupt) = Interrupt::from_msi(msi).ok_or(VcpuError::BadMsi { msi })?;
        self.inject(target, interrupt)
            .map_err(|_| VcpuError::BadMsi { msi })
    }

    fn set_pin(&self, _: usize, _: Option<Msi>) -> Result<(), VcpuError> {
        Err(VcpuError::Unsupported {
            host: "a host of threads",
            what: "end level-triggered interrupts",
        })
    }

    fn kick(&self, id: VcpuId) -> Result<(), VcpuError> {
        self.shared.places.now().require_local(id)?;
        self.shared.cell(id).kick();
        Ok(())
    }

    fn pause(&self, limit: Duration) -> Result<(), VcpuError> {
        let deadline = Instant::now() + limit.min(LONGEST_PAUSE);
        let layout = self.shared.places.now();
        for id in layout.local() {
            self.shared.cell(id).pause();
        }
        let still = |id: &VcpuId| !self.shared.cell(*id).wait_still(deadline);
        let running: Vec<_> = layout.local().filter(still).collect();
        match running.is_empty() {
            true => Ok(()),
            false => Err(VcpuError::PauseTimeout { running, limit }),
        }
    }

    fn resume(&self) {
        self.local().into_iter().for_each(Cell::resume);
    }
}

impl Drop for ThreadHost {
    fn drop(&mut self) {
        // Threads end at their next call; a program may compute for as long as it likes.
        self.local().into_iter().for_each(Cell::close);
    }
}
