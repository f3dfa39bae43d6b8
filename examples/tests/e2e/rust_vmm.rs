//! Crates of the rust-vmm project work over distributed memory as they are.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use giantvm_core::wire::Limits;
use giantvm_core::{Epoch, GuestAddress, NodeId, PageRange, PageSize};
use giantvm_dsm::engine::{Dsm, Handlers};
use giantvm_dsm::protocol::{Directory, HomeMap};
use giantvm_dsm::view::DsmMemory;
use giantvm_transport::inproc;
use linux_loader::loader::KernelLoader;
use linux_loader::loader::elf::Elf;
use virtio_queue::desc::RawDescriptor;
use virtio_queue::desc::split::Descriptor;
use virtio_queue::mock::MockSplitQueue;
use virtio_queue::{Queue, QueueT};
use vm_memory::Bytes;

use crate::built;

const MEMORY: u64 = 16 << 20;

/// Two nodes of one process, each with its view of one memory.
fn two_nodes() -> [(Dsm, DsmMemory); 2] {
    let size = PageSize::K4;
    let pages = size.pages_for(MEMORY);
    let transports = inproc::cluster(2, Epoch::FIRST, Limits::for_pages(size)).unwrap();
    let mut nodes = transports.into_iter().map(|transport| {
        let homes = HomeMap::even(pages, NodeId::first(2));
        let dsm =
            Dsm::start::<Directory>(transport, Epoch::FIRST, size, homes, Handlers::default());
        let dsm = dsm.unwrap();
        let all = (GuestAddress(0), PageRange::first(pages));
        let memory = DsmMemory::new(dsm.mapping(), [all]).unwrap();
        (dsm, memory)
    });
    [nodes.next().unwrap(), nodes.next().unwrap()]
}

fn finish(nodes: [(Dsm, DsmMemory); 2]) {
    let ends =
        nodes.map(|(dsm, _)| std::thread::spawn(move || dsm.finish(Duration::from_secs(10))));
    for end in ends {
        end.join().unwrap().unwrap();
    }
}

#[test]
fn a_kernel_that_one_node_loads_is_there_on_the_other() {
    if built::lacks_userfaultfd("a_kernel_that_one_node_loads") {
        return;
    }
    let nodes = two_nodes();
    let [(_, near), (_, far)] = &nodes;
    let mut image = Cursor::new(giantvm_guest::IMAGE);
    let loaded = Elf::load(near, None, &mut image, None).unwrap();
    let expected = giantvm_guest::load(giantvm_guest::IMAGE).unwrap();
    assert_eq!(loaded.kernel_load.0, expected.entry);
    for segment in expected.segments {
        let mut bytes = vec![0; segment.bytes.len()];
        far.read_slice(&mut bytes, GuestAddress(segment.address))
            .unwrap();
        assert_eq!(bytes, segment.bytes);
    }
    finish(nodes);
}

#[test]
fn a_device_on_one_node_serves_a_virtqueue_that_a_driver_on_the_other_fills() {
    if built::lacks_userfaultfd("a_device_on_one_node_serves_a_virtqueue") {
        return;
    }
    const LEN: u32 = 0x1800;
    let (request, answer) = (GuestAddress(0x10_0000), GuestAddress(0x20_0000));
    let nodes = two_nodes();
    let [(_, driver), (_, device)] = &nodes;
    let ring = MockSplitQueue::new(driver, 16);
    driver.write_slice(&[0xa5; LEN as usize], request).unwrap();
    let next = u16::try_from(virtio_bindings::virtio_ring::VRING_DESC_F_NEXT).unwrap();
    let write = u16::try_from(virtio_bindings::virtio_ring::VRING_DESC_F_WRITE).unwrap();
    let chain = [
        RawDescriptor::from(Descriptor::new(request.0, LEN, next, 1)),
        RawDescriptor::from(Descriptor::new(answer.0, LEN, write, 0)),
    ];
    ring.build_desc_chain(&chain).unwrap();

    let mut queue: Queue = ring.create_queue().unwrap();
    let memory = Arc::new(device.clone());
    let mut descriptors = queue
        .pop_descriptor_chain(memory)
        .expect("the driver's chain");
    let head = descriptors.head_index();
    let source = descriptors.next().unwrap();
    let target = descriptors.next().unwrap();
    assert!(descriptors.next().is_none() && target.is_write_only());
    let mut bytes = vec![0; source.len() as usize];
    device.read_slice(&mut bytes, source.addr()).unwrap();
    bytes.iter_mut().for_each(|byte| *byte ^= 0xff);
    device.write_slice(&bytes, target.addr()).unwrap();
    queue.add_used(device, head, LEN).unwrap();

    let mut answered = vec![0; LEN as usize];
    driver.read_slice(&mut answered, answer).unwrap();
    assert!(answered.iter().all(|&byte| byte == 0x5a));
    assert_eq!(u16::from_le(ring.used().idx().load()), 1);
    finish(nodes);
}
