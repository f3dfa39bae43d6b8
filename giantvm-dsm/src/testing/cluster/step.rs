//! What each event does.

use giantvm_core::{NodeId, PageIndex, Stamp};

use super::{Broken, Cluster};
use crate::backing::Backing;
use crate::backing::sim::Attempt;
use crate::engine::sequence::Arrival;
use crate::protocol::{Access, Input, PageMessage, Rights, Tick};
use crate::testing::Inspect;
use crate::testing::chaos::Chaos;
use crate::testing::network::{Event, Letter};

impl<P: Inspect> Cluster<P> {
    pub(super) fn step(&mut self, event: Event<P::Message>) -> Result<(), Broken> {
        match event.clone() {
            Event::Run { at, thread } => self.run_thread(at, thread),
            Event::Fault { at, fault } => {
                let (page, access) = (fault.page, fault.access);
                self.feed(at, Input::Fault { page, access }, None, event)
            }
            Event::Deliver { to, letter } => self.deliver(to, letter, event),
            Event::Heard { from, to, stamp } if !self.lost.contains(&(to, from)) => {
                self.feed(to, Input::Heard { stamp }, None, event)
            }
            Event::Heard { .. } => Ok(()),
            Event::Timeout { at } => {
                let node = &mut self.nodes[at.index()];
                node.timer = None;
                if !node.pins.is_empty() {
                    return Ok(());
                }
                let due = node.protocol.next_timeout();
                if due.is_some_and(|due| due <= self.network.now) {
                    self.feed(at, Input::Timeout, None, event)?;
                }
                self.plan_timeout(at);
                Ok(())
            }
            Event::Unpin { at, page } => self.unpin(at, page, event),
            Event::Leaving { at, then } => self.go_on_leaving(at, then, event),
            Event::Chaos(chaos @ Chaos::Leave { .. }) => self.begin_leaving(chaos),
            Event::Chaos(chaos) => self.upset(chaos, event),
            Event::Lost { at, node } => {
                self.lost.insert((at, node));
                self.nodes[at.index()]
                    .pins
                    .retain(|letter| letter.from != node);
                if !self.nodes[at.index()].protocol.has_left(node) {
                    self.keep_all(at)?;
                }
                self.feed(at, Input::Lost { node }, None, event)
            }
        }
    }

    /// Lets a thread do its next access.
    fn run_thread(&mut self, at: NodeId, number: usize) -> Result<(), Broken> {
        let now = self.network.now;
        let alive = self.nodes.iter().filter(|node| node.alive);
        let oldest = alive.map(|node| node.protocol.clock()).min();
        let node = &mut self.nodes[at.index()];
        let thread = &mut node.threads[number];
        let Some(&op) = thread.program.front().filter(|_| node.alive) else {
            return Ok(());
        };
        let (value, clock) = (self.oracle.fresh(), node.protocol.clock());
        let attempt = match op.access {
            Access::Read => node.memory.try_load(op.page, op.word),
            Access::Write => node.memory.try_store(op.page, op.word, value),
        };
        match attempt {
            Attempt::Done(before) => {
                thread.program.pop_front();
                self.report.accesses += 1;
                let expected = self.oracle.word(op.page, op.word, clock);
                let shown = match op.access {
                    Access::Read => before,
                    Access::Write => value,
                };
                self.report.last = Some(shown);
                self.trace.access(now, at, op, Some(shown));
                let about = Some(op.page);
                let trusted = !self.distrusted.contains(&op.page);
                if before != expected && trusted {
                    let what = format!("data-value: {before} was there, not {expected}");
                    return Err((what, about));
                }
                if op.access == Access::Read {
                    self.oracle.read(op.page, op.word, clock);
                } else {
                    self.report.writes += 1;
                    let oldest = oldest.unwrap_or(Stamp::ZERO);
                    let wrote = self.oracle.wrote(op.page, op.word, value, clock, oldest);
                    if let Some(late) = wrote.err().filter(|_| trusted) {
                        let what = format!("data-value: a write at {clock} {late}");
                        return Err((what, about));
                    }
                }
                let thread = number;
                self.network.soon(Event::Run { at, thread });
            }
            Attempt::Faulted => {
                thread.blocked = Some((op.page, now));
                self.report.faults += 1;
                self.trace.access(now, at, op, None);
                let mut faults = Vec::new();
                let taken = node.backing.take_faults(&mut faults);
                taken.map_err(|error| (error.to_string(), Some(op.page)))?;
                for fault in faults {
                    self.network.soon(Event::Fault { at, fault });
                }
            }
            Attempt::Poisoned => self.trace.access(now, at, op, None),
        }
        Ok(())
    }

    /// A message arrives: for the first time, and now or when its page is no longer pinned.
    fn deliver(
        &mut self,
        to: NodeId,
        letter: Letter<P::Message>,
        event: Event<P::Message>,
    ) -> Result<(), Broken> {
        let (from, page) = (letter.from, letter.message.page());
        let node = &mut self.nodes[to.index()];
        if self.lost.contains(&(to, from)) || !node.alive {
            return Ok(());
        }
        let arrival = if self.config.hostile == Some(from) {
            // Its messages are given times at random, so their numbers say nothing.
            Arrival::Next
        } else {
            node.sequences
                .arrived(from, letter.contents(), letter.number)
        };
        match arrival {
            Arrival::Again => {
                self.report.repeated += 1;
                return Ok(());
            }
            Arrival::Gap(missing) => {
                let what = format!("sequence: message {missing} from {from} to {to} is missing");
                return Err((what, Some(page)));
            }
            Arrival::Next => self.network.arrived(page),
        }
        match self.nodes[to.index()].pins.hold(page, letter) {
            Some(letter) => self.read(to, letter, event),
            None => Ok(()),
        }
    }

    fn read(
        &mut self,
        to: NodeId,
        letter: Letter<P::Message>,
        event: Event<P::Message>,
    ) -> Result<(), Broken> {
        let input = Input::Message {
            from: letter.from,
            message: letter.message.clone(),
            payload: letter.contents(),
        };
        self.feed(to, input, Some(&letter), event)
    }

    fn unpin(
        &mut self,
        at: NodeId,
        page: PageIndex,
        event: Event<P::Message>,
    ) -> Result<(), Broken> {
        let node = &mut self.nodes[at.index()];
        if !node.alive {
            return Ok(());
        }
        // Whether anything waited or not: a pinned page is still there.
        let trusted = !self.distrusted.contains(&page);
        if node.mapped(page) != Some(Rights::Write) && trusted {
            let what = format!("pinned: page {page} of node {at} went while it was pinned");
            return Err((what, Some(page)));
        }
        self.trace.event(self.network.now, event, &[]);
        for letter in self.nodes[at.index()].pins.unpin(page) {
            let to = at;
            let event = Event::Deliver {
                to,
                letter: letter.clone(),
            };
            self.read(to, letter, event)?;
        }
        self.plan_timeout(at);
        Ok(())
    }

    fn upset(&mut self, chaos: Chaos, event: Event<P::Message>) -> Result<(), Broken> {
        match chaos {
            Chaos::Evict { node: at, page } => {
                if self.nodes[at.index()].pins.contains(page) {
                    return Ok(());
                }
                return self.feed(at, Input::Evict { page }, None, event);
            }
            Chaos::Pin { node, page, time } => {
                let holder = &mut self.nodes[node.index()];
                let due = holder.protocol.next_timeout();
                let overdue = due.is_some_and(|due| due <= self.network.now);
                let writable = holder.mapped(page) == Some(Rights::Write);
                if !writable || overdue || !holder.pins.pin(page) {
                    return Ok(());
                }
                self.keep(node, page)?;
                let until = Tick(self.network.now.0 + time.0);
                self.network.at(until, Event::Unpin { at: node, page });
            }
            Chaos::Signal { from, to } => {
                let sender = &self.nodes[from.index()];
                if !sender.alive {
                    return Ok(());
                }
                let stamp = sender.protocol.clock();
                self.network.soon(Event::Heard { from, to, stamp });
            }
            Chaos::Leave { .. } => return Ok(()),
            Chaos::Partition { side, time } => self.network.cut(side, time),
            Chaos::Reconnect { from, to } => {
                self.network.resend(from, to);
                self.network.resend(to, from);
            }
            Chaos::Kill { node } => {
                self.disturbed = true;
                self.nodes[node.index()].alive = false;
                for at in NodeId::first(self.nodes.len()).filter(|&at| at != node) {
                    self.network.soon(Event::Lost { at, node });
                }
            }
        }
        self.trace.event(self.network.now, event, &[]);
        Ok(())
    }

    pub(super) fn plan_timeout(&mut self, at: NodeId) {
        let node = &mut self.nodes[at.index()];
        let due = node.protocol.next_timeout();
        let due = due.filter(|_| node.alive && node.pins.is_empty());
        if let Some(due) = due.filter(|&due| node.timer.is_none_or(|planned| due < planned)) {
            node.timer = Some(due);
            self.network.at(due, Event::Timeout { at });
        }
    }
}
