//! What the host tells and what is done, for people.

use std::fmt::Write as _;

use giantvm_sched::channel::{Snapshot, Subject};
use giantvm_sched::das::Why;

use crate::decide::Wanted;

/// Groups that are shown.
const SHOWN: usize = 10;

/// A snapshot as lines.
pub(crate) fn snapshot(of: &Snapshot) -> String {
    let mut text = String::new();
    let machine = of.machine();
    // Writing to a string does not fail.
    let mut line = |arguments: std::fmt::Arguments<'_>| writeln!(text, "{arguments}").ok();
    line(format_args!(
        "snapshot {} of {} vCPUs on {} nodes, {:.1} s after the start",
        of.generation,
        machine.vcpu_count(),
        machine.node_count(),
        of.time.0 as f64 / 1e9
    ));
    for (vcpu, counters) in machine.vcpus().zip(of.counters()) {
        let node = machine.node_of(vcpu).map_or(0, |node| node.get());
        line(format_args!(
            "vCPU {vcpu} on node {node}: {} loads and {} stores waited for other nodes, {:.3} s",
            counters.reads,
            counters.writes,
            counters.stall.0 as f64 / 1e9
        ));
    }
    for group in of.groups().iter().take(SHOWN) {
        let sharers = group.sharers().iter().map(|sharer| {
            let (vcpu, reads, writes) = (sharer.vcpu, sharer.reads, sharer.writes);
            format!("vCPU {vcpu} {reads}r {writes}w")
        });
        let sharers = sharers.collect::<Vec<_>>().join(", ");
        line(format_args!(
            "pages {} of node {}: {sharers}",
            group.group, group.home
        ));
    }
    for advice in of.advice() {
        let subjects = advice.subjects().iter().map(|subject| match subject {
            Subject::Vcpu(vcpu) => format!("what runs on vCPU {vcpu}"),
            Subject::Thread(thread) => format!("thread {thread}"),
        });
        let subjects = subjects.collect::<Vec<_>>().join(" and ");
        let gain = advice.gain / 1_000_000;
        line(format_args!(
            "the host advises node {} for {subjects}: {gain} ms/s",
            advice.node
        ));
    }
    text
}

/// A move as a line, without its end.
pub(crate) fn wanted(of: &Wanted, name: &str) -> String {
    let why = match of.why {
        Why::Sharing => "shares pages with threads there",
        Why::ToPages => "uses pages that are at home there",
        Why::ToThreads => "pages come to it",
        Why::Balance => "waits less for a processor there",
    };
    let (thread, from, to, gain) = (of.thread, of.from, of.to, of.gain / 1_000_000);
    format!("thread {thread} ({name}) from node {from} to node {to}: {why}, {gain} ms/s")
}

#[cfg(test)]
mod tests {
    use giantvm_core::{NodeId, VcpuId};
    use giantvm_sched::channel::{Advice, HotGroup, Sharer};
    use giantvm_sched::schedule::{Machine, Nanos, PageGroup};

    use super::*;

    #[test]
    fn a_snapshot_is_told_in_lines() {
        let mut of = Snapshot::new(Machine::new(&[1, 1]).unwrap());
        of.generation = 3;
        let mut group = HotGroup::new(PageGroup(0x2a), NodeId::ZERO);
        let (reads, writes, stall) = (4, 5, Nanos(0));
        group.add(Sharer {
            vcpu: VcpuId::BOOT,
            reads,
            writes,
            stall,
        });
        of.push_group(group);
        let mut advice = Advice::new(NodeId::ZERO, 7_000_000);
        advice.add(Subject::Vcpu(VcpuId::BOOT));
        of.push_advice(advice);
        let text = snapshot(&of);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[0].starts_with("snapshot 3 of 2 vCPUs on 2 nodes"));
        assert_eq!(lines[3], "pages 0x2a of node 0: vCPU 0 4r 5w");
        assert_eq!(
            lines[4],
            "the host advises node 0 for what runs on vCPU 0: 7 ms/s"
        );
    }
}
