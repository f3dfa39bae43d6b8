//! The machines that work in the background, and where they are at first.

use anyhow::Context as _;
use clap::ValueEnum;
use giantvm_sched::reallocate::{Fleet, Footprint, HostId};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use crate::noise::lognormal;
use crate::published as of;

/// vCPUs of a machine: each as often.
const SIZES: [usize; 4] = [8, 16, 32, 64];
/// vCPUs of a machine on one host at first.
const SLICE: usize = 16;
/// Memory of a vCPU: machines of 1 to 2 GiB a vCPU are the main body of those of Huawei's cloud
/// (mail-ecnu/VMAgent, its dataset's documentation).
const MEMORY: f64 = (2_u64 << 30) as f64;
/// The median of what a vCPU uses all the time, in bytes, and how much machines differ.
const HOT: (f64, f64) = ((32 << 20) as f64, 1.0);
/// The same of what it stores to in a second.
const STORES: (f64, f64) = ((64 << 20) as f64, 0.7);
/// The same of what a vCPU alone on a host waits for pages, in millionths of its time.
const STALL: (f64, f64) = (20_000.0, 0.7);

/// What the machines do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    /// All vCPUs of a machine work in step, as those of parallel programs with barriers do.
    InStep,
    /// Those of every other machine do.
    Mixed,
    /// None waits for another.
    Independent,
}

impl Work {
    /// How they work.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::InStep => "in step",
            Self::Mixed => "in step in every other machine",
            Self::Independent => "independently",
        }
    }

    /// The share of machines whose vCPUs work in step.
    const fn gangs(self) -> f64 {
        match self {
            Self::InStep => 1.0,
            Self::Mixed => 0.5,
            Self::Independent => 0.0,
        }
    }
}

/// Machines on hosts.
#[derive(Debug, Clone)]
pub(crate) struct Population {
    pub(crate) fleet: Fleet,
    /// Which machines' vCPUs work in step.
    pub(crate) is_gang: Vec<bool>,
}

impl Population {
    /// As many machines as have, together, `sold` times as many vCPUs as hosts leave processors on
    /// average. Slices go where most is left, by what is known of each host's tenant.
    pub(crate) fn new(leaves: &[f64], sold: f64, work: Work, seed: u64) -> anyhow::Result<Self> {
        let mut rng = SmallRng::seed_from_u64(seed ^ 0x5eed);
        let mut fleet = Fleet::new(leaves.len())?;
        let mut left: Vec<_> = leaves.iter().map(|of| of * sold).collect();
        let mut wanted = leaves.iter().sum::<f64>() * sold;
        let mut is_gang = Vec::new();
        while wanted >= SIZES[0] as f64 {
            let fitting = SIZES.iter().filter(|size| **size as f64 <= wanted).count();
            let size = SIZES[rng.random_range(0..fitting)];
            let mut seats = Vec::new();
            while seats.len() < size {
                let slice = SLICE.min(size - seats.len());
                let is_new = |host: usize| {
                    u32::try_from(host).is_ok_and(|host| !seats.contains(&HostId(host)))
                };
                let hosts = (0..left.len()).filter(|&host| is_new(host));
                let most = hosts.max_by(|&a, &b| left[a].total_cmp(&left[b]));
                let host = most.context("a machine has more slices than there are hosts")?;
                left[host] -= slice as f64;
                seats.extend(std::iter::repeat_n(HostId(u32::try_from(host)?), slice));
            }
            let mut drawn = |(median, deviation): (f64, f64), range: (f64, f64)| {
                lognormal(&mut rng, median, deviation).clamp(range.0, range.1)
            };
            let footprint = Footprint {
                memory: (MEMORY * of::MEMORY) as u64,
                hot: drawn(HOT, (1e6, 1e9)) as u64,
                stores: drawn(STORES, (1e6, 1e10)) as u64,
                stall: drawn(STALL, (0.0, 500_000.0)) as u32,
                in_step: rng.random_bool(work.gangs()),
            };
            fleet.add(&seats, footprint)?;
            is_gang.push(footprint.in_step);
            wanted -= size as f64;
        }
        Ok(Self { fleet, is_gang })
    }
}
