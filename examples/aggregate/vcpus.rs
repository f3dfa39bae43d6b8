//! The threads that run this node's vCPUs.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use giantvm_core::AccessSize;
use giantvm_guest::abi;
use giantvm_guest::threads::word::OVER;
use giantvm_io::ioapic::Lines;
use giantvm_io::machine::{Cause, Stop};
use giantvm_io::{Access, AccessError, Bus, Origin, Outcome, Space};
use giantvm_vcpu::migration::Mover;
use giantvm_vcpu::{Exit, Vcpu, VcpuError, VcpuHost};

use crate::address_map::AddressMap;
use crate::lifecycle::LifecycleDriver;
use crate::scheduling::Desk;
use crate::stalls::VcpuThreads;
use crate::timekeeper::Timekeeper;

/// Turns of a waiting vCPU that only yield; after them it also sleeps for [`NAP`].
const YIELDS: u32 = 4;
/// Long enough for the one that is waited for to get on, short beside a remote fault.
const NAP: Duration = Duration::from_micros(50);

/// What a vCPU thread works with.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) host: Arc<dyn VcpuHost>,
    pub(crate) mover: Arc<Mover>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) lifecycle: Arc<LifecycleDriver>,
    pub(crate) timekeeper: Arc<Timekeeper>,
    /// Where guest memory is.
    pub(crate) map: AddressMap,
    /// Interrupt lines, if the machine's devices have any.
    pub(crate) lines: Option<Arc<Lines>>,
    /// Where a vCPU that carries threads asks for the next one.
    pub(crate) desk: Option<Arc<Desk>>,
    /// Whether the guest says by a port that a vCPU waits.
    pub(crate) relaxes: bool,
    /// Which thread is which vCPU.
    pub(crate) threads: Arc<VcpuThreads>,
}

/// Starts a thread for `vcpu`, which runs until the machine stops or the vCPU leaves this node.
pub(crate) fn spawn(context: Context, vcpu: Box<dyn Vcpu>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(format!("vcpu-{}", vcpu.id()))
        .spawn(move || {
            let id = vcpu.id();
            context.threads.enter(id);
            if let Err(error) = run(&context, vcpu) {
                tracing::error!(%error, vcpu = %id, "a vCPU failed");
                eprintln!("aggregate: vCPU {id}: {error}");
                context.lifecycle.fail();
            }
            context.threads.leave();
            context.lifecycle.vcpu_ended();
        })
}

fn run(context: &Context, mut vcpu: Box<dyn Vcpu>) -> Result<(), VcpuError> {
    let origin = Origin {
        node: context.host.layout().node(),
        vcpu: vcpu.id(),
    };
    let access =
        |space, address, size, write| access(&context.bus, origin, space, address, size, write);
    let (mut waited, mut tsc_offset) = (0, None);
    loop {
        let wanted = context.timekeeper.tsc_offset();
        // The first time in any case: KVM has every machine's counters start at zero.
        if Some(wanted) != tsc_offset {
            // What cannot be done is said once.
            let first = tsc_offset.is_none_or(|before| before == 0);
            shift_counter(&mut *vcpu, wanted, first)?;
            tsc_offset = Some(wanted);
        }
        let turn = std::mem::take(&mut waited);
        match vcpu.run()? {
            Exit::PortWrite { port, .. } if context.relaxes && port == abi::PORT_RELAX => {
                relax(turn);
                waited = turn + 1;
            }
            Exit::PortWrite { port, size, value } => {
                access(Space::Port, port.into(), size, Some(value.into()));
            }
            Exit::PortRead { port, size } => {
                let value = access(Space::Port, port.into(), size, None);
                vcpu.finish_read(value)?;
            }
            Exit::MemoryRead { address, .. } | Exit::MemoryWrite { address, .. }
                if context.map.contains(address) =>
            {
                // KVM takes memory that is gone for a device's: its page was lost with a node.
                eprintln!(
                    "aggregate: vCPU {} touched memory that is gone, at {:#x}",
                    origin.vcpu, address.0
                );
                context.lifecycle.fail();
            }
            Exit::MemoryWrite {
                address,
                size,
                value,
            } => {
                access(Space::Memory, address.0, size, Some(value));
            }
            Exit::MemoryRead { address, .. }
                if context.desk.is_some() && Desk::offset(address.0).is_some() =>
            {
                let offset = Desk::offset(address.0);
                let told = context.desk.as_ref().zip(offset);
                let told = told.map_or(OVER, |(desk, offset)| desk.report(origin.vcpu, offset));
                vcpu.finish_read(told)?;
            }
            Exit::MemoryRead { address, size } => {
                let value = access(Space::Memory, address.0, size, None);
                vcpu.finish_read(value)?;
            }
            Exit::EndOfInterrupt { vector } => {
                if let Some(lines) = &context.lines {
                    lines.end_of_interrupt(vector);
                }
            }
            Exit::Kicked | Exit::Finished => {}
            Exit::Shutdown => {
                context
                    .lifecycle
                    .stop(Stop::by_vcpu(origin, Cause::TripleFault));
            }
            Exit::Failed(failure) => {
                // Memory that went with a lost node is that loss' doing, and is reported as such.
                if context.lifecycle.reason().is_none() {
                    eprintln!("aggregate: vCPU {}: {failure}", origin.vcpu);
                }
                context.lifecycle.fail();
            }
        }
        if context.lifecycle.reason().is_some() {
            return Ok(());
        }
        if context.mover.wants(origin.vcpu) {
            vcpu = match context.mover.depart(vcpu) {
                Some(stays) => stays,
                None => return Ok(()),
            };
        }
    }
}

/// Lets the guest's time-stamp counter agree with that of other nodes.
fn shift_counter(vcpu: &mut dyn Vcpu, offset: i64, first: bool) -> Result<(), VcpuError> {
    match vcpu.set_tsc_offset(offset) {
        Err(VcpuError::Unsupported { .. }) if offset == 0 || !first => Ok(()),
        Err(VcpuError::Unsupported { .. }) => {
            eprintln!(
                "aggregate: vCPU {}: {offset} cycles between this node's time-stamp counter and the \
                 first node's stay, for its KVM cannot shift it: the guest should use the clock device",
                vcpu.id()
            );
            Ok(())
        }
        other => other,
    }
}

/// The guest says that this vCPU waits: lets others have the processor, the pump among them.
fn relax(turn: u32) {
    if turn < YIELDS {
        std::thread::yield_now();
    } else {
        std::thread::sleep(NAP);
    }
}

/// One access from its start to its end, which may be on another node.
fn access(
    bus: &Bus,
    origin: Origin,
    space: Space,
    address: u64,
    size: AccessSize,
    write: Option<u64>,
) -> u64 {
    let access = match write {
        Some(value) => Access::write(space, address, size, value),
        None => Access::read(space, address, size),
    };
    let ended = match bus.access(origin, access) {
        Outcome::Done(value) => Ok(value),
        Outcome::Failed(error) => Err(error),
        Outcome::Deferred(token) => bus.wait(token),
    };
    match ended {
        Ok(value) => value,
        // The vCPU leaves the guest before it could use the value.
        Err(AccessError::Stopped | AccessError::Lost(_)) => access.unclaimed_value(),
        Err(error) => {
            tracing::warn!(%error, vcpu = %origin.vcpu, %access, "an access failed");
            access.unclaimed_value()
        }
    }
}
