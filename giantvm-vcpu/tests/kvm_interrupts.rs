//! Interrupts between vCPUs of two nodes: two hosts in one process, each the other's remote node.
#![expect(
    clippy::cast_possible_truncation,
    reason = "vectors, and constants that fit"
)]

mod machine;

use std::time::Instant;

use giantvm_vcpu::{Interrupt, VcpuHost};
use machine::{Machine, TRAMPOLINE, Told, id};

const FIXED: u32 = 0;
const NMI: u32 = 0b100 << 8;
const INIT: u32 = 0b101 << 8;
const SIPI: u32 = 0b110 << 8;
const LOGICAL: u32 = 1 << 11;
const ASSERT: u32 = 1 << 14;
const TO_SELF: u32 = 1 << 18;
const TO_ALL: u32 = 2 << 18;
const TO_OTHERS: u32 = 3 << 18;

#[test]
fn a_fixed_interrupt_reaches_a_local_and_a_remote_vcpu() {
    let Some(machine) = Machine::new("a_fixed_interrupt", &[0, 0, 1]) else {
        return;
    };
    let [a, b, c] = [0, 1, 2].map(|i| machine.commanded(i, true));
    a.icr(FIXED | 0x41, 1);
    assert_eq!(b.next(), Told::Taken(0x41));
    a.icr(FIXED | 0x42, 2);
    assert_eq!(c.next(), Told::Taken(0x42));
    c.icr(FIXED | 0x43, 0);
    assert_eq!(a.next(), Told::Taken(0x43));
    assert_eq!(
        *machine.wires[0].seen.lock().unwrap(),
        [(id(2), Interrupt::Fixed { vector: 0x42 })]
    );
    assert!(a.silent() && b.silent() && c.silent());
}

#[test]
fn logical_broadcast_and_self_destinations_reach_each_vcpu_once() {
    let Some(machine) = Machine::new("logical_broadcast_and_self", &[0, 1, 0, 1]) else {
        return;
    };
    let vcpus = [0, 1, 2, 3].map(|i| machine.commanded(i, true));
    // x2APIC logical ids: cluster 0, one bit a vCPU.
    vcpus[0].icr(LOGICAL | 0x51, 0b1010);
    assert_eq!([vcpus[1].next(), vcpus[3].next()], [Told::Taken(0x51); 2]);
    vcpus[1].icr(TO_OTHERS | 0x52, 0);
    assert_eq!(
        [0, 2, 3].map(|i: usize| vcpus[i].next()),
        [Told::Taken(0x52); 3]
    );
    vcpus[2].icr(TO_ALL | 0x53, 0);
    assert_eq!(
        vcpus.each_ref().map(|vcpu| vcpu.next()),
        [Told::Taken(0x53); 4]
    );
    vcpus[3].icr(TO_SELF | 0x54, 0);
    assert_eq!(vcpus[3].next(), Told::Taken(0x54));
    vcpus[3].icr(FIXED | 0x55, u32::MAX);
    assert_eq!(
        vcpus.each_ref().map(|vcpu| vcpu.next()),
        [Told::Taken(0x55); 4]
    );
    assert!(vcpus.iter().all(|vcpu| vcpu.silent()));
}

#[test]
fn an_nmi_reaches_a_local_and_a_remote_vcpu_again_and_again() {
    let Some(machine) = Machine::new("an_nmi_reaches", &[0, 0, 1]) else {
        return;
    };
    let [a, b, c] = [0, 1, 2].map(|i| machine.commanded(i, true));
    for _ in 0..5 {
        a.icr(NMI | ASSERT, 1);
        assert_eq!(b.next(), Told::Taken(2));
        a.icr(NMI | ASSERT, 2);
        assert_eq!(c.next(), Told::Taken(2));
    }
    assert!(b.silent() && c.silent());
}

#[test]
fn init_and_sipi_start_a_remote_vcpu_in_real_mode_at_its_vector() {
    let Some(machine) = Machine::new("init_and_sipi", &[0, 1]) else {
        return;
    };
    let (a, b) = (machine.commanded(0, true), machine.commanded(1, false));
    for _ in 0..3 {
        a.icr(INIT | ASSERT, 1);
        assert!(b.silent(), "a vCPU after INIT waits");
        a.icr(SIPI | ASSERT | (TRAMPOLINE >> 12) as u32, 1);
        assert_eq!([b.next(), b.next()], [Told::Alive, Told::Ready]);
        // A second SIPI, as processors' manuals ask for, changes nothing.
        a.icr(SIPI | ASSERT | (TRAMPOLINE >> 12) as u32, 1);
        assert!(b.silent());
        // The trampoline led to the 64-bit program.
        b.icr(FIXED | 0x61, 0);
        assert_eq!(a.next(), Told::Taken(0x61));
        a.icr(FIXED | 0x62, 1);
        assert_eq!(b.next(), Told::Taken(0x62));
    }
    let vector = (TRAMPOLINE >> 12) as u8;
    let seen = machine.wires[0].seen.lock().unwrap();
    let starts = [
        (id(1), Interrupt::Init),
        (id(1), Interrupt::Sipi { vector }),
    ];
    assert_eq!(seen[..2], starts);
}

#[test]
fn a_sipi_of_another_node_than_the_init_starts_a_vcpu_that_both_can_interrupt_then() {
    let Some(machine) = Machine::new("a_sipi_of_another_node", &[0, 1, 2]) else {
        return;
    };
    let (a, b) = (machine.commanded(0, true), machine.commanded(1, true));
    let c = machine.commanded(2, false);
    for _ in 0..20 {
        a.icr(INIT | ASSERT, 2);
        assert!(c.silent(), "a vCPU after INIT waits");
        b.icr(SIPI | ASSERT | (TRAMPOLINE >> 12) as u32, 2);
        assert_eq!([c.next(), c.next()], [Told::Alive, Told::Ready]);
        a.icr(FIXED | 0x61, 2);
        assert_eq!(c.next(), Told::Taken(0x61));
        b.icr(FIXED | 0x62, 2);
        assert_eq!(c.next(), Told::Taken(0x62));
    }
}

#[test]
fn init_and_sipi_start_a_local_vcpu() {
    let Some(machine) = Machine::new("init_and_sipi_local", &[0, 0]) else {
        return;
    };
    let (a, b) = (machine.commanded(0, true), machine.commanded(1, false));
    a.icr(INIT | ASSERT, 1);
    a.icr(SIPI | ASSERT | (TRAMPOLINE >> 12) as u32, 1);
    assert_eq!([b.next(), b.next()], [Told::Alive, Told::Ready]);
}

#[test]
fn init_directly_followed_by_sipi_is_not_lost() {
    let Some(machine) = Machine::new("init_directly_followed", &[0, 1]) else {
        return;
    };
    let (a, b) = (machine.commanded(0, true), machine.commanded(1, false));
    for _ in 0..50 {
        a.icr(INIT | ASSERT, 1);
        a.icr(SIPI | ASSERT | (TRAMPOLINE >> 12) as u32, 1);
        assert_eq!([b.next(), b.next()], [Told::Alive, Told::Ready]);
        // Not before it takes interrupts again is the next round sure to hit a running vCPU.
        b.icr(FIXED | 0x61, 0);
        assert_eq!(a.next(), Told::Taken(0x61));
    }
}

#[test]
fn a_thousand_interrupts_there_and_back_are_all_taken() {
    let Some(machine) = Machine::new("a_thousand_interrupts", &[0, 1]) else {
        return;
    };
    let (a, b) = (machine.commanded(0, true), machine.commanded(1, true));
    let mut times = Vec::new();
    for round in 0..1000_u32 {
        let vector = 0x20 + round % 0xd0;
        a.icr(FIXED | vector, 1);
        assert_eq!(b.next(), Told::Taken(vector as u8));
        let fixed = Interrupt::Fixed {
            vector: vector as u8,
        };
        let start = Instant::now();
        machine.hosts[1].signal_msi(fixed.to_msi(id(0))).unwrap();
        let (taken, told) = a.events.recv_timeout(machine::LONG).unwrap();
        assert_eq!(told, Told::Taken(vector as u8));
        times.push(taken.duration_since(start));
    }
    times.sort();
    println!(
        "MSI to a remote vCPU: p10 {:?} p50 {:?} p99 {:?}",
        times[100], times[500], times[990]
    );
    assert!(a.silent() && b.silent());
}

#[test]
fn a_message_that_reaches_no_vcpu_is_refused() {
    let Some(machine) = Machine::new("a_message_that_reaches", &[0, 1]) else {
        return;
    };
    let nowhere = Interrupt::Fixed { vector: 0x40 }.to_msi(id(9));
    assert!(machine.hosts[0].signal_msi(nowhere).is_err());
    assert!(machine.hosts[0].inject(id(9), Interrupt::Nmi).is_err());
}
