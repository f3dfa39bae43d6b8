//! A kernel file, which no one vouches for: from its bytes to an entry in guest memory.

use std::io::{Read, Seek, SeekFrom};

use linux_loader::loader::bootparam::setup_header;
use linux_loader::loader::bzimage::BzImage;
use linux_loader::loader::elf::Elf;
use linux_loader::loader::{self, KernelLoader};
use vm_memory::{Address as _, GuestAddress, GuestMemoryBackend, ReadVolatile};

use super::place::HIGH_MEMORY;

/// Where an ELF file says that it is one, of 64 bits, and of which processor.
const ELF_START: [u8; 5] = [0x7f, b'E', b'L', b'F', 2];
const ELF_MACHINE: (usize, [u8; 2]) = (18, [62, 0]);
/// Where a bzImage says that it is one.
const SETUP_MAGIC: (usize, [u8; 4]) = (0x202, *b"HdrS");
/// From the start of the loaded part of a bzImage to its 64-bit entry.
const ENTRY_64: u64 = 0x200;
/// The boot protocol's version from which a kernel says whether it has one, and how it does.
const HAS_ENTRY_64: (u16, u16) = (0x020c, 1);
/// Enough of a file to know what it is.
const HEAD: usize = 0x206;

/// Why a kernel, or what goes with it, cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(
        "it is neither a bzImage nor an ELF file for x86-64: use a distribution's /boot/vmlinuz-*, or \
         the vmlinux of a kernel's build"
    )]
    Format,
    #[error(
        "its boot protocol ({}.{}) has no 64-bit entry: use Linux 3.8 or newer, built for x86-64",
        version >> 8,
        version & 0xff
    )]
    NoEntry { version: u16 },
    #[error(
        "its entry at {entry:#x} is not in what was loaded, up to {end:#x}: the file is damaged"
    )]
    Entry { entry: u64, end: u64 },
    #[error("{0}: the file is damaged, or --memory is too small for it")]
    Loader(#[from] loader::Error),
    #[error(
        "{what} does not fit: it would reach from {start:#x} to {end:#x}, but this machine's memory \
         has room for it only up to {limit:#x}: raise --memory"
    )]
    Room {
        what: &'static str,
        start: u64,
        end: u64,
        limit: u64,
    },
    #[error("the command line has {got} bytes and the kernel takes {limit}: shorten --cmdline")]
    CommandLine { got: usize, limit: usize },
    #[error("it cannot be read: {0}")]
    Read(#[from] std::io::Error),
}

/// A kernel that is in guest memory.
#[derive(Debug)]
pub(super) struct Kernel {
    /// Where it starts, in 64-bit mode.
    pub(super) entry: u64,
    /// What it needs of memory while it starts ends here.
    pub(super) end: u64,
    /// What it says of itself; as of a kernel that takes everything if it does not.
    pub(super) header: setup_header,
}

/// Loads a kernel into memory that reaches without a hole up to `limit`.
///
/// Of the ways into a kernel, the 64-bit entry of Linux' boot protocol is taken: bzImages and ELF
/// files alike have it. PVH's entry is that of ELF files only.
pub(super) fn load<F: Read + ReadVolatile + Seek, M: GuestMemoryBackend>(
    memory: &M,
    file: &mut F,
    limit: u64,
) -> Result<Kernel, LoadError> {
    let mut head = Vec::new();
    file.rewind()?;
    file.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    let size = file.seek(SeekFrom::End(0))?;
    fits("the kernel", HIGH_MEMORY, size, limit)?;
    let has = |(at, what): (usize, &[u8])| head.get(at..at + what.len()) == Some(what);
    let kernel = if has((0, &ELF_START)) && has((ELF_MACHINE.0, &ELF_MACHINE.1)) {
        elf(memory, file)?
    } else if has((SETUP_MAGIC.0, &SETUP_MAGIC.1)) {
        bzimage(memory, file)?
    } else {
        return Err(LoadError::Format);
    };
    let (entry, end) = (kernel.entry, kernel.end);
    if !(HIGH_MEMORY..end).contains(&entry) {
        return Err(LoadError::Entry { entry, end });
    }
    fits("the kernel", HIGH_MEMORY, end - HIGH_MEMORY, limit)?;
    Ok(kernel)
}

/// Refuses `size` bytes from `start` if they go past `limit`.
pub(super) fn fits(what: &'static str, start: u64, size: u64, limit: u64) -> Result<(), LoadError> {
    match start.saturating_add(size) {
        end if end <= limit => Ok(()),
        end => Err(LoadError::Room {
            what,
            start,
            end,
            limit,
        }),
    }
}

fn elf<F: Read + ReadVolatile + Seek, M: GuestMemoryBackend>(
    memory: &M,
    file: &mut F,
) -> Result<Kernel, LoadError> {
    let loaded = Elf::load(memory, None, file, Some(GuestAddress(HIGH_MEMORY)))?;
    let header = setup_header {
        header: u32::from_le_bytes(SETUP_MAGIC.1),
        boot_flag: 0xaa55,
        version: 0x020f,
        kernel_alignment: 0x20_0000,
        initrd_addr_max: u32::MAX,
        cmdline_size: 2047,
        ..setup_header::default()
    };
    Ok(Kernel {
        entry: loaded.kernel_load.raw_value(),
        end: loaded.kernel_end,
        header,
    })
}

fn bzimage<F: Read + ReadVolatile + Seek, M: GuestMemoryBackend>(
    memory: &M,
    file: &mut F,
) -> Result<Kernel, LoadError> {
    let loaded = BzImage::load(memory, None, file, Some(GuestAddress(HIGH_MEMORY)))?;
    let header = loaded.setup_header.ok_or(LoadError::Format)?;
    let (version, flags) = (header.version, header.xloadflags);
    if version < HAS_ENTRY_64.0 || flags & HAS_ENTRY_64.1 == 0 {
        return Err(LoadError::NoEntry { version });
    }
    let start = loaded.kernel_load.raw_value();
    // It unpacks itself to where it prefers to be, or if it is above that, to where it is.
    let (prefers, alignment) = (header.pref_address, u64::from(header.kernel_alignment));
    let unpacks = start
        .next_multiple_of(alignment.clamp(1, 1 << 30))
        .max(prefers);
    let end = unpacks.saturating_add(header.init_size.into());
    Ok(Kernel {
        entry: start + ENTRY_64,
        end: end.max(loaded.kernel_end),
        header,
    })
}
