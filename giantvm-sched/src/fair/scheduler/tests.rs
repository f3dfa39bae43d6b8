//! Each rule that the model says it has.

use super::*;

fn vcpu(number: u8) -> VcpuId {
    VcpuId::new(number).unwrap()
}

/// A scheduler, its clock, and what it said last.
struct Guest {
    fair: Fair,
    now: u64,
}

impl Guest {
    fn new(vcpus: &[usize]) -> Self {
        let fair = Fair::new(Machine::new(vcpus).unwrap());
        Self { fair, now: 0 }
    }

    fn tell(&mut self, event: Event) -> Vec<Decision> {
        let mut out = Vec::new();
        let told = self.fair.handle(Nanos(self.now), event, &mut out);
        told.unwrap();
        out
    }

    /// Spawns threads from the first vCPU and returns where they are.
    fn spawn(&mut self, threads: std::ops::Range<u32>) -> Vec<u8> {
        let spawned = threads.map(|thread| {
            let (thread, by) = (ThreadId(thread), vcpu(0));
            self.tell(Event::Spawn { thread, by });
            self.on(thread.0)
        });
        spawned.collect()
    }

    fn on(&self, thread: u32) -> u8 {
        self.fair.queues.vcpu_of(ThreadId(thread)).unwrap().get()
    }

    fn block(&mut self, thread: u32) {
        let thread = ThreadId(thread);
        self.tell(Event::Block { thread });
    }

    fn wake(&mut self, thread: u32, by: Option<u8>) -> u8 {
        let by = by.map(vcpu);
        let id = ThreadId(thread);
        self.tell(Event::Wake { thread: id, by });
        self.on(thread)
    }

    fn ticks(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.now += 1_000_000;
            for vcpu in self.fair.machine.vcpus() {
                self.tell(Event::Tick { vcpu });
            }
        }
    }

    fn loads(&self) -> Vec<usize> {
        let vcpus = self.fair.machine.vcpus();
        vcpus.map(|vcpu| self.fair.queues.load(vcpu)).collect()
    }
}

#[test]
fn new_threads_stay_near_while_a_quarter_is_busy_and_then_spread() {
    assert_eq!(Guest::new(&[8, 8]).spawn(0..2), [0, 1]);
    assert_eq!(Guest::new(&[8, 8]).spawn(0..6), [0, 1, 8, 9, 2, 10]);
    assert_eq!(Guest::new(&[1, 1]).spawn(0..4), [0, 1, 0, 1]);
}

#[test]
fn a_woken_thread_returns_where_it_ran_if_that_is_idle() {
    let mut guest = Guest::new(&[2, 2]);
    guest.spawn(0..4);
    let before = guest.on(3);
    guest.block(3);
    assert_eq!(guest.wake(3, Some(0)), before);
}

#[test]
fn a_waker_pulls_to_its_node_if_the_last_vcpu_is_busier() {
    let mut guest = Guest::new(&[2, 2]);
    guest.spawn(0..8);
    guest.block(3);
    let (last, waker) = (guest.on(3), 0);
    assert!(last >= 2, "it ran on the other node");
    // Make the waker's vCPU the idler one.
    for other in [4, 5, 6, 7] {
        if guest.on(other) == waker {
            let thread = ThreadId(other);
            guest.tell(Event::Exit { thread });
        }
    }
    let thread = ThreadId(100);
    guest
        .fair
        .queues
        .spawn(thread, vcpu(last), &mut Vec::new())
        .unwrap();
    guest
        .fair
        .queues
        .spawn(ThreadId(101), vcpu(last), &mut Vec::new())
        .unwrap();
    let mut device = guest.fair.clone();
    assert_eq!(guest.wake(3, Some(waker)), waker);
    let (thread, by) = (ThreadId(3), None);
    device
        .handle(Nanos(0), Event::Wake { thread, by }, &mut Vec::new())
        .unwrap();
    assert_eq!(
        device.queues.vcpu_of(thread),
        Some(vcpu(last)),
        "a device does not pull"
    );
}

#[test]
fn an_idle_sibling_is_better_than_a_busy_last_vcpu() {
    let mut guest = Guest::new(&[3, 1]);
    guest.spawn(0..1);
    guest.block(0);
    let (busy, idle) = (ThreadId(9), vcpu(1));
    guest
        .fair
        .queues
        .spawn(busy, vcpu(0), &mut Vec::new())
        .unwrap();
    assert_eq!(guest.wake(0, None), idle.get());
}

#[test]
fn who_wakes_many_does_not_pull() {
    let mut guest = Guest::new(&[2, 2]);
    guest.spawn(0..1);
    let (waker, by) = (ThreadId(0), vcpu(0));
    for turn in 0..100 {
        let woken = ThreadId(1 + turn % 7);
        guest.fair.pasts.entry(woken).or_default().flips = 2;
        let may = guest.fair.may_pull(Nanos(0), waker, woken, by);
        assert_eq!(may, turn < 3, "after {turn} others");
    }
    let one = ThreadId(1);
    let later = Nanos(60_000_000_000);
    for _ in 0..9 {
        guest.fair.may_pull(later, waker, one, by);
    }
    assert!(guest.fair.pasts[&waker].flips < 60, "flips are forgotten");
}

#[test]
fn a_vcpu_that_becomes_idle_takes_a_thread_from_the_longest_queue() {
    let mut guest = Guest::new(&[2, 2]);
    guest.spawn(0..9);
    let alone = (0..9)
        .find(|&of| guest.loads()[usize::from(guest.on(of))] == 2)
        .unwrap();
    let from = guest.on(alone);
    let others: Vec<_> = (0..9).filter(|&of| guest.on(of) == from).collect();
    for other in others {
        guest.now += 1_000_000;
        let thread = ThreadId(other);
        guest.tell(Event::Exit { thread });
    }
    assert_eq!(guest.loads()[usize::from(from)], 1);
    assert_eq!(guest.loads().iter().sum::<usize>(), 7);
}

#[test]
fn balance_comes_with_time_and_then_stays() {
    let mut guest = Guest::new(&[2, 2]);
    for thread in 0..12 {
        guest
            .fair
            .queues
            .spawn(ThreadId(thread), vcpu(0), &mut Vec::new())
            .unwrap();
    }
    assert_eq!(guest.loads(), [12, 0, 0, 0]);
    guest.ticks(2000);
    let loads = guest.loads();
    assert!(loads.iter().all(|load| (2..=4).contains(load)), "{loads:?}");
    let nodes = [loads[0] + loads[1], loads[2] + loads[3]];
    assert!(nodes[0].abs_diff(nodes[1]) <= 2, "{loads:?}");
}

#[test]
fn one_thread_more_is_balance_between_nodes() {
    let mut guest = Guest::new(&[4, 4]);
    for (thread, on) in [(0, 0), (1, 1), (2, 4)] {
        guest
            .fair
            .queues
            .spawn(ThreadId(thread), vcpu(on), &mut Vec::new())
            .unwrap();
    }
    guest.ticks(500);
    assert_eq!(guest.loads(), [1, 1, 0, 0, 1, 0, 0, 0]);
}

#[test]
fn threads_of_one_vcpu_take_turns_of_three_milliseconds() {
    let mut guest = Guest::new(&[1]);
    guest.spawn(0..2);
    let mut turns = Vec::new();
    for _ in 0..9 {
        turns.push(guest.fair.queues.running(vcpu(0)).unwrap().0);
        guest.ticks(1);
    }
    assert_eq!(turns, [0, 0, 0, 1, 1, 1, 0, 0, 0]);
}

#[test]
fn cache_hot_threads_stay_until_balance_failed_often() {
    let mut guest = Guest::new(&[1, 1]);
    for thread in 0..4 {
        guest
            .fair
            .queues
            .spawn(ThreadId(thread), vcpu(0), &mut Vec::new())
            .unwrap();
        guest.fair.pasts.insert(
            ThreadId(thread),
            Past {
                ran: Some(Nanos(0)),
                ..Past::default()
            },
        );
    }
    let mut pull = |now, failed| {
        guest.fair.vcpus[1].failed = failed;
        let ends = (vcpu(0), vcpu(1));
        guest.fair.pull(Nanos(now), ends, 1, &mut Vec::new())
    };
    assert!(!pull(400_000, PATIENCE));
    assert!(pull(400_000, PATIENCE + 1));
    assert!(pull(600_000, 0), "it has cooled");
}
