//! Every interleaving of a thread vCPU's program with its runner and with others.

mod sync {
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
}
#[path = "../src/thread/cell.rs"]
#[expect(
    dead_code,
    reason = "pauses have the same form as the gate's, checked in loom_gate.rs"
)]
mod cell;
mod exit {
    pub(crate) use giantvm_vcpu::{Exit, Failure};
}
mod interrupt {
    pub(crate) use giantvm_vcpu::Interrupt;
}
#[path = "../src/pending.rs"]
#[expect(
    dead_code,
    reason = "what vCPUs that move have pending is checked where it is written"
)]
mod pending;

use cell::{Abandoned, Cell, Life, Next, Rest};
use exit::Exit;
use giantvm_core::AccessSize;
use interrupt::Interrupt;
use loom::sync::Arc;
use loom::thread;

/// All interleavings with at most two switches away from a thread that could go on: more takes
/// hours, and lost wake-ups take one.
fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(body);
}

const READ: Exit = Exit::PortRead {
    port: 1,
    size: AccessSize::Byte,
};
const IPI: Interrupt = Interrupt::Fixed { vector: 0x40 };

fn started(cell: &Cell<()>) -> Life {
    cell.reset(Some(()));
    match cell.run() {
        Some(Next::Start(life, ())) => life,
        other => panic!("{other:?}"),
    }
}

fn program(
    cell: &Arc<Cell<()>>,
    life: Life,
    body: impl FnOnce(&Cell<()>) -> Result<(), Abandoned> + 'static,
) -> thread::JoinHandle<Result<(), Abandoned>> {
    let cell = Arc::clone(cell);
    thread::spawn(move || {
        cell.begin(life)?;
        body(&cell)?;
        cell.end(life, Exit::Finished);
        Ok(())
    })
}

#[test]
fn a_read_gets_its_answer_even_if_a_kick_comes_between() {
    model(|| {
        let cell = Arc::new(Cell::new());
        let life = started(&cell);
        let reader = program(&cell, life, move |cell| {
            assert_eq!(cell.access(life, READ)?, 7);
            Ok(())
        });
        let kicker = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || cell.kick())
        };
        let mut seen = Vec::new();
        while !seen.contains(&Exit::Finished) {
            match cell.run() {
                Some(Next::Exit(exit)) => {
                    if exit == READ {
                        assert_eq!(cell.run(), None);
                        assert!(cell.answer(7));
                    }
                    seen.push(exit);
                }
                other => panic!("{other:?}"),
            }
        }
        reader.join().unwrap().unwrap();
        kicker.join().unwrap();
        if !seen.contains(&Exit::Kicked) {
            assert_eq!(cell.run(), Some(Next::Exit(Exit::Kicked)));
        }
    });
}

#[test]
fn an_interrupt_is_not_lost_on_a_program_about_to_wait() {
    model(|| {
        let cell = Arc::new(Cell::new());
        let life = started(&cell);
        let waiter = program(&cell, life, move |cell| {
            assert_eq!(cell.wait(life)?, IPI);
            Ok(())
        });
        let sender = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || cell.interrupt(IPI, || None, |_| ()))
        };
        assert_eq!(cell.run(), Some(Next::Exit(Exit::Finished)));
        waiter.join().unwrap().unwrap();
        sender.join().unwrap();
    });
}

#[test]
fn a_reset_ends_the_program_at_its_call() {
    model(|| {
        let cell = Arc::new(Cell::new());
        let life = started(&cell);
        let reader = program(&cell, life, move |cell| cell.access(life, READ).map(|_| ()));
        cell.interrupt(Interrupt::Init, || None, |_| ());
        cell.interrupt(Interrupt::Sipi { vector: 1 }, || None, |_| ());
        assert_eq!(reader.join().unwrap(), Err(Abandoned));
        assert!(matches!(cell.run(), Some(Next::Start(next, ())) if next != life));
    });
}

#[test]
fn a_program_that_waits_leaves_and_an_interrupt_that_meets_it_goes_with_it() {
    model(|| {
        let cell = Arc::new(Cell::new());
        let life = started(&cell);
        let waiter = program(&cell, life, move |cell| match cell.wait_or_leave(life)? {
            Some(interrupt) => {
                assert_eq!(interrupt, IPI);
                Ok(())
            }
            None => Err(cell.end_to_move(life, ())),
        });
        let sender = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || cell.interrupt(IPI, || None, |_| ()))
        };
        let mut taken = false;
        let still = loop {
            match cell.leave() {
                Some(still) => break still,
                None => match cell.run() {
                    Some(Next::Exit(Exit::Kicked)) => {}
                    Some(Next::Exit(Exit::Finished)) => taken = true,
                    other => panic!("{other:?}"),
                },
            }
        };
        sender.join().unwrap();
        waiter.join().unwrap().ok();
        // The program took it, or it goes with the vCPU, or it came when that had gone.
        let mut pending = still.pending;
        match (taken, pending.take()) {
            (true, None) => assert_eq!(still.phase, Rest::Over),
            (false, Some(IPI) | None) => assert_eq!(still.phase, Rest::Run(())),
            other => panic!("{other:?}"),
        }
    });
}
