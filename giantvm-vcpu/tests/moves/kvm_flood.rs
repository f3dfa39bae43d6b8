//! A guest whose vCPUs interrupt one another, and have timers, while they move between two hosts.
//!
//! Every vCPU counts what it takes by vector, and each sender has a vector of its own. A sender sends when
//! what it sent before was taken. So nothing merges, and every interrupt that is lost stops a count, and one
//! that is doubled puts it ahead of what was sent.
#![expect(unsafe_code, reason = "code assembled for the guest")]

use std::arch::global_asm;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use giantvm_core::GuestAddress;
use giantvm_vcpu::kvm::KvmHost;
use giantvm_vcpu::migration::Outcome;
use giantvm_vcpu::{Exit, Interrupt, StartState, Vcpu};

use crate::assembled;
use crate::machine::{CODE, GDT, IDT, LONG, PAGE_TABLES, Ram};
use crate::nodes::{Nodes, id, print_pauses};

const VCPUS: usize = 3;
/// vCPU 0 and 1 move, vCPU 2 is on node 1.
const PLACES: [usize; VCPUS] = [0, 1, 1];
const MOVES: usize = 1000;

/// What a vCPU counts: a page each. The counts by vector, then what others sent to it, by sender.
const COUNTS: u64 = 0x3_0000;
const SENT: u64 = 0x800;
const ARMED: u64 = 0x900;
const LOOPS: u64 = 0x908;
/// Not zero: nothing new is sent.
const STOP: u64 = 0x3_f000;
const TASK_STATES: u64 = 0x3_8000;
const STUBS: u64 = 0x4_0000;
const KERNEL_STACKS: u64 = 0x2_0000;
const USER_STACKS: u64 = 0x2_8000;

/// The vector of vCPU 0, of which others' follow.
const FIRST: u8 = 0x40;
/// The vector of devices.
const DEVICE: u8 = 0x60;
const TIMER: u8 = 0xe0;
/// The exception by which code at CPL 3 sends and arms: not every KVM takes software interrupts there.
const TRAP: u64 = 6;
/// What it then wants if it does not want to interrupt a vCPU.
const ARM: u32 = 0xff;
/// Written to when a count is ahead or a register is wrong.
const WRONG: u8 = 0x99;

global_asm!(
    // rdi: the vCPU's number; rsi: whether its timer has deadlines.
    ".globl flood, flood_end",
    "flood:",
    "lgdt [{gdtr}]",
    "lidt [{idtr}]",
    "mov r15, rdi",
    "mov r14, rsi",
    "mov eax, edi",
    "shl eax, 4",
    "add eax, 0x28",
    "ltr ax",
    "mov ecx, 0x80f", // local APIC on
    "mov eax, 0x1ff",
    "xor edx, edx",
    "wrmsr",
    "mov ecx, 0x83e", // the timer's divisor: 1
    "mov eax, 0xb",
    "wrmsr",
    "mov eax, r14d", // one-shot, or by deadlines
    "shl eax, 18",
    "or eax, {timer}",
    "mov ecx, 0x832",
    "wrmsr",
    "mov rcx, r15",
    "inc rcx",
    "shl rcx, 12",
    "add rcx, {user_stacks}",
    "push 0x1b", // to CPL 3, I/O privilege level 3, interrupts on
    "push rcx",
    "push 0x3202",
    "push 0x23",
    "lea rax, [rip + 2f]",
    "push rax",
    "iretq",
    "2: xor ebx, ebx",
    "mov r11, r15",
    "shl r11, 12",
    "add r11, {counts}",
    "3: inc rbx",
    "lea r12, [rbx + rbx * 2]",
    "movq xmm3, rbx",
    "cmp qword ptr [{stop}], 0",
    "jne 7f",
    "xor r8d, r8d",
    "4: cmp r8, r15",
    "je 5f",
    "mov r9, r8",
    "shl r9, 12",
    "mov rax, [r9 + r15 * 8 + {received}]",
    "cmp rax, [r9 + r15 * 8 + {sent}]",
    "ja 9f",
    "jne 5f",
    "inc qword ptr [r9 + r15 * 8 + {sent}]",
    "mov edi, r8d",
    "ud2",
    "5: inc r8",
    "cmp r8, {vcpus}",
    "jb 4b",
    "mov rax, [r11 + {timer} * 8]",
    "cmp rax, [r11 + {armed}]",
    "ja 9f",
    "jne 7f",
    "inc qword ptr [r11 + {armed}]",
    "mov edi, {arm}",
    "ud2",
    "7: movq rax, xmm3",
    "cmp rax, rbx",
    "jne 9f",
    "lea rax, [rbx + rbx * 2]",
    "cmp rax, r12",
    "jne 9f",
    "mov [r11 + {loops}], rbx",
    "mov ecx, 500", // a little work
    "8: dec ecx",
    "jnz 8b",
    "jmp 3b",
    "9: out {wrong}, al",
    "jmp 9b",
    "flood_end:",
    // al is the vector, rax is on the stack.
    ".globl flood_taken, flood_taken_end",
    "flood_taken:",
    "push rcx",
    "push rdx",
    "movzx eax, al",
    "mov rcx, r15",
    "shl rcx, 12",
    "inc qword ptr [rcx + rax * 8 + {counts}]",
    "mov ecx, 0x80b", // end of interrupt
    "xor eax, eax",
    "xor edx, edx",
    "wrmsr",
    "pop rdx",
    "pop rcx",
    "pop rax",
    "iretq",
    "flood_taken_end:",
    // To vCPU edi, by the sender's vector; or arms the timer.
    ".globl flood_trap, flood_trap_end",
    "flood_trap:",
    "add qword ptr [rsp], 2",
    "cmp edi, {arm}",
    "je 2f",
    "mov edx, edi",
    "mov eax, r15d",
    "add eax, {first}",
    "mov ecx, 0x830",
    "wrmsr",
    "iretq",
    "2: test r14d, r14d",
    "jnz 3f",
    "mov ecx, 0x838", // initial count: 3 milliseconds
    "mov eax, 3000000",
    "xor edx, edx",
    "wrmsr",
    "iretq",
    "3: rdtsc",
    "add eax, 500000",
    "adc edx, 0",
    "mov ecx, 0x6e0", // deadline
    "wrmsr",
    "iretq",
    "flood_trap_end:",
    gdtr = const GDT - 16,
    idtr = const IDT - 16,
    timer = const TIMER,
    user_stacks = const USER_STACKS,
    counts = const COUNTS,
    received = const COUNTS + FIRST as u64 * 8,
    sent = const COUNTS + SENT,
    armed = const ARMED,
    loops = const LOOPS,
    stop = const STOP,
    arm = const ARM,
    vcpus = const VCPUS,
    first = const FIRST,
    wrong = const WRONG,
);

/// Sets a gate of the interrupt table.
fn gate(ram: &Ram, vector: u64, target: u64) {
    let low = target & 0xffff | 8 << 16 | 0x8e00 << 32;
    ram.word(IDT + 16 * vector, low | (target >> 16 & 0xffff) << 48);
    ram.word(IDT + 16 * vector + 8, target >> 32);
}

fn guest() -> Arc<Ram> {
    let ram = Ram::new();
    ram.put(CODE, assembled!(flood, flood_end));
    let common = STUBS + 0x1000;
    ram.put(common, assembled!(flood_taken, flood_taken_end));
    ram.put(common + 0x100, assembled!(flood_trap, flood_trap_end));
    for vector in 0..0x20_u8 {
        // No exception is expected: mov al, vector; out WRONG, al
        let stub = STUBS + 16 * u64::from(vector);
        gate(&ram, vector.into(), stub);
        ram.put(stub, &[0xb0, vector, 0xe6, WRONG]);
    }
    for vector in 0x20..=0xff_u8 {
        let stub = STUBS + 16 * u64::from(vector);
        gate(&ram, vector.into(), stub);
        // push rax; mov al, vector; jmp common
        ram.put(stub, &[0x50, 0xb0, vector, 0xe9]);
        let distance = i32::try_from(common - stub - 8).unwrap();
        ram.put(stub + 4, &distance.to_le_bytes());
    }
    gate(&ram, TRAP, common + 0x100);
    ram.put(GDT - 16, &[0xff, 0]);
    for vcpu in 0..VCPUS as u64 {
        let (task, descriptor) = (TASK_STATES + 0x100 * vcpu, GDT + 0x28 + 16 * vcpu);
        // An available 64-bit task state of 104 bytes.
        ram.word(descriptor, 0x67 | (task & 0xff_ffff) << 16 | 0x89 << 40);
        ram.word(descriptor + 8, 0);
        // Its stack pointer for CPL 0 is at 4: aligned words of 64 bits around it.
        let stack = KERNEL_STACKS + 0x1000 * (vcpu + 1);
        ram.word(task, stack << 32);
        ram.word(task + 8, stack >> 32);
        ram.word(task + 0x60, 0x68 << 48);
    }
    ram
}

fn start(vcpu: u8, deadlines: bool) -> StartState {
    StartState::LongMode {
        rip: CODE,
        rsp: KERNEL_STACKS + 0x1000 * (u64::from(vcpu) + 1),
        cr3: GuestAddress(PAGE_TABLES),
        rdi: vcpu.into(),
        rsi: deadlines.into(),
    }
}

/// Waits for something that comes, or fails.
fn wait(what: &str, failed: &AtomicBool, ready: impl Fn() -> bool) {
    let started = Instant::now();
    while !ready() {
        assert!(!failed.load(Ordering::SeqCst), "a vCPU failed");
        assert!(started.elapsed() < LONG, "{what} does not come");
        thread::sleep(Duration::from_micros(100));
    }
}

#[test]
fn a_flood_of_interrupts_and_timer_ticks_finds_vcpus_that_move_a_thousand_times() {
    flood("a_flood_of_interrupts", VCPUS);
}

/// Where there are no more vCPUs than processors a pause is the move's alone, and no turn of another vCPU's.
#[test]
fn the_same_flood_finds_two_vcpus_that_have_a_processor_each() {
    flood("the_same_flood_finds_two_vcpus", 2);
}

/// Moves the first two of so many vCPUs.
fn flood(test: &str, vcpus: usize) {
    if !std::path::Path::new("/dev/kvm").exists() {
        giantvm_core::testing::skip(test, "there is no /dev/kvm");
        return;
    }
    let (ram, failed) = (guest(), Arc::new(AtomicBool::new(false)));
    let (fails, seen) = (failed.clone(), ram.clone());
    let exits = move |vcpu: &mut dyn Vcpu, exit| {
        let own = COUNTS + 0x1000 * vcpu.id().index() as u64;
        let (ticks, armed) = (
            seen.read(own + 8 * u64::from(TIMER)),
            seen.read(own + ARMED),
        );
        println!("vCPU {}: {exit:?}, {ticks} ticks of {armed}", vcpu.id());
        fails.store(true, Ordering::SeqCst);
        assert!(
            matches!(exit, Exit::PortWrite { port, .. } if port == u16::from(WRONG)),
            "{exit:?}"
        );
        false
    };
    let nodes = Nodes::new(&PLACES[..vcpus], Arc::new(exits), |layout, sink| {
        let host = KvmHost::new(layout, sink).unwrap();
        ram.map(&host);
        Arc::new(host)
    });
    // A vCPU whose APIC is off takes nothing: no one sends before all are up.
    ram.word(STOP, 1);
    for absent in vcpus..VCPUS {
        let sent = COUNTS + 0x1000 * absent as u64 + SENT;
        // It never takes this one, so nobody sends another.
        (0..vcpus as u64).for_each(|sender| ram.word(sent + 8 * sender, 1));
    }
    for vcpu in 0..vcpus {
        let start = start(u8::try_from(vcpu).unwrap(), vcpu == 1);
        nodes.start(vcpu, |vcpu| vcpu.set_start(&start).unwrap());
    }
    let count =
        |vcpu: usize, vector: u8| ram.read(COUNTS + 0x1000 * vcpu as u64 + 8 * u64::from(vector));
    let told = |vcpu: usize, at: u64| ram.read(COUNTS + 0x1000 * vcpu as u64 + at);
    for vcpu in 0..vcpus {
        wait("a vCPU's start", &failed, || told(vcpu, LOOPS) > 0);
    }
    ram.word(STOP, 0);
    // A device on each node interrupts the vCPUs that move, by turns.
    let (mut injected, mut retries) = ([0_u64; 2], 0);
    for round in 0..MOVES {
        let number = round % 2;
        let to = 1 - nodes.place(number);
        let loops = told(number, LOOPS);
        // On a host that is busy with other things a node may not stop in time: then nothing has changed.
        let failed_moves = (0..100).take_while(|_| nodes.relocate(number, to) != Outcome::Moved);
        retries += failed_moves.count();
        assert_eq!(nodes.place(number), to);
        for (target, injected) in injected.iter_mut().enumerate() {
            if count(target, DEVICE) == *injected {
                *injected += 1;
                let vector = DEVICE;
                let device = &nodes.hosts[round / 2 % 2];
                device
                    .inject(id(target), Interrupt::Fixed { vector })
                    .unwrap();
            }
        }
        wait("a vCPU that moved", &failed, || told(number, LOOPS) > loops);
    }
    ram.word(STOP, 1);
    for target in 0..vcpus {
        for sender in (0..vcpus).filter(|sender| *sender != target) {
            let sent = || told(target, SENT + 8 * sender as u64);
            let taken = || count(target, FIRST + u8::try_from(sender).unwrap());
            wait("an interrupt", &failed, || taken() == sent());
            println!("vCPU {target} took {} interrupts of vCPU {sender}", taken());
            assert!(sent() > 10);
        }
        wait("a tick", &failed, || {
            count(target, TIMER) == told(target, ARMED)
        });
        println!("vCPU {target} took {} ticks", count(target, TIMER));
        assert!(count(target, TIMER) > 10);
    }
    for (target, injected) in injected.into_iter().enumerate() {
        wait("a device's interrupt", &failed, || {
            count(target, DEVICE) == injected
        });
        println!("vCPU {target} took {injected} interrupts of devices");
    }
    println!("{retries} moves were tried again");
    print_pauses(&format!("KVM, {vcpus} vCPUs"), &nodes.log);
}
