//! HMAT: how fast domains' memory is for whom.

use acpi_tables::Aml;
use acpi_tables::hmat::MemoryProximityDomain;
use acpi_tables::sdt::Sdt;
use std::collections::BTreeSet;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{Immutable, IntoBytes};

use super::{Performance, Platform, tables};

const LATENCY: u8 = 0;
const BANDWIDTH: u8 = 3;
/// The largest entry; one more is "unreachable".
const LARGEST: u32 = 0xfffe;
const PICOSECONDS: u64 = 1000;

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct LocalityHeader {
    kind: U16,
    reserved: U16,
    len: U32,
    flags: u8,
    data_type: u8,
    min_transfer_size: u8,
    reserved_too: u8,
    initiators: U32,
    targets: U32,
    reserved_at_last: U32,
    base_unit: U64,
}

/// The table, of revision 2, whose latencies are in picoseconds.
pub(super) fn table(platform: &Platform, performance: &Performance) -> Sdt {
    let initiators = platform.processors.iter().map(|processor| processor.domain);
    let initiators: BTreeSet<_> = initiators.collect();
    let targets: BTreeSet<_> = platform.memory.iter().map(|range| range.domain).collect();
    let mut contents = vec![0; 4];
    for &domain in initiators.intersection(&targets) {
        MemoryProximityDomain::new(domain, domain).to_aml_bytes(&mut contents);
    }
    let matrices = [
        (LATENCY, PICOSECONDS, &performance.latencies),
        (BANDWIDTH, 1, &performance.bandwidths),
    ];
    for (data_type, unit, rows) in matrices {
        if !rows.is_empty() {
            contents.extend(locality(data_type, unit, &initiators, &targets, rows));
        }
    }
    tables::table(*b"HMAT", 2, &contents)
}

/// A matrix; `unit` is what one unit of `rows` is in the table's. Entries have 16 bits, so large values
/// get a larger unit in common.
fn locality(
    data_type: u8,
    unit: u64,
    initiators: &BTreeSet<u32>,
    targets: &BTreeSet<u32>,
    rows: &[Vec<u32>],
) -> Vec<u8> {
    let largest = rows.iter().flatten().copied().max().unwrap_or(0);
    let scale = largest.div_ceil(LARGEST).max(1);
    let values = initiators
        .iter()
        .flat_map(|&from| targets.iter().map(move |&to| (from, to)))
        .filter_map(|(from, to)| rows.get(from as usize)?.get(to as usize));
    let values = values.map(|value| u16::try_from(value.div_ceil(scale)).unwrap_or(u16::MAX - 1));
    let domains = initiators.iter().chain(targets);
    let mut lists: Vec<_> = domains.flat_map(|domain| domain.to_le_bytes()).collect();
    lists.extend(values.flat_map(u16::to_le_bytes));
    let count = |set: &BTreeSet<u32>| u32::try_from(set.len()).unwrap_or(u32::MAX).into();
    let len = size_of::<LocalityHeader>() + lists.len();
    let header = LocalityHeader {
        kind: 1.into(),
        reserved: 0.into(),
        len: u32::try_from(len).unwrap_or(u32::MAX).into(),
        flags: 0,
        data_type,
        min_transfer_size: 0,
        reserved_too: 0,
        initiators: count(initiators),
        targets: count(targets),
        reserved_at_last: 0.into(),
        base_unit: (unit * u64::from(scale)).into(),
    };
    let mut bytes = header.as_bytes().to_vec();
    bytes.append(&mut lists);
    bytes
}
