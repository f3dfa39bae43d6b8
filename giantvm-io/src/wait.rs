//! Where vCPU threads wait for values that another thread brings.

use super::sync::{Condvar, Mutex, MutexGuard};

/// The wait ended without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoValue {
    /// The table was stopped.
    Stopped,
    /// The slot does not expect this key.
    NotPending,
}

#[derive(Debug)]
enum State<T> {
    Idle,
    Waiting(u64),
    Ready(u64, T),
}

#[derive(Debug)]
struct Slot<T> {
    /// The state, and whether the table is stopped.
    state: Mutex<(State<T>, bool)>,
    changed: Condvar,
}

/// One slot for each vCPU, each for one value at a time, named by a key.
///
/// A value that comes before its wait is kept; one that comes after the table was stopped, or under
/// another key, is dropped.
#[derive(Debug)]
pub(crate) struct WaitTable<T> {
    slots: Vec<Slot<T>>,
}

impl<T> WaitTable<T> {
    pub(crate) fn new(slots: usize) -> Self {
        let slot = |_| Slot {
            state: Mutex::new((State::Idle, false)),
            changed: Condvar::new(),
        };
        Self {
            slots: (0..slots).map(slot).collect(),
        }
    }

    /// Expects a value under `key`; to be called before anyone can bring it.
    pub(crate) fn expect(&self, slot: usize, key: u64) -> Result<(), NoValue> {
        let slot = self.slots.get(slot).ok_or(NoValue::NotPending)?;
        let mut guard = lock(&slot.state);
        if guard.1 {
            return Err(NoValue::Stopped);
        }
        guard.0 = State::Waiting(key);
        Ok(())
    }

    /// Brings the value. Whether anyone expected it.
    pub(crate) fn bring(&self, slot: usize, key: u64, value: T) -> bool {
        let Some(slot) = self.slots.get(slot) else {
            return false;
        };
        let mut guard = lock(&slot.state);
        let expected = matches!(guard.0, State::Waiting(waiting) if waiting == key);
        if expected {
            guard.0 = State::Ready(key, value);
            slot.changed.notify_all();
        }
        expected
    }

    /// Waits for the value under `key`, which was [expected](Self::expect), and takes it.
    pub(crate) fn wait(&self, slot: usize, key: u64) -> Result<T, NoValue> {
        let slot = self.slots.get(slot).ok_or(NoValue::NotPending)?;
        let mut guard = lock(&slot.state);
        loop {
            match std::mem::replace(&mut guard.0, State::Idle) {
                State::Ready(ready, value) if ready == key => return Ok(value),
                // A stopped wait leaves the slot idle, so that a value to come is dropped.
                State::Waiting(waiting) if waiting == key && guard.1 => {
                    return Err(NoValue::Stopped);
                }
                State::Waiting(waiting) if waiting == key => {
                    guard.0 = State::Waiting(waiting);
                    guard = match slot.changed.wait(guard) {
                        Ok(guard) => guard,
                        Err(poisoned) => poisoned.into_inner(),
                    };
                }
                other => {
                    guard.0 = other;
                    return Err(NoValue::NotPending);
                }
            }
        }
    }

    /// Ends every wait without a value, and those to come, or lets values be expected again.
    pub(crate) fn set_stopped(&self, stopped: bool) {
        for slot in &self.slots {
            lock(&slot.state).1 = stopped;
            slot.changed.notify_all();
        }
    }
}

/// No code of the table panics under a lock, so what a poisoned one guards is sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
