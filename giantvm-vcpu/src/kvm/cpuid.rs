//! What a vCPU says it is.

use std::num::NonZeroU8;

use giantvm_core::VcpuId;
use kvm_bindings::{CpuId, kvm_cpuid_entry2};

use crate::error::VcpuError;

/// The paravirtual features of KVM that the guest gets, bits of leaf 0x40000001. All others are
/// withheld, also those that KVM may come to offer later:
///
/// * kvmclock (bits 0, 3, 24), steal time (5), end of interrupt (6) and asynchronous page faults
///   (4, 10, 14): the kernel of the node that runs the vCPU writes to a page of the guest by
///   itself. Guests put many vCPUs' records on one page, so it would go back and forth between the
///   nodes for ever; and a record that holds one host's boot time is wrong on another. The answer
///   to an asynchronous fault moreover comes when *this* host has the page, before the coherence
///   protocol gave it.
/// * unhalt (7), TLB flush (9) and yield (13) act on a vCPU by the local kernel's knowledge of it;
///   of a vCPU on another node it only knows the proxy.
/// * IPIs by hypercall (11) and extended MSI destinations (15) have no use with x2APICs.
/// * halt polling (12) and migration control (16, 17) are the host's affair.
///
/// What is left: port 0x80 needs no delay (bit 1).
const PARAVIRTUAL: u32 = 1 << 1;
/// KVM's name, by which a guest knows that x2APICs need no interrupt remapping here; and the last of
/// the hypervisor's leaves.
const SIGNATURE_LEAF: u32 = 0x4000_0000;
const PARAVIRTUAL_LEAF: u32 = 0x4000_0001;
/// How fast the time-stamp counter and the local APIC's bus are, in kHz: eax, ebx.
///
/// The processor's own leaf 0x15 would do on Intel's only, and Linux takes the APIC's bus from the
/// same numbers, in 32 bits: no numbers say both exactly.
const TIMING_LEAF: u32 = 0x4000_0010;
/// Local APICs of KVM count nanoseconds.
const BUS_KHZ: u32 = 1_000_000;

/// How fast a vCPU's clocks are said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timing {
    tsc_khz: u32,
    bus_khz: u32,
}

impl Timing {
    /// Of a time-stamp counter that is said to count `tsc_khz`, and an APIC whose time passes so many
    /// times slower than it does.
    pub(super) const fn new(tsc_khz: u32, times: NonZeroU8) -> Self {
        let bus_khz = BUS_KHZ * times.get() as u32;
        Self { tsc_khz, bus_khz }
    }
}

/// MONITOR: a store by another node would not end the wait. Leaf 1, ecx.
const MONITOR: u32 = 1 << 3;
/// Intel's virtualization. A machine in this one could not span nodes, and its state would stay behind when
/// its vCPU moves. Leaf 1, ecx.
const VMX: u32 = 1 << 5;
/// AMD's, for the same reasons. Leaf 0x80000001, ecx.
const SVM: u32 = 1 << 2;
const X2APIC: u32 = 1 << 21;
const TSC_DEADLINE: u32 = 1 << 24;
const HYPERVISOR: u32 = 1 << 31;
/// More than one logical processor in the package. Leaf 1, edx.
const MULTITHREADED: u32 = 1 << 28;
/// The time-stamp counter counts at one rate in every state. Leaf 0x80000007, edx.
const INVARIANT_TSC: u32 = 1 << 8;
/// UMONITOR and UMWAIT, for the same reason as MONITOR. Leaf 7, ecx.
const WAITPKG: u32 = 1 << 5;
/// A fifth level of page tables. Four reach all the memory that a machine can have, and each level is a
/// page more that a walk may need from another node. Leaf 7, ecx.
const FIVE_LEVELS: u32 = 1 << 16;

/// The CPUID table of one vCPU from what KVM supports.
///
/// Every vCPU is a package of its own with one core: no two are said to share a cache, whichever
/// nodes they are on, and any placement keeps APIC ids equal to vCPU numbers.
///
/// `timing` is how fast its clocks are said to be, if that is known.
pub(super) fn table(
    supported: &CpuId,
    id: VcpuId,
    timing: Option<Timing>,
) -> Result<CpuId, VcpuError> {
    let apic_id = u32::from(id.get());
    let mut entries: Vec<_> = supported
        .as_slice()
        .iter()
        .filter(|entry| !matches!(entry.function, 0xb | 0x1f | TIMING_LEAF))
        .copied()
        .collect();
    for entry in &mut entries {
        adjust(entry, apic_id);
    }
    for function in [0xb, 0x1f] {
        entries.extend(topology(function, apic_id));
    }
    if let Some(Timing { tsc_khz, bus_khz }) = timing {
        entries.push(kvm_cpuid_entry2 {
            function: TIMING_LEAF,
            eax: tsc_khz,
            ebx: bus_khz,
            ..kvm_cpuid_entry2::default()
        });
    }
    CpuId::from_entries(&entries)
        .map_err(|_| VcpuError::HostLacks("its KVM supports more CPUID leaves than fit a table"))
}

fn adjust(entry: &mut kvm_cpuid_entry2, apic_id: u32) {
    match entry.function {
        0x0 => entry.eax = entry.eax.max(0x1f),
        0x1 => {
            entry.ebx = entry.ebx & 0xff00 & 0xffff | 1 << 16 | apic_id << 24;
            entry.ecx = (entry.ecx | X2APIC | TSC_DEADLINE | HYPERVISOR) & !(MONITOR | VMX);
            entry.edx &= !MULTITHREADED;
        }
        // Caches: shared by one logical processor, one core in the package.
        0x4 => entry.eax &= 0x3fff,
        0x5 => (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 0, 0, 0),
        0x7 if entry.index == 0 => entry.ecx &= !(WAITPKG | FIVE_LEVELS),
        SIGNATURE_LEAF => entry.eax = entry.eax.max(TIMING_LEAF),
        PARAVIRTUAL_LEAF => entry.eax &= PARAVIRTUAL,
        0x8000_0001 => entry.ecx &= !SVM,
        // A machine of several hosts has no other clock: it is made of counters that agree.
        0x8000_0007 => entry.edx |= INVARIANT_TSC,
        // One core; as many APIC id bits as the field needs to say so.
        0x8000_0008 => entry.ecx &= !0xf0ff,
        0x8000_001d => entry.eax &= 0x3fff,
        0x8000_001e => (entry.eax, entry.ebx, entry.ecx) = (apic_id, apic_id & 0xff, 0),
        _ => {}
    }
}

/// Leaves 0xb and 0x1f: one thread in a core, one core in a package.
fn topology(function: u32, apic_id: u32) -> [kvm_cpuid_entry2; 3] {
    const SIGNIFICANT_INDEX: u32 = 1;
    [(1, 1), (1, 2), (0, 0)]
        .map(|(processors, kind)| (processors, kind))
        .map({
            let mut index = 0;
            move |(processors, kind)| {
                let entry = kvm_cpuid_entry2 {
                    function,
                    index,
                    flags: SIGNIFICANT_INDEX,
                    eax: 0,
                    ebx: processors,
                    ecx: index | kind << 8,
                    edx: apic_id,
                    ..kvm_cpuid_entry2::default()
                };
                index += 1;
                entry
            }
        })
}

/// How many bits a guest-physical address has.
pub(super) fn physical_bits(supported: &CpuId) -> u32 {
    let leaf = supported
        .as_slice()
        .iter()
        .find(|entry| entry.function == 0x8000_0008);
    leaf.map_or(36, |entry| entry.eax & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(function: u32, value: u32) -> kvm_cpuid_entry2 {
        kvm_cpuid_entry2 {
            function,
            eax: value,
            ebx: value,
            ecx: value,
            edx: value,
            ..kvm_cpuid_entry2::default()
        }
    }

    fn leaf(function: u32, index: u32) -> kvm_cpuid_entry2 {
        let functions = [
            0,
            1,
            4,
            5,
            7,
            0xb,
            PARAVIRTUAL_LEAF,
            0x8000_0001,
            0x8000_001e,
        ];
        let mut entries: Vec<_> = functions.map(|function| entry(function, u32::MAX)).into();
        entries.push(entry(SIGNATURE_LEAF, 0x4000_0001));
        let supported = CpuId::from_entries(&entries).unwrap();
        let timing = Timing::new(5_200_000, NonZeroU8::new(2).unwrap());
        let table = table(&supported, VcpuId::new(5).unwrap(), Some(timing)).unwrap();
        let matching = |e: &&kvm_cpuid_entry2| (e.function, e.index) == (function, index);
        let mut found = table.as_slice().iter().filter(matching);
        let entry = *found.next().unwrap();
        assert!(found.next().is_none(), "leaf {function:#x} is there once");
        entry
    }

    #[test]
    fn asynchronous_page_faults_and_all_that_writes_guest_pages_is_withheld() {
        let features = leaf(PARAVIRTUAL_LEAF, 0).eax;
        for bit in [4, 10, 14] {
            assert_eq!(
                features >> bit & 1,
                0,
                "asynchronous page faults, bit {bit}"
            );
        }
        for bit in [0, 3, 5, 6, 7, 9, 11, 12, 13, 15, 16, 17, 24, 31] {
            assert_eq!(features >> bit & 1, 0, "bit {bit}");
        }
    }

    #[test]
    fn the_apic_id_is_the_vcpu_number_everywhere() {
        assert_eq!(leaf(1, 0).ebx >> 24, 5);
        assert_eq!(leaf(0x8000_001e, 0).eax, 5);
        for function in [0xb, 0x1f] {
            for index in 0..3 {
                assert_eq!(leaf(function, index).edx, 5);
            }
            assert_eq!(leaf(function, 0).ecx, 0x100, "level 0 is threads");
            assert_eq!(leaf(function, 1).ecx, 0x201, "level 1 is cores");
            assert_eq!(leaf(function, 2).ecx, 2, "no level 2");
        }
    }

    #[test]
    fn the_counters_frequency_is_told() {
        let timing = leaf(TIMING_LEAF, 0);
        assert_eq!((timing.eax, timing.ebx), (5_200_000, 2_000_000));
        assert_eq!(leaf(SIGNATURE_LEAF, 0).eax, TIMING_LEAF);
    }

    #[test]
    fn a_guest_is_offered_no_virtualization_of_its_own() {
        assert_eq!(leaf(1, 0).ecx & VMX, 0);
        assert_eq!(leaf(0x8000_0001, 0).ecx & SVM, 0);
    }

    #[test]
    fn waits_for_a_store_and_shared_caches_are_withheld() {
        assert_eq!(leaf(1, 0).ecx & MONITOR, 0);
        assert_eq!(leaf(5, 0).eax, 0);
        assert_eq!(leaf(7, 0).ecx & WAITPKG, 0);
        assert_eq!(leaf(7, 0).ecx & FIVE_LEVELS, 0);
        assert_eq!(leaf(4, 0).eax >> 14, 0);
    }
}
