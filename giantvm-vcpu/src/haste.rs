#![expect(
    unsafe_code,
    reason = "system calls that say how a thread is scheduled"
)]
//! Threads that run before others for a moment.
//!
//! While a vCPU moves it stands still, and so do the others of its node for a part of that, until several
//! threads have each done microseconds of work. The system's fair scheduler lets whoever runs finish its turn
//! first, which takes milliseconds, and vCPUs that compute always run. So those threads ask for the lowest
//! real-time priority, and go back to turns as soon as they have done their part.
//!
//! Threads are named by the kernel's numbers: glibc remembers what it was told of a thread, and what a thread
//! inherits is then another thing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use libc::{c_int, pid_t, sched_param};

/// The calling thread, where a number is asked for.
const SELF: pid_t = 0;
/// Who is started meanwhile is scheduled by turns.
const HASTY: c_int = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;

/// The calling thread's number.
pub(crate) fn this_thread() -> pid_t {
    // SAFETY: no preconditions.
    unsafe { libc::gettid() }
}

/// Has the system run a thread of this process before those that it runs by turns, until that thread
/// [calms](calm) down. Whether it does: not where that is not permitted, nor for a thread that has a priority
/// of its own. The thread has to be alive, as its number may be another's then.
pub(crate) fn hasten(thread: pid_t) -> bool {
    policy(thread) & !libc::SCHED_RESET_ON_FORK == libc::SCHED_OTHER && schedule(thread, HASTY, 1)
}

/// Has the calling thread scheduled by turns again, after it was [hastened](hasten).
pub(crate) fn calm() {
    // Without the flag it would have to have a right that it may not have.
    let calmed = schedule(SELF, libc::SCHED_OTHER | libc::SCHED_RESET_ON_FORK, 0);
    debug_assert!(calmed, "less is always permitted");
}

fn policy(thread: pid_t) -> c_int {
    // SAFETY: no preconditions.
    unsafe { libc::sched_getscheduler(thread) }
}

fn schedule(thread: pid_t, policy: c_int, sched_priority: c_int) -> bool {
    let parameter = sched_param { sched_priority };
    // SAFETY: reads the structure, which outlives the call.
    unsafe { libc::sched_setscheduler(thread, policy, &raw const parameter) == 0 }
}

/// The calling thread runs before others until this is dropped.
#[derive(Debug)]
pub(crate) struct Haste(bool);

impl Haste {
    pub(crate) fn begin() -> Self {
        Self(hasten(SELF))
    }
}

impl Drop for Haste {
    fn drop(&mut self) {
        if self.0 {
            calm();
        }
    }
}

/// A thread that others hasten, as long as it lives.
#[derive(Debug, Default)]
pub(crate) struct Living(Mutex<Option<pid_t>>);

/// The thread lives until this is dropped.
#[derive(Debug)]
pub(crate) struct Life<'t>(&'t Living);

impl Living {
    /// It is the calling thread from now on.
    pub(crate) fn begin(&self) -> Life<'_> {
        *self.number() = Some(this_thread());
        Life(self)
    }

    /// [`hasten`]s it, if it lives.
    pub(crate) fn hasten(&self) -> bool {
        self.number().is_some_and(hasten)
    }

    /// Who has it keeps the thread alive.
    fn number(&self) -> MutexGuard<'_, Option<pid_t>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Life<'_> {
    fn drop(&mut self) {
        *self.0.number() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How the calling thread is scheduled.
    fn own() -> c_int {
        policy(SELF) & !libc::SCHED_RESET_ON_FORK
    }

    #[test]
    fn haste_ends_and_whom_it_starts_has_none() {
        let test = || {
            assert_eq!(own(), libc::SCHED_OTHER);
            let haste = Haste::begin();
            if !haste.0 {
                giantvm_core::testing::skip("haste_ends", "no thread here may be real-time");
                return;
            }
            assert_eq!(own(), libc::SCHED_FIFO);
            assert!(!Haste::begin().0, "it has a priority already");
            assert_eq!(own(), libc::SCHED_FIFO);
            let of_a_child = std::thread::spawn(|| (own(), Haste::begin().0)).join();
            assert_eq!(of_a_child.unwrap(), (libc::SCHED_OTHER, true));
            drop(haste);
            assert_eq!(own(), libc::SCHED_OTHER);
            assert!(Haste::begin().0, "and again");
            assert_eq!(own(), libc::SCHED_OTHER);
        };
        std::thread::spawn(test).join().unwrap();
    }

    #[test]
    fn another_thread_is_hastened_by_its_number() {
        let (says, told) = std::sync::mpsc::channel();
        let (goes, waits) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || {
            says.send(this_thread()).unwrap();
            waits.recv().unwrap();
            own()
        });
        let hastened = hasten(told.recv().unwrap());
        goes.send(()).unwrap();
        assert_eq!(other.join().unwrap() == libc::SCHED_FIFO, hastened);
    }

    #[test]
    fn a_thread_is_hastened_while_it_lives() {
        let living = std::sync::Arc::new(Living::default());
        assert!(!living.hasten(), "it has yet to begin");
        let thread = std::thread::spawn({
            let living = living.clone();
            move || {
                let _life = living.begin();
                let hastened = living.hasten();
                assert_eq!(own() == libc::SCHED_FIFO, hastened);
            }
        });
        thread.join().unwrap();
        assert!(!living.hasten(), "it has ended");
    }
}
