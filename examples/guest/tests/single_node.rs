#![expect(unsafe_code, reason = "gives memory to KVM")]
//! The guest on one node: plain KVM, one process, a thread for each vCPU.

#[path = "host/carriers.rs"]
mod carriers;
mod support;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use carriers::Carriers;
use giantvm_guest::programs::{Failure, Site};
use giantvm_guest::{BootState, Config, Fault, Program, Run, Verdict, abi, verify};
use giantvm_sched::fair::Fair;
use giantvm_sched::schedule::Machine;
use kvm_bindings::{
    KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_X2APIC_API, KVM_MAX_CPUID_ENTRIES, KVM_MEM_LOG_DIRTY_PAGES,
    kvm_enable_cap, kvm_regs, kvm_segment, kvm_userspace_memory_region,
};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use support::Scratch;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

/// Longest that a guest may take; its own deadlines are shorter.
const PATIENCE: Duration = Duration::from_secs(120);

/// Bytes at the end of each vCPU's stack that no program may need.
const SPARE: u64 = 2048;
/// What they hold before the start.
const UNTOUCHED: u8 = 0xa5;

/// Where they are: a stack grows down to the end of the mailbox.
fn spare(vcpu: u32) -> u64 {
    abi::vcpu_area(vcpu) + abi::AREA_MAILBOX + abi::PAGE
}

struct Shared {
    memory: GuestMemoryMmap,
    scratch: Mutex<Scratch>,
    serial: Mutex<Vec<u8>>,
    ended: AtomicBool,
    start: Instant,
    vm: VmFd,
    /// Which thread each vCPU runs, if there are threads.
    carriers: Option<Carriers>,
}

impl Shared {
    fn verdicts(&self, config: &Config) -> Vec<Verdict> {
        let results = self.bytes(abi::RESULTS, abi::PAGE);
        verify(
            config,
            &results,
            &self.bytes(abi::LITMUS, config.litmus_tables()),
        )
    }

    fn bytes(&self, address: u64, count: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(count).unwrap()];
        let read = self.memory.read_slice(&mut bytes, GuestAddress(address));
        read.unwrap();
        bytes
    }
}

/// Boots a machine of `present` vCPUs with a table that promises what `config` says.
fn boot(config: &Config, present: usize) -> Option<(u32, Arc<Shared>)> {
    let kvm = match Kvm::new() {
        Ok(kvm) => kvm,
        Err(error) => {
            giantvm_core::testing::skip("single_node", &format!("/dev/kvm: {error}"));
            return None;
        }
    };
    let vm = kvm.create_vm().unwrap();
    let enable = |cap, args| {
        vm.enable_cap(&kvm_enable_cap {
            cap,
            args,
            ..Default::default()
        })
        .unwrap();
    };
    enable(KVM_CAP_SPLIT_IRQCHIP, [24, 0, 0, 0]);
    enable(KVM_CAP_X2APIC_API, [3, 0, 0, 0]);

    let size = usize::try_from(config.memory).unwrap();
    let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), size)]).unwrap();
    let region = kvm_userspace_memory_region {
        memory_size: config.memory,
        flags: KVM_MEM_LOG_DIRTY_PAGES,
        userspace_addr: memory.get_host_address(GuestAddress(0)).unwrap() as u64,
        ..Default::default()
    };
    // SAFETY: the mapping lives in `Shared`, which outlives every vCPU thread.
    unsafe { vm.set_user_memory_region(region).unwrap() };

    let boot = Config {
        cycles_per_ms: cycles_per_ms(),
        ..config.clone()
    };
    let boot = boot.boot_image().unwrap();
    for segment in &boot.segments {
        memory
            .write_slice(&segment.bytes, GuestAddress(segment.address))
            .unwrap();
    }
    for id in (0..).take(present) {
        let untouched = vec![UNTOUCHED; usize::try_from(SPARE).unwrap()];
        memory
            .write_slice(&untouched, GuestAddress(spare(id)))
            .unwrap();
    }
    // All vCPUs exist before the first one runs: an INIT to one that does not is lost.
    let ids = (0..).take(present);
    let vcpus: Vec<_> = ids
        .map(|id| create_vcpu(&kvm, &vm, id, &boot.state))
        .collect();
    let shared = Arc::new(Shared {
        memory,
        scratch: Mutex::default(),
        serial: Mutex::default(),
        ended: AtomicBool::new(false),
        start: Instant::now(),
        vm,
        carriers: (config.threads > 0).then(|| carriers(present)),
    });

    let (power, powered) = mpsc::channel();
    for (id, vcpu) in (0..).zip(vcpus) {
        let (shared, power) = (Arc::clone(&shared), power.clone());
        thread::spawn(move || run(vcpu, id, &shared, &power));
    }
    let status = powered.recv_timeout(PATIENCE);
    shared.ended.store(true, SeqCst);
    print!(
        "{}",
        String::from_utf8_lossy(&shared.serial.lock().unwrap())
    );
    for id in (0..).take(present) {
        let at = abi::vcpu_area(id) + abi::AREA_FAULT;
        let fault: [u64; 4] =
            [0, 8, 16, 24].map(|place| shared.memory.read_obj(GuestAddress(at + place)).unwrap());
        if fault[2] != 0 {
            println!("vcpu {id}: vector, error, rip, cr2: {fault:x?}");
        }
    }
    Some((status.expect("the guest powers off in time"), shared))
}

/// Threads are scheduled as if every vCPU were a node of its own.
fn carriers(vcpus: usize) -> Carriers {
    let machine = Machine::new(&vec![1; vcpus]).unwrap();
    Carriers::new(&machine, Box::new(Fair::new(machine.clone())))
}

/// Frequency of the counter in kHz, which vCPUs see as it is.
fn cycles_per_ms() -> u64 {
    let (start, cycles) = (Instant::now(), rdtsc());
    thread::sleep(Duration::from_millis(20));
    let (passed, nanos) = (rdtsc() - cycles, start.elapsed().as_nanos());
    u64::try_from(u128::from(passed) * 1_000_000 / nanos).unwrap()
}

fn rdtsc() -> u64 {
    // SAFETY: every x86-64 has the counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

fn create_vcpu(kvm: &Kvm, vm: &VmFd, id: u32, state: &BootState) -> VcpuFd {
    let vcpu = vm.create_vcpu(u64::from(id)).unwrap();
    let mut cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).unwrap();
    for entry in cpuid.as_mut_slice() {
        match entry.function {
            1 => {
                entry.ebx = entry.ebx & 0x00ff_ffff | id << 24;
                entry.ecx |= 1 << 21;
            }
            0xb => entry.edx = id,
            _ => {}
        }
    }
    vcpu.set_cpuid2(&cpuid).unwrap();
    if id != 0 {
        return vcpu;
    }
    let flat = kvm_segment {
        limit: u32::MAX,
        present: 1,
        s: 1,
        g: 1,
        ..Default::default()
    };
    let code = kvm_segment {
        selector: state.code_selector,
        type_: 11,
        l: 1,
        ..flat
    };
    let data = kvm_segment {
        selector: state.data_selector,
        type_: 3,
        db: 1,
        ..flat
    };
    let mut sregs = vcpu.get_sregs().unwrap();
    sregs.cs = code;
    (sregs.ds, sregs.es, sregs.ss) = (data, data, data);
    sregs.gdt.base = state.gdt_base;
    sregs.gdt.limit = state.gdt_limit;
    (sregs.cr0, sregs.cr3, sregs.cr4) = (state.cr0, state.cr3, state.cr4);
    sregs.efer = state.efer;
    vcpu.set_sregs(&sregs).unwrap();
    let (rip, rsp, rflags) = (state.rip, state.rsp, state.rflags);
    vcpu.set_regs(&kvm_regs {
        rip,
        rsp,
        rflags,
        ..Default::default()
    })
    .unwrap();
    vcpu
}

fn run(mut vcpu: VcpuFd, id: u32, shared: &Shared, power: &mpsc::Sender<u32>) {
    while !shared.ended.load(SeqCst) {
        match vcpu.run() {
            Ok(VcpuExit::IoOut(abi::PORT_RELAX, _)) => thread::yield_now(),
            Ok(VcpuExit::IoOut(abi::PORT_SERIAL, data)) => {
                shared.serial.lock().unwrap().extend_from_slice(data);
            }
            Ok(VcpuExit::IoOut(abi::PORT_POWER, data)) => {
                let _ = power.send(u32::from_le_bytes(data.try_into().unwrap()));
                return;
            }
            Ok(VcpuExit::IoOut(port, data)) => {
                let offset = port.checked_sub(abi::PORT_SCRATCH).expect("a known port");
                let value = u32::from_le_bytes(data.try_into().unwrap());
                shared.scratch.lock().unwrap().port_write(offset, value);
            }
            Ok(VcpuExit::IoIn(port, data)) => {
                let offset = port.checked_sub(abi::PORT_SCRATCH).expect("a known port");
                let value = shared.scratch.lock().unwrap().port_read(offset);
                data.copy_from_slice(&value.to_le_bytes());
            }
            Ok(VcpuExit::MmioRead(abi::MMIO_CLOCK, data)) => {
                let nanos = u64::try_from(shared.start.elapsed().as_nanos()).unwrap();
                data.copy_from_slice(&nanos.to_le_bytes());
            }
            Ok(VcpuExit::MmioRead(address, data)) if address >= abi::MMIO_THREADS => {
                let carriers = shared.carriers.as_ref().expect("there are threads");
                let told = carriers.report(id, address - abi::MMIO_THREADS);
                data.copy_from_slice(&told.to_le_bytes());
            }
            Ok(VcpuExit::MmioRead(address, data)) => {
                let offset = address
                    .checked_sub(abi::MMIO_SCRATCH)
                    .expect("a known address");
                let value = shared.scratch.lock().unwrap().mmio_read(offset);
                data.copy_from_slice(&value.to_le_bytes());
            }
            Ok(VcpuExit::MmioWrite(address, data)) => {
                let offset = address
                    .checked_sub(abi::MMIO_SCRATCH)
                    .expect("a known address");
                let value = u64::from_le_bytes(data.try_into().unwrap());
                shared.scratch.lock().unwrap().mmio_write(offset, value);
            }
            Ok(other) => {
                let exit = format!("{other:?}");
                panic!(
                    "vcpu {id}: {exit} at {:#x?} {:#x?}",
                    vcpu.get_regs(),
                    vcpu.get_sregs()
                );
            }
            Err(error) => match io::Error::from_raw_os_error(error.errno()).kind() {
                io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => {}
                _ => panic!("vcpu {id}: {error}"),
            },
        }
    }
}

fn assert_passes(config: &Config) {
    let Some((status, shared)) = boot(config, config.nodes.len()) else {
        return;
    };
    for verdict in shared.verdicts(config) {
        assert!(verdict.result.is_ok(), "{verdict:?}");
    }
    assert_eq!(status, abi::status::PASSED);
    for id in (0..).take(config.nodes.len()) {
        let left = shared.bytes(spare(id), SPARE);
        let deepest = left.iter().position(|byte| *byte != UNTOUCHED);
        assert_eq!(deepest, None, "vcpu {id} used all but so much of its stack");
    }
}

fn run_of(program: Program, parameters: [u64; abi::PARAMETERS]) -> Run {
    Run {
        program,
        parameters,
    }
}

#[test]
fn every_program_passes_on_four_vcpus() {
    let mut runs = Program::ALL.map(Run::from);
    let litmus = runs.iter_mut().find(|run| run.program == Program::Litmus);
    litmus.unwrap().parameters[0] = 5_000;
    let runs = runs.to_vec();
    assert_passes(&Config {
        runs,
        ..Config::default()
    });
}

#[test]
fn more_threads_than_vcpus_run_programs_in_the_guest() {
    let programs = [
        Program::Ticket,
        Program::Atomic,
        Program::Ep,
        Program::Is,
        Program::Cg,
        Program::Mg,
        Program::Ft,
    ];
    let mut runs = programs.map(Run::from);
    // Waiting for a lock is a word to the host each time.
    runs[0].parameters = [4, 8, 0, 0];
    let config = Config {
        threads: 11,
        runs: runs.to_vec(),
        nodes: vec![0; 3],
        ..Config::default()
    };
    let Some((status, shared)) = boot(&config, 3) else {
        return;
    };
    for verdict in shared.verdicts(&config) {
        assert!(verdict.result.is_ok(), "{verdict:?}");
    }
    assert_eq!(status, abi::status::PASSED);
    let moves = shared.carriers.as_ref().map(Carriers::moves);
    println!("{moves:?} moves from vCPU to vCPU");
}

/// Pages that every node has a copy of must never be taken from one by another's write.
#[test]
fn no_processor_writes_to_tables_or_code() {
    let config = Config {
        runs: vec![Program::Ipi.into()],
        ..Config::default()
    };
    let Some((_, shared)) = boot(&config, 4) else {
        return;
    };
    let size = usize::try_from(config.memory).unwrap();
    let dirty = shared.vm.get_dirty_log(0, size).unwrap();
    let is_dirty = |page: usize| dirty[page / 64] >> (page % 64) & 1 == 1;
    let written: Vec<_> = (0..size / 4096).filter(|page| is_dirty(*page)).collect();
    let page = |address: u64| usize::try_from(address / abi::PAGE).unwrap();
    assert!(
        written.contains(&page(abi::HOT)),
        "KVM logs no writes: {written:x?}"
    );
    let first_data = page(abi::vcpu_area(0));
    assert!(
        written.iter().all(|page| *page >= first_data),
        "{written:x?}"
    );
}

#[test]
fn one_vcpu_is_enough_and_least_memory_for_small_programs() {
    let runs = [
        Program::Ticket,
        Program::Ipi,
        Program::Io,
        Program::Clock,
        Program::Idle,
    ];
    let runs = runs.map(Run::from).to_vec();
    assert_passes(&Config {
        runs,
        nodes: vec![0],
        memory: abi::MEMORY_MIN,
        ..Config::default()
    });
}

#[test]
fn interrupts_reach_beyond_the_first_logical_cluster() {
    let runs = vec![
        run_of(Program::Ipi, [1, 0, 0, 0]),
        run_of(Program::Idle, [1, 0, 0, 0]),
    ];
    assert_passes(&Config {
        runs,
        nodes: vec![0; 18],
        ..Config::default()
    });
}

#[test]
fn class_w_passes_on_request() {
    let runs = vec![
        run_of(Program::Ep, [25, 0, 0, 0]),
        run_of(Program::Is, [20, 10, 0, 0]),
        run_of(Program::Cg, [7_000, 0, 0, 0]),
        run_of(Program::Mg, [7, 0, 0, 0]),
        run_of(Program::Ft, [19, 0, 0, 0]),
    ];
    assert_passes(&Config {
        runs,
        nodes: vec![0; 3],
        ..Config::default()
    });
}

#[test]
fn no_wake_up_is_lost_in_many_short_sleeps() {
    let runs = vec![run_of(Program::Idle, [1, 0, 0, 0]); abi::MAX_RUNS];
    assert_passes(&Config {
        runs,
        ..Config::default()
    });
}

#[test]
fn a_vcpu_that_never_starts_is_missed_within_the_deadline() {
    let runs = vec![Program::Atomic.into()];
    let deadline = Duration::from_millis(100);
    let config = Config {
        runs,
        deadline,
        nodes: vec![0; 3],
        ..Config::default()
    };
    let Some((status, shared)) = boot(&config, 2) else {
        return;
    };
    assert_eq!(status, abi::status::TIMED_OUT);
    let failure = Failure::TimedOut(Site::Barrier);
    let result = shared.verdicts(&config)[0].result;
    assert!(
        matches!(result, Err(Fault::Guest { failure: found, .. }) if found == failure),
        "{result:?}"
    );
}
