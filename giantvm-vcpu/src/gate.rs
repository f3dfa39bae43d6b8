//! The gate that a vCPU's thread passes to run the guest, so that kicks and pauses are not lost.

use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex};

/// What [`Gate::enter`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Run the guest, asking [`Gate::interrupted`] each time before; then [`Gate::leave`].
    Run,
    /// Somebody kicked; do not run, do not leave.
    Kicked,
}

/// Between a thread that runs a vCPU and those that want it to stop. `T` names the running thread
/// to whoever has to wake it.
///
/// The waker is called with the lock held, so the thread that it names is still inside.
#[derive(Debug)]
pub(crate) struct Gate<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    kicked: bool,
    paused: bool,
    inside: Option<T>,
}

impl<T: Copy> Gate<T> {
    pub(crate) fn new() -> Self {
        let state = State {
            kicked: false,
            paused: false,
            inside: None,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Goes inside as `thread`; waits while paused, unless kicked. Consumes the kick.
    pub(crate) fn enter(&self, thread: T) -> Entry {
        let mut state = self.state.lock().expect("no panic under this lock");
        loop {
            if std::mem::take(&mut state.kicked) {
                return Entry::Kicked;
            }
            if !state.paused {
                state.inside = Some(thread);
                return Entry::Run;
            }
            state = self.changed.wait(state).expect("no panic under this lock");
        }
    }

    /// Whether the thread inside has to come out.
    pub(crate) fn interrupted(&self) -> bool {
        let state = self.state.lock().expect("no panic under this lock");
        state.kicked || state.paused
    }

    /// Comes out.
    pub(crate) fn leave(&self) {
        let mut state = self.state.lock().expect("no panic under this lock");
        state.inside = None;
        drop(state);
        self.changed.notify_all();
    }

    /// Makes the thread inside, or the next to enter, see [`Entry::Kicked`].
    pub(crate) fn kick(&self, wake: impl FnOnce(T)) {
        let mut state = self.state.lock().expect("no panic under this lock");
        state.kicked = true;
        if let Some(thread) = state.inside {
            wake(thread);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Lets nobody in any more and asks who is inside to come out.
    pub(crate) fn pause(&self, wake: impl FnOnce(T)) {
        let mut state = self.state.lock().expect("no panic under this lock");
        state.paused = true;
        if let Some(thread) = state.inside {
            wake(thread);
        }
    }

    /// Lets the thread in again.
    pub(crate) fn resume(&self) {
        let mut state = self.state.lock().expect("no panic under this lock");
        state.paused = false;
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until nobody is inside, at most until `deadline`; whether that came true.
    pub(crate) fn wait_empty(&self, deadline: Instant) -> bool {
        let mut state = self.state.lock().expect("no panic under this lock");
        while state.inside.is_some() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return false;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.expect("no panic under this lock").0;
        }
        true
    }
}
