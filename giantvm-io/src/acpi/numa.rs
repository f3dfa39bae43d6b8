//! SRAT and SLIT: which domain has what, and how far domains are from one another.
//!
//! The crate's own tables know no x2APICs, and only distances that are the same both ways.

use acpi_tables::Aml;
use acpi_tables::sdt::Sdt;
use acpi_tables::srat::MemoryAffinity;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{Immutable, IntoBytes};

use super::{Platform, Processor, madt, tables};

const ENABLED: u32 = 1;

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct ApicAffinity {
    kind: u8,
    len: u8,
    domain_low: u8,
    apic_id: u8,
    flags: U32,
    sapic_eid: u8,
    domain_high: [u8; 3],
    clock_domain: U32,
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct X2ApicAffinity {
    kind: u8,
    len: u8,
    reserved: U16,
    domain: U32,
    apic_id: U32,
    flags: U32,
    clock_domain: U32,
    reserved_too: U32,
}

/// SRAT.
pub(super) fn affinity(platform: &Platform) -> Sdt {
    // Reserved, but for a 1 in the first four bytes.
    let mut contents = vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for &Processor { apic_id, domain } in &platform.processors {
        if let Some(apic_id) = madt::small(apic_id) {
            let [domain_low, domain_high @ ..] = domain.to_le_bytes();
            let affinity = ApicAffinity {
                kind: 0,
                len: 16,
                domain_low,
                apic_id,
                flags: ENABLED.into(),
                sapic_eid: 0,
                domain_high,
                clock_domain: 0.into(),
            };
            contents.extend(affinity.as_bytes());
        } else {
            let affinity = X2ApicAffinity {
                kind: 2,
                len: 24,
                reserved: 0.into(),
                domain: domain.into(),
                apic_id: apic_id.into(),
                flags: ENABLED.into(),
                clock_domain: 0.into(),
                reserved_too: 0.into(),
            };
            contents.extend(affinity.as_bytes());
        }
    }
    for range in &platform.memory {
        let affinity = MemoryAffinity::new(range.domain, range.start.0, range.bytes);
        affinity.enabled().to_aml_bytes(&mut contents);
    }
    tables::table(*b"SRAT", 3, &contents)
}

/// SLIT, of a square of distances.
pub(super) fn distances(rows: &[Vec<u8>]) -> Sdt {
    let mut contents = (rows.len() as u64).to_le_bytes().to_vec();
    rows.iter().for_each(|row| contents.extend(row));
    tables::table(*b"SLIT", 1, &contents)
}
