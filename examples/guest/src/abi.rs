//! What guest and host agree on: addresses, ports, and the table the host writes before the start
//! and reads after the end.
//!
//! The same source is compiled into the guest image and into the host library, so neither side
//! can drift. Every field has a fixed width and is little-endian. Everything that two vCPUs share
//! has a page of its own, so that pages move between nodes only where a program means them to.

/// First word of the table.
pub const MAGIC: u64 = u64::from_le_bytes(*b"GIANTVM\0");
/// Version of this layout. A guest refuses a table of another version.
pub const VERSION: u32 = 2;

/// Bytes of a page of guest memory.
pub const PAGE: u64 = 4096;
/// Most vCPUs the guest can start: its per-vCPU areas are laid out for so many.
pub const MAX_VCPUS: u32 = 254;
/// Most entries of the list of programs to run.
pub const MAX_RUNS: usize = 16;
/// Parameters of one entry of the list.
pub const PARAMETERS: usize = 4;
/// Values a program reports.
pub const VALUES: usize = 28;

/// The real-mode code where application processors start. SIPI vector: this over 4096.
pub const TRAMPOLINE: u64 = 0x8000;
/// The interrupt descriptor table, part of the image.
pub const IDT: u64 = 0x9000;
/// Page tables, written by the host ([`PAGE_TABLES_PAGES`] pages). CR3 of every vCPU.
pub const PAGE_TABLES: u64 = 0x1_0000;
/// PML4, PDPT, four page directories, and the page table of the first 2 MiB.
pub const PAGE_TABLES_PAGES: u64 = 7;
/// The [`Table`].
pub const TABLE: u64 = 0x2_0000;
/// The image proper: text and constants.
pub const IMAGE_BASE: u64 = 0x10_0000;
/// The image's data. Everything below is mapped read-only for the guest.
pub const IMAGE_DATA: u64 = 0x1f_0000;

/// Start of the per-vCPU areas, one of [`VCPU_AREA_SIZE`] bytes for each vCPU identifier.
pub const VCPU_AREAS: u64 = 0x20_0000;
/// Bytes of a per-vCPU area. A power of two.
pub const VCPU_AREA_SIZE: u64 = 0x8000;
/// In a per-vCPU area: descriptor table of six entries.
pub const AREA_GDT: u64 = 0x000;
/// In a per-vCPU area: what `lgdt` loads (limit, base).
pub const AREA_GDT_POINTER: u64 = 0x080;
/// In a per-vCPU area: task state segment of 104 bytes.
pub const AREA_TSS: u64 = 0x100;
/// In a per-vCPU area: end of the stack of CPL0, which is one page.
pub const AREA_STACK0_END: u64 = 0x2000;
/// In a per-vCPU area: one 64-bit count for each interrupt vector, counted by the handlers.
pub const AREA_COUNTERS: u64 = 0x2000;
/// In a per-vCPU area: vector, error code, RIP and CR2 of an exception that ended the guest.
pub const AREA_FAULT: u64 = 0x2800;
/// In a per-vCPU area: the page by which this vCPU hands values to others.
pub const AREA_MAILBOX: u64 = 0x3000;
/// In a per-vCPU area: end of the stack of CPL3, which is four pages.
pub const AREA_STACK3_END: u64 = 0x8000;

/// Start of the shared words; word `n` has the page at `HOT + n * PAGE` for itself.
pub const HOT: u64 = 0xa0_0000;
/// The [`ResultBlock`]s, one for each entry of the list, in one page.
pub const RESULTS: u64 = 0xa1_0000;
/// How the rounds of the litmus tests ended, a table for each case.
pub const LITMUS: u64 = 0xa2_0000;
/// Start of the memory that programs use for their data, up to the memory's size.
pub const DATA: u64 = 0xc0_0000;
/// Least memory with which the guest starts; programs need more as their parameters say.
pub const MEMORY_MIN: u64 = DATA + 0x20_0000;
/// Most memory the guest makes use of: what lies below the device window.
pub const MEMORY_MAX: u64 = 0xc000_0000;

/// Window of the memory-mapped devices, 2 MiB mapped by the guest's page tables.
pub const MMIO: u64 = 0xd000_0000;
/// Memory-mapped bank of the scratch device: one page of 64-bit registers.
pub const MMIO_SCRATCH: u64 = MMIO;
/// Register index that reads as the count of accesses to all other registers of both banks.
pub const SCRATCH_TOTAL: u64 = 511;
/// Memory-mapped clock: an 8-byte read gives nanoseconds that all nodes agree on.
pub const MMIO_CLOCK: u64 = MMIO + 0x1000;
/// Registers of the channel to the host, as `giantvm_sched::channel::layout` has them; not quite as long
/// as the rest of the window.
pub const MMIO_CHANNEL: u64 = MMIO + 0x8_0000;

/// Where vCPUs that carry threads ask for the next one: [`word`](crate::threads::word) says how.
pub const MMIO_THREADS: u64 = MMIO + 0x1_0000;

/// First port of the 16550 serial line.
pub const PORT_SERIAL: u16 = 0x3f8;
/// A 32-bit write of a [`status`] ends the virtual machine.
pub const PORT_POWER: u16 = 0x604;
/// An 8-bit write says that the vCPU waits: the host yields its processor and goes on.
pub const PORT_RELAX: u16 = 0x610;
/// Port bank of the scratch device: 32-bit registers, four ports each, one per vCPU.
pub const PORT_SCRATCH: u16 = 0x1000;
/// Ports of the scratch device's port bank.
pub const PORT_SCRATCH_LEN: u16 = 0x400;

/// What a 64-bit scratch register is multiplied with when it is read.
pub const SCRATCH_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
/// What a 32-bit scratch register is multiplied with when it is read.
pub const SCRATCH_FACTOR_PORT: u32 = 0x9e37_79b1;

/// Selector of CPL0 code.
pub const SELECTOR_CODE0: u16 = 0x08;
/// Selector of CPL0 data.
pub const SELECTOR_DATA0: u16 = 0x10;
/// Selector of CPL3 data, with its privilege level.
pub const SELECTOR_DATA3: u16 = 0x18 | 3;
/// Selector of CPL3 code, with its privilege level.
pub const SELECTOR_CODE3: u16 = 0x20 | 3;
/// Selector of the task state segment.
pub const SELECTOR_TSS: u16 = 0x28;

/// CR0 of a running vCPU: PG, WP, NE, ET, MP, PE.
pub const CR0: u64 = 0x8001_0033;
/// CR4 of a running vCPU: OSXMMEXCPT, OSFXSR, PAE.
pub const CR4: u64 = 0x620;
/// EFER of a running vCPU: LMA, LME.
pub const EFER: u64 = 0x500;

/// What a guest writes to [`PORT_POWER`].
pub mod status {
    /// Every program passed.
    pub const PASSED: u32 = 0;
    /// A program found a wrong result; the result blocks say which.
    pub const FAILED: u32 = 1;
    /// A wait passed its deadline; the result blocks say which.
    pub const TIMED_OUT: u32 = 2;
    /// The table is not one that this guest understands.
    pub const BAD_TABLE: u32 = 3;
    /// The guest's own code panicked; the serial line says where.
    pub const PANICKED: u32 = 4;
    /// A processor exception; [`super::AREA_FAULT`] of the vCPU says which.
    pub const EXCEPTION: u32 = 5;
}

/// The table at [`TABLE`]. The host writes it; the guest never does.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Table {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`VERSION`].
    pub version: u32,
    /// vCPUs of the virtual machine, 1 to [`MAX_VCPUS`]; their identifiers start at 0.
    pub vcpus: u32,
    /// Bytes of memory from address 0.
    pub memory: u64,
    /// Time stamp counter cycles in a millisecond.
    pub cycles_per_ms: u64,
    /// Most milliseconds that any single wait of the guest may take.
    pub deadline_ms: u32,
    /// Entries used in `runs`.
    pub run_count: u32,
    /// Threads that run the programs; 0 if the vCPUs do.
    pub threads: u32,
    /// Zero.
    pub reserved: u32,
    /// Node of each vCPU, for the messages.
    pub nodes: [u8; 256],
    /// The programs to run, in order.
    pub runs: [RunEntry; MAX_RUNS],
}

/// One entry of the list of programs to run.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct RunEntry {
    /// Number of the program.
    pub program: u32,
    /// Zero.
    pub reserved: u32,
    /// Its parameters; each program says what they are.
    pub parameters: [u64; PARAMETERS],
}

/// What became of one entry of the list: 256 bytes.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct ResultBlock {
    /// [`NOT_RUN`], [`PASSED`] or the code of a failure.
    pub outcome: u64,
    /// vCPU that failed.
    pub vcpu: u64,
    /// Time the program took, in microseconds by vCPU 0's counter.
    pub micros: u64,
    /// Zero.
    pub reserved: u64,
    /// What the program reports, or the details of the failure.
    pub values: [u64; VALUES],
}

/// Outcome of an entry that never ran to its end.
pub const NOT_RUN: u64 = 0;
/// Outcome of an entry that passed on all vCPUs.
pub const PASSED: u64 = 1;

const _: () = {
    assert!(size_of::<Table>() <= PAGE as usize);
    assert!(size_of::<ResultBlock>() == 256);
    assert!(size_of::<ResultBlock>() * MAX_RUNS <= PAGE as usize);
    assert!(VCPU_AREAS + VCPU_AREA_SIZE * 256 <= HOT);
    assert!(RESULTS + PAGE <= LITMUS);
    assert!(VCPU_AREA_SIZE.is_power_of_two());
    assert!(MAX_VCPUS as u16 * 4 <= PORT_SCRATCH_LEN);
    assert!((MAX_VCPUS as u64) < SCRATCH_TOTAL);
};

/// Address of the area of a vCPU.
#[must_use]
pub const fn vcpu_area(vcpu: u32) -> u64 {
    VCPU_AREAS + vcpu as u64 * VCPU_AREA_SIZE
}

/// Address of the result block of an entry of the list.
#[must_use]
pub const fn result_block(run: usize) -> u64 {
    RESULTS + (run * size_of::<ResultBlock>()) as u64
}
