//! A virtio device on one node, its driver and the driver's memory on another.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use giantvm_core::wire::Limits;
use giantvm_core::{Epoch, GuestAddress, NodeId, PageRange, PageSize, VcpuId};
use giantvm_dsm::engine::{Dsm, Handlers};
use giantvm_dsm::protocol::{Directory, HomeMap};
use giantvm_dsm::view::DsmMemory;
use giantvm_io::virtio::blk::{Block, FileDisk};
use giantvm_io::virtio::{Trigger, VirtioMmio};
use giantvm_io::{
    Access, AccessSize, Bus, BusBuilder, DeviceServer, Origin, Outcome, Space, Unsent,
};
use giantvm_transport::inproc;
use vm_memory::Bytes;

use crate::built;
use driver::{DriverQueue, Line, halves};

#[path = "../../../giantvm-io/tests/virtio/driver.rs"]
mod driver;

const MEMORY: u64 = 16 << 20;
const REGISTERS: u64 = 0xd000_0000;
const HEADER: u64 = 1 << 20;
const STATUS: u64 = HEADER + 0x1000;
/// What is written to the disk, and where it is read to.
const DATA: [u64; 2] = [2 << 20, 8 << 20];
const BYTES: u32 = 2 << 20;

/// Both nodes' memory.
fn two_nodes() -> [(Dsm, DsmMemory); 2] {
    let size = PageSize::K4;
    let pages = size.pages_for(MEMORY);
    let transports = inproc::cluster(2, Epoch::FIRST, Limits::for_pages(size)).unwrap();
    let nodes = transports.into_iter().map(|transport| {
        let homes = HomeMap::even(pages, NodeId::first(2));
        let dsm =
            Dsm::start::<Directory>(transport, Epoch::FIRST, size, homes, Handlers::default());
        let dsm = dsm.unwrap();
        let all = (GuestAddress(0), PageRange::first(pages));
        let memory = DsmMemory::new(dsm.mapping(), [all]).unwrap();
        (dsm, memory)
    });
    nodes.collect::<Vec<_>>().try_into().ok().unwrap()
}

fn node(number: u8) -> NodeId {
    NodeId::new(number).unwrap()
}

/// The bus of node 0, whose vCPU has its disk on node 1.
fn buses(disk: VirtioMmio<DsmMemory>) -> (Arc<Bus>, Arc<Bus>) {
    let mut far = BusBuilder::new(node(1), vec![node(0)]);
    let id = far.local(Box::new(disk));
    let windows = VirtioMmio::<DsmMemory>::windows(REGISTERS);
    for window in windows {
        far.map(id, window).unwrap();
    }
    let far = Arc::new(far.build(|_, _| Err(Unsent("it asks no one".into()))));
    let near: Arc<OnceLock<Arc<Bus>>> = Arc::default();
    let back = Arc::clone(&near);
    let reply = move |_, reply| back.get().unwrap().reply(node(1), reply).unwrap();
    let server = DeviceServer::start(Arc::clone(&far), reply).unwrap();
    let mut bus = BusBuilder::new(node(0), vec![node(0)]);
    let id = bus.remote(node(1));
    for window in windows {
        bus.map(id, window).unwrap();
    }
    let bus = Arc::new(bus.build(move |_, request| {
        server.submit(node(0), request).unwrap();
        Ok(())
    }));
    near.set(Arc::clone(&bus)).unwrap();
    (bus, far)
}

fn access(bus: &Bus, access: Access) -> u64 {
    let (node, vcpu) = (node(0), VcpuId::BOOT);
    match bus.access(Origin { node, vcpu }, access) {
        Outcome::Done(value) => value,
        Outcome::Deferred(token) => bus.wait(token).unwrap(),
        Outcome::Failed(error) => panic!("{error}"),
    }
}

fn write(bus: &Bus, offset: u64, value: u32) {
    let (at, size) = (REGISTERS + offset, AccessSize::Dword);
    access(bus, Access::write(Space::Memory, at, size, value.into()));
}

fn read(bus: &Bus, offset: u64) -> u64 {
    let (at, size) = (REGISTERS + offset, AccessSize::Dword);
    access(bus, Access::read(Space::Memory, at, size))
}

/// Starts the device with its one queue.
fn begin(bus: &Bus, queue: &DriverQueue, size: u32) {
    let mut values = vec![
        (0x70, 1),
        (0x70, 3),
        (0x24, 1),
        (0x20, 1),
        (0x70, 11),
        (0x38, size),
    ];
    for (register, address) in queue.parts() {
        let [low, high] = halves(address);
        values.extend([(register, low), (register + 4, high)]);
    }
    values.extend([(0x44, 1), (0x70, 15)]);
    for (offset, value) in values {
        write(bus, offset, value);
    }
    assert_eq!(read(bus, 0x70), 15);
}

#[test]
fn a_disk_on_one_node_keeps_what_a_driver_on_another_writes() {
    if built::lacks_userfaultfd("a_disk_on_one_node_keeps") {
        return;
    }
    let nodes = two_nodes();
    let [(_, memory), (_, far_memory)] = &nodes;
    let file = tempfile::tempfile().unwrap();
    file.set_len(16 << 20).unwrap();
    let disk = Block::new(FileDisk::new(file, false).unwrap(), "far");
    let line = Arc::new(Line::default());
    let disk = VirtioMmio::start(disk, far_memory.clone(), line.clone(), Trigger::Level).unwrap();
    let (bus, far) = buses(disk);
    let mut queue = DriverQueue::new(0x1_0000, 128);
    begin(&bus, &queue, 128);

    let content: Vec<u8> = (0..BYTES)
        .map(|at| (at ^ at >> 9).to_le_bytes()[0])
        .collect();
    memory.write_slice(&content, GuestAddress(DATA[0])).unwrap();
    for (position, kind) in [1_u32, 0].into_iter().enumerate() {
        memory.write_obj(kind, GuestAddress(HEADER)).unwrap();
        memory.write_obj(8_u64, GuestAddress(HEADER + 8)).unwrap();
        memory.write_obj(0xff_u8, GuestAddress(STATUS)).unwrap();
        let read_back = kind == 0;
        let mut chain = vec![(HEADER, 16, false)];
        let pieces = (0..BYTES).step_by(1 << 16);
        chain.extend(pieces.map(|at| (DATA[position] + u64::from(at), 1 << 16, read_back)));
        chain.push((STATUS, 1, true));
        let posted = bus.counts().posted;
        queue.want(memory);
        queue.add(memory, &chain);
        write(&bus, 0x50, 0);
        assert_eq!(bus.counts().posted, posted + 1, "no one waits for a bell");
        line.wait(position as u64 + 1);
        let why = read(&bus, 0x60);
        assert_eq!(why, 1);
        write(&bus, 0x64, 1);
        assert!(queue.used(memory).is_some() && !line.is_asserted());
        assert_eq!(memory.read_obj::<u8>(GuestAddress(STATUS)).unwrap(), 0);
    }
    assert_eq!(line.rises(), 2);
    let mut back = vec![0; content.len()];
    memory.read_slice(&mut back, GuestAddress(DATA[1])).unwrap();
    assert!(back == content);

    // The device is out of memory before that goes.
    far.reset_devices();
    let ends =
        nodes.map(|(dsm, _)| std::thread::spawn(move || dsm.finish(Duration::from_secs(10))));
    for end in ends {
        end.join().unwrap().unwrap();
    }
}
