//! What firmware would tell the kernel: the machine as ACPI describes it.

use giantvm_core::GuestAddress;
use giantvm_io::acpi::{AcpiError, MemoryRange, Performance, Platform, Processor, Tables};
use giantvm_sched::Topology;

use super::attached::Attachment;
use super::devices;
use super::place::ACPI_TABLES;
use crate::address_map::AddressMap;

/// The tables of a machine with this topology, whose memory is where `map` says.
pub(crate) fn tables(
    topology: &Topology,
    map: &AddressMap,
    attached: &[Attachment],
) -> Result<Tables, AcpiError> {
    let (mut processors, mut memory) = (Vec::new(), Vec::new());
    for node in topology.nodes() {
        let domain = u32::from(node.id.get());
        processors.extend(node.vcpus.iter().map(|vcpu| Processor {
            apic_id: vcpu.get().into(),
            domain,
        }));
        let ranges = node
            .memory
            .iter()
            .flat_map(|&(start, bytes)| map.ranges(start.0, bytes));
        memory.extend(ranges.map(|range| MemoryRange {
            start: GuestAddress(range.start),
            bytes: range.end - range.start,
            domain,
        }));
    }
    let platform = Platform {
        processors,
        memory,
        distances: topology.distances().to_vec(),
        performance: performance(topology),
        devices: devices::described(attached),
    };
    let room = ACPI_TABLES.end - ACPI_TABLES.start;
    platform.tables(GuestAddress(ACPI_TABLES.start), room)
}

/// What is known of how nodes' memory is to others; without latencies the guest is told nothing.
fn performance(topology: &Topology) -> Option<Performance> {
    let latencies = topology.latencies();
    (!latencies.is_empty()).then(|| Performance {
        latencies: latencies.to_vec(),
        bandwidths: topology.bandwidths().to_vec(),
    })
}
