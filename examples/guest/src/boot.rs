//! The state the boot vCPU starts in, and the tables that the processor reads.
//!
//! The accessed and dirty bits of page tables and descriptors are set from the start: no
//! processor ever has a reason to write to these pages, so every node can keep a copy. The one
//! exception is the busy bit of a task state segment, on a page of its vCPU's own.

use crate::abi;
use crate::elf::Segment;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const UNCACHED: u64 = 1 << 4;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;

const TABLE_ENTRY: u64 = PRESENT | WRITABLE | USER | ACCESSED;
const LEAF: u64 = TABLE_ENTRY | DIRTY;
const LARGE_PAGE: u64 = 2 << 20;

const CODE0: u64 = 0x0020_9b00_0000_0000;
const DATA0: u64 = 0x0000_9300_0000_0000;
const DATA3: u64 = 0x0000_f300_0000_0000;
const CODE3: u64 = 0x0020_fb00_0000_0000;
const TSS_AVAILABLE: u64 = 0x89 << 40;
const TSS_LIMIT: u64 = 103;
/// Limit of the descriptor table: six entries, of which the last is two words.
const GDT_LIMIT: u16 = 7 * 8 - 1;

/// How the boot vCPU, number 0, starts: in long mode at CPL0, interrupts off.
///
/// All other vCPUs wait for INIT and SIPI. What is not named here is as after a reset.
/// Code is a 64-bit segment; data segments are flat. The descriptor and interrupt tables need not
/// be set: the guest loads its own before it takes any interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootState {
    /// First instruction.
    pub rip: u64,
    /// End of its stack.
    pub rsp: u64,
    /// Flags.
    pub rflags: u64,
    /// Control register 0.
    pub cr0: u64,
    /// Page tables.
    pub cr3: u64,
    /// Control register 4.
    pub cr4: u64,
    /// Extended feature register.
    pub efer: u64,
    /// Selector for CS: base 0, limit 0xffffffff, type 11, present, S, L, G; DPL 0.
    pub code_selector: u16,
    /// Selector for DS, ES, SS: base 0, limit 0xffffffff, type 3, present, S, DB, G; DPL 0.
    pub data_selector: u16,
    /// Base of the descriptor table.
    pub gdt_base: u64,
    /// Limit of the descriptor table.
    pub gdt_limit: u16,
}

impl BootState {
    /// The boot vCPU's, given the image's entry point.
    #[must_use]
    pub const fn at(entry: u64) -> Self {
        Self {
            rip: entry,
            rsp: abi::vcpu_area(0) + abi::AREA_STACK0_END,
            rflags: 2,
            cr0: abi::CR0,
            cr3: abi::PAGE_TABLES,
            cr4: abi::CR4,
            efer: abi::EFER,
            code_selector: abi::SELECTOR_CODE0,
            data_selector: abi::SELECTOR_DATA0,
            gdt_base: abi::vcpu_area(0) + abi::AREA_GDT,
            gdt_limit: GDT_LIMIT,
        }
    }
}

/// Page tables that map `memory` bytes and the device window to themselves, open to CPL3. The
/// first page is left out; code and tables, up to the image's data, cannot be written to.
pub(crate) fn page_tables(memory: u64) -> Segment {
    let page = |number: u64| abi::PAGE_TABLES + number * abi::PAGE;
    let mut words = Words::new(abi::PAGE_TABLES_PAGES * abi::PAGE);
    words.set(0, page(1) | TABLE_ENTRY);
    for directory in 0..4 {
        words.set(512 + directory, page(2 + directory) | TABLE_ENTRY);
    }
    for large in 1..memory.div_ceil(LARGE_PAGE) {
        words.set(2 * 512 + large, (large * LARGE_PAGE) | LEAF | LARGE);
    }
    words.set(
        2 * 512 + abi::MMIO / LARGE_PAGE,
        abi::MMIO | LEAF | LARGE | UNCACHED,
    );
    words.set(2 * 512, page(6) | TABLE_ENTRY);
    for small in 1..512 {
        let address = small * abi::PAGE;
        let read_only = address < abi::IMAGE_DATA;
        words.set(
            6 * 512 + small,
            address | if read_only { LEAF & !WRITABLE } else { LEAF },
        );
    }
    words.into_segment(abi::PAGE_TABLES)
}

/// Descriptor table and task state of a vCPU.
pub(crate) fn vcpu_tables(vcpu: u32) -> Segment {
    let area = abi::vcpu_area(vcpu);
    let tss = area + abi::AREA_TSS;
    let mut words = Words::new(abi::PAGE);
    let base = (tss & 0xff_ffff) << 16 | (tss >> 24 & 0xff) << 56;
    for (entry, descriptor) in (1..).zip([
        CODE0,
        DATA0,
        DATA3,
        CODE3,
        base | TSS_AVAILABLE | TSS_LIMIT,
        tss >> 32,
    ]) {
        words.set(abi::AREA_GDT / 8 + entry, descriptor);
    }
    let gdt = area + abi::AREA_GDT;
    words.set(abi::AREA_GDT_POINTER / 8, u64::from(GDT_LIMIT) | gdt << 16);
    words.set(abi::AREA_GDT_POINTER / 8 + 1, gdt >> 48);
    // RSP0 lies at byte 4 of the segment, across two words; the I/O map lies past its end.
    let stack = area + abi::AREA_STACK0_END;
    words.set(abi::AREA_TSS / 8, stack << 32);
    words.set(abi::AREA_TSS / 8 + 1, stack >> 32);
    words.set(abi::AREA_TSS / 8 + 12, (TSS_LIMIT + 1) << 48);
    words.into_segment(area)
}

/// Memory under construction.
struct Words(Vec<u64>);

impl Words {
    fn new(bytes: u64) -> Self {
        Self((0..bytes / 8).map(|_| 0).collect())
    }

    fn set(&mut self, index: u64, value: u64) {
        self.0[index as usize] = value;
    }

    fn into_segment(self, address: u64) -> Segment {
        let bytes: Vec<u8> = self.0.into_iter().flat_map(u64::to_le_bytes).collect();
        Segment {
            address,
            memory_size: bytes.len() as u64,
            bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(segment: &Segment, index: u64) -> u64 {
        let at = index as usize * 8;
        u64::from_le_bytes(segment.bytes[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn no_processor_has_a_bit_to_set_in_the_page_tables() {
        let tables = page_tables(abi::MEMORY_MAX);
        for index in 0..tables.memory_size / 8 {
            let entry = word(&tables, index);
            if entry & PRESENT != 0 {
                assert_ne!(entry & ACCESSED, 0, "entry {index}");
                let leaf = index >= 6 * 512 || entry & LARGE != 0;
                assert!(!leaf || entry & DIRTY != 0, "entry {index}");
            }
        }
    }

    #[test]
    fn memory_is_mapped_to_its_end_and_no_further() {
        let tables = page_tables(abi::MEMORY_MIN);
        let last = abi::MEMORY_MIN / LARGE_PAGE;
        assert_ne!(word(&tables, 2 * 512 + last - 1) & PRESENT, 0);
        assert_eq!(word(&tables, 2 * 512 + last), 0);
        assert_eq!(
            word(&tables, 6 * 512),
            0,
            "the first page must not be mapped"
        );
    }

    #[test]
    fn the_task_state_names_the_stack_of_cpl0() {
        let tables = vcpu_tables(3);
        let at = abi::AREA_TSS as usize + 4;
        let rsp0 = u64::from_le_bytes(tables.bytes[at..at + 8].try_into().unwrap());
        assert_eq!(rsp0, abi::vcpu_area(3) + abi::AREA_STACK0_END);
        assert_eq!(tables.bytes[abi::AREA_TSS as usize + 102..][..2], [104, 0]);
    }
}
