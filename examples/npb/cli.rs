//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::matrix::{Benchmark, Case, Class, Vcpu};

const EXAMPLES: &str = "\
Examples:
  npb --quick                         every benchmark once, class S, two nodes: a few minutes
  npb --program mg,ft --class W       two of them, larger, five pairs each
  npb --nodes 4 --factor 4 --vcpu kvm only four nodes, four threads a vCPU, in the guest
  npb --json npb.json --svg npb.svg   keep the figures, and draw them

How to read it: a ratio of 2 says that `fair` took twice as long as `das`. The machine's
processors are shared by all nodes, so let it be idle otherwise; the spread says if it was not.
Remote faults and bytes, which no other process disturbs, are of the whole run, its start included.";

/// Runs the NAS Parallel Benchmarks EP, IS, CG, MG and FT on threads of the built-in guest, whose vCPUs
/// and memory are spread over several node processes, under two schedulers by turns: `fair`, a model of
/// Linux' default, which looks at load alone, and `das`, which moves threads to where their pages are.
///
/// All else is the same in both: threads, programs, machine. A benchmark runs several times in one
/// machine; the first time is not counted, as the benchmarks' own rules have it for most of them. Every
/// result is verified against the published values, or the whole experiment fails.
///
/// Beside both, the same vCPUs run the same threads on one node ("alone"), where no page is ever waited for. "to alone" says
/// how many times longer `fair` takes than that. `das` may do better where vCPUs are more than processors, by using fewer.
#[derive(Debug, Parser)]
#[command(name = "npb", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    /// Which benchmarks.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME,...",
        default_values_t = Benchmark::ALL)]
    program: Vec<Benchmark>,
    /// Which classes; A takes minutes a run.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "CLASS,...", ignore_case = true,
        default_values_t = [Class::S, Class::W])]
    class: Vec<Class>,
    /// How many nodes.
    #[arg(long, value_delimiter = ',', value_name = "N,...", default_values_t = [2, 4],
        value_parser = clap::value_parser!(u8).range(2..=16))]
    nodes: Vec<u8>,
    /// vCPUs of each node.
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u8).range(1..=8))]
    vcpus_per_node: u8,
    /// Threads for each vCPU.
    #[arg(long, value_delimiter = ',', value_name = "N,...", default_values_t = [1, 2, 4],
        value_parser = clap::value_parser!(u8).range(1..=8))]
    factor: Vec<u8>,
    /// What carries the threads: host threads over the embedded shared memory, or vCPUs of the guest.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND,...",
        default_values_t = [Vcpu::Thread, Vcpu::Kvm])]
    vcpu: Vec<Vcpu>,
    /// How nodes are joined: by memory that they share, or by TCP as between hosts.
    #[arg(long, value_enum, default_value_t = Transport::Shm)]
    pub(crate) transport: Transport,
    /// Runs under each scheduler.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    pairs: u8,
    /// One pair of class S on two nodes, on host threads.
    #[arg(long)]
    quick: bool,
    /// Write all figures to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Draw the ratios to FILE as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

/// How nodes are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// By memory that they share.
    Shm,
    /// By TCP on loopback.
    Tcp,
}

impl Transport {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Shm => "shm",
            Self::Tcp => "tcp",
        }
    }
}

impl Cli {
    pub(crate) const fn pairs(&self) -> u8 {
        if self.quick { 1 } else { self.pairs }
    }

    /// Everything that is to be run.
    pub(crate) fn cases(&self) -> Vec<Case> {
        let (classes, nodes, vcpus) = if self.quick {
            (vec![Class::S], vec![2], vec![Vcpu::Thread])
        } else {
            (self.class.clone(), self.nodes.clone(), self.vcpu.clone())
        };
        let mut cases = Vec::new();
        for &vcpu in &vcpus {
            for &nodes in &nodes {
                for &class in &classes {
                    for &benchmark in &self.program {
                        cases.extend(self.factor.iter().map(|&factor| Case {
                            vcpu,
                            nodes,
                            vcpus: nodes * self.vcpus_per_node,
                            factor,
                            benchmark,
                            class,
                        }));
                    }
                }
            }
        }
        cases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_run_and_a_quick_run_is_small() {
        let all = Cli::parse_from(["npb"]).cases();
        assert_eq!(all.len(), 5 * 2 * 2 * 3 * 2);
        let quick = Cli::parse_from(["npb", "--quick"]);
        assert_eq!((quick.cases().len(), quick.pairs()), (15, 1));
        let one = [
            "npb",
            "--program",
            "mg",
            "--class",
            "w",
            "--nodes",
            "4",
            "--factor",
            "2",
            "--vcpu",
            "kvm",
        ];
        let one = Cli::parse_from(one).cases();
        assert_eq!(one.len(), 1);
        assert_eq!((one[0].vcpus, one[0].threads()), (4, 8));
    }
}
