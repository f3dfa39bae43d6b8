//! A small guest that does what the test tells it to, and the threads that run it.
#![expect(unsafe_code, reason = "guest memory, and code assembled for the guest")]
#![allow(dead_code, reason = "each test file uses its part")]
#![expect(clippy::cast_possible_truncation, reason = "constants that fit")]

use std::arch::global_asm;
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use giantvm_core::{GuestAddress, NodeId, VcpuId};
use giantvm_vcpu::kvm::KvmHost;
use giantvm_vcpu::{Exit, Interrupt, InterruptSink, Layout, StartState, Vcpu, VcpuError, VcpuHost};

pub(crate) const PAGE_TABLES: u64 = 0x1000;
pub(crate) const GDT: u64 = 0x4000;
pub(crate) const IDT: u64 = 0x5000;
pub(crate) const TRAMPOLINE: u64 = 0x8000;
pub(crate) const CODE: u64 = 0x1_0000;
pub(crate) const STUBS: u64 = 0x1_1000;
pub(crate) const STACKS: u64 = 0x2_0000;
pub(crate) const RAM: usize = 4 << 20;

/// Asked for what to do: the low half of an ICR value, or 0 to halt until the next interrupt.
pub(crate) const COMMAND: u16 = 0x20;
/// Asked for the high half of the ICR value.
pub(crate) const TARGET: u16 = 0x24;
/// Told the vector of every interrupt taken, or 2 for an NMI.
pub(crate) const TAKEN: u16 = 0x30;
/// Told by a vCPU that starts in real mode.
pub(crate) const ALIVE: u16 = 0x31;
/// Wakes a halted vCPU so that it asks for a command.
pub(crate) const DOORBELL: u8 = 0xf0;
/// How long a test waits for what has to happen.
pub(crate) const LONG: Duration = Duration::from_secs(20);

global_asm!(
    // 64-bit entry: rdi is the first argument of every program.
    ".globl guest_commands, guest_commands_end",
    "guest_commands:",
    "lgdt [{gdtr}]",
    "lidt [{idtr}]",
    "mov ecx, 0x80f", // software-enable the local APIC
    "mov eax, 0x1ff",
    "xor edx, edx",
    "wrmsr",
    "2: in eax, {command}",
    "test eax, eax",
    "jz 3f",
    "mov r8d, eax",
    "in eax, {target}",
    "mov edx, eax",
    "mov eax, r8d",
    "mov ecx, 0x830", // interrupt command register
    "wrmsr",
    "jmp 2b",
    "3: sti",
    "hlt",
    "cli",
    "jmp 2b",
    "guest_commands_end:",
    // An interrupt's common part: al is the vector, rax is on the stack.
    ".globl guest_interrupt, guest_interrupt_end",
    "guest_interrupt:",
    "out {taken}, al",
    "cmp al, 2",
    "je 4f",
    "push rcx",
    "push rdx",
    "mov ecx, 0x80b", // end of interrupt
    "xor eax, eax",
    "xor edx, edx",
    "wrmsr",
    "pop rdx",
    "pop rcx",
    "4: pop rax",
    "iretq",
    "guest_interrupt_end:",
    // Real-mode start of another vCPU: to long mode, then to CODE.
    ".globl guest_trampoline, guest_trampoline_end",
    "guest_trampoline:",
    ".code16",
    "cli",
    "mov al, 0x5a",
    "out {alive}, al",
    "mov esp, {stack}",
    "xor ax, ax",
    "mov ds, ax",
    "lgdt [{gdtr}]",
    "mov eax, 0x620", // PAE, SSE
    "mov cr4, eax",
    "mov eax, {tables}",
    "mov cr3, eax",
    "mov ecx, 0xc0000080",
    "mov eax, 0x100", // long mode enable
    "xor edx, edx",
    "wrmsr",
    "mov eax, 0x80000033",
    "mov cr0, eax",
    ".byte 0x66, 0xea", // far jump to 8:CODE
    ".long {code}",
    ".word 8",
    "guest_trampoline_end:",
    ".code64",
    gdtr = const GDT - 16,
    idtr = const IDT - 16,
    command = const COMMAND,
    target = const TARGET,
    taken = const TAKEN,
    alive = const ALIVE,
    tables = const PAGE_TABLES,
    code = const CODE,
    stack = const STACKS + 0x8000,
);

/// The bytes that were assembled between two labels.
#[macro_export]
macro_rules! assembled {
    ($start:ident, $end:ident) => {{
        unsafe extern "C" {
            static $start: u8;
            static $end: u8;
        }
        let (start, end) = (&raw const $start, &raw const $end);
        // SAFETY: both labels are in one block of assembled code, in this order.
        unsafe { std::slice::from_raw_parts(start, end.offset_from_unsigned(start)) }
    }};
}

/// Memory of a guest, shared by all hosts of a test.
#[derive(Debug)]
pub(crate) struct Ram {
    start: NonNull<u8>,
}

// SAFETY: all accesses are volatile, of single words, to memory that the guest changes as well.
unsafe impl Send for Ram {}
// SAFETY: as above.
unsafe impl Sync for Ram {}

impl Ram {
    /// Page tables that map the first GiB at its own addresses, open to CPL 3; descriptor tables;
    /// interrupt stubs; and the program that follows commands at [`CODE`].
    pub(crate) fn new() -> Arc<Self> {
        let (access, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: a new mapping takes nothing away.
        let start = unsafe { libc::mmap(ptr::null_mut(), RAM, access, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        let ram = Self {
            start: NonNull::new(start.cast()).unwrap(),
        };
        ram.word(PAGE_TABLES, 0x2000 | 0x27);
        ram.word(0x2000, 0x3000 | 0x27);
        for i in 0..512 {
            ram.word(0x3000 + 8 * i, i << 21 | 0xe7);
        }
        ram.put(
            GDT - 16,
            &[0x47, 0, GDT as u8, (GDT >> 8) as u8, 0, 0, 0, 0, 0, 0],
        );
        ram.put(
            IDT - 16,
            &[0xff, 0xf, IDT as u8, (IDT >> 8) as u8, 0, 0, 0, 0, 0, 0],
        );
        // Null, code 0, data 0, data 3 (0x18), code 3 (0x20).
        let gdt = [
            0,
            0xaf_9b00_0000_ffff,
            0xcf_9300_0000_ffff,
            0xcf_f300_0000_ffff,
            0xaf_fb00_0000_ffff,
        ];
        for (i, entry) in gdt.into_iter().enumerate() {
            ram.word(GDT + 8 * i as u64, entry);
        }
        let common = STUBS + 0x1000;
        ram.put(common, assembled!(guest_interrupt, guest_interrupt_end));
        for vector in (0..256).filter(|vector| *vector == 2 || *vector >= 16) {
            let stub = STUBS + 16 * vector;
            ram.word(
                IDT + 16 * vector,
                stub & 0xffff | 8 << 16 | 0x8e00 << 32 | (stub >> 16 & 0xffff) << 48,
            );
            // push rax; mov al, vector; jmp common
            ram.put(stub, &[0x50, 0xb0, vector as u8, 0xe9]);
            ram.put(stub + 4, &((common - stub - 8) as u32).to_le_bytes());
        }
        ram.put(
            TRAMPOLINE,
            assembled!(guest_trampoline, guest_trampoline_end),
        );
        ram.put(CODE, assembled!(guest_commands, guest_commands_end));
        Arc::new(ram)
    }

    fn at(&self, address: u64, len: usize) -> *mut u8 {
        assert!(address as usize + len <= RAM);
        // SAFETY: within the mapping.
        unsafe { self.start.as_ptr().add(address as usize) }
    }

    pub(crate) fn put(&self, address: u64, bytes: &[u8]) {
        // SAFETY: `at` checked the range; guests are not running yet.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), self.at(address, bytes.len()), bytes.len());
        };
    }

    pub(crate) fn word(&self, address: u64, word: u64) {
        // SAFETY: `at` checked the range; callers' addresses are aligned.
        unsafe { self.at(address, 8).cast::<u64>().write_volatile(word) };
    }

    pub(crate) fn read(&self, address: u64) -> u64 {
        // SAFETY: as in `word`.
        unsafe { self.at(address, 8).cast::<u64>().read_volatile() }
    }

    pub(crate) fn map(self: &Arc<Self>, host: &KvmHost) {
        // SAFETY: the mapping is never removed, and only accessed by volatile accesses.
        unsafe { host.map_memory(GuestAddress(0), self.start, RAM) }.unwrap();
    }
}

pub(crate) fn id(number: u8) -> VcpuId {
    VcpuId::new(number).unwrap()
}

pub(crate) fn node(number: u8) -> NodeId {
    NodeId::new(number).unwrap()
}

/// How a vCPU starts at the top of [`CODE`].
pub(crate) fn long_mode(rip: u64, vcpu: VcpuId) -> StartState {
    StartState::LongMode {
        rip,
        rsp: STACKS + 0x1000 * (u64::from(vcpu.get()) + 1),
        cr3: GuestAddress(PAGE_TABLES),
        rdi: u64::from(vcpu.get()),
        rsi: 0,
    }
}

/// Hands interrupts to the hosts of the other nodes, as a network would.
pub(crate) struct Wire {
    hosts: OnceLock<Vec<Weak<KvmHost>>>,
    layout: Layout,
    pub(crate) seen: Mutex<Vec<(VcpuId, Interrupt)>>,
}

impl InterruptSink for Wire {
    fn forward(&self, target: VcpuId, interrupt: Interrupt) {
        self.seen.lock().unwrap().push((target, interrupt));
        let node = self.layout.node_of(target).unwrap();
        let hosts = self.hosts.get().expect("wired before any guest runs");
        if let Some(host) = hosts[node.index()].upgrade() {
            host.inject(target, interrupt).unwrap();
        }
    }

    fn failed(&self, target: VcpuId, error: VcpuError) {
        panic!("proxy of vCPU {target}: {error}");
    }
}

/// A machine of several nodes in one process, all on one memory.
pub(crate) struct Machine {
    pub(crate) hosts: Vec<Arc<KvmHost>>,
    pub(crate) wires: Vec<Arc<Wire>>,
    pub(crate) ram: Arc<Ram>,
}

impl Machine {
    /// `None`, and a line that says so, where there is no KVM.
    pub(crate) fn new(test: &str, nodes: &[u8]) -> Option<Self> {
        if !std::path::Path::new("/dev/kvm").exists() {
            giantvm_core::testing::skip(test, "there is no /dev/kvm");
            return None;
        }
        let places: Vec<_> = nodes.iter().copied().map(node).collect();
        let count = nodes.iter().max().unwrap() + 1;
        let ram = Ram::new();
        let (mut hosts, mut wires) = (Vec::new(), Vec::new());
        for local in (0..count).map(node) {
            let layout = Layout::new(local, places.clone()).unwrap();
            let (hosts_of, seen) = (OnceLock::new(), Mutex::default());
            let wire = Arc::new(Wire {
                hosts: hosts_of,
                layout: layout.clone(),
                seen,
            });
            let host = match KvmHost::new(layout, wire.clone()) {
                Ok(host) => Arc::new(host),
                Err(error) => panic!("{error}"),
            };
            ram.map(&host);
            hosts.push(host);
            wires.push(wire);
        }
        for wire in &wires {
            wire.hosts
                .set(hosts.iter().map(Arc::downgrade).collect())
                .unwrap();
        }
        Some(Self { hosts, wires, ram })
    }

    pub(crate) fn host_of(&self, id: VcpuId) -> &Arc<KvmHost> {
        let node = self.hosts[0].layout().node_of(id).unwrap();
        &self.hosts[node.index()]
    }

    /// Runs a vCPU that follows commands on a thread of its own.
    pub(crate) fn commanded(&self, number: u8, start: bool) -> Commanded {
        let (commands, queue) = channel();
        let (tell, events) = channel();
        let host = Arc::clone(self.host_of(id(number)));
        let mut vcpu = host.take(id(number)).unwrap();
        if start {
            vcpu.set_start(&long_mode(CODE, id(number))).unwrap();
        }
        let thread = thread::spawn(move || follow(&mut *vcpu, &queue, &tell));
        let thread = Some(thread);
        let commanded = Commanded {
            id: id(number),
            host,
            commands,
            events,
            thread,
        };
        if start {
            // Before that its APIC is off.
            assert_eq!(commanded.next(), Told::Ready);
        }
        commanded
    }
}

/// What a vCPU told of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It asks for its first command since it started.
    Ready,
    Taken(u8),
    Alive,
}

/// A vCPU that follows commands.
pub(crate) struct Commanded {
    pub(crate) id: VcpuId,
    host: Arc<KvmHost>,
    commands: Sender<(u32, u32)>,
    pub(crate) events: Receiver<(Instant, Told)>,
    thread: Option<thread::JoinHandle<()>>,
}

fn follow(vcpu: &mut dyn Vcpu, queue: &Receiver<(u32, u32)>, tell: &Sender<(Instant, Told)>) {
    let (mut target, mut started) = (0, true);
    loop {
        match vcpu.run().unwrap() {
            Exit::PortRead { port: COMMAND, .. } => {
                if mem::take(&mut started) {
                    tell.send((Instant::now(), Told::Ready)).ok();
                }
                let (icr, to) = queue.try_recv().unwrap_or_default();
                target = to;
                vcpu.finish_read(icr.into()).unwrap();
            }
            Exit::PortRead { port: TARGET, .. } => vcpu.finish_read(target.into()).unwrap(),
            Exit::PortWrite {
                port: TAKEN, value, ..
            } if value as u8 == DOORBELL => {}
            Exit::PortWrite {
                port: TAKEN, value, ..
            } => {
                tell.send((Instant::now(), Told::Taken(value as u8))).ok();
            }
            Exit::PortWrite {
                port: ALIVE,
                value: 0x5a,
                ..
            } => {
                started = true;
                tell.send((Instant::now(), Told::Alive)).ok();
            }
            Exit::Kicked => return,
            other => panic!("vCPU {}: {other:?}", vcpu.id()),
        }
    }
}

impl Commanded {
    /// Makes the vCPU write its interrupt command register.
    pub(crate) fn icr(&self, low: u32, target: u32) {
        self.commands.send((low, target)).unwrap();
        self.host
            .inject(self.id, Interrupt::Fixed { vector: DOORBELL })
            .unwrap();
    }

    /// What the vCPU tells next.
    pub(crate) fn next(&self) -> Told {
        self.events
            .recv_timeout(LONG)
            .unwrap_or_else(|_| panic!("vCPU {} is silent", self.id))
            .1
    }

    /// Nothing comes for a while.
    pub(crate) fn silent(&self) -> bool {
        self.events.recv_timeout(Duration::from_millis(50)).is_err()
    }
}

impl Drop for Commanded {
    fn drop(&mut self) {
        self.host.kick(self.id).unwrap();
        let result = self.thread.take().unwrap().join();
        if !thread::panicking() {
            result.unwrap();
        }
    }
}
