//! Which writes go to another node without being waited for: a state machine without I/O.

use std::collections::BTreeMap;

use giantvm_core::{NodeId, NodeSet, VcpuId};

use crate::{AccessError, DeviceId};

/// Most writes that a vCPU posts to a device in a row; the next one is waited for, and with it all
/// before it.
pub const MAX_POSTED: usize = 16;

/// How a write to a window for posted writes is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Without an answer.
    Posted,
    /// As any other access, so that the device can keep up.
    Awaited,
}

/// How many writes each vCPU has posted to each device since it last waited for it.
///
/// A node serves what one vCPU asks of one device in the order it was asked. So whatever was posted
/// is done when a later access to the device is answered, and no node has more than [`MAX_POSTED`]
/// writes of a vCPU waiting for a device.
#[derive(Debug, Default)]
pub(crate) struct Posts {
    since: BTreeMap<(VcpuId, DeviceId), usize>,
    /// Nodes that take no more. No one would notice by an answer that does not come.
    lost: NodeSet,
    stopped: bool,
}

impl Posts {
    /// How the next write of `vcpu` to `device` on `node` goes.
    pub(crate) fn way(
        &mut self,
        vcpu: VcpuId,
        device: DeviceId,
        node: NodeId,
    ) -> Result<Way, AccessError> {
        if self.stopped {
            return Err(AccessError::Stopped);
        }
        if self.lost.contains(node) {
            return Err(AccessError::Lost(node));
        }
        let since = self.since.entry((vcpu, device)).or_default();
        if *since >= MAX_POSTED {
            return Ok(Way::Awaited);
        }
        *since += 1;
        Ok(Way::Posted)
    }

    /// An access of `vcpu` to `device` that has an answer was sent; until that comes, there is no
    /// other.
    pub(crate) fn awaited(&mut self, vcpu: VcpuId, device: DeviceId) {
        self.since.remove(&(vcpu, device));
    }

    pub(crate) fn lost(&mut self, node: NodeId) {
        self.lost = self.lost.with(node);
    }

    pub(crate) fn set_stopped(&mut self, stopped: bool) {
        self.stopped = stopped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceId = DeviceId(3);

    #[test]
    fn a_row_of_posted_writes_ends_with_one_that_is_waited_for() {
        let (mut posts, node) = (Posts::default(), NodeId::ZERO);
        let other = VcpuId::new(1).unwrap();
        for _ in 0..3 {
            for _ in 0..MAX_POSTED {
                assert_eq!(posts.way(VcpuId::BOOT, DEVICE, node), Ok(Way::Posted));
            }
            assert_eq!(posts.way(VcpuId::BOOT, DEVICE, node), Ok(Way::Awaited));
            posts.awaited(VcpuId::BOOT, DEVICE);
        }
        assert_eq!(posts.way(other, DEVICE, node), Ok(Way::Posted));
        assert_eq!(posts.way(VcpuId::BOOT, DeviceId(4), node), Ok(Way::Posted));
    }

    #[test]
    fn an_answer_from_one_device_says_nothing_of_another() {
        let (mut posts, node) = (Posts::default(), NodeId::ZERO);
        for _ in 0..MAX_POSTED {
            assert_eq!(posts.way(VcpuId::BOOT, DEVICE, node), Ok(Way::Posted));
        }
        posts.awaited(VcpuId::BOOT, DeviceId(4));
        assert_eq!(posts.way(VcpuId::BOOT, DEVICE, node), Ok(Way::Awaited));
    }

    #[test]
    fn nothing_is_posted_to_a_lost_node_or_by_a_machine_that_stops() {
        let (mut posts, node) = (Posts::default(), NodeId::ZERO);
        posts.set_stopped(true);
        let refused = posts.way(VcpuId::BOOT, DEVICE, node);
        assert_eq!(refused, Err(AccessError::Stopped));
        posts.set_stopped(false);
        assert_eq!(posts.way(VcpuId::BOOT, DEVICE, node), Ok(Way::Posted));
        posts.lost(node);
        let refused = posts.way(VcpuId::BOOT, DEVICE, node);
        assert_eq!(refused, Err(AccessError::Lost(node)));
    }
}
