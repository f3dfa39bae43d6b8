//! The machine's devices, each on the node that the placement names.

use std::sync::Arc;

use giantvm_core::NodeId;
use giantvm_guest::abi;
use giantvm_io::devices::{ClockDevice, PowerDevice, ScratchDevice, ScratchFactors, SerialDevice};
use giantvm_io::{BusBuilder, Device, MapError, Window};
use giantvm_sched::channel::layout;
use giantvm_sched::{DeviceKind, Placement};
use giantvm_vcpu::clock::GuestClock;

use crate::channel::ChannelWindow;
use crate::console::Console;
use crate::lifecycle::LifecycleDriver;

/// What the devices on this node need.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) console: Console,
    pub(crate) lifecycle: Arc<LifecycleDriver>,
    pub(crate) clock: Arc<GuestClock>,
}

/// Builds the node's bus: its own devices, and where all others are.
pub(crate) fn bus(
    local: NodeId,
    placement: &Placement,
    parts: &Parts,
    channel: ChannelWindow,
) -> Result<BusBuilder, MapError> {
    let vcpus = (0..placement.vcpu_count())
        .filter_map(|index| placement.node_of_vcpu(index.try_into().ok()?));
    let mut bus = BusBuilder::new(local, vcpus.collect());
    for kind in DeviceKind::ALL {
        let Some(device) = parts.device(kind) else {
            continue;
        };
        let node = placement.device_node(kind);
        let device = if node == local {
            bus.local(device)
        } else {
            bus.remote(node)
        };
        for window in windows(kind) {
            bus.map(device, window)?;
        }
    }
    // Each node's own.
    let channel = bus.local(Box::new(channel));
    bus.map(channel, Window::memory(abi::MMIO_CHANNEL, layout::WINDOW))?;
    Ok(bus)
}

fn windows(kind: DeviceKind) -> Vec<Window> {
    match kind {
        DeviceKind::Serial => vec![Window::ports(abi::PORT_SERIAL, SerialDevice::BYTES)],
        DeviceKind::Power => vec![Window::ports(abi::PORT_POWER, PowerDevice::BYTES)],
        DeviceKind::Scratch => vec![
            Window::memory(abi::MMIO_SCRATCH, ScratchDevice::WIDE_BYTES),
            Window::ports(abi::PORT_SCRATCH, ScratchDevice::NARROW_BYTES)
                .showing(ScratchDevice::NARROW),
        ],
        DeviceKind::Clock => vec![Window::memory(abi::MMIO_CLOCK, ClockDevice::BYTES)],
        DeviceKind::Rng => Vec::new(),
    }
}

impl Parts {
    /// A device, if the guest has a use for it.
    fn device(&self, kind: DeviceKind) -> Option<Box<dyn Device>> {
        Some(match kind {
            DeviceKind::Serial => {
                let console = self.console.clone();
                Box::new(SerialDevice::new(move |origin, line| {
                    console.line(origin, line);
                }))
            }
            DeviceKind::Power => {
                let lifecycle = self.lifecycle.clone();
                Box::new(PowerDevice::new(move |origin, event| {
                    lifecycle.power(origin, event);
                }))
            }
            DeviceKind::Scratch => Box::new(ScratchDevice::new(ScratchFactors {
                wide: abi::SCRATCH_FACTOR,
                narrow: abi::SCRATCH_FACTOR_PORT,
            })),
            DeviceKind::Clock => {
                let clock = self.clock.clone();
                Box::new(ClockDevice::new(move || clock.now().0))
            }
            DeviceKind::Rng => return None,
        })
    }
}
