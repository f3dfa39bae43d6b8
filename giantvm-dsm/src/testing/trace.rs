//! What happened, one line an event.

use std::collections::VecDeque;
use std::fmt;

use giantvm_core::{NodeId, PageIndex};

use super::chaos::Chaos;
use super::config::Op;
use super::network::Event;
use crate::protocol::{Command, PageMessage, Tick};

/// Most lines that are kept: the last ones.
const LIMIT: usize = 20_000;

#[derive(Debug)]
enum What<M> {
    Happened(Event<M>),
    Accessed {
        at: NodeId,
        op: Op,
        /// The value read or written; `None` if it faulted.
        value: Option<u64>,
    },
}

#[derive(Debug)]
struct Line<M> {
    now: Tick,
    what: What<M>,
    commands: Vec<Command<M>>,
}

/// The last lines of a run.
#[derive(Debug)]
pub(super) struct Trace<M>(VecDeque<Line<M>>);

impl<M: PageMessage> Trace<M> {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Notes an event and what the protocol made of it.
    pub(super) fn event(&mut self, now: Tick, event: Event<M>, commands: &[Command<M>]) {
        let (what, commands) = (What::Happened(event), commands.to_vec());
        self.push(Line {
            now,
            what,
            commands,
        });
    }

    /// Notes an access of a thread.
    pub(super) fn access(&mut self, now: Tick, at: NodeId, op: Op, value: Option<u64>) {
        let (what, commands) = (What::Accessed { at, op, value }, Vec::new());
        self.push(Line {
            now,
            what,
            commands,
        });
    }

    fn push(&mut self, line: Line<M>) {
        if self.0.len() == LIMIT {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    /// The lines about `page`, or all of them; those about no page are always in.
    pub(super) fn lines(&self, page: Option<PageIndex>) -> Vec<String> {
        let about = |line: &&Line<M>| page.is_none() || line.page().is_none_or(|p| Some(p) == page);
        self.0.iter().filter(about).map(Line::to_string).collect()
    }
}

impl<M: PageMessage> Line<M> {
    fn page(&self) -> Option<PageIndex> {
        match &self.what {
            What::Accessed { op, .. } => Some(op.page),
            What::Happened(Event::Deliver { letter, .. }) => Some(letter.message.page()),
            What::Happened(Event::Fault { fault, .. }) => Some(fault.page),
            What::Happened(
                Event::Unpin { page, .. }
                | Event::Chaos(Chaos::Evict { page, .. } | Chaos::Pin { page, .. }),
            ) => Some(*page),
            What::Happened(_) => None,
        }
    }
}

impl<M: PageMessage> fmt::Display for Line<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10} ns  ", self.now.0)?;
        match &self.what {
            What::Accessed { at, op, value } => {
                let (access, page, word) = (op.access, op.page, op.word);
                write!(
                    f,
                    "node {at} thread {}: {access:?} {page}.{word} ",
                    op.thread
                )?;
                match value {
                    Some(value) => write!(f, "= {value}"),
                    None => f.write_str("faults"),
                }?;
            }
            What::Happened(Event::Deliver { to, letter }) => {
                let (from, message) = (letter.from, &letter.message);
                let page = if letter.payload.is_some() {
                    " + page"
                } else {
                    ""
                };
                write!(f, "node {to} <- {from}: {message:?}{page}")?;
            }
            What::Happened(Event::Heard { from, to, stamp }) => {
                write!(f, "node {to} <- {from}: signal of logical time {stamp}")?;
            }
            What::Happened(Event::Fault { at, fault }) => {
                write!(f, "node {at}: {:?} fault on {}", fault.access, fault.page)?;
            }
            What::Happened(Event::Run { at, thread }) => write!(f, "node {at} thread {thread}")?,
            What::Happened(Event::Timeout { at }) => write!(f, "node {at}: time-out")?,
            What::Happened(Event::Unpin { at, page }) => write!(f, "node {at}: {page} unpinned")?,
            What::Happened(Event::Chaos(chaos)) => write!(f, "{chaos}")?,
            What::Happened(Event::Lost { at, node }) => write!(f, "node {at} loses {node}")?,
        }
        for (position, command) in self.commands.iter().enumerate() {
            let separator = if position == 0 { "  =>  " } else { "; " };
            f.write_str(separator)?;
            match command {
                Command::Send { to, message, .. } => write!(f, "to {to} {message:?}")?,
                Command::Store { .. } => f.write_str("Store")?,
                Command::Map { rights, .. } => write!(f, "Map {rights:?}")?,
                Command::MapZero { rights, .. } => write!(f, "MapZero {rights:?}")?,
                Command::Protect { .. } => f.write_str("Protect")?,
                Command::Unprotect { .. } => f.write_str("Unprotect")?,
                Command::Unmap { frame, .. } => write!(f, "Unmap {frame:?}")?,
                Command::Wake { .. } => f.write_str("Wake")?,
                Command::Poison { .. } => f.write_str("Poison")?,
            }
        }
        Ok(())
    }
}
