//! One access of a guest to a port or to device memory, cut into elements.

use std::mem::offset_of;

use giantvm_core::{AccessSize, GuestAddress};
use kvm_bindings::kvm_run;

use crate::exit::Exit;

/// What an access does to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    PortRead,
    PortWrite,
    MemoryRead,
    MemoryWrite,
}

impl Kind {
    pub(super) const fn is_read(self) -> bool {
        matches!(self, Self::PortRead | Self::MemoryRead)
    }
}

/// An access as KVM reports it: `count` elements of one size, their data side by side in the page
/// shared with the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) kind: Kind,
    /// The port or guest address of the first element.
    at: u64,
    pub(super) size: AccessSize,
    pub(super) count: u32,
    /// Where in the shared page the data is.
    pub(super) data_offset: usize,
}

impl Access {
    /// A port access, of a string instruction if `count` is above 1. All elements go to one port.
    pub(super) fn port(kind: Kind, port: u16, size: usize, count: u32, data_offset: usize) -> Self {
        let at = port.into();
        // The processor has no other port widths than 1, 2 and 4 bytes.
        let size = AccessSize::from_bytes(size).unwrap_or(AccessSize::Byte);
        Self {
            kind,
            at,
            size,
            count,
            data_offset,
        }
    }

    /// A memory access. One of an odd width, of which an unaligned access can consist, is cut into
    /// bytes at successive addresses.
    pub(super) fn memory(kind: Kind, at: u64, len: usize) -> Self {
        let (size, count) = match AccessSize::from_bytes(len) {
            Some(size) => (size, 1),
            // KVM's buffer has 8 bytes.
            None => (AccessSize::Byte, u32::try_from(len).unwrap_or(0)),
        };
        let data_offset = offset_of!(kvm_run, __bindgen_anon_1.mmio.data);
        Self {
            kind,
            at,
            size,
            count,
            data_offset,
        }
    }

    /// Where a memory access goes; `None` if it is to a port.
    pub(super) fn address(&self) -> Option<GuestAddress> {
        match self.kind {
            Kind::MemoryRead | Kind::MemoryWrite => Some(GuestAddress(self.at)),
            Kind::PortRead | Kind::PortWrite => None,
        }
    }

    /// The exit that reports element number `index`, with the `value` it writes.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "ports have 16 bits, their data 32"
    )]
    pub(super) fn exit(&self, index: u32, value: u64) -> Exit {
        let size = self.size;
        let port = self.at as u16;
        let step = u64::from(index) * size.bytes() as u64;
        let address = GuestAddress(self.at.wrapping_add(step));
        match self.kind {
            Kind::PortRead => Exit::PortRead { port, size },
            Kind::PortWrite => Exit::PortWrite {
                port,
                size,
                value: value as u32,
            },
            Kind::MemoryRead => Exit::MemoryRead { address, size },
            Kind::MemoryWrite => Exit::MemoryWrite {
                address,
                size,
                value,
            },
        }
    }

    /// The port written to, if a port is written.
    #[expect(clippy::cast_possible_truncation, reason = "ports have 16 bits")]
    pub(super) fn written_port(&self) -> Option<u16> {
        (self.kind == Kind::PortWrite).then_some(self.at as u16)
    }
}
