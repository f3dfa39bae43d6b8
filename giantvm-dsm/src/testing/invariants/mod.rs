//! What must hold in every state that a run goes through.
//!
//! | name | what is checked | law of [`CoherenceProtocol`] | when |
//! |---|---|---|---|
//! | single-writer | where one node may write a page, other mappings are leases of earlier times | 1 | every step |
//! | data-value | every mapped copy, and every read, shows the last write up to its logical time | 2 | every step |
//! | mapping | what the protocol says of a page is what is mapped | 1 | every step |
//! | directory | the home knows every holder; exactly those, if the page is settled | 1 | every step |
//! | version | copies for reading with one version number have the same bytes | 2 | every step |
//! | bounds | transactions and messages under way stay within their limits | 6 | every step |
//! | pinned | a pinned page is still mapped for writing when its pin goes | 8 | its unpinning |
//! | locality | an input about a page changes no other, but for leases that end | 8 | every input |
//! | clocks | clocks never go back and keep up with what is heard | 9 | every input |
//! | totality | a correct peer's message is not refused; what is refused changes nothing | 5 | every input |
//! | sequence | no message is lost, and none is handled twice | | every message |
//! | wire | a message survives its wire form | | every message |
//! | healing | after the last disturbance everything is done within a bound | 3 | the end |
//! | converged | every mapped copy shows the last write there was | 3 | the end |
//! | answered | every thread has done its work and no transaction is left | 3 | the end |
//!
//! A step is about one page, so the page's invariants are checked; after a step about no page, one
//! that moved a clock, and at the end, those of all pages are. Besides, a command must fit the
//! page's state in the backing.
//!
//! [`CoherenceProtocol`]: crate::protocol::CoherenceProtocol

mod answered;
mod bounds;
mod converged;
mod data_value;
mod directory;
mod mapping;
mod single_writer;
mod version;

use std::cell::RefCell;

use giantvm_core::{NodeSet, PageIndex};

use super::inspect::Inspect;
use super::network::Network;
use super::node::Node;
use super::oracle::{Oracle, Versions};

/// What the invariants look at.
pub(super) struct World<'a, P: Inspect> {
    pub nodes: &'a [Node<P>],
    pub oracle: &'a Oracle,
    pub versions: &'a RefCell<Versions>,
    pub network: &'a Network<P::Message>,
    /// Whether a node was lost or lies, so that threads may wait for ever.
    pub disturbed: bool,
    /// Whether a node lies about the page: then only its own node's books are checked.
    pub distrusted: bool,
}

impl<P: Inspect> World<'_, P> {
    /// The nodes that have `page` mapped.
    fn holders(&self, page: PageIndex) -> NodeSet {
        let mapped = self.nodes.iter().filter(|node| node.mapped(page).is_some());
        mapped.map(|node| node.id).collect()
    }

    fn alive(&self) -> NodeSet {
        let alive = self.nodes.iter().filter(|node| node.alive);
        alive.map(|node| node.id).collect()
    }
}

/// Checks all that must hold for `page` now. The error names the invariant.
pub(super) fn check<P: Inspect>(world: &World<'_, P>, page: PageIndex) -> Result<(), String> {
    if !world.distrusted {
        single_writer::check(world, page).map_err(|what| format!("single-writer: {what}"))?;
        data_value::check(world, page).map_err(|what| format!("data-value: {what}"))?;
        directory::check(world, page).map_err(|what| format!("directory: {what}"))?;
        version::check(world, page).map_err(|what| format!("version: {what}"))?;
    }
    mapping::check(world, page).map_err(|what| format!("mapping: {what}"))?;
    bounds::check(world, page).map_err(|what| format!("bounds: {what}"))
}

/// Checks what must hold when nothing is left to happen.
pub(super) fn check_end<P: Inspect>(world: &World<'_, P>) -> Result<(), String> {
    answered::check(world).map_err(|what| format!("answered: {what}"))?;
    converged::check(world).map_err(|what| format!("converged: {what}"))
}
