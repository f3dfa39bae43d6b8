//! The kernel's numbers: opcodes and mode bits of userfaultfd.
//!
//! Structures and most constants come from `linux-raw-sys`, which is generated from the kernel's
//! headers. What it lacks is defined here, from `include/uapi/linux/userfaultfd.h`. Opcodes are
//! computed from their parts and checked against the generated numbers while compiling.

use std::mem::{offset_of, size_of};

use linux_raw_sys::general as k;
use linux_raw_sys::ioctl as known;
use rustix::ioctl::{Opcode, opcode};

const GROUP: u8 = byte(k::UFFDIO);

pub(super) const API: Opcode = opcode::read_write::<k::uffdio_api>(GROUP, byte(k::_UFFDIO_API));
pub(super) const REGISTER: Opcode =
    opcode::read_write::<k::uffdio_register>(GROUP, byte(k::_UFFDIO_REGISTER));
pub(super) const WAKE: Opcode = opcode::read::<k::uffdio_range>(GROUP, byte(k::_UFFDIO_WAKE));
pub(super) const COPY: Opcode = opcode::read_write::<k::uffdio_copy>(GROUP, byte(k::_UFFDIO_COPY));
pub(super) const ZEROPAGE: Opcode =
    opcode::read_write::<k::uffdio_zeropage>(GROUP, byte(k::_UFFDIO_ZEROPAGE));
pub(super) const WRITEPROTECT: Opcode =
    opcode::read_write::<k::uffdio_writeprotect>(GROUP, byte(k::_UFFDIO_WRITEPROTECT));
pub(super) const CONTINUE: Opcode =
    opcode::read_write::<k::uffdio_continue>(GROUP, byte(k::_UFFDIO_CONTINUE));
pub(super) const POISON: Opcode =
    opcode::read_write::<k::uffdio_poison>(GROUP, byte(k::_UFFDIO_POISON));
/// Makes a userfaultfd from an open `/dev/userfaultfd`.
pub(super) const NEW: Opcode = opcode::none(GROUP, 0);

pub(super) const COPY_DONTWAKE: u64 = k::UFFDIO_COPY_MODE_DONTWAKE as u64;
pub(super) const COPY_WP: u64 = k::UFFDIO_COPY_MODE_WP as u64;
pub(super) const ZEROPAGE_DONTWAKE: u64 = k::UFFDIO_ZEROPAGE_MODE_DONTWAKE as u64;
/// `UFFDIO_WRITEPROTECT_MODE_WP`: protect; without it, give the right to write back.
pub(super) const WRITEPROTECT_WP: u64 = 1 << 0;
/// `UFFDIO_WRITEPROTECT_MODE_DONTWAKE`: only valid without `WRITEPROTECT_WP`.
pub(super) const WRITEPROTECT_DONTWAKE: u64 = 1 << 1;
/// `UFFDIO_CONTINUE_MODE_DONTWAKE`.
pub(super) const CONTINUE_DONTWAKE: u64 = 1 << 0;
/// `UFFDIO_CONTINUE_MODE_WP`, since Linux 6.4; no feature bit tells of it.
pub(super) const CONTINUE_WP: u64 = 1 << 1;
/// `UFFDIO_POISON_MODE_DONTWAKE`.
pub(super) const POISON_DONTWAKE: u64 = 1 << 0;

/// Bytes of one event.
pub(super) const MESSAGE: usize = size_of::<k::uffd_msg>();

const _: () = {
    assert!(API as u64 == known::UFFDIO_API as u64);
    assert!(REGISTER as u64 == known::UFFDIO_REGISTER as u64);
    assert!(WAKE as u64 == known::UFFDIO_WAKE as u64);
    assert!(COPY as u64 == known::UFFDIO_COPY as u64);
    assert!(ZEROPAGE as u64 == known::UFFDIO_ZEROPAGE as u64);
    assert!(WRITEPROTECT as u64 == known::UFFDIO_WRITEPROTECT as u64);
    assert!(CONTINUE as u64 == known::UFFDIO_CONTINUE as u64);
    assert!(MESSAGE == 32 && offset_of!(k::uffd_msg, arg) == 8);
};

// These two have no generated number; the values are those of x86-64 and AArch64.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const _: () = assert!(POISON as u64 == 0xc020_aa08 && NEW as u64 == 0xaa00);

/// `number`, which has to fit in a byte.
const fn byte(number: u32) -> u8 {
    let [low, 0, 0, 0] = number.to_le_bytes() else {
        panic!("ioctl groups and numbers are bytes");
    };
    low
}
