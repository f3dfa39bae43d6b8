//! A node that is lost, or memory that fails.

use giantvm_core::NodeId;
use giantvm_dsm::backing::BackingError;
use giantvm_dsm::engine::Watcher;
use giantvm_transport::Loss;

/// Ends the test: threads that wait for a page that never comes would not.
pub(crate) struct Loud;

impl Watcher for Loud {
    fn lost(&self, node: NodeId, loss: &Loss) {
        eprintln!("node {node} was lost: {loss:?}");
        std::process::abort();
    }

    fn failed(&self, error: &BackingError) {
        eprintln!("a backing failed: {error}");
        std::process::abort();
    }
}
