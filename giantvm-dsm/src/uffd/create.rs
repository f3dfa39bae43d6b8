//! Getting a descriptor, and negotiating features on it.

use std::ffi::c_void;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::ptr;

use linux_raw_sys::general as k;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, Updater, ioctl};
use rustix::mm::UserfaultfdFlags;

use super::{CreateError, Features, abi};

/// A descriptor with the features `required` enabled, and those of `optional` that there are.
pub(super) fn create(
    required: Features,
    optional: Features,
) -> Result<(OwnedFd, Features), CreateError> {
    // A descriptor takes one handshake only, and one that asks for too much fails as a whole. So
    // one descriptor is spent on asking what there is.
    let offered = offered()?;
    if !offered.contains(required) {
        return Err(CreateError::Lacks(required.minus(offered)));
    }
    let features = required | optional.intersection(offered);
    let fd = open()?;
    handshake(&fd, features).map_err(|error| CreateError::Os(error.into()))?;
    Ok((fd, features))
}

/// The features that the kernel offers.
pub(super) fn offered() -> Result<Features, CreateError> {
    handshake(&open()?, Features::NONE).map_err(|error| CreateError::Os(error.into()))
}

fn handshake(fd: impl AsFd, features: Features) -> Result<Features, Errno> {
    let mut argument = k::uffdio_api {
        api: u64::from(k::UFFD_API),
        features: features.bits(),
        ioctls: 0,
    };
    // SAFETY: API reads and writes a `uffdio_api` and nothing else.
    unsafe { ioctl(fd, Updater::<{ abi::API }, _>::new(&mut argument)) }?;
    Ok(Features::from_bits(argument.features))
}

/// A fresh descriptor that serves faults in system calls and KVM too, from the device or, where
/// there is none or it may not be opened, from the system call.
fn open() -> Result<OwnedFd, CreateError> {
    let device = match open_device() {
        Ok(fd) => return Ok(fd),
        Err(error) => error,
    };
    let flags = UserfaultfdFlags::CLOEXEC | UserfaultfdFlags::NONBLOCK;
    // SAFETY: the descriptor does nothing to memory until a range is registered, which is unsafe.
    match unsafe { rustix::mm::userfaultfd(flags) } {
        Ok(fd) => Ok(fd),
        Err(Errno::NOSYS) => Err(CreateError::NotInKernel),
        Err(Errno::PERM) => Err(CreateError::Denied {
            device: device.into(),
        }),
        Err(error) => Err(CreateError::Os(error.into())),
    }
}

fn open_device() -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let device = rustix::fs::open("/dev/userfaultfd", flags, Mode::empty())?;
    // SAFETY: NEW takes flags as its argument and answers with a new descriptor; see `NewUffd`.
    unsafe { ioctl(device, NewUffd) }
}

/// `USERFAULTFD_IOC_NEW`.
struct NewUffd;

// SAFETY: the argument is no pointer but open flags, and the answer is a descriptor that no one
// else has.
unsafe impl Ioctl for NewUffd {
    type Output = OwnedFd;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        abi::NEW
    }

    fn as_ptr(&mut self) -> *mut c_void {
        let flags = UserfaultfdFlags::CLOEXEC | UserfaultfdFlags::NONBLOCK;
        ptr::without_provenance_mut(flags.bits() as usize)
    }

    unsafe fn output_from_ptr(
        output: IoctlOutput,
        _: *mut c_void,
    ) -> rustix::io::Result<Self::Output> {
        // SAFETY: NEW succeeded, so this is a descriptor, made for this call.
        Ok(unsafe { OwnedFd::from_raw_fd(output) })
    }
}
