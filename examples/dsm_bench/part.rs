//! What can be measured.

use clap::ValueEnum;

/// A part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Faults, pages that several nodes write, scans and threads, idle and loaded.
    Faults,
    /// A store to a page that 1, 2, 3, 7 and 15 other nodes hold, of 16: its time, messages and
    /// hops, which is how many messages follow one another before it is done. Floor: a bare fault,
    /// and bare round trips to as many nodes at once. "home" is who knows the sharers: the writer,
    /// or a node that it has to ask first. More pumps than processors take turns, so the floor grows,
    /// too: "growth" is to one sharer. With --pump latency only as many nodes as processors.
    FanOut,
    /// Taking 64 scattered pages from a process whose other thread runs. Floor: one bare system
    /// call for as many pages of anonymous memory. Also how many sweeps it takes when another node walks over pages of
    /// this one.
    Scatter,
    /// Starting a node with 64 GiB, and the memory that takes, then and for each page in use.
    Start,
    /// Pages in no order, and in several, with read-ahead and without, by turns. "random" are pages all
    /// over the memory, without the slowest twentieth, which is the machine's; "random, all" each page of
    /// a small one.
    Ahead,
    /// Scans alone: a loads from all that b wrote, and stores to it, on an otherwise idle machine. Floor:
    /// a bare stream, before and after. "bare walk" is what a walk could be at best over these rings:
    /// without nodes, with pages that are taken, copied and mapped in runs.
    Scan,
    /// One remote store taken apart into its steps.
    Steps,
    /// What nodes do unasked, beside nodes that do not, for work that it is made for: taking a load for
    /// a store where that was right before, keeping a page for the threads that it came for, moving a
    /// page's home to who writes it. Read-ahead is "ahead".
    Knobs,
    /// Processor time of two nodes that do nothing after a burst of faults, with each way to wait.
    Idle,
}
