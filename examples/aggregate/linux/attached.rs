//! Disks and network cards, on virtio, each on its node.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use giantvm_core::{Mac, NodeId};
use giantvm_io::acpi::{Trigger as Described, VirtioMmio as Registers};
use giantvm_io::ioapic::Pin;
use giantvm_io::virtio::blk::{Block, FileDisk};
use giantvm_io::virtio::net::{Net, Tap};
use giantvm_io::virtio::{Trigger, VirtioDevice, VirtioMmio};
use giantvm_io::{Device, InterruptLine, Window};
use giantvm_sched::{ClusterSpec, DiskSpec, NetSpec};

use super::late::LateMemory;

/// Where registers are, in the hole that memory leaves, a page for each device.
const REGISTERS: u32 = 0xd000_0000;
const SPACING: u32 = 0x1000;
/// The interrupt lines: those that no PC has a use for, and then those that this one has none for.
const LINES: [u8; 16] = [16, 17, 18, 19, 20, 21, 22, 23, 5, 6, 7, 10, 11, 12, 14, 15];

/// A disk or a network card, and what the guest knows it by.
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
}

/// What is attached to the machine of a cluster: disks, then cards.
pub(crate) fn all(spec: &ClusterSpec) -> anyhow::Result<Vec<Attachment>> {
    let disks = spec.disks().iter().cloned().map(What::Disk);
    let what: Vec<_> = disks
        .chain(spec.nets().iter().cloned().map(What::Net))
        .collect();
    if what.len() > LINES.len() {
        let (have, limit) = (what.len(), LINES.len());
        return Err(anyhow!(
            "{have} disks and network cards are more than {limit}: leave some out"
        ));
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
    pub(super) const fn node(&self) -> NodeId {
        match &self.what {
            What::Disk(disk) => disk.node,
            What::Net(net) => net.node,
        }
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

/// A disk of a machine on one host: `FILE`, and after commas `ro`, or `node=N`.
pub(crate) fn disk(text: &str) -> Result<DiskSpec, String> {
    let mut parts = text.split(',');
    let mut disk = DiskSpec {
        node: NodeId::ZERO,
        file: parts.next().unwrap_or_default().to_owned(),
        read_only: false,
    };
    if disk.file.is_empty() {
        return Err("name a file".to_owned());
    }
    for part in parts {
        match part.split_once('=') {
            None if part == "ro" => disk.read_only = true,
            Some(("node", number)) => disk.node = node(number)?,
            _ => return Err(format!("`{part}` is neither ro nor node=N")),
        }
    }
    Ok(disk)
}

/// A network card of a machine on one host: `TAP`, and after a comma `node=N`. Its address is that of
/// its position.
pub(crate) fn net(text: &str) -> Result<(String, NodeId), String> {
    match text.split_once(",node=") {
        _ if text.is_empty() => Err("name a tap interface".to_owned()),
        None => Ok((text.to_owned(), NodeId::ZERO)),
        Some((tap, number)) => Ok((tap.to_owned(), node(number)?)),
    }
}

/// The cards, with addresses.
pub(crate) fn cards(taps: &[(String, NodeId)]) -> anyhow::Result<Vec<NetSpec>> {
    let cards = taps.iter().enumerate().map(|(number, (tap, node))| {
        let mac = Mac::new([0x52, 0x54, 0, 0x67, 0x76, number.try_into()?])?;
        Ok(NetSpec {
            node: *node,
            tap: tap.clone(),
            mac,
        })
    });
    cards.collect()
}

fn node(number: &str) -> Result<NodeId, String> {
    let node = number
        .parse()
        .ok()
        .and_then(|number| NodeId::new(number).ok());
    node.ok_or_else(|| format!("`{number}` is no node's number"))
}
