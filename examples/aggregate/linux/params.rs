//! What the kernel is told: its command line, the memory there is, where its files are.

use std::ops::Range;

use linux_loader::loader::bootparam::{boot_e820_entry, boot_params, setup_header};

use super::kernel::LoadError;
use super::place::{COMMAND_LINE, FIRST_MEMORY, HIGH_MEMORY};

/// Kinds of memory, as firmware has them.
const RAM: u32 = 1;
const RESERVED: u32 = 2;
/// A boot loader without a number of its own.
const LOADER: u8 = 0xff;
/// Most bytes of a command line for kernels that do not say; x86's own limit, less its end.
const DEFAULT_COMMAND_LINE: usize = 255;
const LONGEST_COMMAND_LINE: usize = 2047;

/// What every guest is told before the user's own words, which come later and so count more.
///
/// The time-stamp counters agree between the nodes as far as they can, and there is nothing to check
/// or calibrate them with: no PIT, HPET or power-management timer. On AMD's processors Linux takes
/// their frequency from here only. A kernel that finds reduced ACPI takes a reset for EFI's to make, and
/// without EFI jumps to a BIOS, which is not there either.
pub(super) fn command_line(tsc_khz: Option<u32>, own: &str) -> String {
    let mut line = String::from("console=ttyS0 tsc=reliable no_timer_check panic=-1 reboot=acpi");
    if let Some(khz) = tsc_khz {
        line += &format!(" tsc_early_khz={khz}");
    }
    if !own.is_empty() {
        line.push(' ');
        line += own;
    }
    line
}

/// The command line's bytes with their end, if the kernel takes as many.
pub(super) fn terminated(line: &str, header: &setup_header) -> Result<Vec<u8>, LoadError> {
    let limit = match header.cmdline_size as usize {
        0 => DEFAULT_COMMAND_LINE,
        said => said.min(LONGEST_COMMAND_LINE),
    };
    let mut bytes: Vec<_> = line.bytes().filter(|&byte| byte != 0).collect();
    if bytes.len() > limit {
        let got = bytes.len();
        return Err(LoadError::CommandLine { got, limit });
    }
    bytes.push(0);
    Ok(bytes)
}

/// The boot parameters of a kernel with this header.
pub(super) fn zero_page(
    header: setup_header,
    memory: &[Range<u64>],
    initrd: Option<Range<u32>>,
    rsdp: u64,
) -> boot_params {
    let mut params = boot_params {
        hdr: header,
        acpi_rsdp_addr: rsdp,
        ..boot_params::default()
    };
    params.hdr.type_of_loader = LOADER;
    params.hdr.cmd_line_ptr = COMMAND_LINE;
    if let Some(initrd) = initrd {
        params.hdr.ramdisk_image = initrd.start;
        params.hdr.ramdisk_size = initrd.end - initrd.start;
    }
    let map = memory_map(memory);
    // Two regions of memory at most make four entries: far fewer than the table has.
    for (entry, (range, kind)) in params.e820_table.iter_mut().zip(&map) {
        *entry = boot_e820_entry {
            addr: range.start,
            size: range.end - range.start,
            r#type: *kind,
        };
        params.e820_entries += 1;
    }
    params
}

/// The memory as firmware would tell it: the first MiB as on every PC.
fn memory_map(memory: &[Range<u64>]) -> Vec<(Range<u64>, u32)> {
    let mut map = vec![
        (FIRST_MEMORY, RAM),
        (FIRST_MEMORY.end..HIGH_MEMORY, RESERVED),
    ];
    for range in memory {
        let range = range.start.max(HIGH_MEMORY)..range.end;
        if range.start < range.end {
            map.push((range, RAM));
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn the_memory_map_leaves_out_what_is_no_memory() {
        let map = memory_map(&[0..3 * GIB, 4 * GIB..5 * GIB]);
        let ram: Vec<_> = map.iter().filter(|(_, kind)| *kind == RAM).collect();
        assert_eq!(ram.len(), 3);
        assert_eq!(ram[0].0, 0..0x9_fc00);
        assert_eq!(ram[1].0, 0x10_0000..3 * GIB);
        assert_eq!(ram[2].0, 4 * GIB..5 * GIB);
    }

    #[test]
    fn the_kernel_finds_its_files() {
        let (ram, initrd) = (0..GIB, Some(0x1000..0x1800));
        let ram = std::slice::from_ref(&ram);
        let params = zero_page(setup_header::default(), ram, initrd, 7);
        let boot_params {
            hdr, e820_entries, ..
        } = params;
        assert_eq!({ params.acpi_rsdp_addr }, 7);
        assert_eq!({ hdr.ramdisk_image }, 0x1000);
        assert_eq!({ hdr.ramdisk_size }, 0x800);
        assert_eq!({ hdr.cmd_line_ptr }, COMMAND_LINE);
        assert_eq!(e820_entries, 3);
    }

    #[test]
    fn a_command_line_too_long_is_refused_and_the_users_words_come_last() {
        let header = setup_header {
            cmdline_size: 20,
            ..setup_header::default()
        };
        assert_eq!(terminated("quiet", &header).unwrap(), b"quiet\0");
        let refused = terminated(&"x".repeat(21), &header).unwrap_err();
        assert!(refused.to_string().contains("--cmdline"), "{refused}");
        let line = command_line(Some(2_600_000), "tsc_early_khz=1");
        assert!(
            line.ends_with("tsc_early_khz=2600000 tsc_early_khz=1"),
            "{line}"
        );
    }
}
