//! The threads that run this node's vCPUs.

use std::sync::Arc;
use std::thread::JoinHandle;

use giantvm_guest::abi;
use giantvm_io::machine::{Cause, Stop};
use giantvm_io::{Access, AccessError, Bus, Origin, Outcome, Space};
use giantvm_vcpu::{AccessSize, Exit, Vcpu, VcpuError, VcpuHost};

use crate::lifecycle::LifecycleDriver;

/// What a vCPU thread works with.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) host: Arc<dyn VcpuHost>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) lifecycle: Arc<LifecycleDriver>,
}

/// Starts a thread for `vcpu`, which runs until the machine stops.
pub(crate) fn spawn(context: Context, vcpu: Box<dyn Vcpu>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(format!("vcpu-{}", vcpu.id()))
        .spawn(move || {
            let id = vcpu.id();
            if let Err(error) = run(&context, vcpu) {
                tracing::error!(%error, vcpu = %id, "a vCPU failed");
                eprintln!("aggregate: vCPU {id}: {error}");
                context.lifecycle.fail();
            }
            context.lifecycle.vcpu_ended();
        })
}

fn run(context: &Context, mut vcpu: Box<dyn Vcpu>) -> Result<(), VcpuError> {
    let origin = Origin {
        node: context.host.layout().node(),
        vcpu: vcpu.id(),
    };
    let access = |space, address, size, write| access(&context.bus, origin, space, address, size, write);
    loop {
        match vcpu.run()? {
            Exit::PortWrite { port, .. } if port == abi::PORT_RELAX => std::thread::yield_now(),
            Exit::PortWrite { port, size, value } => {
                access(Space::Port, port.into(), size, Some(value.into()));
            }
            Exit::PortRead { port, size } => {
                let value = access(Space::Port, port.into(), size, None);
                vcpu.finish_read(value)?;
            }
            Exit::MemoryWrite { address, size, value } => {
                access(Space::Memory, address.0, size, Some(value));
            }
            Exit::MemoryRead { address, size } => {
                let value = access(Space::Memory, address.0, size, None);
                vcpu.finish_read(value)?;
            }
            Exit::Kicked | Exit::Finished => {}
            Exit::Shutdown => {
                context.lifecycle.stop(Stop::by_vcpu(origin, Cause::TripleFault));
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
    let size = giantvm_io::AccessSize::new(size.bytes()).expect("TEMP");
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

