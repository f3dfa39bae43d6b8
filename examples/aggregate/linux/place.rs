//! What is where in the first MiB, which the kernel finds as a PC's firmware leaves it.

use std::ops::Range;

/// The kernel's boot parameters, one page.
pub(super) const ZERO_PAGE: u64 = 0x7000;
/// The page tables that the kernel starts with.
pub(super) const PAGE_TABLES: u64 = 0x9000;
/// The command line, with its end.
pub(super) const COMMAND_LINE: u32 = 0x2_0000;
/// Memory that a kernel may use in the first MiB, all that is above among it.
pub(super) const FIRST_MEMORY: Range<u64> = 0..0x9_fc00;
/// ACPI's tables, where also a kernel looks that does not read the boot parameters' word of them.
pub(super) const ACPI_TABLES: Range<u64> = 0xe_0000..0x10_0000;
/// Where kernels are loaded from.
pub(super) const HIGH_MEMORY: u64 = 0x10_0000;
