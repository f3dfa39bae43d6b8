//! A KVM vCPU and the page it shares with the kernel.
#![expect(
    unsafe_code,
    reason = "the kernel's page is reached by pointers and unions"
)]

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU8, Ordering};

use kvm_bindings::{KVM_EXIT_IO_OUT, kvm_run};
use kvm_ioctls::{VcpuExit, VcpuFd};

use super::access::{Access, Kind};
use super::kick::Runner;
use super::poison;
use crate::error::VcpuError;
use crate::exit::Failure;

/// What one `KVM_RUN` came back with.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The guest accesses a port, or an address without memory.
    Access(Access),
    /// The end of an interrupt of a level-triggered pin.
    EndOfInterrupt { vector: u8 },
    /// A triple fault.
    Shutdown,
    /// A signal, or the immediate-exit byte.
    Interrupted,
    /// `EAGAIN`: a vCPU that waits for INIT has something to look at.
    Again,
    /// The guest touched poisoned memory, which is at `host` in this process.
    Unreachable { host: usize },
    /// The guest cannot go on.
    Failed(Failure),
}

/// A vCPU's descriptor together with the page it shares with the kernel.
#[derive(Debug)]
pub(super) struct Cpu {
    fd: VcpuFd,
    /// Start of the mapping that `fd` owns.
    page: NonNull<kvm_run>,
    /// Its length, as the kernel told.
    len: usize,
}

// SAFETY: the page belongs to `fd`, which is `Send`, and moves with it.
unsafe impl Send for Cpu {}

impl Cpu {
    /// `len` is the length of the shared mapping, `VmFd::run_size`.
    pub(super) fn new(mut fd: VcpuFd, len: usize) -> Self {
        let page = NonNull::from(fd.get_kvm_run());
        Self { fd, page, len }
    }

    /// For all that needs no run page.
    pub(super) fn fd(&self) -> &VcpuFd {
        &self.fd
    }

    /// The byte that makes `KVM_RUN` return at once.
    fn immediate_exit(&self) -> &AtomicU8 {
        // SAFETY: `page` points to a mapping that lives as long as `self`; an `AtomicU8` is laid
        // out as the byte; user space only ever accesses it through this method.
        unsafe { AtomicU8::from_ptr(&raw mut (*self.page.as_ptr()).immediate_exit) }
    }

    /// Does `body` while kick signals to the calling thread reach this vCPU.
    pub(super) fn as_current<R>(&mut self, body: impl FnOnce(&mut Self) -> R) -> R {
        // SAFETY: the byte lies in the mapping that `self` owns, and `self` is borrowed for longer
        // than the runner lives; no caller's body puts another `Cpu` in its place.
        let _runner = unsafe { Runner::new(self.immediate_exit()) };
        body(self)
    }

    /// Withdraws an earlier kick.
    pub(super) fn clear_kick(&self) {
        self.immediate_exit().store(0, Ordering::SeqCst);
    }

    /// Completes the access reported last without running any guest code.
    pub(super) fn settle(&mut self) -> Result<(), VcpuError> {
        self.immediate_exit().store(1, Ordering::SeqCst);
        let outcome = self.fd.run().map(|_| ());
        self.clear_kick();
        match outcome {
            Err(error) if error.errno() == libc::EINTR => Ok(()),
            Ok(()) => Err(super::os("completing an access", libc::EBUSY)),
            Err(error) => Err(super::os("completing an access", error.errno())),
        }
    }

    /// Enters the guest once.
    pub(super) fn enter(&mut self) -> Result<Outcome, VcpuError> {
        match self.fd.run() {
            Ok(VcpuExit::IoIn(..) | VcpuExit::IoOut(..)) => Ok(self.port_access()),
            Ok(VcpuExit::MmioRead(at, data)) => Ok(Outcome::Access(Access::memory(
                Kind::MemoryRead,
                at,
                data.len(),
            ))),
            Ok(VcpuExit::MmioWrite(at, data)) => Ok(Outcome::Access(Access::memory(
                Kind::MemoryWrite,
                at,
                data.len(),
            ))),
            Ok(VcpuExit::IoapicEoi(vector)) => Ok(Outcome::EndOfInterrupt { vector }),
            Ok(VcpuExit::Shutdown) => Ok(Outcome::Shutdown),
            Ok(VcpuExit::Intr) => Ok(Outcome::Interrupted),
            Ok(VcpuExit::FailEntry(reason, _)) => Ok(Outcome::Failed(Failure::Entry { reason })),
            Ok(VcpuExit::InternalError) => Ok(Outcome::Failed(self.internal_error())),
            Ok(VcpuExit::MemoryFault { gpa, .. }) => {
                Ok(Outcome::Failed(Failure::Memory { address: gpa }))
            }
            Ok(_) => Ok(Outcome::Failed(Failure::UnexpectedExit(self.reason()))),
            Err(error) => match error.errno() {
                libc::EINTR => Ok(match poison::take() {
                    Some(host) => Outcome::Unreachable { host },
                    None => Outcome::Interrupted,
                }),
                libc::EAGAIN => Ok(Outcome::Again),
                libc::EFAULT | libc::EHWPOISON => {
                    Ok(Outcome::Failed(Failure::Memory { address: u64::MAX }))
                }
                errno => Err(super::os("running a vCPU", errno)),
            },
        }
    }

    fn reason(&self) -> u32 {
        // SAFETY: the page is mapped and aligned; the kernel writes it only inside `KVM_RUN`.
        unsafe { (*self.page.as_ptr()).exit_reason }
    }

    fn port_access(&self) -> Outcome {
        // SAFETY: as in `reason`; the exit reason, which was just read, says that `io` is valid.
        let io = unsafe { (*self.page.as_ptr()).__bindgen_anon_1.io };
        let kind = match u32::from(io.direction) {
            KVM_EXIT_IO_OUT => Kind::PortWrite,
            _ => Kind::PortRead,
        };
        let (size, count) = (usize::from(io.size), io.count);
        let offset = usize::try_from(io.data_offset).unwrap_or(usize::MAX);
        let end = offset.checked_add(size.saturating_mul(count as usize));
        match end.filter(|&end| end <= self.len) {
            Some(_) => Outcome::Access(Access::port(kind, io.port, size, count, offset)),
            None => Outcome::Failed(Failure::UnexpectedExit(self.reason())),
        }
    }

    fn internal_error(&self) -> Failure {
        // SAFETY: as in `reason`; the exit reason says that `internal` is valid.
        let internal = unsafe { (*self.page.as_ptr()).__bindgen_anon_1.internal };
        let given = internal.data.len().min(internal.ndata as usize);
        Failure::Internal {
            suberror: internal.suberror,
            rip: self.fd.get_regs().map_or(0, |registers| registers.rip),
            data: internal.data[..given].to_vec(),
        }
    }

    /// The bytes of the access' element number `index`.
    fn element(&self, access: &Access, index: u32) -> (*mut u8, usize) {
        let size = access.size.bytes();
        let offset = access.data_offset + index as usize * size;
        assert!(
            index < access.count && offset + size <= self.len,
            "within the shared page"
        );
        // SAFETY: the sum is within the mapping, as was just checked.
        let at = unsafe { self.page.as_ptr().cast::<u8>().add(offset) };
        (at, size)
    }

    /// What the guest writes in the access' element number `index`.
    pub(super) fn written(&self, access: &Access, index: u32) -> u64 {
        let (from, size) = self.element(access, index);
        let mut bytes = [0; 8];
        // SAFETY: `from` is valid for `size` bytes, which is at most 8; no one else touches the
        // page while this thread is outside `KVM_RUN`.
        unsafe { ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), size) };
        u64::from_le_bytes(bytes)
    }

    /// Sets what the guest reads in the access' element number `index`.
    pub(super) fn answer(&mut self, access: &Access, index: u32, value: u64) {
        let (to, size) = self.element(access, index);
        // SAFETY: as in `written`.
        unsafe { ptr::copy_nonoverlapping(value.to_le_bytes().as_ptr(), to, size) };
    }
}
