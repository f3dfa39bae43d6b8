//! What a node's main thread waits for.

use std::time::Duration;

use giantvm_core::NodeId;
use giantvm_io::machine::Stop;
use giantvm_transport::Loss;

use crate::counts::Counts;
use crate::departures::Ask;
use crate::report::NodeReport;

/// Something the main thread has to know.
#[derive(Debug)]
pub(crate) enum Notice {
    /// A peer is ready to run, and how far other nodes are from it.
    Ready(NodeId, Vec<(NodeId, Duration)>),
    /// vCPUs are being stopped.
    Stopping,
    /// The machine has stopped everywhere.
    Finished(Stop),
    /// A peer's report.
    Report(NodeId, Box<NodeReport>),
    /// A peer asks what this node counted so far.
    Look(NodeId),
    /// What a peer counted so far.
    Glimpse(NodeId, Box<Counts>),
    /// A peer asks what this node's vCPUs wait for.
    AskStalls(NodeId),
    /// A peer has a say about this node's share of the memory.
    Depart(NodeId, Ask),
    /// A peer is gone, and why.
    Lost(NodeId, Loss),
    /// A peer is gone that no one needs any more.
    Gone(NodeId),
    /// The shared memory of this node failed.
    Failed(String),
}
