//! Which pages are asked for most, by whom, and which go to and fro.
//!
//! Each node notes what its own pump sees: faults of its threads, how long those waited for other nodes
//! ([`waits`]), pages that others take away, and who sends them back. What is known is bounded whatever
//! the number of pages: [`table`] keeps the pages with the most events. Counts are never more than there
//! were, and what is long ago counts less: all are halved every [`HALF_LIFE`].
//!
//! While a fault or a message is handled, no more is done than to write a [`Note`] down. The notes are
//! counted once the pump has nothing more urgent to do. [`Heat`] is a value without a clock;
//! [`record`] shares it with threads that look.

mod page;
mod record;
mod table;
mod waits;

use giantvm_core::{NodeId, NodeSet, PageIndex};

use self::table::Table;
use self::waits::Waits;
use super::hooks::ServedFault;
use crate::protocol::{Access, Command, PageMessage, Tick};

pub use self::page::PageHeat;
pub use self::record::StallGauge;
pub(super) use self::record::{Gauge, Record};
pub use self::waits::{GroupStall, STALL_GROUP, Stalls, ThreadStall};

/// Pages that are known at most. A page with more than one in 1024 of all events is among them.
const MOST: usize = 2048;
/// After which time an event counts half: long enough to look back on a program's phase.
const HALF_LIFE: u64 = 10_000_000_000;
/// A page that is back after no longer than this was taken away too early: some hundred times what
/// a page takes from one node to another.
const SOON: u64 = 10_000_000;

/// What happened to a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Note {
    /// A local thread asks for it.
    Asked(PageIndex, Access),
    /// It was taken away, or the right to write it, by this node as far as is known.
    Taken(PageIndex, Option<NodeId>),
    /// Its bytes came from this node.
    Came(PageIndex, Option<NodeId>),
    /// A local thread waited for it.
    Served(ServedFault),
}

/// What became of one page here.
#[derive(Debug, Clone, Copy, Default)]
struct Uses {
    reads: u32,
    writes: u32,
    taken: u32,
    turns: u32,
    /// When it was taken away, if it is not back.
    left: Option<Tick>,
    /// Peers since the last halving, and between that and the one before.
    peers: [NodeSet; 2],
}

impl Uses {
    fn fade(&mut self, times: u32) {
        for count in [
            &mut self.reads,
            &mut self.writes,
            &mut self.taken,
            &mut self.turns,
        ] {
            *count = count.checked_shr(times).unwrap_or(0);
        }
        let recent = if times == 1 {
            self.peers[0]
        } else {
            NodeSet::EMPTY
        };
        self.peers = [NodeSet::EMPTY, recent];
    }

    fn meets(&mut self, peer: Option<NodeId>) {
        self.peers[0] = peer.map_or(self.peers[0], |peer| self.peers[0].with(peer));
    }
}

/// What one node has seen of its pages.
#[derive(Debug)]
struct Heat {
    table: Table<Uses>,
    waits: Waits,
    /// When counts were last halved.
    halved: Tick,
}

impl Heat {
    fn new() -> Self {
        Self {
            table: Table::new(MOST),
            waits: Waits::new(),
            halved: Tick(0),
        }
    }

    /// Counts what happened to a page.
    fn count(&mut self, now: Tick, note: Note) {
        self.fade(now);
        match note {
            Note::Asked(page, access) => {
                let uses = self.table.count(page);
                match access {
                    Access::Read => uses.reads = uses.reads.saturating_add(1),
                    Access::Write => uses.writes = uses.writes.saturating_add(1),
                }
                let left = uses.left.take();
                if left.is_some_and(|left| now.0.saturating_sub(left.0) <= SOON) {
                    uses.turns = uses.turns.saturating_add(1);
                }
            }
            Note::Taken(page, by) => {
                let uses = self.table.count(page);
                uses.taken = uses.taken.saturating_add(1);
                uses.left = Some(now);
                uses.meets(by);
            }
            Note::Came(page, from) => {
                // Nothing for pages that no one asked for: they came ahead of a thread.
                if let Some(uses) = self.table.get(page) {
                    uses.meets(from);
                }
            }
            Note::Served(fault) => self.waits.count(&fault),
        }
    }

    /// All pages that are known, in no order.
    fn pages(&mut self, now: Tick) -> Vec<PageHeat> {
        self.fade(now);
        let of = |entry: &table::Entry<Uses>| {
            let uses = &entry.value;
            PageHeat {
                page: entry.key,
                reads: uses.reads,
                writes: uses.writes,
                taken: uses.taken,
                turns: uses.turns,
                peers: uses.peers[0].union(uses.peers[1]),
            }
        };
        self.table.entries().iter().map(of).collect()
    }

    /// Who waited for what, and the `most` groups of those that were waited for most often of late.
    fn stalls(&mut self, now: Tick, most: usize) -> Stalls {
        self.fade(now);
        self.waits.stalls(most)
    }

    /// Halves all that is known as often as it is due.
    fn fade(&mut self, now: Tick) {
        let due = now.0.saturating_sub(self.halved.0) / HALF_LIFE;
        if due > 0 {
            self.halved.0 += due * HALF_LIFE;
            let times = u32::try_from(due).unwrap_or(u32::MAX);
            self.table.halve(times, |uses| uses.fade(times));
            self.waits.halve(times);
        }
    }
}

/// What the command at `at` does to a page, if that is of interest; `from` sent the message that the
/// commands answer.
fn noted<M: PageMessage>(commands: &[Command<M>], at: usize, from: Option<NodeId>) -> Option<Note> {
    match *commands.get(at)? {
        Command::Unmap { page, .. } | Command::Protect { page } => {
            // The message is the home's at times; who gets the answer wants the page.
            let answered = commands[at..].iter().find_map(|command| match command {
                Command::Send { to, message, .. } if message.page() == page => Some(*to),
                _ => None,
            });
            Some(Note::Taken(page, answered.or(from)))
        }
        Command::Store { page } => Some(Note::Came(page, from)),
        Command::Send { .. }
        | Command::Linger { .. }
        | Command::Map { .. }
        | Command::MapZero { .. }
        | Command::Unprotect { .. }
        | Command::Wake { .. }
        | Command::Poison { .. } => None,
    }
}

#[cfg(test)]
mod tests;
