//! The few private pages in which proxies take interrupts: page tables, descriptor tables, code.
//!
//! Every interrupt's stub writes its vector to a port, which ends `KVM_RUN` and so tells the
//! proxy's thread; then it ends the interrupt at the local APIC. When no interrupt is left the main
//! loop writes to another port.
//!
//! ```text
//! page 0    page-table roots: one 2 MiB page, mapped at its own address
//!      3    segment descriptors, main loop, the common part of the stubs
//!      4    interrupt descriptors
//!      5    256 stubs of 16 bytes
//!      6    the first proxy's stack, a page each
//! ```
#![expect(
    clippy::cast_possible_truncation,
    reason = "all offsets are within 2 MiB, all ports and vectors within 8 bits"
)]

use std::mem::size_of;
use std::ops::Range;

use giantvm_core::GuestAddress;

use super::memory::{PAGE, Page};

/// The port that a stub writes its vector to.
pub(super) const VECTOR_PORT: u16 = 0x10;
/// The port that the stub of the non-maskable interrupt writes to.
pub(super) const NMI_PORT: u16 = 0x11;
/// The port that the main loop writes to when no interrupt is left.
pub(super) const DRAINED_PORT: u16 = 0x12;
/// The vector of the non-maskable interrupt.
const NMI_VECTOR: usize = 2;

/// Pages that the guest never has to write. Its page tables are not among them: by nested paging the
/// processor's walk of them counts as a write, and where that is refused it walks again for ever.
pub(super) const READ_ONLY_PAGES: Range<usize> = 3..6;
/// The size and alignment of the area that holds the pages: the page its tables map.
const AREA: u64 = 2 << 20;

const DESCRIPTORS: usize = 3 * PAGE;
const MAIN_LOOP: usize = DESCRIPTORS + 0x100;
const COMMON: usize = DESCRIPTORS + 0x200;
const GATES: usize = 4 * PAGE;
const STUBS: usize = 5 * PAGE;
const STUB_LEN: usize = 16;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;

/// 64-bit code and flat data, both marked as accessed: the pages are read-only.
const GDT: [u64; 3] = [0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];
/// The code segment's selector.
pub(super) const CODE: u16 = 8;
/// The data segment's selector.
pub(super) const DATA: u16 = 16;

/// `out DRAINED_PORT, al; jmp` to itself.
const MAIN_LOOP_CODE: [u8; 4] = [0xe6, DRAINED_PORT as u8, 0xeb, 0xfc];
/// `out VECTOR_PORT, al; mov ecx, 0x80b; xor eax, eax; xor edx, edx; wrmsr; iretq`: MSR 0x80b is
/// the end-of-interrupt register. No register has to be kept: the main loop uses none.
const COMMON_CODE: [u8; 15] = [
    0xe6,
    VECTOR_PORT as u8,
    0xb9,
    0x0b,
    0x08,
    0,
    0,
    0x31,
    0xc0,
    0x31,
    0xd2,
    0x0f,
    0x30,
    0x48,
    0xcf,
];
/// `out NMI_PORT, al; iretq`: the local APIC keeps no account of NMIs.
const NMI_CODE: [u8; 4] = [0xe6, NMI_PORT as u8, 0x48, 0xcf];

/// Where in the guest's address space the proxies' pages are: at the top of what the processor
/// can address, 64 TiB at most, far from all guest memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Image {
    base: u64,
}

impl Image {
    /// The image for a processor with `bits` physical address bits.
    pub(super) fn new(bits: u32) -> Self {
        Self {
            base: (1 << bits.clamp(36, 46)) - AREA,
        }
    }

    pub(super) fn base(self) -> GuestAddress {
        GuestAddress(self.base)
    }

    pub(super) fn page_tables(self) -> u64 {
        self.base
    }

    pub(super) fn main_loop(self) -> u64 {
        self.base + MAIN_LOOP as u64
    }

    /// The end of the stack of proxy number `index`.
    pub(super) fn stack(self, index: usize) -> u64 {
        self.base + ((READ_ONLY_PAGES.end + index + 1) * PAGE) as u64
    }

    /// Address and limit of the segment descriptors.
    pub(super) fn gdt(self) -> (u64, u16) {
        (
            self.base + DESCRIPTORS as u64,
            size_of::<[u64; 3]>() as u16 - 1,
        )
    }

    /// Address and limit of the interrupt descriptors.
    pub(super) fn idt(self) -> (u64, u16) {
        (self.base + GATES as u64, PAGE as u16 - 1)
    }

    /// The pages, with a stack for each of `proxies` proxies.
    pub(super) fn pages(self, proxies: usize) -> Box<[Page]> {
        let count = READ_ONLY_PAGES.end + proxies;
        assert!(count * PAGE <= AREA as usize, "254 stacks fit");
        let mut bytes = Bytes((0..count).map(|_| Page([0; PAGE])).collect());
        let index = |shift: u32| (self.base >> shift & 511) as usize * 8;
        let table = PRESENT | WRITABLE | ACCESSED;
        bytes.word(index(39), (self.base + PAGE as u64) | table);
        bytes.word(PAGE + index(30), (self.base + 2 * PAGE as u64) | table);
        bytes.word(2 * PAGE + index(21), self.base | table | DIRTY | LARGE);
        for (i, descriptor) in GDT.into_iter().enumerate() {
            bytes.word(DESCRIPTORS + 8 * i, descriptor);
        }
        bytes.put(MAIN_LOOP, &MAIN_LOOP_CODE);
        bytes.put(COMMON, &COMMON_CODE);
        for vector in 0..256 {
            let stub = STUBS + vector * STUB_LEN;
            let target = self.base + stub as u64;
            // A 64-bit interrupt gate: Intel SDM volume 3, "64-Bit Mode IDT".
            let low = target & 0xffff | u64::from(CODE) << 16 | 0x8e00 << 32;
            bytes.word(GATES + 16 * vector, low | (target >> 16 & 0xffff) << 48);
            bytes.word(GATES + 16 * vector + 8, target >> 32);
            if vector == NMI_VECTOR {
                bytes.put(stub, &NMI_CODE);
            } else {
                // mov al, vector; jmp COMMON
                bytes.put(stub, &[0xb0, vector as u8, 0xe9]);
                let distance = COMMON as i32 - (stub as i32 + 7);
                bytes.put(stub + 3, &distance.to_le_bytes());
            }
        }
        bytes.0
    }
}

struct Bytes(Box<[Page]>);

impl Bytes {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at / PAGE].0[at % PAGE..][..bytes.len()].copy_from_slice(bytes);
    }

    fn word(&mut self, at: usize, word: u64) {
        self.put(at, &word.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_of_the_page_tables_is_read_only() {
        const PRESENT: u64 = 1;
        let image = Image::new(46);
        let pages = image.pages(1);
        let page_of = |address: u64| usize::try_from((address - image.base) / PAGE as u64).unwrap();
        let mut table = page_of(image.page_tables());
        // As many levels down as lead to a table: the last one maps the pages themselves.
        for _ in 0..3 {
            assert!(!READ_ONLY_PAGES.contains(&table), "page {table}");
            let entries = pages[table].0.as_chunks::<8>().0.iter();
            let mut entries = entries.map(|word| u64::from_le_bytes(*word));
            let Some(entry) = entries.find(|entry| entry & PRESENT != 0) else {
                panic!("page {table} leads nowhere");
            };
            let next = entry & 0x000f_ffff_ffff_f000;
            table = page_of(next);
        }
    }

    #[test]
    fn every_stub_jumps_to_the_common_part() {
        let pages = Image::new(46).pages(1);
        for vector in (0..256).filter(|&vector| vector != NMI_VECTOR) {
            let stub = &pages[5].0[vector * STUB_LEN..][..STUB_LEN];
            assert_eq!(stub[..3], [0xb0, vector as u8, 0xe9]);
            let distance = i32::from_le_bytes(stub[3..7].try_into().unwrap());
            let end = (STUBS + vector * STUB_LEN + 7) as i32;
            assert_eq!(end + distance, COMMON as i32);
        }
    }

    #[test]
    fn the_area_is_aligned_and_addressable() {
        for bits in [36, 39, 46, 52] {
            let image = Image::new(bits);
            assert_eq!(image.base % AREA, 0);
            assert!(image.stack(253) <= image.base + AREA);
            assert!(image.base < 1 << bits);
        }
    }
}
