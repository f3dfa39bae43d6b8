#![expect(unsafe_code, reason = "a system call that rustix does not have")]
//! The pump before other threads.
//!
//! A pump works for microseconds when something comes, and every thread and vCPU that waits for a
//! page waits for it, on other nodes too. The system's fair scheduler lets whoever runs finish its
//! turn first, which takes milliseconds. So the pump asks for the lowest real-time priority: it runs
//! as soon as something wakes it. The system keeps a share of every processor for all others,
//! whatever it does, and it does not look on while others need the processor
//! ([`Waiting::Adaptive`](super::Waiting)).

use rustix::process::setpriority_process;

/// Whether the pump may run before other threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Priority {
    /// Like any other thread.
    Normal,
    /// Before others, as far as this process may: as a real-time thread, else by the highest
    /// priority it is granted, else like any other.
    #[default]
    Raised,
}

/// The nicest to oneself.
const HIGHEST: i32 = -20;

impl Priority {
    /// Gives it to the calling thread. What is not permitted is left as it was.
    pub fn apply(self) {
        if self == Self::Raised && !becomes_real_time() {
            // 0 is the calling thread. Not being permitted is no error.
            setpriority_process(None, HIGHEST).ok();
        }
    }
}

fn becomes_real_time() -> bool {
    // SAFETY: an all-zero value of this structure of integers is valid.
    let mut parameter: libc::sched_param = unsafe { std::mem::zeroed() };
    parameter.sched_priority = 1;
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: reads the structure, which lives through the call; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> i32 {
        // SAFETY: has no argument but the calling thread.
        unsafe { libc::sched_getscheduler(0) }
    }

    #[test]
    fn a_raised_thread_is_real_time_or_left_as_it_was() {
        std::thread::spawn(|| {
            let before = policy();
            Priority::Normal.apply();
            assert_eq!(policy(), before);
            Priority::Raised.apply();
            let raised = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
            assert!([before, raised].contains(&policy()), "{}", policy());
        })
        .join()
        .unwrap();
    }
}
