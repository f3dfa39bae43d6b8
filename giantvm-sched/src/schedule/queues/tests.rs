//! Run queues under every kind of use.

use proptest::prelude::*;

use super::*;

fn vcpu(number: u8) -> VcpuId {
    VcpuId::new(number).unwrap()
}

/// Every thread is in exactly the place that its seat names, and no vCPU idles beside a queue.
fn check(queues: &RunQueues) -> Result<(), TestCaseError> {
    let mut found = 0;
    for (index, queue) in queues.queues.iter().enumerate() {
        prop_assert!(queue.running.is_some() || queue.ready.is_empty());
        let states = queue.running.iter().map(|thread| (thread, State::Running));
        for (thread, state) in states.chain(queue.ready.iter().map(|t| (t, State::Ready))) {
            let seat = queues.seats[thread];
            prop_assert_eq!((seat.vcpu.index(), seat.state), (index, state));
            found += 1;
        }
    }
    let blocked = queues.seats.values().filter(|s| s.state == State::Blocked);
    prop_assert_eq!(found + blocked.count(), queues.seats.len());
    Ok(())
}

proptest! {
    #[test]
    fn books_agree_and_decisions_tell_all_whatever_is_done(
        steps in prop::collection::vec((0..7_u8, 0..6_u32, 0..4_u8), 0..200),
    ) {
        let mut queues = RunQueues::new(&Machine::new(&[2, 1]).unwrap());
        let mut told = [None; 3];
        for (what, thread, on) in steps {
            let (mut out, thread, on) = (Vec::new(), ThreadId(thread), vcpu(on));
            // Refusals are results like others here: they must leave no trace.
            match what {
                0 => drop(queues.spawn(thread, on, &mut out)),
                1 => drop(queues.wake(thread, on, &mut out)),
                2 => drop(queues.block(thread, &mut out)),
                3 => drop(queues.exit(thread, &mut out)),
                4 => queues.rotate(on, &mut out),
                5 => queues.migrate(thread, on, &mut out),
                _ => queues.settle(thread, VcpuId::BOOT, &mut out),
            }
            for decision in out {
                if let Decision::Run { vcpu, thread } = decision {
                    told[vcpu.index()] = thread;
                }
            }
            check(&queues)?;
            for (vcpu, &told) in told.iter().enumerate() {
                prop_assert_eq!(queues.queues[vcpu].running, told);
            }
        }
    }
}

#[test]
fn threads_take_turns_in_their_order() {
    let mut queues = RunQueues::new(&Machine::new(&[1]).unwrap());
    let mut out = Vec::new();
    for thread in [1, 2, 3] {
        queues.spawn(ThreadId(thread), vcpu(0), &mut out).unwrap();
    }
    let mut turns = Vec::new();
    for _ in 0..4 {
        turns.push(queues.running(vcpu(0)).unwrap().0);
        queues.rotate(vcpu(0), &mut out);
    }
    assert_eq!(turns, [1, 2, 3, 1]);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let mut queues = RunQueues::new(&Machine::new(&[1]).unwrap());
    let (mut out, one, two) = (Vec::new(), ThreadId(1), ThreadId(2));
    queues.spawn(one, vcpu(0), &mut out).unwrap();
    queues.spawn(two, vcpu(0), &mut out).unwrap();
    out.clear();
    assert_eq!(
        queues.spawn(one, vcpu(0), &mut out),
        Err(EventError::Twice(one))
    );
    assert_eq!(
        queues.wake(one, vcpu(0), &mut out),
        Err(EventError::Awake(one))
    );
    assert_eq!(
        queues.wake(two, vcpu(9), &mut out),
        Err(EventError::Vcpu(vcpu(9)))
    );
    assert_eq!(
        queues.block(two, &mut out),
        Err(EventError::NotRunning(two))
    );
    let ghost = ThreadId(9);
    assert_eq!(
        queues.exit(ghost, &mut out),
        Err(EventError::Unknown(ghost))
    );
    assert_eq!(out, []);
}

#[test]
fn threads_are_limited() {
    let mut queues = RunQueues::new(&Machine::new(&[1]).unwrap());
    let (mut out, most) = (Vec::new(), u32::try_from(MAX_THREADS).unwrap());
    for thread in 0..most {
        queues.spawn(ThreadId(thread), vcpu(0), &mut out).unwrap();
    }
    let one_more = queues.spawn(ThreadId(most), vcpu(0), &mut out);
    assert_eq!(one_more, Err(EventError::Full(ThreadId(most))));
}
