//! Where a thread goes that is new or was woken.

use giantvm_core::{NodeId, VcpuId};

use crate::schedule::{Machine, RunQueues};

/// What a waker's vCPU may be loaded with, against 100 of the last one: half of the imbalance of
/// 25 % that a domain of several nodes is allowed.
const PULL: usize = 112;
/// A node is busy, and others are looked at for a new thread, from this part of its vCPUs on.
const QUARTER: usize = 4;

/// The idlest vCPU for a new thread whose maker runs on `by`.
pub(super) fn for_new(machine: &Machine, queues: &RunQueues, by: VcpuId) -> VcpuId {
    let own = machine.node_of(by).unwrap_or(NodeId::ZERO);
    let crowd = |node| {
        let vcpus = machine.vcpus_of(node);
        vcpus.fold((0, 0), |(count, load), vcpu| {
            (count + 1, load + queues.load(vcpu))
        })
    };
    let (vcpus, load) = crowd(own);
    let node = if load * QUARTER < vcpus {
        Some(own)
    } else {
        let with_vcpus = machine.nodes().filter_map(|node| match crowd(node) {
            (0, _) => None,
            (vcpus, load) => Some((load * 1000 / vcpus, node != own, node)),
        });
        with_vcpus.min().map(|(.., node)| node)
    };
    node.and_then(|node| queues.least_loaded(machine, node))
        .unwrap_or(by)
}

/// The vCPU for a woken thread that ran on `last`; `by` is where its waker runs, if it may pull.
pub(super) fn for_woken(
    machine: &Machine,
    queues: &RunQueues,
    last: VcpuId,
    by: Option<VcpuId>,
) -> VcpuId {
    let target = by.map_or(last, |by| affine(machine, queues, last, by));
    let is_idle = |vcpu| queues.load(vcpu) == 0;
    let near = |vcpu| machine.node_of(vcpu) == machine.node_of(target);
    if is_idle(target) {
        return target;
    }
    if near(last) && is_idle(last) {
        return last;
    }
    // The search begins behind the target and goes round.
    let behind = machine.vcpus().filter(|&vcpu| vcpu > target);
    let around = behind.chain(machine.vcpus().filter(|&vcpu| vcpu < target));
    let mut idle = around.filter(|&vcpu| near(vcpu) && is_idle(vcpu));
    idle.next().unwrap_or(target)
}

fn affine(machine: &Machine, queues: &RunQueues, last: VcpuId, by: VcpuId) -> VcpuId {
    let is_idle = |vcpu| queues.load(vcpu) == 0;
    if is_idle(last) {
        return last;
    }
    if is_idle(by) && machine.node_of(by) == machine.node_of(last) {
        return by;
    }
    let pulls = (queues.load(by) + 1) * 100 < queues.load(last) * PULL;
    if pulls { by } else { last }
}
