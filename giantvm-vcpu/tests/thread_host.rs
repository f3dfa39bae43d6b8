//! Thread vCPUs behave like vCPUs: two hosts in one process, each the other's remote node.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::Duration;

use giantvm_core::{GuestAddress, NodeId, VcpuId};
use giantvm_vcpu::clock::GuestClock;
use giantvm_vcpu::thread::{Start, ThreadCpu, ThreadHost};
use giantvm_vcpu::{
    AccessSize, Exit, Failure, Interrupt, InterruptSink, Layout, Msi, StartState, Vcpu, VcpuError,
    VcpuHost,
};

const LONG: Duration = Duration::from_secs(20);
const ENTRY: StartState = StartState::LongMode {
    rip: 1,
    rsp: 2,
    cr3: GuestAddress(3),
    rdi: 4,
    rsi: 5,
};

#[derive(Default)]
struct Wire(OnceLock<Weak<ThreadHost>>);

impl InterruptSink for Wire {
    fn forward(&self, target: VcpuId, interrupt: Interrupt) {
        let peer = self.0.get().expect("wired").upgrade();
        if let Some(peer) = peer {
            peer.inject(target, interrupt).unwrap();
        }
    }

    fn failed(&self, target: VcpuId, error: VcpuError) {
        panic!("{target}: {error}");
    }
}

fn id(number: u8) -> VcpuId {
    VcpuId::new(number).unwrap()
}

/// vCPU 0 and 2 on node 0, vCPU 1 and 3 on node 1.
fn pair(program: impl Fn(&ThreadCpu) + Send + Sync + 'static) -> [Arc<ThreadHost>; 2] {
    let nodes = [0, 1].map(|n| NodeId::new(n).unwrap());
    let wires = [(); 2].map(|()| Arc::new(Wire::default()));
    let (program, clock) = (Arc::new(program), Arc::new(GuestClock::new()));
    let hosts = [0, 1].map(|n: usize| {
        let layout = Layout::new(nodes[n], vec![nodes[0], nodes[1], nodes[0], nodes[1]]).unwrap();
        Arc::new(ThreadHost::new(
            layout,
            wires[n].clone(),
            clock.clone(),
            program.clone(),
        ))
    });
    for (wire, peer) in wires.iter().zip([&hosts[1], &hosts[0]]) {
        wire.0.set(Arc::downgrade(peer)).unwrap();
    }
    hosts
}

fn take(hosts: &[Arc<ThreadHost>; 2], number: u8) -> Box<dyn Vcpu> {
    hosts[usize::from(number % 2)].take(id(number)).unwrap()
}

fn write(port: u16, value: u32) -> Exit {
    Exit::PortWrite {
        port,
        size: AccessSize::Dword,
        value,
    }
}

#[test]
fn accesses_are_exits_and_reads_get_their_answers() {
    let hosts = pair(|cpu| {
        assert!(matches!(
            *cpu.start(),
            Start::Entry {
                rip: 1,
                rsp: 2,
                rdi: 4,
                rsi: 5
            }
        ));
        let value = cpu.port_read(7, AccessSize::Byte) + 1;
        cpu.memory_write(GuestAddress(0x9000), AccessSize::Qword, value);
        let word = cpu.memory_read(GuestAddress(0x9008), AccessSize::Word);
        cpu.port_write(8, AccessSize::Dword, u32::try_from(word).unwrap());
    });
    let mut vcpu = take(&hosts, 0);
    vcpu.set_start(&ENTRY).unwrap();
    assert_eq!(
        vcpu.run().unwrap(),
        Exit::PortRead {
            port: 7,
            size: AccessSize::Byte
        }
    );
    assert!(matches!(vcpu.run(), Err(VcpuError::AccessPending(_))));
    vcpu.finish_read(0xfff_0041).unwrap();
    let (address, size) = (GuestAddress(0x9000), AccessSize::Qword);
    assert_eq!(
        vcpu.run().unwrap(),
        Exit::MemoryWrite {
            address,
            size,
            value: 0x42
        }
    );
    assert!(matches!(
        vcpu.finish_read(0),
        Err(VcpuError::NoReadPending(_))
    ));
    let (address, size) = (GuestAddress(0x9008), AccessSize::Word);
    assert_eq!(vcpu.run().unwrap(), Exit::MemoryRead { address, size });
    vcpu.finish_read(0x1_2345).unwrap();
    assert_eq!(vcpu.run().unwrap(), write(8, 0x2345));
    assert_eq!(vcpu.run().unwrap(), Exit::Finished);
    hosts[0].kick(id(0)).unwrap();
    assert_eq!(
        vcpu.run().unwrap(),
        Exit::Kicked,
        "nothing more comes but kicks"
    );
}

#[test]
fn the_boot_vcpu_starts_the_others_and_all_interrupt_all() {
    let hosts = pair(|cpu| {
        let vcpus = VcpuId::first(4).filter(|&other| other != cpu.id());
        if cpu.id() == VcpuId::BOOT {
            for other in vcpus.clone() {
                cpu.send(other, Interrupt::Init);
                cpu.send(other, Interrupt::Sipi { vector: 8 });
            }
            for _ in 0..3 {
                assert_eq!(cpu.wait_interrupt(), Interrupt::Nmi, "one at a time");
                cpu.port_write(1, AccessSize::Dword, 0);
            }
            cpu.send_to_others(Interrupt::Fixed { vector: 0x50 });
        } else {
            assert_eq!(*cpu.start(), Start::Sipi(8));
            cpu.port_write(2, AccessSize::Dword, u32::from(cpu.id().get()));
            assert_eq!(cpu.wait_interrupt(), Interrupt::Fixed { vector: 0x50 });
            assert_eq!(cpu.poll_interrupt(), None);
        }
    });
    let started = &AtomicU32::new(0);
    thread::scope(|scope| {
        for number in 1..4 {
            let (mut vcpu, hosts) = (take(&hosts, number), &hosts);
            scope.spawn(move || {
                assert_eq!(vcpu.run().unwrap(), write(2, number.into()));
                // NMIs that meet count as one, so they come one after the other.
                while started.load(Ordering::SeqCst) + 1 < u32::from(number) {
                    thread::yield_now();
                }
                let host = &hosts[usize::from(number % 2)];
                host.inject(VcpuId::BOOT, Interrupt::Nmi).unwrap();
                assert_eq!(vcpu.run().unwrap(), Exit::Finished);
            });
        }
        let mut boot = take(&hosts, 0);
        boot.set_start(&ENTRY).unwrap();
        for _ in 0..3 {
            assert_eq!(boot.run().unwrap(), write(1, 0));
            started.fetch_add(1, Ordering::SeqCst);
        }
        assert_eq!(boot.run().unwrap(), Exit::Finished);
    });
}

#[test]
fn a_message_reaches_a_remote_vcpu() {
    let hosts = pair(|cpu| {
        let Interrupt::Fixed { vector } = cpu.wait_interrupt() else {
            panic!("no vector")
        };
        cpu.port_write(1, AccessSize::Dword, vector.into());
    });
    let mut vcpu = take(&hosts, 3);
    vcpu.set_start(&ENTRY).unwrap();
    hosts[0]
        .signal_msi(Interrupt::Fixed { vector: 0x77 }.to_msi(id(3)))
        .unwrap();
    assert_eq!(vcpu.run().unwrap(), write(1, 0x77));
    assert!(
        hosts[0]
            .signal_msi(Msi {
                address: 0,
                data: 0
            })
            .is_err()
    );
    assert!(hosts[0].signal_msi(Interrupt::Nmi.to_msi(id(4))).is_err());
}

#[test]
fn an_init_ends_a_running_program_and_a_sipi_starts_it_anew() {
    let hosts = pair(|cpu| {
        if let Start::Sipi(vector) = *cpu.start() {
            cpu.port_write(1, AccessSize::Dword, vector.into());
        }
        loop {
            cpu.checkpoint();
        }
    });
    let mut vcpu = take(&hosts, 1);
    vcpu.set_start(&ENTRY).unwrap();
    thread::scope(|scope| {
        let run = scope.spawn(|| vcpu.run().unwrap());
        hosts[0]
            .inject(id(1), Interrupt::Sipi { vector: 1 })
            .unwrap();
        hosts[0].inject(id(1), Interrupt::Init).unwrap();
        hosts[0]
            .inject(id(1), Interrupt::Sipi { vector: 2 })
            .unwrap();
        hosts[0]
            .inject(id(1), Interrupt::Sipi { vector: 3 })
            .unwrap();
        assert_eq!(run.join().unwrap(), write(1, 2));
    });
}

#[test]
fn a_paused_program_stands_still_at_its_next_call() {
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let hosts = pair(move |cpu| {
        loop {
            counter.fetch_add(1, Ordering::SeqCst);
            cpu.checkpoint();
        }
    });
    let mut vcpu = take(&hosts, 0);
    vcpu.set_start(&ENTRY).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(vcpu.run().unwrap(), Exit::Kicked));
        for _ in 0..10 {
            let before = count.load(Ordering::SeqCst);
            while count.load(Ordering::SeqCst) == before {
                thread::yield_now();
            }
            hosts[0].pause(LONG).unwrap();
            let still = count.load(Ordering::SeqCst);
            thread::sleep(Duration::from_millis(2));
            assert_eq!(count.load(Ordering::SeqCst), still);
            hosts[0].resume();
        }
        hosts[0].kick(id(0)).unwrap();
    });
}

#[test]
fn a_program_that_computes_on_is_named_when_the_time_to_pause_is_over() {
    let done = Arc::new(AtomicU32::new(0));
    let ends = Arc::clone(&done);
    let hosts = pair(move |cpu| {
        cpu.port_write(1, AccessSize::Dword, 0);
        while ends.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
    });
    let mut vcpu = take(&hosts, 2);
    vcpu.set_start(&ENTRY).unwrap();
    assert_eq!(vcpu.run().unwrap(), write(1, 0));
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(vcpu.run().unwrap(), Exit::Finished));
        let refused = loop {
            // The program may not have got past its access yet.
            match hosts[0].pause(Duration::from_millis(1)) {
                Ok(()) => hosts[0].resume(),
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, VcpuError::PauseTimeout { running, .. } if running == [id(2)]));
        done.store(1, Ordering::SeqCst);
        hosts[0].pause(LONG).unwrap();
        hosts[0].resume();
    });
}

#[test]
fn a_panic_and_a_shutdown_are_exits() {
    let hosts = pair(|cpu| match cpu.id().get() {
        0 => cpu.shut_down(),
        number => panic!("number {number}"),
    });
    let mut exits = [0, 1].map(|number| {
        let mut vcpu = take(&hosts, number);
        vcpu.set_start(&ENTRY).unwrap();
        vcpu.run().unwrap()
    });
    exits.reverse();
    let [panicked, shut_down] = exits;
    assert_eq!(shut_down, Exit::Shutdown);
    assert_eq!(panicked, Exit::Failed(Failure::Panicked("number 1".into())));
}
