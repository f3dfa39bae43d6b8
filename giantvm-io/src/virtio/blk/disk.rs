//! What a block device reads and writes.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;

pub(super) const SECTOR_BYTES: u32 = 512;

/// Bytes of a sector.
pub const SECTOR: u64 = SECTOR_BYTES as u64;

/// Bytes that zeroes are written by where the disk has no other way.
const ZEROES: usize = 1 << 16;

/// A disk: bytes of a fixed number, at places from zero. What is asked of it is inside.
pub trait Disk: Send + Debug + 'static {
    /// Its size in bytes.
    fn bytes(&self) -> u64;

    /// Whether it may only be read.
    fn is_read_only(&self) -> bool;

    /// Fills a buffer from a place.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;

    /// Writes a buffer to a place.
    ///
    /// # Errors
    /// What the system says.
    fn write(&self, buffer: &[u8], at: u64) -> io::Result<()>;

    /// Makes all that was written last, whatever happens to the host.
    ///
    /// # Errors
    /// What the system says.
    fn flush(&self) -> io::Result<()>;

    /// Lets go of a range, whose bytes may be anything from now on.
    ///
    /// # Errors
    /// What the system says; not that it cannot, as this is a wish.
    fn discard(&self, at: u64, bytes: u64) -> io::Result<()>;

    /// Makes a range zero; `free` says that the disk need not keep room for it.
    ///
    /// # Errors
    /// What the system says.
    fn zero(&self, at: u64, bytes: u64, free: bool) -> io::Result<()>;
}

/// A disk in a file: its bytes are the file's.
///
/// The file is locked as long as this exists: for others' writing where it may be read only, and for
/// any use otherwise. Bytes after the last whole sector are not shown.
#[derive(Debug)]
pub struct FileDisk {
    file: File,
    bytes: u64,
    read_only: bool,
}

impl FileDisk {
    /// The disk in a file that exists.
    ///
    /// # Errors
    /// What the system says; [`ErrorKind::WouldBlock`] if the file is another's disk.
    pub fn open(path: &Path, read_only: bool) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(!read_only).open(path)?;
        Self::new(file, read_only)
    }

    /// The disk in an open file.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn new(file: File, read_only: bool) -> io::Result<Self> {
        let lock = match read_only {
            true => FlockOperation::NonBlockingLockShared,
            false => FlockOperation::NonBlockingLockExclusive,
        };
        flock(&file, lock)?;
        let bytes = file.metadata()?.len() / SECTOR * SECTOR;
        Ok(Self {
            file,
            bytes,
            read_only,
        })
    }
}

impl Disk for FileDisk {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, at)
    }

    fn write(&self, buffer: &[u8], at: u64) -> io::Result<()> {
        self.file.write_all_at(buffer, at)
    }

    fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn discard(&self, at: u64, bytes: u64) -> io::Result<()> {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, hole, at, bytes) {
            Err(Errno::OPNOTSUPP) => Ok(()),
            ended => Ok(ended?),
        }
    }

    fn zero(&self, at: u64, bytes: u64, free: bool) -> io::Result<()> {
        let how = match free {
            true => FallocateFlags::PUNCH_HOLE,
            false => FallocateFlags::ZERO_RANGE,
        };
        match fallocate(&self.file, how | FallocateFlags::KEEP_SIZE, at, bytes) {
            Err(Errno::OPNOTSUPP) => {}
            ended => return Ok(ended?),
        }
        let zeroes = [0; ZEROES];
        let end = at.checked_add(bytes).ok_or(ErrorKind::InvalidInput)?;
        let mut at = at;
        while at < end {
            let part = usize::try_from(end - at).map_or(ZEROES, |left| left.min(ZEROES));
            self.file.write_all_at(&zeroes[..part], at)?;
            at += part as u64;
        }
        Ok(())
    }
}
