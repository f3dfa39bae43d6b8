//! A vCPU's whole state can be read, and written to another vCPU that then carries on.
#![expect(unsafe_code, reason = "code assembled for the guest")]

mod machine;

use std::arch::global_asm;

use giantvm_vcpu::{AccessSize, ArchState, Exit, Section, VcpuError, VcpuHost};
use machine::{CODE, Machine, id, long_mode};

global_asm!(
    // Puts known values into registers of every kind, reads a port, then checks that those it can
    // see at CPL 3 are still there and tells their sum.
    ".globl keeps, keeps_end",
    "keeps:",
    "lgdt [{gdtr}]",
    "mov ecx, 0x80f", // local APIC on
    "mov eax, 0x1ab",
    "xor edx, edx",
    "wrmsr",
    "mov ecx, 0xc0000102", // kernel GS base
    "mov eax, 0x5000",
    "wrmsr",
    "mov r12, 0x77",
    "mov rcx, 0x4000",
    "mov dr1, rcx",
    "push 0x1b",
    "push rsp",
    "push 0x3002", // I/O privilege level 3
    "push 0x23",
    "lea rax, [rip + 2f]",
    "push rax",
    "iretq",
    "2: mov rax, 0x1111111111111111",
    "movq xmm3, rax",
    "in al, 0x60",
    "movzx ebx, al",
    "movq rax, xmm3",
    "add ebx, eax",
    "add rbx, r12",
    "mov eax, ebx",
    "out 0x61, eax",
    "keeps_end:",
    gdtr = const machine::GDT - 16,
);

const SUM: u32 = 9 + 0x1111_1111 + 0x77;
const KERNEL_GS_BASE: u32 = 0xc000_0102;

fn msr(state: &ArchState, index: u32) -> Option<u64> {
    let entries = state.section(Section::Msrs)?.chunks(16);
    let mut found = entries.filter(|entry| entry[..4] == index.to_le_bytes());
    found
        .next()
        .map(|entry| u64::from_le_bytes(entry[8..].try_into().unwrap()))
}

#[test]
fn a_state_moves_to_another_host_in_the_middle_of_a_read() {
    let Some(machine) = Machine::new("a_state_moves", &[0, 1]) else {
        return;
    };
    machine.ram.put(CODE, assembled!(keeps, keeps_end));
    let mut vcpu = machine.hosts[0].take(id(0)).unwrap();
    vcpu.set_start(&long_mode(CODE, id(0))).unwrap();
    let (port, size) = (0x60, AccessSize::Byte);
    assert_eq!(vcpu.run().unwrap(), Exit::PortRead { port, size });
    vcpu.finish_read(9).unwrap();
    let state = vcpu.state().unwrap();
    assert_eq!(
        state.registers().unwrap().rax & 0xff,
        9,
        "the read is complete"
    );

    // The same vCPU of the same machine, on a node where it starts from nothing.
    let Some(other) = Machine::new("a_state_moves", &[0]) else {
        return;
    };
    other.ram.put(CODE, assembled!(keeps, keeps_end));
    let mut moved = other.hosts[0].take(id(0)).unwrap();
    moved.set_state(&state).unwrap();
    let there = moved.state().unwrap();
    assert_eq!(msr(&there, KERNEL_GS_BASE), Some(0x5000));
    for section in [
        Section::Debug,
        Section::LocalApic,
        Section::Special,
        Section::Extended,
    ] {
        assert_eq!(
            there.section(section),
            state.section(section),
            "{section:?}"
        );
    }
    let (port, size) = (0x61, AccessSize::Dword);
    let told = Exit::PortWrite {
        port,
        size,
        value: SUM,
    };
    assert_eq!(moved.run().unwrap(), told);
    // And the original carries on as well.
    assert_eq!(vcpu.run().unwrap(), told);
}

#[test]
fn what_is_written_is_read_again() {
    let Some(machine) = Machine::new("what_is_written", &[0]) else {
        return;
    };
    machine.ram.put(CODE, assembled!(keeps, keeps_end));
    let mut vcpu = machine.hosts[0].take(id(0)).unwrap();
    vcpu.set_start(&long_mode(CODE, id(0))).unwrap();
    assert!(matches!(vcpu.run().unwrap(), Exit::PortRead { .. }));
    vcpu.finish_read(0).unwrap();
    let first = vcpu.state().unwrap();
    vcpu.set_state(&first).unwrap();
    let second = vcpu.state().unwrap();
    for (section, bytes) in first
        .sections()
        .filter(|(section, _)| *section != Section::Msrs)
    {
        assert_eq!(second.section(section), Some(bytes), "{section:?}");
    }
    // Counters among the model-specific registers go on; the registers are the same.
    let msrs = |state: &ArchState| {
        let bytes = state.section(Section::Msrs).unwrap();
        bytes
            .chunks(16)
            .map(|entry| entry[..4].to_vec())
            .collect::<Vec<_>>()
    };
    assert_eq!(msrs(&first), msrs(&second));
    assert!(!msrs(&first).is_empty());
}

#[test]
fn a_state_that_does_not_fit_is_refused_by_name() {
    let Some(machine) = Machine::new("a_state_that_does_not_fit", &[0]) else {
        return;
    };
    let mut vcpu = machine.hosts[0].take(id(0)).unwrap();
    for section in [Section::General, Section::Extended, Section::Msrs] {
        let mut state = ArchState::new();
        state.set_section(section, vec![0; 7]);
        let refused = vcpu.set_state(&state).unwrap_err();
        assert!(
            matches!(&refused, VcpuError::BadState(why) if why.starts_with(&format!("{section:?}")))
        );
    }
    let mut state = ArchState::new();
    let entry = [0xdead_beef_u64, 1].map(u64::to_le_bytes).concat();
    state.set_section(Section::Msrs, entry);
    assert!(vcpu.set_state(&state).is_err(), "no such register");
}
