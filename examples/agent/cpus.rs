//! Which of Linux' processors is which vCPU.

use std::collections::BTreeMap;

use giantvm_core::{NodeId, VcpuId};
use giantvm_sched::schedule::Machine;

/// vCPUs by the numbers that Linux gives its processors, and their nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cpus(BTreeMap<usize, (VcpuId, NodeId)>);

impl Cpus {
    /// From `/proc/cpuinfo`: a vCPU's number is that of its APIC. Where those are others, Linux' own
    /// numbers are taken.
    pub(crate) fn new(cpuinfo: &str, machine: &Machine) -> Self {
        let by_apic = apics(cpuinfo);
        let known = |(cpu, apic): &(usize, u8)| {
            let vcpu = VcpuId::new(*apic).ok()?;
            Some((*cpu, (vcpu, machine.node_of(vcpu)?)))
        };
        let cpus: Option<BTreeMap<_, _>> = by_apic.iter().map(known).collect();
        let cpus = cpus.filter(|cpus| !cpus.is_empty()).unwrap_or_else(|| {
            let vcpus = machine.vcpus();
            let all = vcpus.filter_map(|vcpu| Some((vcpu.index(), (vcpu, machine.node_of(vcpu)?))));
            all.collect()
        });
        Self(cpus)
    }

    /// The vCPU that a processor is.
    pub(crate) fn vcpu(&self, cpu: usize) -> Option<VcpuId> {
        self.0.get(&cpu).map(|(vcpu, _)| *vcpu)
    }

    /// The node of a processor.
    pub(crate) fn node(&self, cpu: usize) -> Option<NodeId> {
        self.0.get(&cpu).map(|(_, node)| *node)
    }

    /// The processors of a node.
    pub(crate) fn of(&self, node: NodeId) -> impl Iterator<Item = usize> + '_ {
        let all = self.0.iter().filter(move |(_, (_, of))| *of == node);
        all.map(|(cpu, _)| *cpu)
    }
}

/// Processors and the numbers of their APICs.
fn apics(cpuinfo: &str) -> Vec<(usize, u8)> {
    let (mut cpu, mut found) = (None, Vec::new());
    for line in cpuinfo.lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        match name.trim() {
            "processor" => cpu = value.trim().parse().ok(),
            "apicid" => found.extend(cpu.take().zip(value.trim().parse().ok())),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(cpus: &Cpus) -> [Vec<usize>; 2] {
        [0, 1].map(|node| cpus.of(NodeId::new(node).unwrap()).collect())
    }

    #[test]
    fn a_vcpu_is_the_processor_with_its_apic() {
        let machine = Machine::new(&[1, 2]).unwrap();
        let text = "processor\t: 0\napicid\t\t: 2\n\nprocessor\t: 1\napicid\t\t: 0\n\nprocessor\t: 2\napicid\t: 1\n";
        let cpus = Cpus::new(text, &machine);
        assert_eq!(nodes(&cpus), [vec![1], vec![0, 2]]);
        assert_eq!(cpus.vcpu(0).map(VcpuId::get), Some(2));
        assert_eq!(cpus.node(5), None);
    }

    #[test]
    fn without_apics_that_are_vcpus_numbers_are_taken_as_they_are() {
        let machine = Machine::new(&[1, 1]).unwrap();
        for text in [
            "",
            "processor : 0\napicid : 0\n\nprocessor : 1\napicid : 16\n",
        ] {
            assert_eq!(nodes(&Cpus::new(text, &machine)), [vec![0], vec![1]]);
        }
    }
}
