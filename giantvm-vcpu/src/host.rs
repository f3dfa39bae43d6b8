//! The traits that both kinds of host implement.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use giantvm_core::{Msi, NodeId, VcpuId};

use crate::error::VcpuError;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::layout::Layout;
use crate::state::{ArchState, StartState};

/// Most pins of the machine's I/O APIC.
pub const IO_APIC_PINS: usize = 24;

/// A longer limit to a pause counts as this.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// The vCPUs that one node gives to the machine, and the way to all others.
///
/// Every method may be called from every thread.
pub trait VcpuHost: Send + Sync + Debug {
    /// Which vCPU of the machine runs on which node, as far as is known here. It changes when vCPUs
    /// [leave](Vcpu::leave), are [adopted](Self::adopt) or [relocated](Self::relocate).
    fn layout(&self) -> Arc<Layout>;

    /// Takes a vCPU of this node, to be run by a thread of the caller's. Each can be taken once.
    ///
    /// # Errors
    /// [`VcpuError::NoSuchVcpu`], [`VcpuError::NotLocal`] or [`VcpuError::Taken`].
    fn take(&self, id: VcpuId) -> Result<Box<dyn Vcpu>, VcpuError>;

    /// Takes over a vCPU of another node, of which `state` is all that it was when it
    /// [left](Vcpu::leave) there: it is this node's from now on, for whoever interrupts it. It
    /// executes nothing before someone runs it. The guest's time-stamp counter is to be `tsc_offset`
    /// ticks ahead of this host's, where that can be had.
    ///
    /// What arrived for the vCPU here and was not forwarded yet is not lost: it is the first that the
    /// vCPU gets.
    ///
    /// # Errors
    /// [`VcpuError::NoSuchVcpu`]; [`VcpuError::IsLocal`] if it is here, or just coming;
    /// [`VcpuError::BadState`] if the state does not fit this host; [`VcpuError::PauseTimeout`] if
    /// other vCPUs of this node could not be stopped for the moment that it takes;
    /// [`VcpuError::Os`]. The vCPU is then where it was.
    fn adopt(
        &self,
        id: VcpuId,
        state: &ArchState,
        tsc_offset: i64,
    ) -> Result<Box<dyn Vcpu>, VcpuError>;

    /// Notes that a vCPU moved from one other node to another.
    ///
    /// # Errors
    /// [`VcpuError::NoSuchVcpu`], or [`VcpuError::IsLocal`] if the vCPU is here or `to` is this node:
    /// those moves are made by [`Vcpu::leave`] and [`adopt`](Self::adopt).
    fn relocate(&self, id: VcpuId, to: NodeId) -> Result<(), VcpuError>;

    /// Interrupts a vCPU: one of this node at once, any other by way of the host's
    /// [`InterruptSink`], which is then called on the caller's thread.
    ///
    /// # Errors
    /// [`VcpuError::NoSuchVcpu`], or [`VcpuError::Os`] if the system refuses.
    fn inject(&self, target: VcpuId, interrupt: Interrupt) -> Result<(), VcpuError>;

    /// Delivers a device's message-signalled interrupt, to vCPUs of any node. A message to a vCPU
    /// of another node reaches the [`InterruptSink`], perhaps on another thread and later.
    ///
    /// # Errors
    /// [`VcpuError::BadMsi`] if the message reaches no vCPU (a guest can cause that), or
    /// [`VcpuError::Os`] if the system refuses.
    fn signal_msi(&self, msi: Msi) -> Result<(), VcpuError>;

    /// Tells the local APICs what a pin of the machine's I/O APIC sends, from 0 up to
    /// [`IO_APIC_PINS`]: every vCPU then comes out with [`Exit::EndOfInterrupt`] when it ends an
    /// interrupt of a level-triggered one. To be called on every node, before the first such
    /// interrupt.
    ///
    /// # Errors
    /// [`VcpuError::Unsupported`] where the host has no such thing or there is no such pin, or
    /// [`VcpuError::Os`].
    fn set_pin(&self, pin: usize, msi: Option<Msi>) -> Result<(), VcpuError>;

    /// Makes the vCPU's [`run`](Vcpu::run), or its next one if it is not in it, return
    /// [`Exit::Kicked`]. Two kicks that meet count as one.
    ///
    /// # Errors
    /// [`VcpuError::NoSuchVcpu`] or [`VcpuError::NotLocal`].
    fn kick(&self, id: VcpuId) -> Result<(), VcpuError>;

    /// Stops all vCPUs of this node where they are: when it returns, none executes guest code, and
    /// [`run`](Vcpu::run) waits for [`resume`](Self::resume) or a kick.
    ///
    /// # Errors
    /// [`VcpuError::PauseTimeout`] if some did not stop within `limit`; all others have, and those
    /// will as soon as they can.
    fn pause(&self, limit: Duration) -> Result<(), VcpuError>;

    /// Lets the vCPUs of this node run on.
    fn resume(&self);
}

/// Where a host sends interrupts for vCPUs of other nodes.
///
/// A sink that holds the host it belongs to should hold it weakly: a host ends its threads when it
/// is dropped.
pub trait InterruptSink: Send + Sync {
    /// A vCPU or device of this node interrupts a vCPU of another. Must not block for long: other
    /// interrupts to the same vCPU wait behind this one.
    fn forward(&self, target: VcpuId, interrupt: Interrupt);

    /// Interrupts to `target` are no longer noticed: the machine has to stop.
    fn failed(&self, target: VcpuId, error: VcpuError);
}

/// One virtual CPU, in the hands of the thread that runs it.
pub trait Vcpu: Send + Debug {
    /// Which vCPU of the machine it is.
    fn id(&self) -> VcpuId;

    /// Resets the vCPU to a start state. A vCPU that never had one is
    /// [waiting for SIPI](StartState::WaitForSipi).
    ///
    /// # Errors
    /// [`VcpuError::Os`] if the system refuses.
    fn set_start(&mut self, start: &StartState) -> Result<(), VcpuError>;

    /// Runs the guest until something has to be done for it. A [kick](VcpuHost::kick) ends it.
    ///
    /// # Errors
    /// [`VcpuError::AccessPending`] if a read was not answered, or [`VcpuError::Os`].
    fn run(&mut self) -> Result<Exit, VcpuError>;

    /// Answers the last read; bits of `value` beyond its size are dropped.
    ///
    /// # Errors
    /// [`VcpuError::NoReadPending`] if the last exit was no read, or it is answered.
    fn finish_read(&mut self, value: u64) -> Result<(), VcpuError>;

    /// Everything the vCPU is. An access that was reported and answered counts as done.
    ///
    /// # Errors
    /// [`VcpuError::AccessPending`] in the middle of an access; [`VcpuError::Unsupported`] where the
    /// host cannot tell; [`VcpuError::Os`].
    fn state(&mut self) -> Result<ArchState, VcpuError>;

    /// Makes the vCPU what [`state`](Self::state) once said, of this vCPU or of its like on
    /// another host.
    ///
    /// # Errors
    /// [`VcpuError::BadState`] if a section does not fit, [`VcpuError::Unsupported`] where the
    /// host cannot do it, [`VcpuError::Os`]. The vCPU is then in no particular state.
    fn set_state(&mut self, state: &ArchState) -> Result<(), VcpuError>;

    /// Gives the vCPU up, to be [adopted](VcpuHost::adopt) by the host of node `to`, or again by this
    /// one. From now on its host treats it as a vCPU of that node: whoever interrupts it meets either
    /// the vCPU, and then the interrupt is in the state, or the [`InterruptSink`].
    ///
    /// # Errors
    /// [`NotLeft`], with the vCPU, which is as it was. [`VcpuError::AccessPending`] in the middle of an
    /// access and [`VcpuError::Busy`] in the middle of a thread vCPU's program, or where KVM may not tell
    /// of a software exception: run on, and try again after the next exit. [`VcpuError::PauseTimeout`] if other vCPUs of this node could not be stopped for the
    /// moment that it takes; [`VcpuError::Os`].
    fn leave(self: Box<Self>, to: NodeId) -> Result<ArchState, NotLeft>;

    /// What is added to the host's time-stamp counter to make the guest's, in ticks.
    ///
    /// # Errors
    /// [`VcpuError::Unsupported`] where the host has no such thing, or [`VcpuError::Os`].
    fn tsc_offset(&self) -> Result<i64, VcpuError>;

    /// Sets what is added to the host's time-stamp counter to make the guest's, in ticks.
    ///
    /// # Errors
    /// [`VcpuError::Unsupported`] where the host has no such thing, or has a KVM that does not do
    /// it; or [`VcpuError::Os`].
    fn set_tsc_offset(&mut self, offset: i64) -> Result<(), VcpuError>;
}

/// A vCPU did not leave its node, and why.
#[derive(Debug, thiserror::Error)]
#[error("vCPU {} stays: {error}", vcpu.id())]
pub struct NotLeft {
    /// The vCPU, to be run on.
    pub vcpu: Box<dyn Vcpu>,
    /// What is in the way.
    #[source]
    pub error: VcpuError,
}

const _: Option<(&dyn VcpuHost, &dyn InterruptSink, &dyn Vcpu)> = None;
