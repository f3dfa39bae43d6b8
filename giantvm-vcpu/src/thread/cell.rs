//! What a vCPU's program, its runner and everybody else share.

use std::time::{Duration, Instant};

use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::pending::Pending;
use crate::sync::{Condvar, Mutex, MutexGuard};

/// The program has to end: the vCPU was reset, or its host dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Abandoned;

/// One life of the program: each start is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life(u64);

/// What [`Cell::run`] wants its caller to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next<S> {
    /// Start the program; then run again.
    Start(Life, S),
    /// Return this to the vCPU's owner.
    Exit(Exit),
}

/// A thread vCPU. `S` says how its program starts.
#[derive(Debug)]
pub(crate) struct Cell<S> {
    state: Mutex<State<S>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<S> {
    phase: Phase<S>,
    life: Life,
    access: Access,
    pending: Pending,
    kicked: bool,
    paused: bool,
    /// Whether the runner is inside `run`.
    running: bool,
    /// Whether the program is between two calls.
    computing: bool,
    /// Whether the program is to end where it can go on elsewhere.
    leaving: bool,
    closed: bool,
}

/// A vCPU that has no thread: it can be taken to another cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Still<S> {
    pub(crate) phase: Rest<S>,
    pub(crate) pending: Pending,
}

/// What a vCPU without a thread waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rest<S> {
    Init,
    Sipi,
    /// To be run, so that its program starts.
    Run(S),
    /// Its program is over.
    Over,
}

#[derive(Debug)]
enum Phase<S> {
    WaitForInit,
    WaitForSipi,
    Start(S),
    Running,
    Ended(Exit),
    Over,
}

/// An access of the program.
#[derive(Debug)]
enum Access {
    None,
    /// Not reported yet.
    Posted(Exit),
    /// Reported; a read waits for its answer.
    Reported {
        read: bool,
    },
    /// Done, with the value read, once the vCPU runs on.
    Answered(u64),
    /// The program may go on with the value.
    Complete(u64),
}

impl<S> Cell<S> {
    pub(crate) fn new() -> Self {
        let state = State {
            phase: Phase::WaitForInit,
            life: Life(0),
            access: Access::None,
            pending: Pending::default(),
            kicked: false,
            paused: false,
            running: false,
            computing: false,
            leaving: false,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().expect("no panic under this lock")
    }

    fn change<R>(&self, change: impl FnOnce(&mut State<S>) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Ends the present life and starts another, or waits for INIT.
    pub(crate) fn reset(&self, start: Option<S>) {
        self.change(|state| {
            state.end_life();
            state.phase = start.map_or(Phase::WaitForInit, Phase::Start);
        });
    }

    /// An interrupt comes. `sipi` makes a start of a SIPI's vector; `init` of an INIT, if the vCPU
    /// then starts by itself.
    pub(crate) fn interrupt(
        &self,
        interrupt: Interrupt,
        init: impl FnOnce() -> Option<S>,
        sipi: impl FnOnce(u8) -> S,
    ) {
        self.change(|state| match interrupt {
            Interrupt::Init => {
                state.end_life();
                state.phase = init().map_or(Phase::WaitForSipi, Phase::Start);
            }
            Interrupt::Sipi { vector } => {
                if matches!(state.phase, Phase::WaitForSipi) {
                    state.phase = Phase::Start(sipi(vector));
                }
            }
            Interrupt::Fixed { vector } if state.takes_interrupts() => state.pending.fixed(vector),
            Interrupt::Nmi if state.takes_interrupts() => state.pending.nmi(),
            Interrupt::Fixed { .. } | Interrupt::Nmi => {}
        });
    }

    /// Waits, as the vCPU's runner, until there is something to do. Afterwards the program stands
    /// still at its next call, until the runner is back.
    ///
    /// `None` if a read waits for its answer.
    pub(crate) fn run(&self) -> Option<Next<S>> {
        let mut state = self.lock();
        match state.access {
            Access::Reported { read: true } => return None,
            Access::Reported { read: false } => state.access = Access::Complete(0),
            Access::Answered(value) => state.access = Access::Complete(value),
            Access::None | Access::Posted(_) | Access::Complete(_) => {}
        }
        state.running = true;
        self.changed.notify_all();
        loop {
            if let Some(next) = state.next() {
                state.running = false;
                return Some(next);
            }
            state = self.changed.wait(state).expect("no panic under this lock");
        }
    }

    /// Answers the read that was reported last; whether there was one.
    pub(crate) fn answer(&self, value: u64) -> bool {
        self.change(|state| {
            let waits = matches!(state.access, Access::Reported { read: true });
            if waits {
                state.access = Access::Answered(value);
            }
            waits
        })
    }

    pub(crate) fn kick(&self) {
        self.change(|state| state.kicked = true);
    }

    pub(crate) fn pause(&self) {
        self.change(|state| state.paused = true);
    }

    pub(crate) fn resume(&self) {
        self.change(|state| state.paused = false);
    }

    /// Waits until the program is at a call, at most until `deadline`; whether that came true.
    pub(crate) fn wait_still(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while state.computing {
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return false;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.expect("no panic under this lock").0;
        }
        true
    }

    /// Ends the program at its next call, and for good.
    pub(crate) fn close(&self) {
        self.change(|state| {
            state.end_life();
            state.closed = true;
            state.phase = Phase::Over;
        });
    }

    /// For the program: it begins.
    pub(crate) fn begin(&self, life: Life) -> Result<(), Abandoned> {
        self.call(life, |_| Some(()))
    }

    /// For the program: it ended.
    pub(crate) fn end(&self, life: Life, exit: Exit) {
        self.change(|state| {
            if state.life == life && !state.closed {
                state.computing = false;
                state.phase = Phase::Ended(exit);
            }
        });
    }

    /// For the program: makes an access and waits until it is done; gives the value read.
    pub(crate) fn access(&self, life: Life, exit: Exit) -> Result<u64, Abandoned> {
        let mut posted = Some(exit);
        self.call(life, |state| {
            if let Some(exit) = posted.take() {
                state.access = Access::Posted(exit);
            }
            match state.access {
                Access::Complete(value) => {
                    state.access = Access::None;
                    Some(value)
                }
                Access::None
                | Access::Posted(_)
                | Access::Reported { .. }
                | Access::Answered(_) => None,
            }
        })
    }

    /// For the program: takes the most urgent pending interrupt, if there is one.
    pub(crate) fn poll(&self, life: Life) -> Result<Option<Interrupt>, Abandoned> {
        self.call(life, |state| Some(state.pending.take()))
    }

    /// For the program: waits for an interrupt and takes it.
    pub(crate) fn wait(&self, life: Life) -> Result<Interrupt, Abandoned> {
        self.call(life, |state| state.pending.take())
    }

    /// For the program: whether it is to end here, to go on elsewhere.
    pub(crate) fn leaves(&self, life: Life) -> Result<bool, Abandoned> {
        self.call(life, |state| Some(state.leaving))
    }

    /// For the program: waits for an interrupt and takes it, or for having to end here.
    pub(crate) fn wait_or_leave(&self, life: Life) -> Result<Option<Interrupt>, Abandoned> {
        self.call(life, |state| match state.leaving {
            true => Some(None),
            false => state.pending.take().map(Some),
        })
    }

    /// For the program: it ends here, and goes on by `start`, wherever the vCPU runs next.
    pub(crate) fn end_to_move(&self, life: Life, start: S) -> Abandoned {
        self.change(|state| {
            if state.life == life && !state.closed {
                let pending = state.pending;
                state.end_life();
                state.pending = pending;
                state.phase = Phase::Start(start);
                // Its runner can have it leave now.
                state.kicked = true;
            }
        });
        Abandoned
    }

    /// Takes the vCPU out of this cell. `None` if it has a program that runs: that is to end where it can
    /// be moved, which the runner sees as a kick.
    pub(crate) fn leave(&self) -> Option<Still<S>> {
        self.change(|state| {
            let phase = match std::mem::replace(&mut state.phase, Phase::WaitForInit) {
                Phase::WaitForInit => Rest::Init,
                Phase::WaitForSipi => Rest::Sipi,
                Phase::Start(start) => Rest::Run(start),
                Phase::Over => Rest::Over,
                other @ (Phase::Running | Phase::Ended(_)) => {
                    state.phase = other;
                    state.leaving = true;
                    return None;
                }
            };
            let pending = state.pending;
            state.end_life();
            Some(Still { phase, pending })
        })
    }

    /// Puts a vCPU into this cell.
    pub(crate) fn arrive(&self, still: Still<S>) {
        self.change(|state| {
            state.end_life();
            state.pending = still.pending;
            state.phase = match still.phase {
                Rest::Init => Phase::WaitForInit,
                Rest::Sipi => Phase::WaitForSipi,
                Rest::Run(start) => Phase::Start(start),
                Rest::Over => Phase::Over,
            };
        });
    }

    /// Stands still until the runner is in `run`, nothing is paused, and `attempt` gives a result.
    fn call<R>(
        &self,
        life: Life,
        mut attempt: impl FnMut(&mut State<S>) -> Option<R>,
    ) -> Result<R, Abandoned> {
        let mut state = self.lock();
        if state.life == life {
            state.computing = false;
            self.changed.notify_all();
        }
        loop {
            if state.closed || state.life != life {
                return Err(Abandoned);
            }
            if state.running && !state.paused {
                if let Some(result) = attempt(&mut state) {
                    state.computing = true;
                    return Ok(result);
                }
                // The attempt may have posted an access.
                self.changed.notify_all();
            }
            state = self.changed.wait(state).expect("no panic under this lock");
        }
    }
}

impl<S> State<S> {
    fn end_life(&mut self) {
        self.life.0 += 1;
        self.access = Access::None;
        self.pending = Pending::default();
        self.computing = false;
        self.leaving = false;
    }

    fn takes_interrupts(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Start(_))
    }

    fn next(&mut self) -> Option<Next<S>> {
        if std::mem::take(&mut self.kicked) {
            return Some(Next::Exit(Exit::Kicked));
        }
        if self.paused {
            return None;
        }
        match std::mem::replace(&mut self.phase, Phase::Running) {
            Phase::Start(start) => return Some(Next::Start(self.life, start)),
            Phase::Ended(exit) => {
                self.phase = Phase::Over;
                return Some(Next::Exit(exit));
            }
            other => self.phase = other,
        }
        match std::mem::replace(&mut self.access, Access::None) {
            Access::Posted(exit) => {
                let read = matches!(exit, Exit::PortRead { .. } | Exit::MemoryRead { .. });
                self.access = Access::Reported { read };
                Some(Next::Exit(exit))
            }
            other => {
                self.access = other;
                None
            }
        }
    }
}

/// How a program that panicked ends.
pub(crate) fn panicked(why: String) -> Exit {
    Exit::Failed(Failure::Panicked(why))
}
