//! A reader of ELF64 executables, no larger than the guest's image needs.

/// Most segments an image may have.
const SEGMENTS_MAX: usize = 16;

const FILE_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const EXECUTABLE: u16 = 2;
const X86_64: u16 = 62;
const PT_LOAD: u32 = 1;

/// An image cannot be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// It does not start with a little-endian ELF64 header.
    #[error("not a little-endian ELF64 file; the guest image must be one")]
    NotElf,
    /// It is not an executable for x86-64.
    #[error("an ELF file of type {kind} for machine {machine}; type 2 for machine 62 is needed")]
    NotExecutable {
        /// Type in its header.
        kind: u16,
        /// Machine in its header.
        machine: u16,
    },
    /// Something it refers to lies outside of the file.
    #[error("the ELF file ends before its {0}; it was cut short")]
    Truncated(&'static str),
    /// It has more program headers than any guest image.
    #[error("{0} program headers; a guest image has at most {SEGMENTS_MAX}")]
    TooManySegments(u16),
    /// A segment has more bytes in the file than in memory, or leaves the address space.
    #[error("the segment at {0:#x} has impossible sizes")]
    BadSegment(u64),
}

/// A part of an image and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Address of its first byte in guest memory.
    pub address: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Bytes it takes in memory; what `bytes` does not fill is zero.
    pub memory_size: u64,
}

/// A parsed image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Where its code starts.
    pub entry: u64,
    /// What to put into memory, in the file's order. Nothing says that they do not overlap.
    pub segments: Vec<Segment>,
}

/// Reads an image.
///
/// ```
/// let loaded = giantvm_guest::load(giantvm_guest::IMAGE)?;
/// assert!(loaded.segments.iter().any(|segment| segment.address == 0x8000));
/// # Ok::<(), giantvm_guest::ElfError>(())
/// ```
///
/// # Errors
/// [`ElfError`] if it is no ELF64 executable for x86-64, or not a whole one.
pub fn load(image: &[u8]) -> Result<Loaded, ElfError> {
    let header = image.get(..FILE_HEADER).ok_or(ElfError::NotElf)?;
    if header[..6] != *b"\x7fELF\x02\x01" {
        return Err(ElfError::NotElf);
    }
    let (kind, machine) = (u16_at(header, 16), u16_at(header, 18));
    if (kind, machine) != (EXECUTABLE, X86_64) {
        return Err(ElfError::NotExecutable { kind, machine });
    }
    let count = u16_at(header, 56);
    if usize::from(count) > SEGMENTS_MAX {
        return Err(ElfError::TooManySegments(count));
    }
    if usize::from(u16_at(header, 54)) != PROGRAM_HEADER {
        return Err(ElfError::NotElf);
    }
    let table = u64_at(header, 32);
    let length = usize::from(count) * PROGRAM_HEADER;
    let table = slice(image, table, length as u64).ok_or(ElfError::Truncated("program headers"))?;
    let loads = table
        .chunks_exact(PROGRAM_HEADER)
        .filter(|entry| u32_at(entry, 0) == PT_LOAD);
    let segments = loads
        .map(|entry| segment(image, entry))
        .collect::<Result<_, _>>()?;
    Ok(Loaded {
        entry: u64_at(header, 24),
        segments,
    })
}

fn segment(image: &[u8], entry: &[u8]) -> Result<Segment, ElfError> {
    let [offset, address, file_size, memory_size] = [8, 24, 32, 40].map(|at| u64_at(entry, at));
    if file_size > memory_size || address.checked_add(memory_size).is_none() {
        return Err(ElfError::BadSegment(address));
    }
    let bytes = slice(image, offset, file_size).ok_or(ElfError::Truncated("segments"))?;
    Ok(Segment {
        address,
        bytes: bytes.to_vec(),
        memory_size,
    })
}

fn slice(image: &[u8], offset: u64, length: u64) -> Option<&[u8]> {
    let end = usize::try_from(offset.checked_add(length)?).ok()?;
    image.get(usize::try_from(offset).ok()?..end)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    core::array::from_fn(|place| bytes[at + place])
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IMAGE, abi};

    #[test]
    fn the_image_lies_where_the_abi_says() {
        let loaded = load(IMAGE).unwrap();
        for segment in &loaded.segments {
            let end = segment.address + segment.memory_size;
            let low = segment.address >= abi::TRAMPOLINE && end <= abi::PAGE_TABLES;
            let high = segment.address >= abi::IMAGE_BASE && end <= abi::VCPU_AREAS;
            assert!(low || high, "{:#x}..{end:#x}", segment.address);
        }
        let low = &loaded.segments[0];
        assert_eq!(low.address, abi::TRAMPOLINE);
        let gate = &low.bytes[(abi::IDT - abi::TRAMPOLINE) as usize..][..16];
        assert_eq!(
            gate[2..6],
            [0x08, 0, 0, 0x8e],
            "the interrupt table is not where it should be"
        );
    }

    #[test]
    fn no_prefix_of_the_image_loads_or_panics() {
        for length in (0..IMAGE.len().min(0xd000)).step_by(7) {
            assert!(load(&IMAGE[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn no_damaged_header_panics() {
        for at in 0..FILE_HEADER + 3 * PROGRAM_HEADER {
            for byte in [0, 0x7f, 0xff] {
                let mut image = IMAGE.to_vec();
                image[at] = byte;
                let _ = load(&image);
            }
        }
    }
}
