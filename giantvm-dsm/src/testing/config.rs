//! What a simulated cluster looks like, and what its threads do.

use giantvm_core::{NodeId, PageIndex};
use rand::Rng;
use rand::rngs::SmallRng;

use crate::protocol::{Access, Tick};

/// Words of a page that threads use: enough for some to be fresh and some old.
pub(super) const WORDS: usize = 4;

/// What a simulated cluster looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Nodes, 1 to 64.
    pub nodes: usize,
    /// Pages, homed in equal runs over the nodes.
    pub pages: u64,
    /// Virtual threads of a node.
    pub threads: usize,
    /// What all random choices follow from.
    pub seed: u64,
    /// The usual longest time that a message, a fault or a thread takes, in nanoseconds of the
    /// virtual clock. One in eight takes up to ten times as long, and every link has a factor of
    /// its own, from one to four.
    pub delay: Tick,
    /// Steps after which a run that does not end is a failure.
    pub step_limit: u64,
    /// A node that runs no protocol: the test speaks for it by [`Cluster::inject`], and refusals
    /// of its messages are counted, not failures.
    ///
    /// [`Cluster::inject`]: super::Cluster::inject
    pub hostile: Option<NodeId>,
    /// Whether a refusal ends the link, as real drivers do. Otherwise the message is dropped and
    /// all goes on, so that a hostile node has many tries in one run.
    pub sever: bool,
    /// How many pages of memory each node gives; `None` for as many as there are. Homes are given
    /// by it, and nodes that have too many pages give some up.
    pub memory: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            nodes: 2,
            pages: 1,
            threads: 2,
            seed: 0,
            delay: Tick(10_000),
            step_limit: 10_000_000,
            hostile: None,
            sever: true,
            memory: None,
        }
    }
}

/// One access of a virtual thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// The node, below [`Config::nodes`].
    pub node: usize,
    /// The thread of that node, below [`Config::threads`].
    pub thread: usize,
    /// The page, below [`Config::pages`].
    pub page: PageIndex,
    /// The word of the page, 0 to 3.
    pub word: usize,
    /// Whether it reads the word or writes a value that no one else ever writes.
    pub access: Access,
}

impl Op {
    /// A random access of one thread, one in three of them a write.
    pub(super) fn random(rng: &mut SmallRng, node: usize, thread: usize, pages: u64) -> Self {
        Self {
            node,
            thread,
            page: PageIndex(rng.random_range(0..pages)),
            word: rng.random_range(0..WORDS),
            access: if rng.random_ratio(1, 3) {
                Access::Write
            } else {
                Access::Read
            },
        }
    }
}

impl std::fmt::Display for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            node,
            thread,
            page,
            word,
            access,
        } = self;
        write!(f, "node {node} thread {thread}: {access:?} {page}.{word}")
    }
}
