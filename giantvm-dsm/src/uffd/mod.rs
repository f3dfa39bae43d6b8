#![expect(
    unsafe_code,
    reason = "ioctls that change what memory holds and who may reach it"
)]
//! Userfaultfd: page faults of this process's threads, and of its vCPUs, served in user space.
//!
//! A small module of our own over `rustix` and `linux-raw-sys`: no generated bindings, and the modes
//! that a coherence engine needs (install *and* write-protect in one step, map without waking,
//! poison). It knows nothing of pages' states or of protocols.
//!
//! What is unsafe is [`Uffd::register`]: from then on the memory's contents are what the holder of
//! the [`Uffd`] makes them. Every other operation is refused by the kernel outside registered
//! memory, so it is safe.
//!
//! **Never drop a [`Uffd`] while a thread can touch memory registered with it.** A fault that is
//! being waited for then ends with a page of zeroes, silently. Unmap the memory first;
//! [`backing::Mapping`](crate::backing::Mapping) sees to that.

mod abi;
mod area;
mod create;
mod error;
mod events;
mod features;
mod support;
mod sweep;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux_raw_sys::general as k;
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter, Updater, ioctl};

pub(crate) use area::Area;
pub use error::{CreateError, Outcome};
pub use events::{Event, EventBuf, FaultKind};
pub use features::Features;
pub use support::{Check, Support};
pub(crate) use sweep::Sweeper;

/// A run of addresses of this process, in whole pages of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    /// The first address.
    pub start: usize,
    /// Bytes.
    pub len: usize,
}

impl Range {
    /// The part of this range from byte `offset` on.
    #[must_use]
    pub const fn skip(self, offset: usize) -> Self {
        Self {
            start: self.start.saturating_add(offset),
            len: self.len.saturating_sub(offset),
        }
    }

    /// The first `len` bytes of this range.
    #[must_use]
    pub const fn take(self, len: usize) -> Self {
        let len = if len < self.len { len } else { self.len };
        Self { len, ..self }
    }

    const fn raw(self) -> k::uffdio_range {
        k::uffdio_range {
            start: self.start as u64,
            len: self.len as u64,
        }
    }
}

/// Which faults on a range are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mode {
    /// Accesses where there is no page.
    pub missing: bool,
    /// Accesses where there is a page that is not mapped (shared memory only).
    pub minor: bool,
    /// Writes to write-protected pages.
    pub write_protect: bool,
}

/// Whether an installed page may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protect {
    /// It may be written.
    None,
    /// A write faults.
    Write,
}

/// Whether an operation also wakes the threads that wait for the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wake {
    /// It does.
    Yes,
    /// It does not; [`Uffd::wake`] will.
    No,
}

/// An open userfaultfd: not blocking, closed on `exec`.
#[derive(Debug)]
pub struct Uffd {
    fd: OwnedFd,
    features: Features,
}

impl Uffd {
    /// Creates one with the features `required`, and those of `optional` that the kernel has.
    ///
    /// # Errors
    /// [`CreateError`] says what is missing and how to mend it.
    pub fn create(required: Features, optional: Features) -> Result<Self, CreateError> {
        create::create(required, optional).map(|(fd, features)| Self { fd, features })
    }

    /// The features that are enabled.
    #[must_use]
    pub const fn features(&self) -> Features {
        self.features
    }

    /// Has the faults on `range` that `mode` names reported here.
    ///
    /// # Safety
    /// `range` must be a mapping, or a part of one, that the caller owns and that no Rust
    /// reference points into: its contents and accessibility change by the operations of this
    /// object. It must be unmapped before this object is dropped.
    ///
    /// # Errors
    /// The system's, for instance if the kind of memory does not offer a mode.
    pub unsafe fn register(&self, range: Range, mode: Mode) -> io::Result<()> {
        let bit = |wanted: bool, bit: u32| if wanted { u64::from(bit) } else { 0 };
        let mut argument = k::uffdio_register {
            range: range.raw(),
            mode: bit(mode.missing, k::UFFDIO_REGISTER_MODE_MISSING)
                | bit(mode.minor, k::UFFDIO_REGISTER_MODE_MINOR)
                | bit(mode.write_protect, k::UFFDIO_REGISTER_MODE_WP),
            ioctls: 0,
        };
        // SAFETY: REGISTER reads and writes a `uffdio_register`. The caller vouches for the range.
        unsafe { self.update::<{ abi::REGISTER }, _>(&mut argument) }.map_err(Into::into)
    }

    /// Puts a copy of `data` where `range`, of the same length, has no pages.
    ///
    /// With [`Protect::Write`] the page appears write-protected in one step: no thread can write
    /// in between.
    ///
    /// # Errors
    /// The system's, for instance if `range` is not registered or `data` is of another length.
    pub fn copy(
        &self,
        range: Range,
        data: &[u8],
        protect: Protect,
        wake: Wake,
    ) -> io::Result<Outcome> {
        if data.len() != range.len {
            return Err(Errno::INVAL.into());
        }
        let mut argument = k::uffdio_copy {
            dst: range.start as u64,
            src: data.as_ptr().addr() as u64,
            len: range.len as u64,
            mode: mode(protect, abi::COPY_WP) | quiet(wake, abi::COPY_DONTWAKE),
            copy: 0,
        };
        // SAFETY: COPY reads and writes a `uffdio_copy`, reads `len` bytes at `src`, which `data`
        // has, and writes only where registered memory has no page, for which `register`'s caller
        // gave leave.
        let result = unsafe { self.update::<{ abi::COPY }, _>(&mut argument) };
        Outcome::of(result, argument.copy)
    }

    /// Maps pages that are in the shared memory behind `range` but not mapped there.
    ///
    /// # Errors
    /// The system's, for instance if there is no page behind a part of `range`, or if the kernel
    /// is too old for [`Protect::Write`] here (Linux 6.4, see [`Support`]).
    pub fn continue_(&self, range: Range, protect: Protect, wake: Wake) -> io::Result<Outcome> {
        let mut argument = k::uffdio_continue {
            range: range.raw(),
            mode: mode(protect, abi::CONTINUE_WP) | quiet(wake, abi::CONTINUE_DONTWAKE),
            mapped: 0,
        };
        // SAFETY: CONTINUE reads and writes a `uffdio_continue` and maps pages only in registered
        // memory, for which `register`'s caller gave leave.
        let result = unsafe { self.update::<{ abi::CONTINUE }, _>(&mut argument) };
        Outcome::of(result, argument.mapped)
    }

    /// Puts writable zeroes where `range` has no pages. There is no way to have them protected.
    ///
    /// # Errors
    /// The system's, for instance if `range` is not registered.
    pub fn zeropage(&self, range: Range, wake: Wake) -> io::Result<Outcome> {
        let mut argument = k::uffdio_zeropage {
            range: range.raw(),
            mode: quiet(wake, abi::ZEROPAGE_DONTWAKE),
            zeropage: 0,
        };
        // SAFETY: ZEROPAGE reads and writes a `uffdio_zeropage` and writes only where registered
        // memory has no page, for which `register`'s caller gave leave.
        let result = unsafe { self.update::<{ abi::ZEROPAGE }, _>(&mut argument) };
        Outcome::of(result, argument.zeropage)
    }

    /// Takes ([`Protect::Write`]) or gives ([`Protect::None`]) the right to write to `range`.
    ///
    /// Taking it wakes no one and when it returns no write can happen. `wake` concerns giving.
    ///
    /// # Errors
    /// The system's, for instance if `range` is not registered for write protection.
    pub fn write_protect(&self, range: Range, protect: Protect, wake: Wake) -> io::Result<Outcome> {
        let mut argument = k::uffdio_writeprotect {
            range: range.raw(),
            mode: match protect {
                Protect::Write => abi::WRITEPROTECT_WP,
                Protect::None => quiet(wake, abi::WRITEPROTECT_DONTWAKE),
            },
        };
        // SAFETY: WRITEPROTECT reads a `uffdio_writeprotect` and changes only rights, only in
        // registered memory, for which `register`'s caller gave leave.
        let result = unsafe { self.update::<{ abi::WRITEPROTECT }, _>(&mut argument) };
        Outcome::of(result, 0)
    }

    /// Lets the threads that wait for `range` try again.
    ///
    /// # Errors
    /// The system's.
    pub fn wake(&self, range: Range) -> io::Result<()> {
        // SAFETY: WAKE reads a `uffdio_range` and touches no memory.
        let call = unsafe { Setter::<{ abi::WAKE }, _>::new(range.raw()) };
        // SAFETY: as above.
        unsafe { ioctl(&self.fd, call) }.map_err(Into::into)
    }

    /// Makes accesses to `range`, which has no pages, end in `SIGBUS` (in KVM: an error).
    ///
    /// A write-protection mark counts as a page here, so it has to be taken away before.
    ///
    /// # Errors
    /// The system's, for instance without [`Features::POISON`].
    pub fn poison(&self, range: Range, wake: Wake) -> io::Result<Outcome> {
        let mut argument = k::uffdio_poison {
            range: range.raw(),
            mode: quiet(wake, abi::POISON_DONTWAKE),
            updated: 0,
        };
        // SAFETY: POISON reads and writes a `uffdio_poison` and takes access only where registered
        // memory has no page, for which `register`'s caller gave leave.
        let result = unsafe { self.update::<{ abi::POISON }, _>(&mut argument) };
        Outcome::of(result, argument.updated)
    }

    /// Reads the events that wait, at most [`EventBuf::CAPACITY`], without blocking.
    ///
    /// # Errors
    /// The system's.
    pub fn read_events<'b>(
        &self,
        buf: &'b mut EventBuf,
    ) -> io::Result<impl Iterator<Item = Event> + use<'b>> {
        let filled = loop {
            match rustix::io::read(&self.fd, buf.bytes()) {
                Ok(filled) => break filled,
                Err(Errno::AGAIN) => break 0,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        Ok(buf.events(filled))
    }

    /// # Safety
    /// `OP` must read and write a `T`, and what else it does must be safe with `argument`.
    unsafe fn update<const OP: Opcode, T>(&self, argument: &mut T) -> Result<(), Errno> {
        // SAFETY: passed on to the caller.
        unsafe { ioctl(&self.fd, Updater::<OP, T>::new(argument)) }
    }
}

impl AsFd for Uffd {
    /// Readable while there are events.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

const fn mode(protect: Protect, bit: u64) -> u64 {
    match protect {
        Protect::None => 0,
        Protect::Write => bit,
    }
}

const fn quiet(wake: Wake, bit: u64) -> u64 {
    match wake {
        Wake::Yes => 0,
        Wake::No => bit,
    }
}
