//! One request to a disk: from its bytes to what the driver is told.

use std::io::{self, Read, Write};

use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_DISCARD,
    VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
    VIRTIO_BLK_T_WRITE_ZEROES,
};
use vm_memory::GuestMemory;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::disk::{Disk, SECTOR};
use super::{MAX_BYTES, MAX_RANGE_SECTORS, MAX_RANGES};
use crate::virtio::{Chain, Cursor, Malformed};

/// Bytes that are copied at a time.
const PIECE: usize = 1 << 16;

/// Bytes of a disk's name.
pub(super) const ID_BYTES: usize = 20;

/// In a range to be zeroed: the disk need not keep room for it.
const UNMAP: u32 = 1;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    kind: U32,
    reserved: U32,
    sector: U64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Range {
    sector: U64,
    sectors: U32,
    flags: U32,
}

/// Why a request failed, as far as the driver is told.
enum Failure {
    /// The disk failed, or the request is for what is not there.
    Io,
    /// No such request.
    Unsupported,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        tracing::debug!(%error, "a disk request failed");
        Self::Io
    }
}

/// Does what a request asks for, and says so in it. Returns how many bytes of it were written.
///
/// # Errors
/// [`Malformed`] if there is nowhere to say it.
pub(super) fn serve<M: GuestMemory>(
    chain: &Chain,
    memory: &M,
    disk: &impl Disk,
    id: &[u8; ID_BYTES],
) -> Result<u64, Malformed> {
    let (mut reader, mut writer) = (chain.reader(memory), chain.writer(memory));
    // The status is the last byte that the device writes.
    let data = writer.left().checked_sub(1).ok_or(Malformed::Request)?;
    let header: Header = read(&mut reader).map_err(|_| Malformed::Request)?;
    let place = header.sector.get();
    let ended = match header.kind.get() {
        VIRTIO_BLK_T_IN => read_disk(&mut writer, data, disk, place),
        VIRTIO_BLK_T_OUT => write_disk(&mut reader, disk, place),
        VIRTIO_BLK_T_FLUSH => disk.flush().map_err(Failure::from),
        VIRTIO_BLK_T_GET_ID if data >= ID_BYTES as u64 => {
            writer.write_all(id).map_err(Failure::from)
        }
        VIRTIO_BLK_T_DISCARD => each_range(&mut reader, disk, |range, at, bytes| {
            match range.flags.get() {
                0 => Ok(disk.discard(at, bytes)?),
                _ => Err(Failure::Unsupported),
            }
        }),
        VIRTIO_BLK_T_WRITE_ZEROES => each_range(&mut reader, disk, |range, at, bytes| match range
            .flags
            .get()
        {
            flags @ (0 | UNMAP) => Ok(disk.zero(at, bytes, flags == UNMAP)?),
            _ => Err(Failure::Unsupported),
        }),
        _ => Err(Failure::Unsupported),
    };
    let status = match ended {
        Ok(()) => VIRTIO_BLK_S_OK,
        Err(Failure::Io) => VIRTIO_BLK_S_IOERR,
        Err(Failure::Unsupported) => VIRTIO_BLK_S_UNSUPP,
    };
    let mut writer = chain.writer(memory);
    writer.skip(data);
    let [status, ..] = status.to_le_bytes();
    writer
        .write_all(&[status])
        .map_err(|_| Malformed::Request)?;
    // What lies before the status counts as written: the driver looks at it only if all was well.
    Ok(data + 1)
}

fn read<M: GuestMemory, T: FromBytes + IntoBytes>(reader: &mut Cursor<'_, M>) -> io::Result<T> {
    let mut value = T::new_zeroed();
    reader.read_exact(value.as_mut_bytes())?;
    Ok(value)
}

/// Where a run of whole sectors begins, where all of them are on the disk.
fn place(disk: &impl Disk, sector: u64, bytes: u64) -> Result<u64, Failure> {
    let at = sector.checked_mul(SECTOR).ok_or(Failure::Io)?;
    let end = at.checked_add(bytes).ok_or(Failure::Io)?;
    let sound = bytes.is_multiple_of(SECTOR) && end <= disk.bytes();
    sound.then_some(at).ok_or(Failure::Io)
}

fn read_disk<M: GuestMemory>(
    writer: &mut Cursor<'_, M>,
    bytes: u64,
    disk: &impl Disk,
    sector: u64,
) -> Result<(), Failure> {
    let mut at = place(disk, sector, bytes)?;
    in_pieces(bytes, |piece| {
        disk.read(piece, at)?;
        at += piece.len() as u64;
        writer.write_all(piece)
    })
}

fn write_disk<M: GuestMemory>(
    reader: &mut Cursor<'_, M>,
    disk: &impl Disk,
    sector: u64,
) -> Result<(), Failure> {
    let bytes = reader.left();
    let mut at = place(disk, sector, bytes)?;
    if disk.is_read_only() {
        return Err(Failure::Io);
    }
    in_pieces(bytes, |piece| {
        reader.read_exact(piece)?;
        disk.write(piece, at)?;
        at += piece.len() as u64;
        Ok(())
    })
}

/// Goes through so many bytes by pieces of one buffer: guest memory is never lent to the system,
/// which might not be allowed to wait for a page of it.
fn in_pieces(bytes: u64, mut each: impl FnMut(&mut [u8]) -> io::Result<()>) -> Result<(), Failure> {
    if bytes > MAX_BYTES {
        return Err(Failure::Io);
    }
    let mut left = usize::try_from(bytes).map_err(|_| Failure::Io)?;
    let mut buffer = vec![0; left.min(PIECE)];
    while left > 0 {
        let piece = left.min(PIECE);
        each(&mut buffer[..piece])?;
        left -= piece;
    }
    Ok(())
}

fn each_range<M: GuestMemory>(
    reader: &mut Cursor<'_, M>,
    disk: &impl Disk,
    mut each: impl FnMut(&Range, u64, u64) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if disk.is_read_only() {
        return Err(Failure::Io);
    }
    let bytes = reader.left();
    let limit = u64::from(MAX_RANGES) * size_of::<Range>() as u64;
    if bytes == 0 || bytes > limit || !bytes.is_multiple_of(size_of::<Range>() as u64) {
        return Err(Failure::Io);
    }
    while reader.left() > 0 {
        let range: Range = read(reader)?;
        let sectors = range.sectors.get();
        if sectors > MAX_RANGE_SECTORS {
            return Err(Failure::Io);
        }
        let bytes = u64::from(sectors) * SECTOR;
        let at = place(disk, range.sector.get(), bytes)?;
        if bytes > 0 {
            each(&range, at, bytes)?;
        }
    }
    Ok(())
}
