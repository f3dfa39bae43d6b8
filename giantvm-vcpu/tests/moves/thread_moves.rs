//! Thread vCPUs that move where their program lets them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use giantvm_core::GuestAddress;
use giantvm_vcpu::clock::GuestClock;
use giantvm_vcpu::migration::Outcome;
use giantvm_vcpu::thread::{Start, ThreadCpu, ThreadHost};
use giantvm_vcpu::{Exit, Interrupt, StartState, Vcpu, VcpuError};

use crate::nodes::{Nodes, id, node, print_pauses};

const ENTRY: StartState = StartState::LongMode {
    rip: 1,
    rsp: 2,
    cr3: GuestAddress(3),
    rdi: 4,
    rsi: 5,
};
const MOVES: usize = 1000;

fn nodes(places: &[usize], program: impl Fn(&ThreadCpu) + Send + Sync + 'static) -> Nodes {
    let (program, clock) = (Arc::new(program), Arc::new(GuestClock::new()));
    let exits = |_: &mut dyn Vcpu, exit| !matches!(exit, Exit::Finished);
    Nodes::new(places, Arc::new(exits), move |layout, sink| {
        Arc::new(ThreadHost::new(
            layout,
            sink,
            clock.clone(),
            program.clone(),
        ))
    })
}

fn start(nodes: &Nodes, number: usize) {
    nodes.start(number, |vcpu| vcpu.set_start(&ENTRY).unwrap());
}

/// What a program has counted when it was moved.
fn counted(start: &Start) -> [u64; 256] {
    let mut counts = [0; 256];
    if let Start::Moved(saved) = start {
        for (count, word) in counts.iter_mut().zip(saved.as_chunks::<8>().0) {
            *count = u64::from_le_bytes(*word);
        }
    }
    counts
}

fn saved(counts: &[u64; 256]) -> Vec<u8> {
    counts
        .iter()
        .flat_map(|count| count.to_le_bytes())
        .collect()
}

#[test]
fn a_program_goes_on_where_it_was_on_another_host() {
    let (seen, told) = (
        Arc::new(Mutex::new(Vec::new())),
        Arc::new(AtomicU64::new(0)),
    );
    let (log, count) = (seen.clone(), told.clone());
    let nodes = nodes(&[0, 1], move |cpu| {
        let from = match cpu.start() {
            Start::Moved(saved) => u64::from(saved[0]),
            _ => 0,
        };
        log.lock().unwrap().push(from);
        for step in from.. {
            count.store(step, Ordering::SeqCst);
            let interrupt = cpu.wait_interrupt_or_move(|| vec![u8::try_from(step).unwrap()]);
            assert_eq!(interrupt, Interrupt::Nmi);
        }
    });
    start(&nodes, 0);
    let poke_from = |node: usize, count| {
        nodes.hosts[node].inject(id(0), Interrupt::Nmi).unwrap();
        while told.load(Ordering::SeqCst) != count {
            thread::yield_now();
        }
    };
    poke_from(0, 1);
    poke_from(1, 2);
    assert_eq!(nodes.relocate(0, 1), Outcome::Moved);
    nodes.settle(0);
    assert!(!nodes.hosts[0].layout().is_local(id(0)) && nodes.hosts[1].layout().is_local(id(0)));
    poke_from(0, 3);
    poke_from(1, 4);
    assert_eq!(
        *seen.lock().unwrap(),
        [0, 2],
        "started twice, the second time with what it saved"
    );
}

#[test]
fn a_program_that_never_says_so_is_not_moved_and_runs_on() {
    let stop = Arc::new(AtomicBool::new(false));
    let end = stop.clone();
    let nodes = nodes(&[0, 1], move |cpu| {
        while !end.load(Ordering::SeqCst) {
            cpu.checkpoint();
        }
    });
    let mut vcpu = nodes.hosts[0].take(id(0)).unwrap();
    vcpu.set_start(&ENTRY).unwrap();
    nodes.hosts[0].kick(id(0)).unwrap();
    assert_eq!(vcpu.run().unwrap(), Exit::Kicked);
    // Its program has not started: that can be moved. Then it runs.
    let state = vcpu.leave(node(1)).unwrap();
    let mut vcpu = nodes.hosts[0].adopt(id(0), &state, 0).unwrap();
    nodes.hosts[0].kick(id(0)).unwrap();
    assert_eq!(vcpu.run().unwrap(), Exit::Kicked);
    let kicker = nodes.hosts[0].clone();
    let late = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        kicker.kick(id(0)).unwrap();
    });
    assert_eq!(vcpu.run().unwrap(), Exit::Kicked);
    late.join().unwrap();
    let not_left = vcpu.leave(node(1)).unwrap_err();
    assert!(matches!(not_left.error, VcpuError::Busy(_)), "{not_left}");
    let mut vcpu = not_left.vcpu;
    stop.store(true, Ordering::SeqCst);
    assert_eq!(vcpu.run().unwrap(), Exit::Finished);
    assert!(
        vcpu.leave(node(1)).is_ok(),
        "an ended program has no thread"
    );
}

#[test]
fn what_is_here_is_not_adopted_and_what_is_not_here_not_relocated_to_here() {
    let nodes = nodes(&[0, 1], |_| {});
    let state = nodes.hosts[0].take(id(0)).unwrap().leave(node(1)).unwrap();
    let host = &nodes.hosts[1];
    assert!(matches!(
        host.adopt(id(1), &state, 0),
        Err(VcpuError::IsLocal(_))
    ));
    assert!(matches!(
        host.adopt(id(2), &state, 0),
        Err(VcpuError::NoSuchVcpu(_))
    ));
    assert!(matches!(
        host.relocate(id(1), node(0)),
        Err(VcpuError::IsLocal(_))
    ));
    assert!(matches!(
        host.relocate(id(0), node(1)),
        Err(VcpuError::IsLocal(_))
    ));
}

#[test]
fn a_flood_of_interrupts_finds_vcpus_that_move_a_thousand_times() {
    // Two vCPUs move; two that stay send them interrupts, one vector a sender and target, each when the
    // one before was counted: so that none may merge with another.
    static COUNTS: [[AtomicU64; 2]; 2] = [const { [const { AtomicU64::new(0) }; 2] }; 2];
    static ENOUGH: AtomicBool = AtomicBool::new(false);
    static SENT: [[AtomicU64; 2]; 2] = [const { [const { AtomicU64::new(0) }; 2] }; 2];
    let nodes = nodes(&[0, 1, 0, 1], |cpu| {
        let number = cpu.id().index();
        if number < 2 {
            let mut counts = counted(cpu.start());
            loop {
                let interrupt = cpu.wait_interrupt_or_move(|| saved(&counts));
                let Interrupt::Fixed { vector } = interrupt else {
                    panic!("{interrupt:?}");
                };
                counts[usize::from(vector)] += 1;
                let sender = usize::from(vector - 0x40);
                let before =
                    COUNTS[number][sender].swap(counts[usize::from(vector)], Ordering::SeqCst);
                assert_eq!(
                    before + 1,
                    counts[usize::from(vector)],
                    "none is lost or doubled"
                );
            }
        }
        let sender = number - 2;
        while !ENOUGH.load(Ordering::SeqCst) {
            for target in 0..2 {
                let sent = &SENT[target][sender];
                if COUNTS[target][sender].load(Ordering::SeqCst) == sent.load(Ordering::SeqCst) {
                    sent.fetch_add(1, Ordering::SeqCst);
                    let vector = 0x40 + u8::try_from(sender).unwrap();
                    cpu.send(id(target), Interrupt::Fixed { vector });
                }
            }
            cpu.checkpoint();
            thread::yield_now();
        }
    });
    (0..4).for_each(|number| start(&nodes, number));
    for round in 0..MOVES {
        let number = round % 2;
        let to = 1 - nodes.place(number);
        assert_eq!(nodes.relocate(number, to), Outcome::Moved);
    }
    ENOUGH.store(true, Ordering::SeqCst);
    for target in 0..2 {
        for sender in 0..2 {
            while COUNTS[target][sender].load(Ordering::SeqCst)
                != SENT[target][sender].load(Ordering::SeqCst)
            {
                thread::yield_now();
            }
            let count = COUNTS[target][sender].load(Ordering::SeqCst);
            println!(
                "vCPU {target} took {count} interrupts of vCPU {}",
                sender + 2
            );
            assert!(count > 100);
        }
    }
    print_pauses("threads", &nodes.log);
}
