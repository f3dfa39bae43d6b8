//! Guest memory with anything in it, served by a disk.

use std::io;
use std::sync::{Arc, Mutex};

use giantvm_io::virtio::blk::{Block, Disk};
use giantvm_io::virtio::{Ring, Served, VirtioDevice};
use virtio_queue::{Queue, QueueState, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

const MEMORY: usize = 1 << 17;
/// What an input can change.
const IMAGE: usize = MEMORY - 0x4000;
/// Where the sound request at the end is.
const SOUND: u64 = IMAGE as u64;
const DISK: usize = 64 * 512;
/// Times that a device is asked to go on: a chain may write to the ring that it is in.
const ROUNDS: usize = 16;

/// A disk in memory.
#[derive(Debug, Clone)]
struct Ram {
    bytes: Arc<Mutex<Vec<u8>>>,
    read_only: bool,
}

impl Ram {
    fn with(&self, at: u64, len: usize, each: impl FnOnce(&mut [u8])) {
        let at = usize::try_from(at).unwrap();
        each(&mut self.bytes.lock().unwrap()[at..at + len]);
    }

    fn write_with(&self, at: u64, len: usize, each: impl FnOnce(&mut [u8])) -> io::Result<()> {
        assert!(!self.read_only, "a disk that may only be read is written");
        self.with(at, len, each);
        Ok(())
    }
}

impl Disk for Ram {
    fn bytes(&self) -> u64 {
        DISK as u64
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.with(at, buffer.len(), |bytes| buffer.copy_from_slice(bytes));
        Ok(())
    }

    fn write(&self, buffer: &[u8], at: u64) -> io::Result<()> {
        self.write_with(at, buffer.len(), |bytes| bytes.copy_from_slice(buffer))
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn discard(&self, at: u64, bytes: u64) -> io::Result<()> {
        let len = usize::try_from(bytes).unwrap();
        self.write_with(at, len, |bytes| bytes.fill(0xdd))
    }

    fn zero(&self, at: u64, bytes: u64, _: bool) -> io::Result<()> {
        let len = usize::try_from(bytes).unwrap();
        self.write_with(at, len, |bytes| bytes.fill(0))
    }
}

/// What became of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fed {
    /// No transport would start such a queue.
    NoQueue,
    /// The device stopped.
    Malformed,
    /// So many chains were served.
    Served(u16),
}

/// The first eight bytes say where the ring is, all others are put into memory from its start.
pub(crate) fn feed(input: &[u8]) -> Fed {
    let Some((head, image)) = input.split_at_checked(8) else {
        return Fed::NoQueue;
    };
    let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), MEMORY)]).unwrap();
    let image = &image[..image.len().min(IMAGE)];
    memory.write_slice(image, GuestAddress(0)).unwrap();
    let part =
        |at: usize, unit: u64| u64::from(u16::from_le_bytes([head[at], head[at + 1]])) * unit;
    let state = QueueState {
        max_size: 256,
        next_avail: 0,
        next_used: 0,
        event_idx_enabled: head[0] & 2 != 0,
        size: 1 << (head[1] % 9),
        ready: true,
        desc_table: part(2, 16),
        avail_ring: part(4, 2),
        used_ring: part(6, 4),
    };
    let disk = Ram {
        bytes: Arc::new(Mutex::new(vec![0x11; DISK])),
        read_only: head[0] & 1 != 0,
    };
    let mut block = Block::new(disk.clone(), "a disk");
    let fed = match Queue::try_from(state) {
        Ok(queue) if queue.is_valid(&memory) => serve(&mut block, queue, &memory),
        _ => Fed::NoQueue,
    };
    assert_eq!(disk.bytes.lock().unwrap().len(), DISK);
    block.reset();
    works(&mut block, &memory);
    fed
}

fn serve(block: &mut Block<Ram>, queue: Queue, memory: &GuestMemoryMmap<()>) -> Fed {
    let used = GuestAddress(queue.used_ring() + 2);
    let mut ring = Ring::new(queue);
    for _ in 0..ROUNDS {
        match block.serve(0, &mut ring, memory) {
            Ok(Served::More) => {}
            Ok(Served::Idle) => break,
            Ok(Served::Hungry) => panic!("a disk has no input"),
            Err(_) => return Fed::Malformed,
        }
    }
    Fed::Served(memory.read_obj(used).unwrap())
}

/// A sound request for the disk's name is answered, whatever came before.
fn works(block: &mut Block<Ram>, memory: &GuestMemoryMmap<()>) {
    let descriptor = |index: u64, address: u64, len: u32, flags: u16, next: u16| {
        let at = SOUND + 16 * index;
        memory.write_obj(address, GuestAddress(at)).unwrap();
        memory.write_obj(len, GuestAddress(at + 8)).unwrap();
        memory.write_obj(flags, GuestAddress(at + 12)).unwrap();
        memory.write_obj(next, GuestAddress(at + 14)).unwrap();
    };
    let data = SOUND + 0x3000;
    memory.write_obj(8_u32, GuestAddress(data)).unwrap();
    descriptor(0, data, 16, 1, 1);
    descriptor(1, data + 16, 21, 2, 0);
    memory
        .write_obj(0_u16, GuestAddress(SOUND + 0x1004))
        .unwrap();
    memory
        .write_obj(1_u16, GuestAddress(SOUND + 0x1002))
        .unwrap();
    memory
        .write_obj(0_u16, GuestAddress(SOUND + 0x2002))
        .unwrap();
    let queue = Queue::try_from(QueueState {
        max_size: 16,
        next_avail: 0,
        next_used: 0,
        event_idx_enabled: false,
        size: 16,
        ready: true,
        desc_table: SOUND,
        avail_ring: SOUND + 0x1000,
        used_ring: SOUND + 0x2000,
    });
    let mut ring = Ring::new(queue.unwrap());
    assert!(matches!(
        block.serve(0, &mut ring, memory),
        Ok(Served::Idle)
    ));
    let mut answer = [0xff; 21];
    memory
        .read_slice(&mut answer, GuestAddress(data + 16))
        .unwrap();
    assert_eq!(&answer, b"a disk\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
}
