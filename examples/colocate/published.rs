//! What is published of production clusters that latency-critical services and batch work share, and
//! what the generator is fitted to.
//!
//! * *Alibaba, cluster-trace-v2018*: 4,034 machines over 8 days, services and batch work on each of
//!   them (github.com/alibaba/clusterdata; Jiang and others, "Characterizing Co-Located Workloads in
//!   Alibaba Cloud Datacenters", IEEE TCC 2022). The processors' and the memory's utilisation are
//!   computed from the cluster's mean every 10 s and every 300 s as published by the DataCenter-Traces
//!   collection (github.com/alejandrofdez-us/DataCenter-Traces-Datasets, alibaba2018).
//! * 96 cores a machine: Guo and others, "Who Limits the Resource Efficiency of My Datacenter: An
//!   Analysis of Alibaba Datacenter Traces", IWQoS 2019.
//! * *Single machines of the same trace*: 100,002 lines of its `machine_usage.csv` are published with
//!   github.com/gohsyi/cluster_optimization: all 8 days of 12 machines that work, and of two that do
//!   almost nothing, which are left out here.
//! * *Google, May 2019* ("Borg: the Next Generation", EuroSys 2020), by the same collection as the first:
//!   a mean of 47.3 % with a deviation of 4.0 in time. Nothing is fitted to it; it says how usual
//!   the other is.
//!
//! What the trace's machines did is what the tenant of a host needs here; the machines that are added
//! live on what that leaves.

/// Processors of a machine.
pub(crate) const CORES: u32 = 96;
/// The mean utilisation of processors, over all machines and all 8 days.
pub(crate) const MEAN: f64 = 0.402;
/// The deviation of the cluster's mean, in time, at 300 s.
pub(crate) const DEVIATION: f64 = 0.098;
/// The amplitude of the day, by the first harmonic of the mean day of days 3 to 8.
pub(crate) const DAY: f64 = 0.090;
/// The deviation of the cluster's mean from its own mean over an hour, at 10 s.
pub(crate) const WAVES: f64 = 0.049;
/// How fast such waves pass: their correlation is 0.67 after a minute, 0.47 after two, 0.17 after
/// five; `exp(-t / 150 s)` is 0.67, 0.45 and 0.14.
pub(crate) const WAVE_SECONDS: f64 = 150.0;
/// The correlation after a minute, and after five.
pub(crate) const CORRELATION: [f64; 2] = [0.67, 0.17];
/// The mean utilisation of memory.
pub(crate) const MEMORY: f64 = 0.880;

/// The deviation between machines' means.
pub(crate) const BETWEEN_MACHINES: f64 = 0.047;
/// The deviation of a machine in time, from the mean of the others: 0.070 at 300 s, of which 0.067
/// pass slowly. Its correlation is 0.3 after an hour and 0.2 after two.
pub(crate) const OWN_SLOW: f64 = 0.067;
/// How fast that passes, and what deviation of the cluster is left without day and waves.
pub(crate) const SLOW_SECONDS: f64 = 5400.0;
/// What a machine adds within a minute: half the mean square of what changes is 3.5 points after 10 s,
/// 4.6 after 20 s, 5.2 after 30 s, 5.7 after 60 s and 7.3 after 300 s, waves included.
pub(crate) const OWN_FAST: f64 = 0.049;
/// How fast that passes.
pub(crate) const FAST_SECONDS: f64 = 25.0;
/// The whole deviation of one machine in time.
pub(crate) const MACHINE: f64 = 0.132;
