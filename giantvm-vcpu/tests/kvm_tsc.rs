//! What the time-stamp counter's offset does to guests.
#![expect(unsafe_code, reason = "code assembled for the guest")]

mod machine;

use std::arch::global_asm;

use giantvm_vcpu::{Exit, Vcpu, VcpuError, VcpuHost};
use machine::{CODE, Machine, id, long_mode};

global_asm!(
    ".globl stamps, stamps_end",
    "stamps:",
    "lgdt [{gdtr}]",
    "rdtsc",
    "out 0x70, eax",
    "mov eax, edx",
    "out 0x71, eax",
    "mov ecx, 0x10",
    "rdmsr",
    "out 0x70, eax",
    "mov eax, edx",
    "out 0x71, eax",
    "push 0x1b",
    "push rsp",
    "push 0x3002", // I/O privilege level 3
    "push 0x23",
    "lea rax, [rip + 2f]",
    "push rax",
    "iretq",
    "2: rdtsc",
    "out 0x70, eax",
    "mov eax, edx",
    "out 0x71, eax",
    "jmp 2b",
    "stamps_end:",
    gdtr = const machine::GDT - 16,
);

fn stamp(vcpu: &mut dyn Vcpu) -> u64 {
    let mut half = |port| match vcpu.run().unwrap() {
        Exit::PortWrite {
            port: got, value, ..
        } if got == port => u64::from(value),
        other => panic!("{other:?}"),
    };
    half(0x70) | half(0x71) << 32
}

/// The counter as the vCPU sees it at CPL 0, in its register, and at CPL 3.
fn stamps(vcpu: &mut dyn Vcpu) -> [u64; 3] {
    vcpu.set_start(&long_mode(CODE, id(0))).unwrap();
    [(); 3].map(|()| stamp(vcpu))
}

#[test]
fn an_offset_shifts_the_counter_everywhere_or_is_refused() {
    let Some(machine) = Machine::new("an_offset_shifts", &[0]) else {
        return;
    };
    machine.ram.put(CODE, assembled!(stamps, stamps_end));
    let mut vcpu = machine.hosts[0].take(id(0)).unwrap();
    let before = stamps(&mut *vcpu);
    assert!(before.is_sorted(), "{before:x?}");
    let offset = vcpu.tsc_offset().unwrap();
    // Longer than any test runs.
    let shift = 1 << 50;
    let shifted = vcpu.set_tsc_offset(offset + shift);
    let after = stamps(&mut *vcpu);
    match shifted {
        Ok(()) => {
            assert_eq!(vcpu.tsc_offset().unwrap(), offset + shift);
            assert!(
                after
                    .iter()
                    .all(|&stamp| stamp >= before[2] + shift.cast_unsigned())
            );
        }
        Err(VcpuError::Unsupported { .. }) => {
            println!("this KVM ignores offsets: the guest reads the host's counter");
            assert!(
                after
                    .iter()
                    .all(|&stamp| stamp < before[2] + shift.cast_unsigned())
            );
        }
        Err(error) => panic!("{error}"),
    }
    assert!(after.is_sorted(), "{after:x?}");
}
