//! The disk that an emulated host boots from: a first sector that loads the rest, and the rest.
//!
//! A boot loader of a distribution would read it through the firmware, sector by sector, which takes
//! minutes; and the emulator's own way to fill memory loses what is larger than a megabyte.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use linux_loader::loader::KernelLoader as _;
use linux_loader::loader::elf::{Elf, PvhBootCapability};
use vm_memory::{Bytes as _, GuestAddress, GuestMemoryMmap};

use crate::tool;

const BOOT: &str = include_str!("boot.s");
/// Where the first sector has its table.
const TABLE: usize = 0x1c0;
const SECTOR: usize = 512;
/// A disk of whole cylinders, of 16 heads and 63 sectors.
const CYLINDER: usize = 16 * 63 * SECTOR;
/// Where kernels begin, and where what the kernel is told and its first file system are put.
const KERNEL: u32 = 0x100_0000;
const TOLD: u32 = 0x900_0000;
const FILES: u32 = 0xa00_0000;
/// Below `TOLD`: where in it are what.
const MODULE: usize = 0x100;
const MEMORY: usize = 0x200;
const LINE: usize = 0x1000;
const LONGEST_LINE: usize = 0x1000;
/// The firmware has its tables in the last of the memory.
const FIRMWARE: u64 = 1 << 20;
/// What PVH's start information begins with.
const MAGIC: u32 = 0x336e_c578;
const RAM: u32 = 1;
const RESERVED: u32 = 2;

/// What a disk is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contents<'a> {
    /// A kernel, as an ELF file that can be entered by PVH.
    pub(super) kernel: &'a Path,
    /// Its first file system.
    pub(super) initrd: &'a Path,
    /// What it is told.
    pub(super) command_line: &'a str,
    /// The machine's memory in bytes.
    pub(super) memory: u64,
}

/// Writes the disk; `scratch` is a directory.
pub(super) fn write(contents: &Contents<'_>, disk: &Path, scratch: &Path) -> anyhow::Result<()> {
    let (kernel, entry) = kernel(contents.kernel)
        .with_context(|| format!("cannot load {}", contents.kernel.display()))?;
    let files = fs::read(contents.initrd)?;
    let told = told(contents, files.len())?;
    let mut image = boot_sector(scratch)?;
    let mut at = TABLE;
    let mut put = |image: &mut Vec<u8>, word: u32| {
        image[at..at + 4].copy_from_slice(&word.to_le_bytes());
        at += 4;
    };
    for (address, part) in [(KERNEL, &kernel), (TOLD, &told), (FILES, &files)] {
        put(&mut image, address);
        put(&mut image, u32::try_from(part.len().div_ceil(SECTOR))?);
        image.extend_from_slice(part);
        image.resize(image.len().next_multiple_of(SECTOR), 0);
    }
    for word in [0, 0, entry, TOLD] {
        put(&mut image, word);
    }
    image.resize(image.len().next_multiple_of(CYLINDER), 0);
    fs::write(disk, image).with_context(|| format!("cannot write {}", disk.display()))
}

/// A kernel as it lies in memory from [`KERNEL`] on, and its entry.
fn kernel(path: &Path) -> anyhow::Result<(Vec<u8>, u32)> {
    let room = (TOLD - KERNEL) as usize;
    let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(u64::from(KERNEL)), room)])?;
    let loaded = Elf::load(&memory, None, &mut fs::File::open(path)?, None)?;
    let PvhBootCapability::PvhEntryPresent(entry) = loaded.pvh_boot_cap else {
        anyhow::bail!("it cannot be entered by PVH");
    };
    let length = loaded.kernel_end.saturating_sub(u64::from(KERNEL));
    let mut image = vec![0; usize::try_from(length)?.min(room)];
    memory.read_slice(&mut image, GuestAddress(u64::from(KERNEL)))?;
    Ok((image, u32::try_from(entry.0)?))
}

/// PVH's start information, as Xen's public headers lay it out: itself, the list of modules, the map
/// of memory and the command line.
fn told(contents: &Contents<'_>, files: usize) -> anyhow::Result<Vec<u8>> {
    let line = contents.command_line.as_bytes();
    let end = u64::from(FILES) + files as u64;
    ensure!(line.len() < LONGEST_LINE, "the command line is too long");
    ensure!(
        end + FIRMWARE <= contents.memory,
        "an emulated host's memory must be {} MiB at least, for its first file system",
        (end + FIRMWARE).div_ceil(1 << 20)
    );
    let memory = [
        (0, 0x9_fc00, RAM),
        (0x9_fc00, 0x400, RESERVED),
        (0xf_0000, 0x1_0000, RESERVED),
        (0x10_0000, contents.memory - FIRMWARE - 0x10_0000, RAM),
        (contents.memory - FIRMWARE, FIRMWARE, RESERVED),
    ];
    let at = |offset: usize| u64::from(TOLD) + offset as u64;
    let mut told = vec![0; LINE + LONGEST_LINE];
    let mut put = |offset: usize, bytes: &[u8]| {
        told[offset..offset + bytes.len()].copy_from_slice(bytes);
    };
    put(0, &MAGIC.to_le_bytes());
    put(4, &1_u32.to_le_bytes());
    put(12, &1_u32.to_le_bytes());
    put(16, &at(MODULE).to_le_bytes());
    put(24, &at(LINE).to_le_bytes());
    put(40, &at(MEMORY).to_le_bytes());
    put(48, &u32::try_from(memory.len())?.to_le_bytes());
    put(MODULE, &u64::from(FILES).to_le_bytes());
    put(MODULE + 8, &(files as u64).to_le_bytes());
    for (number, (start, size, kind)) in memory.into_iter().enumerate() {
        let entry = MEMORY + 24 * number;
        put(entry, &u64::to_le_bytes(start));
        put(entry + 8, &u64::to_le_bytes(size));
        put(entry + 16, &u32::to_le_bytes(kind));
    }
    put(LINE, line);
    Ok(told)
}

/// The first sector, assembled, with an empty table.
fn boot_sector(scratch: &Path) -> anyhow::Result<Vec<u8>> {
    let (source, sector) = (scratch.join("boot.s"), scratch.join("boot.bin"));
    fs::write(&source, BOOT)?;
    let mut compiler = Command::new("cc");
    compiler.args(["-m32", "-nostdlib", "-static", "-Wl,-Ttext=0x7c00"]);
    compiler.args(["-Wl,--build-id=none", "-Wl,--oformat=binary", "-o"]);
    tool::output(compiler.arg(&sector).arg(&source))?;
    let bytes = fs::read(sector)?;
    ensure!(
        bytes.len() == SECTOR,
        "a first sector of {} bytes",
        bytes.len()
    );
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sector_is_one_and_has_room_for_its_table() {
        let scratch = tempfile::tempdir().unwrap();
        let sector = boot_sector(scratch.path()).unwrap();
        assert_eq!(sector[510..], [0x55, 0xaa]);
        assert!(sector[TABLE..510].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn what_the_kernel_is_told_leaves_the_firmware_its_memory() {
        let contents = Contents {
            kernel: Path::new(""),
            initrd: Path::new(""),
            command_line: "quiet",
            memory: 256 << 20,
        };
        let told = told(&contents, 1000).unwrap();
        let word = |at: usize| u64::from_le_bytes(told[at..at + 8].try_into().unwrap());
        assert_eq!(word(MODULE + 8), 1000);
        assert_eq!(word(MEMORY + 3 * 24 + 8), (256 << 20) - (2 << 20));
        assert!(told[LINE..].starts_with(b"quiet\0"));
        let small = Contents {
            memory: 128 << 20,
            ..contents
        };
        let error = super::told(&small, 1000).unwrap_err().to_string();
        assert!(error.contains("must be 162 MiB"), "{error}");
    }
}
