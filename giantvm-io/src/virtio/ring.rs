//! One virtqueue, as its device sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use virtio_queue::{Error, Queue, QueueOwnedT, QueueT};
use vm_memory::GuestMemory;

use super::Chain;

/// The driver broke the rules of a virtqueue. The device stops until it is reset: what else of the
/// queue can be believed is unknown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The ring's index is further on than the ring is long, or the ring is not where it was.
    #[error("the ring is not sound: {0}")]
    Ring(Error),
    /// A chain has no end, or one that is not in the table.
    #[error("a descriptor chain leaves its table or never ends")]
    Chain,
    /// A chain has more descriptors than [`MAX_SEGMENTS`](super::MAX_SEGMENTS).
    #[error("a descriptor chain is too long")]
    Long,
    /// A buffer for reading comes after one for writing.
    #[error("a descriptor chain has a buffer to read after one to write")]
    Order,
    /// A buffer is not in guest memory.
    #[error("a descriptor's buffer is not in guest memory")]
    NoMemory,
    /// A request has no room for its answer, or not the parts that it must have.
    #[error("a request has no room for its header or answer")]
    Request,
}

impl From<Error> for Malformed {
    fn from(error: Error) -> Self {
        Self::Ring(error)
    }
}

/// A virtqueue in use. Takes nothing more once its device is halted.
///
/// A transport makes the rings of its device. One made by hand serves a device without a transport:
///
/// ```
/// use giantvm_io::virtio::blk::{Block, FileDisk};
/// use giantvm_io::virtio::{Ring, Served, VirtioDevice};
/// use virtio_queue::{Queue, QueueT};
/// use vm_memory::{GuestAddress, GuestMemoryMmap};
///
/// let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 1 << 20)])?;
/// let mut queue = Queue::new(16)?;
/// queue.set_desc_table_address(Some(0x1000), None);
/// queue.set_avail_ring_address(Some(0x2000), None);
/// queue.set_used_ring_address(Some(0x3000), None);
/// queue.set_ready(true);
/// let mut ring = Ring::new(queue);
/// let mut disk = Block::new(FileDisk::new(tempfile::tempfile()?, true)?, "");
/// assert_eq!(disk.serve(0, &mut ring, &memory)?, Served::Idle, "nothing is available");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Ring {
    queue: Queue,
    halted: Arc<AtomicBool>,
}

impl Ring {
    /// The ring of a queue that has been set up.
    #[must_use]
    pub fn new(queue: Queue) -> Self {
        Self::halted_by(queue, Arc::default())
    }

    pub(super) const fn halted_by(queue: Queue, halted: Arc<AtomicBool>) -> Self {
        Self { queue, halted }
    }

    /// The next chain that the driver has made available.
    ///
    /// # Errors
    /// [`Malformed`] if the ring or the chain is.
    pub fn pop<M: GuestMemory>(&mut self, memory: &M) -> Result<Option<Chain>, Malformed> {
        if self.halted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let next = self.queue.iter(memory)?.next();
        next.map(|descriptors| Chain::walk(descriptors, memory))
            .transpose()
    }

    /// Gives a chain back, with so many bytes written to it.
    ///
    /// # Errors
    /// [`Malformed`] if the ring is no longer in memory.
    pub fn push<M: GuestMemory>(
        &mut self,
        memory: &M,
        chain: &Chain,
        written: u64,
    ) -> Result<(), Malformed> {
        // A chain is shorter than this type's largest.
        let written = u32::try_from(written).unwrap_or(u32::MAX);
        Ok(self.queue.add_used(memory, chain.head(), written)?)
    }

    /// Tells the driver not to ring while the device looks by itself.
    pub(super) fn look<M: GuestMemory>(&mut self, memory: &M) -> Result<(), Malformed> {
        Ok(self.queue.disable_notification(memory)?)
    }

    /// Tells the driver to ring for its next chain. Whether it has made some available meanwhile.
    pub(super) fn listen<M: GuestMemory>(&mut self, memory: &M) -> Result<bool, Malformed> {
        Ok(self.queue.enable_notification(memory)?)
    }

    /// Whether the driver wants to hear of what was given back since it was last told.
    pub(super) fn tells<M: GuestMemory>(
        &mut self,
        memory: &M,
        before: u16,
    ) -> Result<bool, Malformed> {
        Ok(self.queue.next_used() != before && self.queue.needs_notification(memory)?)
    }

    /// Where the next chain that is given back goes.
    pub(super) fn position(&self) -> u16 {
        self.queue.next_used()
    }
}
