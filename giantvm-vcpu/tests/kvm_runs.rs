//! Guest code runs on KVM and its accesses come out as typed exits.
#![expect(unsafe_code, reason = "code assembled for the guest")]

mod machine;

use std::arch::global_asm;

use giantvm_core::GuestAddress;
use giantvm_vcpu::{AccessSize, Exit, StartState, Vcpu, VcpuError, VcpuHost};
use machine::{CODE, Machine, id, long_mode};

global_asm!(
    ".globl accesses, accesses_end",
    "accesses:",
    "mov al, 0x11",
    "out 0x40, al",
    "mov eax, 0x22334455",
    "mov dx, 0x1234",
    "out dx, eax",
    "in ax, 0x41",
    "out 0x42, ax",
    "mov rbx, 0x30000000", // no memory there
    "mov [rbx], rdi",
    "mov ecx, [rbx + 8]",
    "mov eax, ecx",
    "out 0x43, eax",
    "mov rsi, {data}", // string instructions, also written one by one
    "mov dx, 0x44",
    "mov ecx, 3",
    "cld",
    "rep outsb",
    "mov rdi, {data}",
    "mov ecx, 2",
    "rep insw",
    "mov eax, [{data}]",
    "out 0x45, eax",
    "ud2", // without descriptor tables: a triple fault
    "accesses_end:",
    ".globl user, user_end",
    "user:",
    "lgdt [{gdtr}]",
    "push 0x1b",
    "push rsp",
    "push 0x3002", // I/O privilege level 3
    "push 0x23",
    "lea rax, [rip + 2f]",
    "push rax",
    "iretq",
    "2: mov ecx, 1000000",
    "3: dec ecx",
    "jnz 3b",
    "mov eax, 0x23",
    "out 0x46, eax",
    "4: jmp 4b",
    "user_end:",
    data = const DATA,
    gdtr = const machine::GDT - 16,
);

const DATA: u64 = 0x7000;

fn vcpu(machine: &Machine, code: &[u8]) -> Box<dyn Vcpu> {
    machine.ram.put(CODE, code);
    let mut vcpu = machine.hosts[0].take(id(0)).unwrap();
    vcpu.set_start(&long_mode(CODE, id(0))).unwrap();
    vcpu
}

fn port_write(port: u16, size: AccessSize, value: u32) -> Exit {
    Exit::PortWrite { port, size, value }
}

#[test]
fn accesses_come_out_as_typed_exits_and_go_in_again() {
    let Some(machine) = Machine::new("accesses_come_out", &[0]) else {
        return;
    };
    machine.ram.word(DATA, 0x33_22_11);
    let mut vcpu = vcpu(&machine, assembled!(accesses, accesses_end));
    let mut next = || vcpu.run().unwrap();
    assert_eq!(next(), port_write(0x40, AccessSize::Byte, 0x11));
    assert_eq!(next(), port_write(0x1234, AccessSize::Dword, 0x2233_4455));
    let (port, size) = (0x41, AccessSize::Word);
    assert_eq!(next(), Exit::PortRead { port, size });
    assert!(matches!(vcpu.run(), Err(VcpuError::AccessPending(_))));
    assert!(matches!(vcpu.state(), Err(VcpuError::AccessPending(_))));
    vcpu.finish_read(0xfff_1234).unwrap();
    assert!(matches!(
        vcpu.finish_read(0),
        Err(VcpuError::NoReadPending(_))
    ));
    let mut next = || vcpu.run().unwrap();
    assert_eq!(next(), port_write(0x42, AccessSize::Word, 0x1234));
    let (address, size) = (GuestAddress(0x3000_0000), AccessSize::Qword);
    assert_eq!(
        next(),
        Exit::MemoryWrite {
            address,
            size,
            value: 0
        }
    );
    let (address, size) = (GuestAddress(0x3000_0008), AccessSize::Dword);
    assert_eq!(next(), Exit::MemoryRead { address, size });
    vcpu.finish_read(0x8765_4321).unwrap();
    assert_eq!(
        vcpu.run().unwrap(),
        port_write(0x43, AccessSize::Dword, 0x8765_4321)
    );
    for value in [0x11, 0x22, 0x33] {
        assert_eq!(
            vcpu.run().unwrap(),
            port_write(0x44, AccessSize::Byte, value)
        );
    }
    let (port, size) = (0x44, AccessSize::Word);
    for value in [0xbeef, 0xdead] {
        assert_eq!(vcpu.run().unwrap(), Exit::PortRead { port, size });
        vcpu.finish_read(value).unwrap();
    }
    assert_eq!(
        vcpu.run().unwrap(),
        port_write(0x45, AccessSize::Dword, 0xdead_beef)
    );
    assert_eq!(vcpu.run().unwrap(), Exit::Shutdown);
}

#[test]
fn code_at_cpl_3_runs() {
    let Some(machine) = Machine::new("code_at_cpl_3_runs", &[0]) else {
        return;
    };
    let mut vcpu = vcpu(&machine, assembled!(user, user_end));
    assert_eq!(
        vcpu.run().unwrap(),
        port_write(0x46, AccessSize::Dword, 0x23)
    );
}

#[test]
fn a_vcpu_is_taken_once_and_only_from_its_node() {
    let Some(machine) = Machine::new("a_vcpu_is_taken_once", &[0, 1]) else {
        return;
    };
    let host = &machine.hosts[0];
    let _vcpu = host.take(id(0)).unwrap();
    assert!(matches!(host.take(id(0)), Err(VcpuError::Taken(_))));
    assert!(matches!(host.take(id(1)), Err(VcpuError::NotLocal(_))));
    assert!(matches!(host.take(id(2)), Err(VcpuError::NoSuchVcpu(_))));
}

#[test]
fn a_vcpu_can_be_started_again() {
    let Some(machine) = Machine::new("a_vcpu_can_be_started_again", &[0]) else {
        return;
    };
    let mut vcpu = vcpu(&machine, assembled!(accesses, accesses_end));
    for _ in 0..3 {
        assert_eq!(
            vcpu.run().unwrap(),
            port_write(0x40, AccessSize::Byte, 0x11)
        );
        let start @ StartState::LongMode { .. } = long_mode(CODE, id(0)) else {
            unreachable!()
        };
        vcpu.set_start(&start).unwrap();
    }
}
