//! Kicks and pauses get every vCPU out, wherever it is.
#![expect(unsafe_code, reason = "userfaultfd, code assembled for the guest")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "vectors, and constants that fit"
)]

mod machine;

use std::arch::global_asm;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use giantvm_core::GuestAddress;
use giantvm_vcpu::kvm::KvmHost;
use giantvm_vcpu::{AccessSize, Exit, Failure, Vcpu, VcpuHost};
use machine::{CODE, LONG, Machine, id, long_mode};

global_asm!(
    ".globl spin, spin_end",
    "spin: 2: jmp 2b",
    "spin_end:",
    ".globl user_spin, user_spin_end",
    "user_spin:",
    "lgdt [{gdtr}]",
    "push 0x1b",
    "push rsp",
    "push 0x3002",
    "push 0x23",
    "lea rax, [rip + 2f]",
    "push rax",
    "iretq",
    "2: inc qword ptr [{counter}]",
    "jmp 2b",
    "user_spin_end:",
    ".globl halt, halt_end",
    "halt: cli",
    "2: hlt",
    "jmp 2b",
    "halt_end:",
    ".globl ports, ports_end",
    "ports: out 0x50, al",
    "jmp ports",
    "ports_end:",
    // Loads and stores a word of memory that is not there, and tells it.
    ".globl missing, missing_end",
    "missing:",
    "mov rbx, {missing}",
    "mov rax, [rbx]",
    "add rax, 3",
    "mov [rbx + 4096], rax",
    "mov rax, [rbx + 4096]",
    "out 0x51, eax",
    "missing_end:",
    ".globl user_missing, user_missing_end",
    "user_missing:",
    "lgdt [{gdtr}]",
    "push 0x1b",
    "push rsp",
    "push 0x3002",
    "push 0x23",
    "lea rax, [rip + 2f]",
    "push rax",
    "iretq",
    "2: mov rbx, {missing}",
    "mov rax, [rbx]",
    "add rax, 3",
    "mov [rbx + 4096], rax",
    "mov rax, [rbx + 4096]",
    "out 0x51, eax",
    "user_missing_end:",
    gdtr = const machine::GDT - 16,
    counter = const COUNTER,
    missing = const MISSING,
);

const COUNTER: u64 = 0x7000;
const MISSING: u64 = 0x80_0000;

fn vcpu(machine: &Machine, code: &[u8]) -> Box<dyn Vcpu> {
    machine.ram.put(CODE, code);
    let mut vcpu = machine.hosts[0].take(id(0)).unwrap();
    vcpu.set_start(&long_mode(CODE, id(0))).unwrap();
    vcpu
}

fn run_until_kicked(vcpu: &mut dyn Vcpu) {
    loop {
        match vcpu.run().unwrap() {
            Exit::Kicked => return,
            Exit::PortWrite { port: 0x50, .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn kicks_end_loops_halts_and_streams_of_exits_and_none_is_lost() {
    let programs = [
        assembled!(spin, spin_end),
        assembled!(user_spin, user_spin_end),
        assembled!(halt, halt_end),
        assembled!(ports, ports_end),
    ];
    let mut worst = Duration::ZERO;
    for code in programs {
        let Some(machine) = Machine::new("kicks_end_loops", &[0]) else {
            return;
        };
        let mut vcpu = vcpu(&machine, code);
        let host: Arc<KvmHost> = Arc::clone(&machine.hosts[0]);
        let kicker = thread::spawn(move || {
            for i in 0..200 {
                thread::sleep(Duration::from_micros(50 * (i % 7)));
                host.kick(id(0)).unwrap();
            }
            Instant::now()
        });
        run_until_kicked(&mut *vcpu);
        while !kicker.is_finished() {
            run_until_kicked(&mut *vcpu);
            // Kicks that met count as one; this ends the wait for the last.
            machine.hosts[0].kick(id(0)).unwrap();
        }
        worst = worst.max(kicker.join().unwrap().elapsed());
    }
    println!("from the last kick to its end: at most {worst:?}");
}

#[test]
fn a_kick_before_run_is_not_lost() {
    let Some(machine) = Machine::new("a_kick_before_run", &[0]) else {
        return;
    };
    let mut vcpu = vcpu(&machine, assembled!(spin, spin_end));
    machine.hosts[0].kick(id(0)).unwrap();
    assert_eq!(vcpu.run().unwrap(), Exit::Kicked);
}

#[test]
fn a_paused_vcpu_stands_still_until_it_is_resumed() {
    let Some(machine) = Machine::new("a_paused_vcpu", &[0]) else {
        return;
    };
    let mut vcpu = vcpu(&machine, assembled!(user_spin, user_spin_end));
    let host = &machine.hosts[0];
    let count = || machine.ram.read(COUNTER);
    let moves = |from: u64| {
        let start = Instant::now();
        while count() == from {
            assert!(start.elapsed() < LONG, "the guest stands still");
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| run_until_kicked(&mut *vcpu));
        for _ in 0..5 {
            moves(count());
            host.pause(LONG).unwrap();
            let before = count();
            thread::sleep(Duration::from_millis(10));
            assert_eq!(count(), before);
            host.resume();
        }
        host.pause(LONG).unwrap();
        // A kick ends also a paused run.
        host.kick(id(0)).unwrap();
    });
}

/// Two pages whose first accesses wait for a userfaultfd that is not served.
struct Missing {
    descriptor: libc::c_int,
    start: NonNull<u8>,
}

const TWO_PAGES: usize = 8192;

impl Missing {
    fn new() -> Option<Self> {
        // SAFETY: plain system calls on fresh memory; arguments are laid out as the kernel's.
        unsafe {
            let descriptor =
                libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | libc::O_NONBLOCK);
            if descriptor < 0 {
                return None;
            }
            let descriptor = descriptor as libc::c_int;
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let start = libc::mmap(ptr::null_mut(), TWO_PAGES, access, flags, -1, 0);
            let mut api = [0xaa_u64, 0, 0];
            assert_eq!(libc::ioctl(descriptor, 0xc018_aa3f, api.as_mut_ptr()), 0);
            let mut register = [start as u64, TWO_PAGES as u64, 1, 0];
            assert_eq!(
                libc::ioctl(descriptor, 0xc020_aa00, register.as_mut_ptr()),
                0
            );
            Some(Self {
                descriptor,
                start: NonNull::new(start.cast()).unwrap(),
            })
        }
    }

    /// Waits until someone waits for a page.
    fn fault(&self) {
        let mut message = [0_u8; 32];
        let start = Instant::now();
        // SAFETY: the buffer has the length that is given.
        while unsafe { libc::read(self.descriptor, message.as_mut_ptr().cast(), 32) } != 32 {
            assert!(start.elapsed() < LONG, "no fault");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Makes all accesses fail; `None` where the kernel cannot.
    fn poison(&self) -> Option<()> {
        let mut poison = [self.start.as_ptr() as u64, TWO_PAGES as u64, 0, 0];
        // SAFETY: the range is this value's own.
        let result = unsafe { libc::ioctl(self.descriptor, 0xc020_aa08, poison.as_mut_ptr()) };
        (result == 0).then_some(())
    }

    /// Maps page number `page` with 64-bit words of `value`.
    fn fill(&self, page: usize, value: u64) {
        let contents = [value; 512];
        let to = self.start.as_ptr() as u64 + 4096 * page as u64;
        let mut copy = [to, contents.as_ptr() as u64, 4096, 0, 0];
        // SAFETY: source and destination are whole pages that live.
        let result = unsafe { libc::ioctl(self.descriptor, 0xc028_aa03, copy.as_mut_ptr()) };
        assert_eq!(result, 0);
    }
}

impl Drop for Missing {
    fn drop(&mut self) {
        // SAFETY: the descriptor is this value's own.
        unsafe { libc::close(self.descriptor) };
    }
}

/// A machine whose vCPU 0 is about to touch missing pages.
fn about_to_fault(test: &str, code: &[u8]) -> Option<(Machine, Missing, Box<dyn Vcpu>)> {
    let machine = Machine::new(test, &[0])?;
    let Some(missing) = Missing::new() else {
        giantvm_core::testing::skip(test, "no userfaultfd");
        return None;
    };
    // SAFETY: the mapping is never removed.
    unsafe { machine.hosts[0].map_memory(GuestAddress(MISSING), missing.start, TWO_PAGES) }
        .unwrap();
    let vcpu = vcpu(&machine, code);
    Some((machine, missing, vcpu))
}

const TOLD: Exit = Exit::PortWrite {
    port: 0x51,
    size: AccessSize::Dword,
    value: 0x1_0003,
};

#[test]
fn a_kick_gets_a_vcpu_out_of_a_page_wait_and_the_access_can_be_resumed() {
    let code = assembled!(user_missing, user_missing_end);
    let test = "a_kick_gets_a_vcpu_out_of_a_page_wait";
    let Some((machine, missing, mut vcpu)) = about_to_fault(test, code) else {
        return;
    };
    for page in 0..2 {
        for _ in 0..3 {
            thread::scope(|scope| {
                let run = scope.spawn(|| vcpu.run().unwrap());
                missing.fault();
                machine.hosts[0].kick(id(0)).unwrap();
                assert_eq!(run.join().unwrap(), Exit::Kicked);
            });
        }
        missing.fill(page, 0x1_0000);
    }
    assert_eq!(vcpu.run().unwrap(), TOLD);
}

/// Where KVM emulates an instruction the kernel itself waits for the page, which only a fatal
/// signal ends: the kick then takes effect when the page has come. Where it does not emulate, as on
/// most hardware, the kick takes effect at once. The guest must see the right value either way.
#[test]
fn a_kick_in_an_emulated_access_waits_for_the_page_and_spoils_nothing() {
    let code = assembled!(missing, missing_end);
    let test = "a_kick_in_an_emulated_access";
    let Some((machine, missing, mut vcpu)) = about_to_fault(test, code) else {
        return;
    };
    for page in 0..2 {
        thread::scope(|scope| {
            let run = scope.spawn(|| vcpu.run().unwrap());
            missing.fault();
            machine.hosts[0].kick(id(0)).unwrap();
            thread::sleep(Duration::from_millis(20));
            println!("kicked out before the page came: {}", run.is_finished());
            missing.fill(page, 0x1_0000);
            assert_eq!(run.join().unwrap(), Exit::Kicked);
        });
    }
    assert_eq!(vcpu.run().unwrap(), TOLD);
}

/// What is lost with its owner must stop the vCPU, not look like a device or like zeroes.
#[test]
fn an_access_to_poisoned_memory_fails_the_vcpu() {
    for code in [
        assembled!(missing, missing_end),
        assembled!(user_missing, user_missing_end),
    ] {
        let test = "an_access_to_poisoned_memory";
        let Some((_machine, missing, mut vcpu)) = about_to_fault(test, code) else {
            return;
        };
        thread::scope(|scope| {
            let run = scope.spawn(|| vcpu.run().unwrap());
            missing.fault();
            if missing.poison().is_none() {
                giantvm_core::testing::skip(test, "userfaultfd cannot poison");
                missing.fill(0, 0);
                missing.fill(1, 0);
                return;
            }
            let exit = run.join().unwrap();
            assert_eq!(exit, Exit::Failed(Failure::Memory { address: MISSING }));
        });
    }
}
