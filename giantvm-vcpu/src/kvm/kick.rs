//! The signal that gets a thread out of `KVM_RUN`.
#![expect(unsafe_code, reason = "a signal handler, and a raw flag that it sets")]

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use libc::{c_int, c_void, pid_t, pthread_t, siginfo_t};
use vmm_sys_util::signal::{SIGRTMIN, register_signal_handler, unblock_signal};

use crate::error::VcpuError;
use crate::haste;

/// The kick signal's number, counted from the lowest real-time signal.
const SIGNAL_OFFSET: c_int = 7;

thread_local! {
    /// The `immediate_exit` byte of the vCPU that this thread runs; null while it runs none.
    static CURRENT: Cell<*const AtomicU8> = const { Cell::new(ptr::null()) };
    /// Whether this thread can receive the kick signal.
    static UNBLOCKED: Cell<bool> = const { Cell::new(false) };
    /// The system's number of this thread, which is asked for once.
    static NUMBER: pid_t = haste::this_thread();
}

/// A bare signal is lost if it comes after the last look at a flag and before `KVM_RUN`; a byte
/// that KVM looks at on entry is not. So the handler sets that byte.
extern "C" fn on_kick(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    let flag = CURRENT.get();
    // SAFETY: `flag` is null or was set by `Runner::new` on this thread, and its `Runner`, whose
    // drop resets it, still lives: the byte is valid. An atomic store is async-signal-safe, and a
    // constant-initialised thread-local without destructor is a plain memory access.
    if let Some(flag) = unsafe { flag.as_ref() } {
        flag.store(1, Ordering::Relaxed);
    }
}

/// Installs the handler, once for the process.
pub(super) fn install() -> Result<(), VcpuError> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let result = INSTALLED.get_or_init(|| {
        register_signal_handler(SIGRTMIN() + SIGNAL_OFFSET, on_kick).map_err(|e| e.errno())
    });
    result.map_err(|errno| VcpuError::Os {
        operation: "installing the kick signal's handler",
        source: io::Error::from_raw_os_error(errno),
    })
}

/// Marks the calling thread as the one that runs the vCPU with this `immediate_exit` byte; ends
/// with the value.
#[derive(Debug)]
pub(super) struct Runner {
    _stays_on_its_thread: PhantomData<*const ()>,
}

impl Runner {
    /// # Safety
    /// `flag` is valid until the runner is dropped.
    pub(super) unsafe fn new(flag: *const AtomicU8) -> Self {
        if !UNBLOCKED.replace(true) {
            // A signal that was blocked when the thread was made would never get it out. An error
            // says that it was not blocked.
            unblock_signal(SIGRTMIN() + SIGNAL_OFFSET).ok();
        }
        CURRENT.set(flag);
        Self {
            _stays_on_its_thread: PhantomData,
        }
    }
}

/// Whether the calling thread runs a vCPU. For signal handlers.
pub(super) fn runs_a_vcpu() -> bool {
    !CURRENT.get().is_null()
}

/// A thread as those name it that have to get it out of the guest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thread {
    handle: pthread_t,
    number: pid_t,
}

/// The calling thread's name.
pub(super) fn this_thread() -> Thread {
    // SAFETY: no preconditions.
    let handle = unsafe { libc::pthread_self() };
    let number = NUMBER.with(|number| *number);
    Thread { handle, number }
}

impl Drop for Runner {
    fn drop(&mut self) {
        CURRENT.set(ptr::null());
    }
}

/// Sends the kick signal to a thread. Called only as a gate's waker, whose lock keeps the thread
/// inside the gate, and so alive. Says that the thread was not hastened.
pub(super) fn signal(thread: Thread) -> bool {
    // SAFETY: the thread is alive (see above); the signal has a handler (`install` came first).
    let result = unsafe { libc::pthread_kill(thread.handle, SIGRTMIN() + SIGNAL_OFFSET) };
    debug_assert_eq!(result, 0, "a live thread takes a valid signal");
    false
}

/// Sends it to a thread for which others wait, and has it run before others until it is out. Whether it does: then
/// it has to calm down. Called as [`signal`] is.
pub(super) fn signal_in_haste(thread: Thread) -> bool {
    signal(thread);
    haste::hasten(thread.number)
}
