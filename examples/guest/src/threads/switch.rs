#![expect(unsafe_code, reason = "a processor that leaves one stack for another")]
//! From one stack to another, with what the calling convention keeps.

use core::arch::naked_asm;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::arena::Arena;
use crate::memory::Memory;

/// Where a thread begins: with the memory's first byte and size, its number, the number of
/// threads, and the [`Carrier`]. It never returns.
pub(super) type Entry = extern "C" fn(usize, u64, u32, u32, usize) -> !;

/// Default of the SSE and x87 control words: all exceptions masked, round to nearest, 64 bits.
const CONTROL: u64 = 0x37f << 32 | 0x1f80;

/// What lies on the stack of a thread that was never loaded.
#[derive(Debug)]
pub(super) struct Frame(pub(super) [u64; 9]);

impl Frame {
    pub(super) fn new(entry: Entry, memory: Memory<'_>, thread: u32, threads: u32) -> Self {
        let numbers = u64::from(threads) << 32 | u64::from(thread);
        // As `switch` leaves a stack, and the address that it returns to.
        Self([
            CONTROL,
            0,
            entry as usize as u64,
            numbers,
            memory.size(),
            memory.base() as u64,
            0,
            0,
            begin as *const () as usize as u64,
        ])
    }
}

/// Where a vCPU's own stack is while it carries a thread.
#[derive(Debug, Default)]
#[repr(transparent)]
pub(super) struct Carrier(AtomicU64);

/// Carries on with a thread that is not running, until it asks for something.
///
/// The thread's stack pointer must be one that [`Arena::make`] or [`leave`] left, and no other vCPU may
/// carry on with it: that is the scheduler's to see to.
pub(super) fn load(arena: &Arena<'_>) {
    let carrier = Carrier::default();
    let stack = arena.stack.load(SeqCst);
    // SAFETY: `stack` is the end of a frame that `switch` or `Frame::new` made, on a stack that no one uses
    // until `leave` comes back here, which it does on this vCPU, as threads change vCPUs only by being
    // loaded anew. `carrier` is on this stack, which stays as it is until then. All registers
    // that the convention lets a callee change are the compiler's to save.
    unsafe {
        switch(
            carrier.0.as_ptr(),
            stack,
            (&raw const carrier).expose_provenance(),
        )
    };
}

/// Leaves the thread that runs this to its carrier. Returns when the thread is loaded again, with the
/// carrier of then.
pub(super) fn leave(arena: &Arena<'_>, carrier: usize) -> usize {
    let carrier: *const Carrier = core::ptr::with_exposed_provenance(carrier);
    // SAFETY: the carrier is waiting in `load` on this vCPU, so what it points to is there, and holds
    // the end of the frame that `switch` made. The thread's own frame is left to whoever loads it next.
    unsafe { switch(arena.stack.as_ptr(), (*carrier).0.load(SeqCst), 0) }
}

/// Leaves a frame on this stack and its end in `save`, takes the frame at `load` from another, and returns
/// there with `value`.
#[unsafe(naked)]
unsafe extern "C" fn switch(save: *mut u64, load: u64, value: usize) -> usize {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 16",
        "stmxcsr [rsp]",
        "fnstcw [rsp + 4]",
        "mov [rdi], rsp",
        "mov rsp, rsi",
        "ldmxcsr [rsp]",
        "fldcw [rsp + 4]",
        "add rsp, 16",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "mov rax, rdx",
        "ret",
    )
}

/// The first instructions of a thread: the frame has its arguments in registers.
#[unsafe(naked)]
unsafe extern "C" fn begin() -> ! {
    naked_asm!(
        "mov rdi, r12",
        "mov rsi, r13",
        "mov edx, r14d",
        "mov rcx, r14",
        "shr rcx, 32",
        "mov r8, rax",
        "xor ebp, ebp",
        "call r15",
        "ud2",
    )
}
