//! Guest memory that is lost: told apart from a fault of this program.
//!
//! When guest code touches a poisoned page, KVM sends its thread a SIGBUS. By default that kills
//! the process; here it makes `KVM_RUN` return, and the vCPU fail.
#![expect(
    unsafe_code,
    reason = "a signal handler that goes on to the one before it"
)]

use std::cell::Cell;
use std::io;
use std::mem;
use std::ptr;
use std::sync::OnceLock;

use libc::{BUS_MCEERR_AR, SA_ONSTACK, SA_SIGINFO, SIG_DFL, SIG_IGN, SIGBUS};
use libc::{c_int, c_void, sigaction, siginfo_t};

use super::kick;
use crate::error::VcpuError;

/// What handled SIGBUS before.
static BEFORE: OnceLock<sigaction> = OnceLock::new();

thread_local! {
    /// Where in this process the memory is that this thread's vCPU could not reach.
    static POISONED: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The address of the poisoned memory that the last `KVM_RUN` of this thread met.
pub(super) fn take() -> Option<usize> {
    POISONED.take()
}

/// Installs the handler, once for the process.
pub(super) fn install() -> Result<(), VcpuError> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let result = INSTALLED.get_or_init(|| {
        // SAFETY: the structures are plain data; the handler does what one may do.
        unsafe {
            let mut before: sigaction = mem::zeroed();
            if sigaction(SIGBUS, ptr::null(), &raw mut before) != 0 {
                return Err(io::Error::last_os_error()
                    .raw_os_error()
                    .unwrap_or(libc::EINVAL));
            }
            BEFORE.get_or_init(|| before);
            let mut ours: sigaction = mem::zeroed();
            ours.sa_sigaction = on_bus_error as *const () as usize;
            ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
            match sigaction(SIGBUS, &raw const ours, ptr::null_mut()) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()
                    .raw_os_error()
                    .unwrap_or(libc::EINVAL)),
            }
        }
    });
    result.map_err(|errno| super::os("installing the handler of memory errors", errno))
}

extern "C" fn on_bus_error(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid structure, whose address field SIGBUS sets.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr()) };
    if code == BUS_MCEERR_AR && kick::runs_a_vcpu() {
        // `KVM_RUN` returns because of the signal. A thread-local without destructor is a plain
        // memory access.
        POISONED.set(Some(address.addr()));
        return;
    }
    let Some(before) = BEFORE.get() else { return };
    match before.sa_sigaction {
        SIG_DFL | SIG_IGN => {
            // SAFETY: the action was in force before. The instruction is tried again, and the
            // signal then does what it did without this library.
            unsafe { sigaction(signal, before, ptr::null_mut()) };
        }
        handler if before.sa_flags & SA_SIGINFO != 0 => {
            // SAFETY: the flag says that the handler has this signature.
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                unsafe { mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: without the flag a handler has this signature.
            let handler: extern "C" fn(c_int) = unsafe { mem::transmute(handler) };
            handler(signal);
        }
    }
}
