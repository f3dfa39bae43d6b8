//! A device under any accesses, and after them a driver that is sound.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use giantvm_core::{NodeId, VcpuId};
use giantvm_io::virtio::rng::Entropy;
use giantvm_io::virtio::{Trigger, VirtioMmio};
use giantvm_io::{AccessSize, Device, InterruptLine, Origin};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

const MEMORY: usize = 1 << 16;
/// Bytes of one operation.
const OPERATION: usize = 7;
const MOST_OPERATIONS: usize = 512;
const STATUS: u64 = 0x70;
const ORIGIN: Origin = Origin {
    node: NodeId::ZERO,
    vcpu: VcpuId::BOOT,
};

type Memory = GuestMemoryMmap<()>;

#[derive(Debug, Default)]
struct Line(AtomicBool);

impl InterruptLine for Line {
    fn set(&self, asserted: bool) {
        self.0.store(asserted, Ordering::SeqCst);
    }

    fn pulse(&self) {
        panic!("the line is level-triggered");
    }
}

/// Each seven bytes are an operation: what to do, where, and with which value.
pub(crate) fn feed(input: &[u8]) {
    let memory = Memory::from_ranges(&[(GuestAddress(0), MEMORY)]).unwrap();
    let line = Arc::new(Line::default());
    let device = VirtioMmio::start(Entropy, memory.clone(), line.clone(), Trigger::Level);
    let mut device = device.unwrap();
    for operation in input.chunks_exact(OPERATION).take(MOST_OPERATIONS) {
        let &[what, low, high, a, b, c, d] = operation else {
            unreachable!("chunks are of one size");
        };
        let offset = u64::from(u16::from_le_bytes([low, high]));
        let value = u32::from_le_bytes([a, b, c, d]);
        let sizes = [
            AccessSize::Dword,
            AccessSize::Byte,
            AccessSize::Word,
            AccessSize::Qword,
        ];
        let size = sizes[usize::from(what >> 2 & 3)];
        match what & 3 {
            0 => {
                let read = device.read(ORIGIN, offset % 0x200, size).unwrap();
                assert!(read <= size.ones());
            }
            1 | 2 => {
                let value = size.truncate(value.into());
                device.write(ORIGIN, offset % 0x200, size, value).unwrap();
            }
            _ => memory
                .write_obj(value, GuestAddress(offset.min(MEMORY as u64 - 4)))
                .unwrap(),
        }
    }
    works(&mut device, &memory, &line);
}

fn works(device: &mut VirtioMmio<Memory>, memory: &Memory, line: &Line) {
    let mut write = |offset, value: u32| {
        let size = AccessSize::Dword;
        device.write(ORIGIN, offset, size, value.into()).unwrap();
    };
    write(STATUS, 0);
    assert!(!line.0.load(Ordering::SeqCst));
    // An empty ring at the start of memory, then one chain.
    memory.write_slice(&[0; 0x4000], GuestAddress(0)).unwrap();
    memory.write_obj(0x3000_u64, GuestAddress(0)).unwrap();
    memory.write_obj(8_u32, GuestAddress(8)).unwrap();
    memory.write_obj(2_u16, GuestAddress(12)).unwrap();
    memory.write_obj(1_u16, GuestAddress(0x1002)).unwrap();
    let set_up = [
        (STATUS, 1),
        (STATUS, 3),
        (0x24, 1),
        (0x20, 1),
        (0x24, 0),
        (0x20, 0),
        (STATUS, 11),
        (0x30, 0),
        (0x38, 16),
        (0x80, 0),
        (0x84, 0),
        (0x90, 0x1000),
        (0x94, 0),
        (0xa0, 0x2000),
        (0xa4, 0),
        (0x44, 1),
        (STATUS, 15),
        (0x50, 0),
    ];
    for (offset, value) in set_up {
        write(offset, value);
    }
    let read = device.read(ORIGIN, STATUS, AccessSize::Dword);
    assert_eq!(read, Ok(15));
    let began = Instant::now();
    while !line.0.load(Ordering::SeqCst) {
        assert!(began.elapsed() < Duration::from_secs(60), "no answer");
        std::thread::yield_now();
    }
    assert_eq!(memory.read_obj::<u16>(GuestAddress(0x2002)).unwrap(), 1);
    assert_eq!(memory.read_obj::<u32>(GuestAddress(0x2008)).unwrap(), 8);
}
