//! A cluster on one host, without a file.

use std::collections::BTreeMap;

use giantvm_core::{MAX_NODES, MAX_VCPUS, PageSize};

use crate::attached::Attached;
use crate::spec::{DEFAULT_DEADLINE, MAX_MEMORY};
use crate::split::split;
use crate::{ClusterError, ClusterSpec, Links, NodeAddress, NodeSpec, Problem};

impl ClusterSpec {
    /// A cluster of node processes `n0`, `n1`, ... on this host, with 4 KiB pages, even shares of
    /// `vcpus` and of `memory` bytes, and all devices on the first node.
    ///
    /// There may be fewer vCPUs than nodes: the last nodes then run none. All nodes listen on
    /// 127.0.0.1 and have no port yet; see [`with_addresses`](Self::with_addresses).
    ///
    /// # Errors
    /// [`ClusterError`] without a position for numbers that no machine can have.
    pub fn local(nodes: usize, vcpus: usize, memory: u64) -> Result<Self, ClusterError> {
        let fail = |key: &str, problem| ClusterError {
            position: None,
            key: key.to_owned(),
            problem,
        };
        if !(1..=MAX_NODES).contains(&nodes) {
            return Err(fail("nodes", Problem::NodeCount(nodes)));
        }
        if !(1..=MAX_VCPUS).contains(&vcpus) {
            return Err(fail("vcpus", Problem::VcpuCount(vcpus as u64)));
        }
        if !(1..=MAX_MEMORY).contains(&memory) {
            return Err(fail("memory", Problem::MemorySize(memory)));
        }
        let page = PageSize::K4.bytes() as u64;
        if !memory.is_multiple_of(page) {
            let bytes = memory;
            return Err(fail("memory", Problem::PartialPage { bytes, page }));
        }
        let open = vec![None; nodes];
        // With a share left open, a split has no misfit.
        let shares = |total| split(total, &open).unwrap_or_default();
        let specs = shares(vcpus as u64).into_iter().zip(shares(memory / page));
        let specs = specs
            .enumerate()
            .map(|(position, (vcpus, pages))| NodeSpec {
                name: format!("n{position}"),
                address: NodeAddress::loopback(0),
                vcpus: u8::try_from(vcpus).unwrap_or(u8::MAX),
                memory: pages * page,
            });
        Ok(Self {
            name: "local".to_owned(),
            page_size: PageSize::K4,
            deadline: DEFAULT_DEADLINE,
            nodes: specs.collect(),
            devices: BTreeMap::new(),
            attached: Attached::default(),
            links: Links::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vcpus_may_be_fewer_than_nodes_or_not_divide() {
        let counts = |nodes, vcpus| {
            let spec = ClusterSpec::local(nodes, vcpus, 64 << 20).unwrap();
            spec.nodes()
                .iter()
                .map(|node| node.vcpus)
                .collect::<Vec<_>>()
        };
        assert_eq!(counts(2, 4), [2, 2]);
        assert_eq!(counts(3, 5), [2, 2, 1]);
        assert_eq!(counts(3, 2), [1, 1, 0]);
        assert_eq!(
            counts(64, 254).iter().map(|&n| u32::from(n)).sum::<u32>(),
            254
        );
    }

    #[test]
    fn memory_splits_in_whole_pages() {
        let spec = ClusterSpec::local(3, 1, 7 * 4096).unwrap();
        let memory: Vec<_> = spec.nodes().iter().map(|node| node.memory / 4096).collect();
        assert_eq!(memory, [3, 2, 2]);
        assert_eq!(spec.memory(), 7 * 4096);
    }

    #[test]
    fn impossible_numbers_are_refused_by_name() {
        let refused = |nodes, vcpus, memory| {
            let error = ClusterSpec::local(nodes, vcpus, memory).unwrap_err();
            assert!(error.position.is_none() && error.to_string().starts_with(&error.key));
            error.key
        };
        assert_eq!(refused(0, 1, 4096), "nodes");
        assert_eq!(refused(65, 1, 4096), "nodes");
        assert_eq!(refused(1, 0, 4096), "vcpus");
        assert_eq!(refused(1, 255, 4096), "vcpus");
        assert_eq!(refused(1, 1, 0), "memory");
        assert_eq!(refused(1, 1, 4097), "memory");
        assert_eq!(refused(1, 1, MAX_MEMORY + 4096), "memory");
    }
}
