//! What a machine has on virtio: disks, network cards, consoles and randomness, each on its node.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use giantvm_core::NodeId;
use giantvm_io::acpi::{Trigger as Described, VirtioMmio as Registers};
use giantvm_io::ioapic::Pin;
use giantvm_io::virtio::blk::{Block, FileDisk};
use giantvm_io::virtio::net::{Net, Tap};
use giantvm_io::virtio::rng::Entropy;
use giantvm_io::virtio::{Trigger, VirtioDevice, VirtioMmio};
use giantvm_io::{Device, InterruptLine, Window};
use giantvm_sched::{ClusterSpec, ConsoleSpec, DeviceKind, DiskSpec, NetSpec};

use super::late::LateMemory;
use super::pty;
use crate::channel::Channel;

/// Where registers are, in the hole that memory leaves, a page for each device.
const REGISTERS: u32 = 0xd000_0000;
const SPACING: u32 = 0x1000;
/// The interrupt lines: those that no PC has a use for, and then those that this one has none for.
const LINES: [u8; 16] = [16, 17, 18, 19, 20, 21, 22, 23, 5, 6, 7, 10, 11, 12, 14, 15];

/// A device on virtio, and what the guest knows it by.
#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    what: What,
    address: u32,
    pin: Pin,
}

#[derive(Debug, Clone)]
enum What {
    Disk(DiskSpec),
    Net(NetSpec),
    Console(ConsoleSpec),
    /// Randomness of this node's host.
    Rng(NodeId),
    /// What the guest is told of its memory, on this node.
    Channel(NodeId),
}

/// What is attached to the machine of a cluster: disks, cards, consoles, and last what every machine
/// has, so that the others' numbers are those of what was asked for; then the channel, if it `has_channel`.
pub(crate) fn all(spec: &ClusterSpec, has_channel: bool) -> anyhow::Result<Vec<Attachment>> {
    let disks = spec.disks().iter().cloned().map(What::Disk);
    let mut what: Vec<_> = disks
        .chain(spec.nets().iter().cloned().map(What::Net))
        .chain(spec.consoles().iter().cloned().map(What::Console))
        .collect();
    let (have, limit) = (what.len(), LINES.len() - 1 - usize::from(has_channel));
    if have > limit {
        return Err(anyhow!(
            "{have} disks, network cards and consoles are more than {limit}: leave some out"
        ));
    }
    what.push(What::Rng(spec.device_node(DeviceKind::Rng)));
    if has_channel {
        what.push(What::Channel(spec.device_node(DeviceKind::Power)));
    }
    let addresses = (REGISTERS..).step_by(SPACING as usize);
    let attached = what.into_iter().zip(addresses).zip(LINES);
    attached
        .map(|((what, address), line)| {
            let pin = Pin::new(line).context("the interrupt controller has fewer lines")?;
            Ok(Attachment { what, address, pin })
        })
        .collect()
}

impl Attachment {
    pub(crate) const fn node(&self) -> NodeId {
        match &self.what {
            What::Disk(disk) => disk.node,
            What::Net(net) => net.node,
            What::Console(console) => console.node,
            What::Rng(node) | What::Channel(node) => *node,
        }
    }

    /// Whether it is the guest's channel.
    pub(crate) const fn is_channel(&self) -> bool {
        matches!(self.what, What::Channel(_))
    }

    pub(super) const fn pin(&self) -> Pin {
        self.pin
    }

    pub(super) const fn windows(&self) -> [Window; 3] {
        VirtioMmio::<LateMemory>::windows(self.address as u64)
    }

    /// What ACPI's tables say of it.
    pub(super) fn described(&self) -> Registers {
        Registers {
            address: self.address,
            bytes: 0x200,
            pin: self.pin,
            trigger: Described::Edge,
            domain: Some(self.node().get().into()),
        }
    }

    /// The device, on its node.
    pub(super) fn device(
        &self,
        memory: &LateMemory,
        line: Arc<dyn InterruptLine>,
        channel: &Channel,
    ) -> anyhow::Result<Box<dyn Device>> {
        match &self.what {
            What::Disk(DiskSpec {
                file, read_only, ..
            }) => {
                let disk = FileDisk::open(Path::new(file), *read_only);
                let disk = disk.with_context(|| format!("disk {file}"))?;
                start(Block::new(disk, file), memory, line)
            }
            What::Net(NetSpec { tap, mac, .. }) => {
                let port = Tap::open(tap).and_then(|port| Net::new(port, *mac));
                start(port.with_context(|| format!("tap {tap}"))?, memory, line)
            }
            What::Console(ConsoleSpec { link, .. }) => {
                let console = pty::console(Path::new(link));
                let console = console.with_context(|| format!("console {link}"))?;
                start(console, memory, line)
            }
            What::Rng(_) => start(Entropy, memory, line),
            What::Channel(_) => start(channel.port()?, memory, line),
        }
    }
}

fn start(
    device: impl VirtioDevice,
    memory: &LateMemory,
    line: Arc<dyn InterruptLine>,
) -> anyhow::Result<Box<dyn Device>> {
    let device = VirtioMmio::start(device, memory.clone(), line, Trigger::Edge)?;
    Ok(Box::new(device))
}
