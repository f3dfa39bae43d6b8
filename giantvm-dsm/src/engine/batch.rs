//! What several inputs ask of the memory, done at once.
//!
//! Taking a page from threads that run on other processors costs an interrupt of each of them,
//! however many pages go at once; and mapping or protecting pages that follow one another costs little
//! more than one. So mappings and the right to write are taken away, and mappings given where no thread
//! waits, at the end of what came together. Five rules make that the same as doing each at once:
//!
//! 1. No message that comes after a taking away, in the order of the commands, goes before it: what
//!    others learn has happened.
//! 2. No page is given before those are taken away that were to go before: under a protocol with
//!    leases, old copies end when newer ones come.
//! 3. Before another command changes a page that is in the batch, the batch is done.
//! 4. A page is mapped before its bytes are sent on.
//! 5. A batch is done before the pump sleeps or looks at faults, and before anyone acts on a frame of
//!    another service, such as an interrupt. Until then no thread has noticed.

use giantvm_core::{NodeId, PageIndex, PageRange};

use crate::backing::{Backing, BackingError, KEPT_AT_ONCE};
use crate::protocol::{Attach, FrameFate, PageMessage, Rights};

/// Most pages that wait to be taken away, and most that wait to be protected.
const MAX_UNMAPPED: usize = 64;
/// Most pages that wait to be mapped.
const MAX_MAPPED: u64 = 64;
/// Most messages that wait for pages to be taken away.
const MAX_HELD: usize = 256;

/// What was done to the local memory, for whoever counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A page's bytes were put into its frame.
    Stored,
    /// A page was mapped full of zeroes.
    Zeroed,
    /// The right to write was taken away.
    Protected,
    /// A mapping was taken away.
    Unmapped,
}

/// The world outside a node's memory.
pub(crate) trait Outside<M> {
    /// Takes a message to `to`, with the bytes of its page if they go along.
    fn send(&mut self, to: NodeId, message: &M, page: Option<&[u8]>);

    /// Takes a message that may be kept back, as [`Command::Linger`](crate::protocol::Command::Linger) says.
    fn send_later(&mut self, to: NodeId, message: &M) {
        self.send(to, message, None);
    }

    /// Whether local threads are known to wait for `page`.
    fn awaits(&self, page: PageIndex) -> bool;

    /// Is told that the threads which waited for `page` try again.
    fn woke(&mut self, page: PageIndex);

    /// Is told what was done.
    fn did(&mut self, deed: Deed);
}

/// What is still to do. Empty, or the memory is not yet what the protocol thinks.
#[derive(Debug)]
pub(crate) struct Batch<M> {
    /// Pages to take away, all with the same fate.
    unmapped: Vec<PageIndex>,
    fate: FrameFate,
    /// Pages to take the right to write from.
    protected: Vec<PageIndex>,
    /// Messages that came after that.
    held: Vec<(NodeId, M, Attach)>,
    /// The first and the last page of those, so that others are not looked for among them.
    span: Option<(PageIndex, PageIndex)>,
    /// Pages to map, which follow one another.
    mapped: PageRange,
    rights: Rights,
}

impl<M: PageMessage> Batch<M> {
    pub(crate) const fn new() -> Self {
        Self {
            unmapped: Vec::new(),
            fate: FrameFate::Drop,
            protected: Vec::new(),
            held: Vec::new(),
            span: None,
            mapped: PageRange::first(0),
            rights: Rights::Read,
        }
    }

    /// Whether pages, or the right to write them, are still to be taken away.
    pub(super) const fn takes(&self) -> bool {
        !self.unmapped.is_empty() || !self.protected.is_empty()
    }

    /// Whether something is still to be done to `page`, or with its bytes.
    pub(super) fn concerns(&self, page: PageIndex) -> bool {
        let spanned = self
            .span
            .is_some_and(|(low, high)| (low..=high).contains(&page));
        self.mapped.contains(page) || spanned && self.is_among(page)
    }

    /// Whether `page` is to be taken away, or its bytes are to be sent.
    fn is_among(&self, page: PageIndex) -> bool {
        let sends = |(_, message, attach): &(NodeId, M, Attach)| {
            *attach == Attach::Page && message.page() == page
        };
        self.unmapped.contains(&page)
            || self.protected.contains(&page)
            || self.held.iter().any(sends)
    }

    fn spans(&mut self, page: PageIndex) {
        let (low, high) = self.span.unwrap_or((page, page));
        self.span = Some((low.min(page), high.max(page)));
    }

    /// Sends a message once all is done that was asked for before it.
    pub(super) fn send(
        &mut self,
        to: NodeId,
        message: &M,
        attach: Attach,
        backing: &mut dyn Backing,
        outside: &mut impl Outside<M>,
    ) -> Result<(), BackingError> {
        if attach == Attach::Page && self.mapped.contains(message.page()) {
            self.map_now(backing)?;
        }
        if !self.takes() {
            return send(to, message, attach, backing, outside);
        }
        self.held.push((to, message.clone(), attach));
        self.spans(message.page());
        if self.held.len() >= MAX_HELD {
            self.flush(backing, outside)?;
        }
        Ok(())
    }

    /// As [`send`](Self::send) of a message without a page that may be kept back, but not for what is to be
    /// done before it: then it goes right after that.
    pub(super) fn send_later(
        &mut self,
        to: NodeId,
        message: &M,
        backing: &mut dyn Backing,
        outside: &mut impl Outside<M>,
    ) -> Result<(), BackingError> {
        if self.takes() {
            return self.send(to, message, Attach::Nothing, backing, outside);
        }
        outside.send_later(to, message);
        Ok(())
    }

    /// Takes a page away.
    pub(super) fn unmap(
        &mut self,
        page: PageIndex,
        fate: FrameFate,
        backing: &mut dyn Backing,
        outside: &mut impl Outside<M>,
    ) -> Result<(), BackingError> {
        let most = match fate {
            FrameFate::Drop | FrameFate::Retain => MAX_UNMAPPED,
            FrameFate::Keep => KEPT_AT_ONCE,
        };
        if self.fate != fate || self.unmapped.len() >= most {
            self.flush(backing, outside)?;
        }
        self.fate = fate;
        self.unmapped.push(page);
        self.spans(page);
        Ok(())
    }

    /// Takes the right to write a page away.
    pub(super) fn protect(
        &mut self,
        page: PageIndex,
        backing: &mut dyn Backing,
        outside: &mut impl Outside<M>,
    ) -> Result<(), BackingError> {
        if self.protected.len() >= MAX_UNMAPPED {
            self.flush(backing, outside)?;
        }
        self.protected.push(page);
        self.spans(page);
        Ok(())
    }

    /// Maps a page, and wakes who waits for it: at once if someone does.
    pub(super) fn map(
        &mut self,
        page: PageIndex,
        rights: Rights,
        backing: &mut dyn Backing,
        outside: &mut impl Outside<M>,
    ) -> Result<(), BackingError> {
        let end = PageIndex(page.0.saturating_add(1));
        let alone = PageRange { start: page, end };
        if outside.awaits(page) {
            return backing.map_and_wake(alone, rights);
        }
        let follows = self.mapped.end == page && self.rights == rights;
        if !self.mapped.is_empty() && follows && self.mapped.len() < MAX_MAPPED {
            self.mapped.end = end;
            return Ok(());
        }
        self.map_now(backing)?;
        (self.mapped, self.rights) = (alone, rights);
        Ok(())
    }

    /// Does all that is still to do.
    pub(crate) fn flush(
        &mut self,
        backing: &mut dyn Backing,
        outside: &mut impl Outside<M>,
    ) -> Result<(), BackingError> {
        if !self.unmapped.is_empty() {
            backing.unmap_all(&self.unmapped, self.fate)?;
            // Only now: whoever reads the counter may count on it that the page is gone.
            self.unmapped
                .drain(..)
                .for_each(|_| outside.did(Deed::Unmapped));
        }
        if !self.protected.is_empty() {
            backing.protect_all(&self.protected)?;
            self.protected
                .drain(..)
                .for_each(|_| outside.did(Deed::Protected));
        }
        self.map_now(backing)?;
        for (to, message, attach) in self.held.drain(..) {
            send(to, &message, attach, backing, outside)?;
        }
        self.span = None;
        Ok(())
    }

    fn map_now(&mut self, backing: &mut dyn Backing) -> Result<(), BackingError> {
        let pages = std::mem::replace(&mut self.mapped, PageRange::first(0));
        if pages.is_empty() {
            return Ok(());
        }
        backing.map_and_wake(pages, self.rights)
    }
}

fn send<M: PageMessage>(
    to: NodeId,
    message: &M,
    attach: Attach,
    backing: &mut dyn Backing,
    outside: &mut impl Outside<M>,
) -> Result<(), BackingError> {
    let page = match attach {
        Attach::Nothing => None,
        Attach::Page => Some(backing.frame(message.page())?),
    };
    outside.send(to, message, page);
    Ok(())
}

#[cfg(test)]
mod tests {
    use giantvm_core::{PageSize, Version};

    use super::*;
    use crate::backing::sim::SimBacking;
    use crate::protocol::directory::{Message, Transaction};

    /// What left the node, and what was done, in order.
    #[derive(Debug, Default)]
    struct Log(Vec<String>);

    impl Outside<Message> for Log {
        fn send(&mut self, _: NodeId, message: &Message, page: Option<&[u8]>) {
            let with = page.map_or("", |_| " with its bytes");
            self.0.push(format!("page {}{with}", message.page().0));
        }

        fn send_later(&mut self, _: NodeId, message: &Message) {
            self.0.push(format!("page {}, later", message.page().0));
        }

        fn awaits(&self, _: PageIndex) -> bool {
            false
        }

        fn woke(&mut self, _: PageIndex) {}

        fn did(&mut self, deed: Deed) {
            self.0.push(format!("{deed:?}"));
        }
    }

    fn node(pages: u64) -> (SimBacking, Log, Batch<Message>) {
        let mut backing = SimBacking::new(PageSize::K4, 100);
        for page in 0..pages {
            backing.map_zero(PageIndex(page), Rights::Write).unwrap();
        }
        (backing, Log::default(), Batch::new())
    }

    fn data(page: u64) -> Message {
        Message::Data {
            page: PageIndex(page),
            transaction: Transaction(1),
            version: Version::ZERO,
        }
    }

    #[test]
    fn what_is_said_of_pages_waits_until_they_are_protected_together() {
        let (mut backing, mut log, mut batch) = node(3);
        for page in 0..2 {
            let at = PageIndex(page);
            batch.protect(at, &mut backing, &mut log).unwrap();
            let (to, message) = (NodeId::ZERO, data(page));
            let sent = batch.send(to, &message, Attach::Page, &mut backing, &mut log);
            sent.unwrap();
        }
        // Of a page that has nothing to do with them, too.
        let done = Message::Evict { page: PageIndex(2) };
        let sent = batch.send(NodeId::ZERO, &done, Attach::Nothing, &mut backing, &mut log);
        sent.unwrap();
        assert!(log.0.is_empty() && batch.takes());
        batch.flush(&mut backing, &mut log).unwrap();
        let told = [
            "Protected",
            "Protected",
            "page 0 with its bytes",
            "page 1 with its bytes",
            "page 2",
        ];
        assert_eq!(log.0, told);
        let rights = |page| {
            backing
                .memory()
                .inspect(PageIndex(page), |rights, _| rights)
        };
        assert_eq!(
            [0, 1, 2].map(rights),
            [Some(Rights::Read), Some(Rights::Read), Some(Rights::Write)]
        );
    }

    #[test]
    fn pages_that_something_is_still_to_be_done_to_are_known_and_no_others() {
        let (mut backing, mut log, mut batch) = node(6);
        let concerns = |batch: &Batch<Message>| {
            let pages = (0..6).filter(|&page| batch.concerns(PageIndex(page)));
            pages.collect::<Vec<u64>>()
        };
        assert!(concerns(&batch).is_empty());
        for page in [4, 1] {
            let at = PageIndex(page);
            batch.protect(at, &mut backing, &mut log).unwrap();
        }
        let fate = FrameFate::Drop;
        let unmapped = batch.unmap(PageIndex(5), fate, &mut backing, &mut log);
        unmapped.unwrap();
        let bare = Message::Evict { page: PageIndex(2) };
        let sent = batch.send(NodeId::ZERO, &bare, Attach::Nothing, &mut backing, &mut log);
        sent.unwrap();
        assert_eq!(concerns(&batch), [1, 4, 5]);
        batch.flush(&mut backing, &mut log).unwrap();
        assert!(concerns(&batch).is_empty() && !batch.takes());
    }

    #[test]
    fn what_may_be_kept_back_is_sent_at_once_after_what_was_to_be_done_before() {
        let (mut backing, mut log, mut batch) = node(2);
        let word = |page| Message::Evict {
            page: PageIndex(page),
        };
        let mut later = |batch: &mut Batch<Message>, log: &mut Log, page| {
            let sent = batch.send_later(NodeId::ZERO, &word(page), &mut backing, log);
            sent.unwrap();
        };
        later(&mut batch, &mut log, 0);
        assert_eq!(log.0, ["page 0, later"]);
        let (mut memory, ..) = node(2);
        batch.protect(PageIndex(1), &mut memory, &mut log).unwrap();
        later(&mut batch, &mut log, 1);
        batch.flush(&mut memory, &mut log).unwrap();
        assert_eq!(log.0[1..], ["Protected", "page 1"]);
    }

    #[test]
    fn no_more_pages_wait_than_fit() {
        let most = u64::try_from(MAX_UNMAPPED).unwrap();
        let (mut backing, mut log, mut batch) = node(most + 1);
        for page in 0..=most {
            let page = PageIndex(page);
            batch.protect(page, &mut backing, &mut log).unwrap();
        }
        assert_eq!(log.0.len(), MAX_UNMAPPED);
    }
}
