//! Which addresses belong to which device.

use std::collections::BTreeMap;

use crate::{Access, DeviceId, Space};

/// Last port.
const LAST_PORT: u64 = 0xffff;

/// A run of ports or addresses that shows a device's registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// The address space.
    pub space: Space,
    /// The first address.
    pub start: u64,
    /// How many addresses.
    pub len: u64,
    /// The offset in the device of the first address.
    pub offset: u64,
    /// Whether a vCPU goes on before its writes have come to the device.
    pub posted: bool,
}

impl Window {
    /// Ports that show a device from its offset 0.
    #[must_use]
    pub const fn ports(start: u16, len: u64) -> Self {
        Self {
            space: Space::Port,
            start: start as u64,
            len,
            offset: 0,
            posted: false,
        }
    }

    /// Memory that shows a device from its offset 0.
    #[must_use]
    pub const fn memory(start: u64, len: u64) -> Self {
        Self {
            space: Space::Memory,
            start,
            len,
            offset: 0,
            posted: false,
        }
    }

    /// The same addresses, showing the device from `offset` on.
    #[must_use]
    pub const fn showing(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// The same addresses, with writes that are not waited for where the device is on another node.
    ///
    /// A vCPU's writes still come in order, before any later access of the same vCPU to the same
    /// device; what the device says of one is logged on its node and not heard by the vCPU. For
    /// doorbells. Not for a register whose effect the guest takes for granted, such as one that
    /// acknowledges an interrupt.
    #[must_use]
    pub const fn posted(mut self) -> Self {
        self.posted = true;
        self
    }
}

/// A window cannot be mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// The window is empty, or leaves the address space or the offsets.
    #[error("{0:x?} is empty or leaves its address space")]
    Bounds(Window),
    /// Another window has some of the addresses.
    #[error("{window:x?} overlaps what is mapped at {other:#x}: move one of them")]
    Overlap {
        /// The window.
        window: Window,
        /// Where the other one starts.
        other: u64,
    },
    /// The device is of another bus.
    #[error("there is no such device on this bus: use what `local` or `remote` returned")]
    NoDevice,
}

#[derive(Debug, Clone, Copy)]
struct Claim {
    last: u64,
    offset: u64,
    device: DeviceId,
    posted: bool,
}

/// What has an access's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) device: DeviceId,
    /// Of the first address, in the device.
    pub(crate) offset: u64,
    /// Whether the access is a write that can be posted.
    pub(crate) posted: bool,
}

/// The windows of one machine: two maps of disjoint ranges.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    ports: BTreeMap<u64, Claim>,
    memory: BTreeMap<u64, Claim>,
}

impl Ranges {
    pub(crate) fn insert(&mut self, window: Window, device: DeviceId) -> Result<(), MapError> {
        let (claims, limit) = match window.space {
            Space::Port => (&mut self.ports, LAST_PORT),
            Space::Memory => (&mut self.memory, u64::MAX),
        };
        let (start, offset) = (window.start, window.offset);
        let span = window.len.checked_sub(1).ok_or(MapError::Bounds(window))?;
        let end = |from: u64| from.checked_add(span).ok_or(MapError::Bounds(window));
        let last = end(start)?;
        end(offset)?;
        if last > limit {
            return Err(MapError::Bounds(window));
        }
        // Claims are disjoint, so the last one that starts no later than this ends is the only one
        // that has to be looked at.
        if let Some((&other, claim)) = claims.range(..=last).next_back()
            && claim.last >= start
        {
            return Err(MapError::Overlap { window, other });
        }
        let claim = Claim {
            last,
            offset,
            device,
            posted: window.posted,
        };
        claims.insert(start, claim);
        Ok(())
    }

    /// The device that has all addresses of `access`.
    pub(crate) fn find(&self, access: &Access) -> Option<Found> {
        let claims = match access.space {
            Space::Port => &self.ports,
            Space::Memory => &self.memory,
        };
        let (&start, claim) = claims.range(..=access.address).next_back()?;
        let last = access.address.checked_add(access.size.bytes() as u64 - 1)?;
        (last <= claim.last).then(|| Found {
            device: claim.device,
            offset: claim.offset + (access.address - start),
            posted: claim.posted && access.is_write(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::AccessSize;

    fn find(ranges: &Ranges, address: u64, size: AccessSize) -> Option<(usize, u64)> {
        let found = ranges.find(&Access::read(Space::Memory, address, size));
        found.map(|found| (found.device.0, found.offset))
    }

    #[test]
    fn windows_must_be_inside_their_space() {
        let mut ranges = Ranges::default();
        for bad in [
            Window::ports(0, 0),
            Window::ports(0xffff, 2),
            Window::memory(u64::MAX, 2),
            Window::memory(0, 2).showing(u64::MAX),
        ] {
            assert_eq!(ranges.insert(bad, DeviceId(0)), Err(MapError::Bounds(bad)));
        }
        ranges
            .insert(Window::ports(0xffff, 1), DeviceId(0))
            .unwrap();
        ranges
            .insert(Window::memory(0, u64::MAX), DeviceId(1))
            .unwrap();
        ranges
            .insert(Window::memory(u64::MAX, 1), DeviceId(2))
            .unwrap();
        assert_eq!(find(&ranges, u64::MAX, AccessSize::Byte), Some((2, 0)));
        assert_eq!(find(&ranges, u64::MAX, AccessSize::Word), None);
    }

    #[test]
    fn an_access_across_the_end_of_a_window_is_nobodys() {
        let mut ranges = Ranges::default();
        ranges
            .insert(Window::memory(0x100, 8).showing(0x40), DeviceId(7))
            .unwrap();
        assert_eq!(find(&ranges, 0x104, AccessSize::Dword), Some((7, 0x44)));
        assert_eq!(find(&ranges, 0x105, AccessSize::Dword), None);
        assert_eq!(find(&ranges, 0xff, AccessSize::Byte), None);
    }

    proptest! {
        #[test]
        fn behaves_like_an_array_of_owners(windows in prop::collection::vec((0..60_usize, 1..12_usize), 0..12)) {
            let (mut ranges, mut owners) = (Ranges::default(), [None; 80]);
            for (device, &(start, len)) in windows.iter().enumerate() {
                let cells = start..start + len;
                let free = owners[cells.clone()].iter().all(Option::is_none);
                let mapped = ranges.insert(Window::memory(start as u64, len as u64), DeviceId(device));
                prop_assert_eq!(mapped.is_ok(), free);
                if free {
                    owners[cells].fill(Some(device));
                }
            }
            for (address, owner) in owners.iter().enumerate() {
                let found = find(&ranges, address as u64, AccessSize::Byte);
                prop_assert_eq!(found.map(|(device, _)| device), *owner);
            }
        }
    }
}
