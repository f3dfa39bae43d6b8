//! Feeds a node's protocol, carries out what it orders, and holds it to its laws.

use std::collections::BTreeSet;

use bytes::Bytes;
use giantvm_core::wire::{Frame, Service};
use giantvm_core::{Epoch, NodeId, PageIndex, Stamp};

use super::{Broken, Cluster, REMEMBERED};
use crate::engine::letter;
use crate::engine::parcel::Tag;
use crate::protocol::{Command, Input, PageMessage, Violation};
use crate::testing::Inspect;
use crate::testing::network::{Event, Letter};

impl<P: Inspect> Cluster<P> {
    /// Feeds one input to a node and carries out its commands.
    pub(super) fn feed(
        &mut self,
        at: NodeId,
        input: Input<P::Message>,
        letter: Option<&Letter<P::Message>>,
        event: Event<P::Message>,
    ) -> Result<(), Broken> {
        let (now, page) = (self.network.now, event.page(&self.nodes));
        let node = &mut self.nodes[at.index()];
        if !node.alive {
            return Ok(());
        }
        self.commands.clear();
        let local = match &input {
            Input::Fault { page, .. } | Input::Evict { page } => Some(*page),
            Input::Message { message, .. } => Some(message.page()),
            Input::Lost { .. } | Input::Timeout | Input::Heard { .. } | Input::Depart(_) => None,
        };
        let heard = match &input {
            Input::Heard { stamp } => *stamp,
            _ => Stamp::ZERO,
        };
        let clock = node.protocol.clock().max(heard);
        let pages = (0..self.config.pages).map(PageIndex);
        let leased = |page: &PageIndex| node.protocol.lease(*page).is_some();
        let leases: BTreeSet<_> = pages.filter(leased).collect();
        let handled = node.protocol.handle(now, input, &mut self.commands);
        self.trace.event(now, event, &self.commands);
        if let Err(violation) = handled {
            return self.refused(at, letter.map(|letter| letter.from), violation, page);
        }
        if node.protocol.clock() < clock {
            let what = format!(
                "clocks: node {at} shows {} after {clock}",
                node.protocol.clock()
            );
            return Err((what, page));
        }
        if let Some(local) = local {
            let lasting = |page: PageIndex| !leases.contains(&page);
            let strays =
                |command: &&Command<_>| command.changes().is_some_and(|page| page != local);
            let stray = self.commands.iter().find(strays);
            if let Some(stray) = stray.filter(|stray| stray.changes().is_some_and(lasting)) {
                let what = format!("locality: node {at} orders {stray:?}");
                return Err((what, page));
            }
        }
        let payload = letter.and_then(|letter| letter.payload.as_ref());
        let outcome = node.carry_out(&self.commands, payload);
        let outcome = outcome.map_err(|error| (format!("backing: node {at}: {error}"), page))?;
        let hops = letter.map_or(0, |letter| letter.hops);
        for page in outcome.woken {
            self.wake(at, page, hops);
        }
        for (to, message, payload) in outcome.sent {
            self.send(at, to, message, payload, hops + 1)?;
        }
        self.plan_timeout(at);
        Ok(())
    }

    fn wake(&mut self, at: NodeId, page: PageIndex, hops: u32) {
        let now = self.network.now;
        for (thread, since) in self.nodes[at.index()].unblock(page) {
            self.report.waited += now.0 - since.0;
            if hops > 0 {
                self.report.remote_faults += 1;
                self.report.hops += u64::from(hops);
                self.report.most_hops = self.report.most_hops.max(hops);
            }
            self.network.soon(Event::Run { at, thread });
        }
    }

    /// Sends a message through its wire form.
    fn send(
        &mut self,
        from: NodeId,
        to: NodeId,
        message: P::Message,
        payload: Option<Bytes>,
        hops: u32,
    ) -> Result<(), Broken> {
        let page = Some(message.page());
        let mut letter = Letter {
            from,
            message,
            payload,
            number: 0,
            hops,
        };
        let contents = letter.contents();
        letter.number = self.nodes[from.index()].sequences.number(to, contents);
        let tag = Tag::plain(contents);
        let (kind, body) = letter::seal(&letter.message, tag, letter.number)
            .map_err(|error| (format!("wire: {:?}: {error}", letter.message), page))?;
        let frame = Frame {
            service: Service::Dsm,
            kind,
            from,
            epoch: Epoch::FIRST,
            stamp: Stamp::ZERO,
            body,
            payload: letter.payload.clone().unwrap_or_default(),
        };
        self.report.messages += 1;
        self.report.pages_sent += u64::from(letter.payload.is_some());
        self.report.bytes += frame.wire_len() as u64;
        match letter::open::<P::Message>(&frame) {
            Ok((read, told, number))
                if (&read, told, number) == (&letter.message, tag, letter.number) => {}
            Ok((read, ..)) => {
                let what = format!("wire: {:?} becomes {read:?}", letter.message);
                return Err((what, page));
            }
            Err(error) => return Err((format!("wire: {:?}: {error}", letter.message), page)),
        }
        if self.sent.len() < REMEMBERED {
            self.sent.push((letter.message.clone(), contents));
        }
        self.network.send(to, letter);
        Ok(())
    }

    /// A node refused a message: it ends the link to the sender.
    fn refused(
        &mut self,
        at: NodeId,
        from: Option<NodeId>,
        violation: Violation,
        page: Option<PageIndex>,
    ) -> Result<(), Broken> {
        if !self.commands.is_empty() {
            return Err((
                format!("totality: node {at} refused and gave commands: {violation}"),
                page,
            ));
        }
        let Some(from) = from.filter(|_| self.config.hostile.is_some()) else {
            return Err((format!("totality: node {at} refused: {violation}"), page));
        };
        self.report.violations.push((at, violation));
        if !self.config.sever {
            return Ok(());
        }
        self.network
            .at(self.network.now, Event::Lost { at, node: from });
        let (at, node) = (from, at);
        self.network.soon(Event::Lost { at, node });
        Ok(())
    }
}
