//! What a platform must be for its tables to make sense.

use std::collections::BTreeSet;

use giantvm_core::{GuestAddress, MAX_NODES};

use super::Platform;

/// The distance of a domain to itself.
const LOCAL: u8 = 10;

/// A platform that cannot be described, or not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcpiError {
    /// No vCPU.
    #[error("a platform has at least one processor")]
    NoProcessor,
    /// An APIC ID that two vCPUs have, or that means all of them.
    #[error("APIC ID {0:#x} cannot be used: it means all APICs or another vCPU has it")]
    ApicId(u32),
    /// A proximity domain out of bounds.
    #[error("proximity domain {0} is over the limit of {MAX_NODES} domains")]
    Domain(u32),
    /// A range of memory that is empty, leaves the address space or overlaps another.
    #[error("the memory at {0:#x} is empty, leaves the address space or overlaps other memory")]
    Memory(u64),
    /// A matrix without a row and a column for each domain, or with a value that cannot be.
    #[error(
        "the {0} matrix must have a row and a column for each domain; distances are {LOCAL} to \
         oneself and 11 to 254 to others, the rest is never zero"
    )]
    Matrix(&'static str),
    /// The address of the tables is not a multiple of 16.
    #[error("tables cannot start at {0:#x}: use a multiple of 16")]
    Base(u64),
    /// There is not enough room for the tables.
    #[error("the tables take {needed} bytes, and there is room for {room}")]
    Room {
        /// Bytes that they take.
        needed: u64,
        /// Bytes that there are.
        room: u64,
    },
}

impl Platform {
    /// How many proximity domains there are: one more than the largest number.
    pub(super) fn domains(&self) -> usize {
        let processors = self.processors.iter().map(|processor| processor.domain);
        let memory = self.memory.iter().map(|range| range.domain);
        let devices = self
            .devices
            .virtio
            .iter()
            .filter_map(|device| device.domain);
        let largest = processors.chain(memory).chain(devices).max();
        largest.map_or(0, |largest| largest as usize + 1)
    }

    pub(super) fn check(&self) -> Result<(), AcpiError> {
        let domains = self.domains();
        if let Some(largest) = domains.checked_sub(MAX_NODES + 1) {
            let largest = u32::try_from(largest + MAX_NODES).unwrap_or(u32::MAX);
            return Err(AcpiError::Domain(largest));
        }
        self.check_processors()?;
        self.check_memory()?;
        let distance = |from, to, value| match from == to {
            true => value == u32::from(LOCAL),
            false => (11..=254).contains(&value),
        };
        check_matrix("distance", domains, &self.distances, distance)?;
        if let Some(performance) = &self.performance {
            let positive = |_, _, value| value > 0;
            let (latencies, bandwidths) = (&performance.latencies, &performance.bandwidths);
            check_matrix("latency", domains, latencies, positive)?;
            check_matrix("bandwidth", domains, bandwidths, positive)?;
        }
        Ok(())
    }

    fn check_processors(&self) -> Result<(), AcpiError> {
        if self.processors.is_empty() {
            return Err(AcpiError::NoProcessor);
        }
        let mut seen = BTreeSet::from([0xff, u32::MAX]);
        let mut ids = self.processors.iter().map(|processor| processor.apic_id);
        match ids.find(|&id| !seen.insert(id)) {
            Some(id) => Err(AcpiError::ApicId(id)),
            None => Ok(()),
        }
    }

    fn check_memory(&self) -> Result<(), AcpiError> {
        let mut ranges: Vec<_> = self.memory.iter().collect();
        ranges.sort_by_key(|range| range.start);
        let mut free = 0;
        for range in ranges {
            let GuestAddress(start) = range.start;
            let end = start.checked_add(range.bytes);
            free = end
                .filter(|&end| end > start && start >= free)
                .ok_or(AcpiError::Memory(start))?;
        }
        Ok(())
    }
}

/// Without rows nothing is said, which is right.
fn check_matrix<T: Copy + Into<u32>>(
    name: &'static str,
    domains: usize,
    rows: &[Vec<T>],
    is_right: impl Fn(usize, usize, u32) -> bool,
) -> Result<(), AcpiError> {
    let is_square = rows.len() == domains && rows.iter().all(|row| row.len() == domains);
    let mut values = rows.iter().enumerate().flat_map(|(from, row)| {
        let row = row.iter().enumerate();
        row.map(move |(to, &value)| (from, to, value.into()))
    });
    if rows.is_empty() || is_square && values.all(|(from, to, value)| is_right(from, to, value)) {
        Ok(())
    } else {
        Err(AcpiError::Matrix(name))
    }
}
