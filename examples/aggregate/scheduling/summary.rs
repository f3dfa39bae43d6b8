//! What became of the threads, for the report.

use std::collections::BTreeMap;

use giantvm_core::NodeId;
use giantvm_sched::schedule::{Faults, ThreadId};
use serde::Serialize;

/// What the conductor did and heard.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) scheduler: &'static str,
    /// What vCPUs said, their timers included.
    pub(crate) reports: u64,
    /// How often a thread was given to another vCPU.
    pub(crate) moves: u64,
    /// How often it then ran on another node than before.
    pub(crate) changes_of_node: u64,
    /// How long the scheduler and its conductor took, in milliseconds.
    pub(crate) busy_ms: f64,
    /// How long of that for faults: to be told of them and to plan by them.
    pub(crate) faults_ms: f64,
    /// In the order of their numbers.
    pub(crate) threads: Vec<ThreadSummary>,
}

/// What became of one thread.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct ThreadSummary {
    pub(crate) thread: u32,
    pub(crate) changes_of_node: u64,
    /// Faults that another node answered.
    pub(crate) faults_read: u64,
    pub(crate) faults_write: u64,
    /// How long it waited for them, in milliseconds.
    pub(crate) stall_ms: f64,
    /// The node that it ran on last, by number.
    pub(crate) node: u8,
}

impl Summary {
    /// One line.
    pub(crate) fn to_text(&self) -> String {
        let stall: f64 = self.threads.iter().map(|of| of.stall_ms).sum();
        format!(
            "\n{} threads under {}: {} moves, {} of them to another node; they waited {stall:.0} ms for \
             pages of other nodes",
            self.threads.len(),
            self.scheduler,
            self.moves,
            self.changes_of_node,
        )
    }
}

/// The same while it is being counted.
#[derive(Debug, Default)]
pub(super) struct Threads(BTreeMap<ThreadId, ThreadSummary>);

impl Threads {
    /// A thread runs on a node now; whether it ran on another one before.
    pub(super) fn runs(&mut self, thread: ThreadId, node: u8) -> bool {
        let is_known = self.0.contains_key(&thread);
        let of = self.0.entry(thread).or_default();
        let changes = is_known && of.node != node;
        of.node = node;
        of.changes_of_node += u64::from(changes);
        changes
    }

    /// A thread waited. The node that it ran on last.
    pub(super) fn waited(&mut self, faults: &Faults) -> NodeId {
        let of = self.0.entry(faults.thread).or_default();
        of.faults_read += u64::from(faults.reads);
        of.faults_write += u64::from(faults.writes);
        of.stall_ms += faults.stall.0 as f64 / 1e6;
        NodeId::new(of.node).unwrap_or(NodeId::ZERO)
    }

    pub(super) fn all(&self) -> Vec<ThreadSummary> {
        let all = self.0.iter().map(|(thread, of)| ThreadSummary {
            thread: thread.0,
            ..of.clone()
        });
        all.collect()
    }
}
