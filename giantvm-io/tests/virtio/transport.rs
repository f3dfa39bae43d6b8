//! The registers: negotiation, queues, status, interrupts, reset.

use giantvm_io::virtio::console::Console;
use giantvm_io::virtio::rng::Entropy;
use giantvm_io::virtio::{Trigger, VirtioMmio};
use giantvm_io::{Access, AccessSize, BusBuilder, Device, Outcome, Space};
use vm_memory::{Bytes, GuestAddress};

use crate::driver::halves;
use crate::support::{
    BUFFERS, DRIVER_OK, EVENT_IDX, MEMORY, Memory, NEEDS_RESET, ORIGIN, Rig, STATUS, VERSION_1,
};

fn console() -> Rig {
    Rig::cold(Console::new(|_| ()), Trigger::Level)
}

#[test]
fn a_driver_finds_the_device() {
    let mut rig = console();
    assert_eq!(rig.read(0), 0x7472_6976);
    assert_eq!((rig.read(4), rig.read(8)), (2, 3));
    rig.write(0x14, 1);
    assert_eq!(rig.read(0x10) & 1, 1, "VERSION_1");
    rig.write(0x14, 2);
    assert_eq!(rig.read(0x10), 0);
    rig.write(0x30, 1);
    assert_eq!(rig.read(0x34), 64);
    rig.write(0x30, 2);
    assert_eq!(rig.read(0x34), 0, "there are two");
    assert_eq!((rig.read(0xb0), rig.read(0xbc)), (u32::MAX, u32::MAX));
}

#[test]
fn features_are_agreed_on_or_not() {
    let mut rig = console();
    for (features, agreed) in [
        (VERSION_1, true),
        (VERSION_1 | EVENT_IDX, true),
        (EVENT_IDX, false),
        (VERSION_1 | 1 << 63, false),
        (VERSION_1 | 1, false),
    ] {
        rig.negotiate(features);
        assert_eq!(rig.read(STATUS) & 8 != 0, agreed, "{features:#x}");
        if !agreed {
            rig.write(STATUS, DRIVER_OK);
            assert_eq!(rig.read(STATUS) & 4, 0, "it cannot begin");
        }
    }
    rig.write(STATUS, 0);
    rig.write(0x24, 1);
    rig.write(0x20, 1);
    rig.write(STATUS, 8);
    assert_eq!(rig.read(STATUS), 0, "a driver says that it is there first");
}

#[test]
fn features_stand_once_they_are_agreed_on() {
    let mut rig = Rig::cold(Entropy, Trigger::Level);
    rig.negotiate(VERSION_1);
    rig.write(0x24, 1);
    rig.write(0x20, u32::MAX);
    assert_eq!(rig.read(STATUS), 1 | 2 | 8);
    rig.begin(VERSION_1);
    rig.write(0x24, 1);
    rig.write(0x20, 0);
    assert_eq!(rig.request(0, &[(BUFFERS, 8, true)]), 8);
}

#[test]
fn a_queue_that_cannot_be_stops_the_device_and_a_reset_mends_it() {
    let high = MEMORY as u64;
    for (size, register, address) in [
        (3, 0x80, 0x1_0000),
        (0, 0x80, 0x1_0000),
        (128, 0x80, 0x1_0000),
        (0x1_0010, 0x80, 0x1_0000),
        (16, 0x80, 0x1_0008),
        (16, 0x90, 0x1_0001),
        (16, 0xa0, 0x1_0002),
        (16, 0x80, high - 16),
        (16, 0x90, high - 4),
        (16, 0xa0, high - 4),
        (16, 0xa0, u64::MAX - 3),
        (16, 0x80, 1 << 40),
    ] {
        let mut rig = Rig::cold(Entropy, Trigger::Level);
        rig.negotiate(VERSION_1);
        rig.write(0x30, 0);
        rig.write(0x38, size);
        for part in [0x80, 0x90, 0xa0] {
            let at = if part == register { address } else { 0x1_0000 };
            let [low, high] = halves(at);
            rig.write(part, low);
            rig.write(part + 4, high);
        }
        rig.write(0x44, 1);
        let found = format!("{size} {register:#x} {address:#x}");
        assert_eq!(rig.read(0x44), 0, "{found}");
        assert_eq!(rig.read(STATUS) & NEEDS_RESET, NEEDS_RESET, "{found}");
        rig.begin(VERSION_1);
        assert_eq!(rig.request(0, &[(BUFFERS, 8, true)]), 8);
    }
}

#[test]
fn a_queue_in_use_is_not_changed() {
    let mut rig = Rig::new(Entropy);
    rig.write(0x30, 0);
    rig.write(0x38, 2);
    rig.write(0x80, 0x10);
    rig.write(0x44, 1);
    assert_eq!(rig.request(0, &[(BUFFERS, 8, true)]), 8);
    // Taken away, its memory must not be touched again.
    rig.write(0x44, 0);
    assert_eq!(rig.read(STATUS), DRIVER_OK | NEEDS_RESET);
    let memory = rig.memory.clone();
    rig.queues[0].add(&memory, &[(BUFFERS, 8, true)]);
    rig.ring(0);
    rig.write(STATUS, 0);
    assert_eq!(rig.queues[0].used(&memory), None);
}

#[test]
fn a_reset_forgets_everything_and_the_device_works_again() {
    let mut rig = Rig::new(Entropy);
    assert_eq!(rig.request(0, &[(BUFFERS, 8, true)]), 8);
    let memory = rig.memory.clone();
    for _ in 0..3 {
        rig.queues[0].add(&memory, &[(BUFFERS, 8, true)]);
        rig.ring(0);
        rig.write(STATUS, 0);
        assert!(!rig.line.is_asserted());
        assert_eq!((rig.read(STATUS), rig.read(0x60)), (0, 0));
        rig.write(0x30, 0);
        assert_eq!(rig.read(0x44), 0);
        rig.begin(VERSION_1 | EVENT_IDX);
        assert_eq!(rig.request(0, &[(BUFFERS, 16, true)]), 16);
    }
    rig.device.reset();
    assert_eq!(rig.read(STATUS), 0);
    rig.begin(VERSION_1);
    assert_eq!(rig.request(0, &[(BUFFERS, 8, true)]), 8);
}

#[test]
fn a_malformed_ring_stops_the_device_until_its_reset() {
    let mut rig = Rig::new(Entropy);
    let memory = rig.memory.clone();
    for chain in [
        vec![(MEMORY as u64, 1, true)],
        vec![(MEMORY as u64 - 1, 2, true)],
        vec![(u64::MAX, 1, true)],
        vec![(BUFFERS, 1, true), (BUFFERS, 1, false)],
    ] {
        let before = rig.line.rises();
        rig.queues[0].add(&memory, &chain);
        rig.ring(0);
        assert_eq!(rig.interrupt(before + 1), 2, "{chain:?}");
        assert_eq!(rig.read(STATUS), DRIVER_OK | NEEDS_RESET);
        // It does nothing now, whatever is written but a reset.
        rig.write(STATUS, DRIVER_OK);
        rig.queues[0].add(&memory, &[(BUFFERS, 1, true)]);
        rig.ring(0);
        assert_eq!(rig.read(STATUS), DRIVER_OK | NEEDS_RESET);
        rig.begin(VERSION_1);
        assert_eq!(rig.request(0, &[(BUFFERS, 8, true)]), 8);
    }
}

#[test]
fn a_level_line_stays_up_until_all_is_acknowledged() {
    let mut rig = Rig::new(Entropy);
    let memory = rig.memory.clone();
    let handle = rig.device.config_handle();
    rig.queues[0].add(&memory, &[(BUFFERS, 8, true)]);
    rig.ring(0);
    rig.line.wait(1);
    handle.set(vec![1, 2, 3]);
    assert_eq!(rig.read(0x60), 3);
    rig.write(0x64, 1);
    assert!(rig.line.is_asserted());
    rig.write(0x64, 2);
    assert!(!rig.line.is_asserted());
    assert_eq!(rig.line.rises(), 1);
}

#[test]
fn an_edge_comes_again_for_a_cause_that_the_driver_has_not_seen() {
    let mut rig = Rig::cold(Entropy, Trigger::Edge);
    rig.begin(VERSION_1);
    assert_eq!(rig.request(0, &[(BUFFERS, 8, true)]), 8);
    assert_eq!(rig.line.rises(), 1);
    let (memory, handle) = (rig.memory.clone(), rig.device.config_handle());
    rig.queues[0].add(&memory, &[(BUFFERS, 8, true)]);
    rig.ring(0);
    rig.line.wait(2);
    let seen = rig.read(0x60);
    handle.set(Vec::new());
    rig.write(0x64, seen);
    assert_eq!(rig.line.rises(), 3);
    assert_eq!(rig.interrupt(3), 2);
}

#[test]
fn the_configuration_is_read_in_any_size_and_has_a_generation() {
    let mut rig = console();
    let handle = rig.device.config_handle();
    let generation = rig.read(0xfc);
    handle.set((1..=9).collect());
    assert_eq!(rig.read(0xfc), generation + 1);
    for (offset, size, value) in [
        (0x100, AccessSize::Byte, 1),
        (0x101, AccessSize::Word, 0x0302),
        (0x104, AccessSize::Dword, 0x0807_0605),
        (0x100, AccessSize::Qword, 0x0807_0605_0403_0201),
        (0x107, AccessSize::Dword, 0x0908),
        (0x1ff, AccessSize::Byte, 0),
    ] {
        assert_eq!(rig.device.read(ORIGIN, offset, size), Ok(value));
    }
    assert!(!rig.line.is_asserted(), "no driver is there to be told");
}

#[test]
fn with_event_indices_a_driver_that_does_not_ask_is_not_interrupted() {
    let mut rig = Rig::cold(Entropy, Trigger::Level);
    rig.begin(VERSION_1 | EVENT_IDX);
    let memory = rig.memory.clone();
    // The event is two chains ahead.
    let event = rig.queues[0].parts()[1].1 + 4 + 2 * 16;
    memory.write_obj(1_u16, GuestAddress(event)).unwrap();
    rig.queues[0].add(&memory, &[(BUFFERS, 8, true)]);
    rig.ring(0);
    while rig.queues[0].used(&memory).is_none() {
        std::thread::yield_now();
    }
    // The device has looked whether to interrupt when it takes the next one.
    rig.queues[0].add(&memory, &[(BUFFERS, 8, true)]);
    rig.ring(0);
    assert_eq!(rig.interrupt(1), 1);
    assert_eq!(rig.line.rises(), 1);
}

#[test]
fn the_windows_show_all_registers_and_post_the_bell() {
    let rig = Rig::cold(Entropy, Trigger::Level);
    let base = 0xc000_0000;
    let windows = VirtioMmio::<Memory>::windows(base);
    let posted: Vec<_> = windows.iter().filter(|window| window.posted).collect();
    assert!(matches!(posted[..], [bell] if bell.start == base + 0x50 && bell.len == 4));
    let mut bus = BusBuilder::new(ORIGIN.node, vec![ORIGIN.node]);
    let device = bus.local(Box::new(rig.device));
    for window in windows {
        bus.map(device, window).unwrap();
    }
    let bus = bus.build(|_, _| Ok(()));
    let read = |offset, size| {
        let access = Access::read(Space::Memory, base + offset, size);
        bus.access(ORIGIN, access)
    };
    assert_eq!(read(0, AccessSize::Dword), Outcome::Done(0x7472_6976));
    assert_eq!(read(0x50, AccessSize::Dword), Outcome::Done(0));
    assert_eq!(read(0x1fc, AccessSize::Dword), Outcome::Done(0));
    assert_eq!(read(0xfe, AccessSize::Word), Outcome::Done(0));
}
