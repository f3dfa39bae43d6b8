//! What is run: a benchmark of a class, on so many nodes, vCPUs and threads.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

/// A NAS Parallel Benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Benchmark {
    /// Pairs of random numbers; nothing is shared.
    Ep,
    /// A bucket sort.
    Is,
    /// An eigenvalue of a sparse matrix.
    Cg,
    /// Multigrid cycles on a cube.
    Mg,
    /// Fourier transforms of a cube.
    Ft,
}

impl Benchmark {
    pub(crate) const ALL: [Self; 5] = [Self::Ep, Self::Is, Self::Cg, Self::Mg, Self::Ft];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ep => "ep",
            Self::Is => "is",
            Self::Cg => "cg",
            Self::Mg => "mg",
            Self::Ft => "ft",
        }
    }

    /// Whether its threads wait for memory more than they compute.
    pub(crate) const fn is_memory_bound(self) -> bool {
        !matches!(self, Self::Ep)
    }

    /// How often it runs in one machine, so that what is counted takes about a second or more.
    const fn times(self, class: Class) -> usize {
        match (class, self) {
            (Class::S, Self::Mg | Self::Is) => 12,
            (Class::S, Self::Ft) => 5,
            (Class::S, Self::Cg | Self::Ep) | (Class::W, Self::Is | Self::Ft | Self::Mg) => 4,
            (Class::W, Self::Cg | Self::Ep) => 3,
            (Class::A, _) => 2,
        }
    }
}

/// How large a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
pub(crate) enum Class {
    /// A sample.
    #[value(name = "S")]
    S,
    /// For a workstation of 1995.
    #[value(name = "W")]
    W,
    /// The smallest of the real ones.
    #[value(name = "A")]
    A,
}

/// What carries threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Vcpu {
    /// Host threads, over the embedded shared memory.
    Thread,
    /// vCPUs of the built-in guest.
    Kvm,
}

impl Vcpu {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Kvm => "kvm",
        }
    }
}

/// One combination of them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Case {
    pub(crate) vcpu: Vcpu,
    pub(crate) nodes: u8,
    /// Of all nodes.
    pub(crate) vcpus: u8,
    /// Threads for each of them.
    pub(crate) factor: u8,
    pub(crate) benchmark: Benchmark,
    pub(crate) class: Class,
}

impl Case {
    pub(crate) const fn threads(&self) -> u8 {
        self.vcpus * self.factor
    }

    /// The benchmark as often as it runs, the first time as a start.
    pub(crate) fn programs(&self) -> String {
        let program = format!("{}:{:?}", self.benchmark.name(), self.class);
        vec![program; self.benchmark.times(self.class)].join(",")
    }

    /// Enough memory for any benchmark of the class.
    pub(crate) const fn memory(&self) -> &'static str {
        match self.class {
            Class::S | Class::W => "192M",
            Class::A => "1G",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, class) = (self.benchmark.name(), self.class);
        let (threads, vcpus) = (self.threads(), self.vcpus);
        write!(
            f,
            "{name}.{class:?} on {} nodes, {threads} threads on {vcpus} vCPUs ({})",
            self.nodes,
            self.vcpu.name()
        )
    }
}
