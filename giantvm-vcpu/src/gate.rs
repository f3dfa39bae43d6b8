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
    /// Kept outside while another vCPU comes or goes.
    held: bool,
    inside: Option<T>,
    /// Whether the thread inside was hastened to come out.
    hastened: bool,
}

impl<T: Copy> Gate<T> {
    pub(crate) fn new() -> Self {
        let state = State {
            kicked: false,
            paused: false,
            held: false,
            inside: None,
            hastened: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Goes inside as `thread`; waits while paused or held, unless kicked. Consumes the kick.
    pub(crate) fn enter(&self, thread: T) -> Entry {
        let mut state = self.state.lock().expect("no panic under this lock");
        loop {
            if std::mem::take(&mut state.kicked) {
                return Entry::Kicked;
            }
            if !state.paused && !state.held {
                state.inside = Some(thread);
                return Entry::Run;
            }
            state = self.changed.wait(state).expect("no panic under this lock");
        }
    }

    /// Whether the thread inside has to come out.
    pub(crate) fn interrupted(&self) -> bool {
        let state = self.state.lock().expect("no panic under this lock");
        state.kicked || state.paused || state.held
    }

    /// Comes out. Whether the thread was hastened, and so has to calm down.
    #[must_use]
    pub(crate) fn leave(&self) -> bool {
        let mut state = self.state.lock().expect("no panic under this lock");
        state.inside = None;
        let hastened = std::mem::take(&mut state.hastened);
        drop(state);
        self.changed.notify_all();
        hastened
    }

    /// Makes the thread inside, or the next to enter, see [`Entry::Kicked`]. `wake` says whether it hastened the
    /// one inside.
    pub(crate) fn kick(&self, wake: impl FnOnce(T) -> bool) {
        let mut state = self.state.lock().expect("no panic under this lock");
        state.kicked = true;
        if let Some(thread) = state.inside {
            state.hastened |= wake(thread);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Lets nobody in any more and asks who is inside to come out. `wake` says the same.
    pub(crate) fn pause(&self, wake: impl FnOnce(T) -> bool) {
        self.close(|state| state.paused = true, wake);
    }

    /// Lets the thread in again, unless it is held.
    pub(crate) fn resume(&self) {
        self.open(|state| state.paused = false);
    }

    /// The same as [`pause`](Self::pause), but for another reason: what one ends goes on for the other.
    pub(crate) fn hold(&self, wake: impl FnOnce(T) -> bool) {
        self.close(|state| state.held = true, wake);
    }

    /// Ends a [`hold`](Self::hold).
    pub(crate) fn release(&self) {
        self.open(|state| state.held = false);
    }

    fn close(&self, mark: impl FnOnce(&mut State<T>), wake: impl FnOnce(T) -> bool) {
        let mut state = self.state.lock().expect("no panic under this lock");
        mark(&mut state);
        if let Some(thread) = state.inside {
            state.hastened |= wake(thread);
        }
    }

    fn open(&self, unmark: impl FnOnce(&mut State<T>)) {
        let mut state = self.state.lock().expect("no panic under this lock");
        unmark(&mut state);
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
