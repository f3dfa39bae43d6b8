//! What a driver puts at a device's disposal: buffers in guest memory, checked.

use std::io;

use virtio_queue::DescriptorChain;
use vm_memory::{Address, Bytes, GuestAddress, GuestMemory, Permissions};

use super::Malformed;

/// Most buffers of a chain. A driver may use no more than its queue has descriptors, so no queue
/// is longer either.
pub const MAX_SEGMENTS: usize = 256;

/// A run of guest memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    address: GuestAddress,
    len: u32,
}

/// The buffers of one request: those that the device reads, and then those that it writes.
///
/// All of them are in guest memory. What they hold may change at any time, by a hostile guest's
/// will; that they exist may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    head: u16,
    readable: Vec<Segment>,
    writable: Vec<Segment>,
}

impl Chain {
    /// Walks the descriptors of a chain, once.
    pub(super) fn walk<M: GuestMemory>(
        mut descriptors: DescriptorChain<&M>,
        memory: &M,
    ) -> Result<Self, Malformed> {
        let mut chain = Self {
            head: descriptors.head_index(),
            readable: Vec::new(),
            writable: Vec::new(),
        };
        // The iterator ends without a word where it cannot go on.
        let mut goes_on = true;
        for descriptor in &mut descriptors {
            goes_on = descriptor.has_next();
            let (address, len) = (descriptor.addr(), descriptor.len());
            let (segments, access) = match descriptor.is_write_only() {
                true => (&mut chain.writable, Permissions::Write),
                false if !chain.writable.is_empty() => return Err(Malformed::Order),
                false => (&mut chain.readable, Permissions::Read),
            };
            if !memory.check_range(address, len as usize, access) {
                return Err(Malformed::NoMemory);
            }
            segments.push(Segment { address, len });
            if chain.readable.len() + chain.writable.len() > MAX_SEGMENTS {
                return Err(Malformed::Long);
            }
        }
        match goes_on {
            true => Err(Malformed::Chain),
            false => Ok(chain),
        }
    }

    /// The number that the driver knows the chain by.
    pub(super) const fn head(&self) -> u16 {
        self.head
    }

    /// What the device reads, from its start.
    pub fn reader<'a, M: GuestMemory>(&'a self, memory: &'a M) -> Cursor<'a, M> {
        Cursor::new(&self.readable, memory)
    }

    /// What the device writes, from its start.
    pub fn writer<'a, M: GuestMemory>(&'a self, memory: &'a M) -> Cursor<'a, M> {
        Cursor::new(&self.writable, memory)
    }
}

/// A place in one half of a [`Chain`]; how the half is split into buffers does not show.
#[derive(Debug)]
pub struct Cursor<'a, M> {
    memory: &'a M,
    /// What is left of the first, and all others.
    first: Segment,
    others: &'a [Segment],
    left: u64,
    passed: u64,
}

impl<'a, M: GuestMemory> Cursor<'a, M> {
    fn new(segments: &'a [Segment], memory: &'a M) -> Self {
        let empty = Segment {
            address: GuestAddress(0),
            len: 0,
        };
        let left = segments.iter().map(|segment| u64::from(segment.len)).sum();
        Self {
            memory,
            first: empty,
            others: segments,
            left,
            passed: 0,
        }
    }

    /// Bytes from here to the end.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Bytes from the start to here.
    #[must_use]
    pub const fn passed(&self) -> u64 {
        self.passed
    }

    /// Goes on by `bytes`, or to the end.
    pub fn skip(&mut self, mut bytes: u64) {
        while bytes > 0
            && let Some(next) = self.next(usize::try_from(bytes).unwrap_or(usize::MAX))
        {
            bytes -= u64::from(next.len);
        }
    }

    /// Passes at most `limit` bytes that lie together; `None` at the end.
    fn next(&mut self, limit: usize) -> Option<Segment> {
        while self.first.len == 0 {
            let (&first, others) = self.others.split_first()?;
            (self.first, self.others) = (first, others);
        }
        let len = u32::try_from(limit).unwrap_or(u32::MAX).min(self.first.len);
        let address = self.first.address;
        self.first = Segment {
            // Within memory, as all of the segment is.
            address: address.unchecked_add(len.into()),
            len: self.first.len - len,
        };
        self.left -= u64::from(len);
        self.passed += u64::from(len);
        Some(Segment { address, len })
    }
}

impl<M: GuestMemory> io::Read for Cursor<'_, M> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len()
            && let Some(Segment { address, len }) = self.next(buffer.len() - done)
        {
            let part = &mut buffer[done..done + len as usize];
            let read = self.memory.read_slice(part, address);
            read.map_err(io::Error::other)?;
            done += part.len();
        }
        Ok(done)
    }
}

impl<M: GuestMemory> io::Write for Cursor<'_, M> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len()
            && let Some(Segment { address, len }) = self.next(buffer.len() - done)
        {
            let part = &buffer[done..done + len as usize];
            let written = self.memory.write_slice(part, address);
            written.map_err(io::Error::other)?;
            done += part.len();
        }
        Ok(done)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
