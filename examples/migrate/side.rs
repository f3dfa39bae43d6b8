//! One node of a live migration: memory whose stores are logged, and an end of the link.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use giantvm_core::wire::Class;
use giantvm_core::{NodeId, PageIndex, PageSize};
use giantvm_dsm::backing::{self, Backing, Choice};
use giantvm_dsm::protocol::Rights;
use giantvm_transport::{Event, Transport};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::frames::Message;
use crate::vm::{self, Size, WORDS, Words};

/// How many pages are in their places before the sender is told.
const CREDIT: u64 = 64;
/// How often a pump looks whether it is done.
const PERIOD: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// A node.
pub(crate) struct Side {
    pub(crate) node: NodeId,
    pub(crate) peer: NodeId,
    pub(crate) end: Arc<dyn Transport>,
    pub(crate) memory: Box<dyn Words>,
    /// Who moves pages has it.
    pub(crate) backing: Mutex<Box<dyn Backing>>,
    /// Pages that the peer said are in their places.
    pub(crate) credit: AtomicU64,
    /// Marks that the peer answered.
    pub(crate) done: AtomicU64,
    /// Pages that came and were not told of yet.
    untold: AtomicU64,
}

impl Side {
    /// All pages can be written, and none is logged.
    pub(crate) fn new(number: usize, end: &Arc<dyn Transport>, size: Size) -> anyhow::Result<Self> {
        let (mut backing, mapping) = backing::open(size.pages(), PageSize::K4, Choice::Auto)
            .context("`cargo run --release --example doctor` says what this host lacks")?;
        for page in (0..size.pages()).map(PageIndex) {
            backing.map_zero(page, Rights::Write)?;
        }
        Ok(Self {
            node: crate::link::node(number)?,
            peer: crate::link::node(1 - number)?,
            end: Arc::clone(end),
            memory: vm::view(&mapping, size)?,
            backing: Mutex::new(backing),
            credit: AtomicU64::new(0),
            done: AtomicU64::new(0),
            untold: AtomicU64::new(0),
        })
    }

    pub(crate) fn words(&self) -> &[AtomicU64] {
        self.memory.words()
    }

    /// Takes what comes until it is told to stop.
    pub(crate) fn pump(&self, stop: &AtomicBool) -> anyhow::Result<()> {
        let mut events = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            if self.end.poll(&mut |event| events.push(event)) == 0 {
                let ready = self.end.ready();
                // If it is interrupted, the loop looks again.
                poll(&mut [PollFd::new(&ready, PollFlags::IN)], Some(&PERIOD)).ok();
            }
            for event in events.drain(..) {
                self.take(event)?;
            }
        }
        Ok(())
    }

    fn take(&self, event: Event) -> anyhow::Result<()> {
        let frame = match event {
            Event::Frame { frame, .. } => frame,
            Event::Lost { node, loss } => anyhow::bail!("node {node} was lost: {loss}"),
        };
        match Message::of(&frame)? {
            Message::Page(page) => {
                let (words, _) = frame.payload.as_chunks::<8>();
                for (word, bytes) in self.page(page)?.iter().zip(words) {
                    word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
                }
                if (self.untold.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(CREDIT) {
                    self.send(Message::Credit(CREDIT))?;
                }
            }
            Message::Zeroes { start, count } => {
                for page in start..start.saturating_add(count) {
                    let words = self.page(page)?;
                    // A store would take a page that is zero already.
                    let set = words
                        .iter()
                        .filter(|word| word.load(Ordering::Relaxed) != 0);
                    set.for_each(|word| word.store(0, Ordering::Relaxed));
                }
            }
            Message::Mark => {
                self.untold.store(0, Ordering::Relaxed);
                self.send(Message::Done)?;
            }
            Message::Done => {
                self.done.fetch_add(1, Ordering::Release);
            }
            Message::Credit(pages) => {
                self.credit.fetch_add(pages, Ordering::Release);
            }
        }
        Ok(())
    }

    fn page(&self, page: u64) -> anyhow::Result<&[AtomicU64]> {
        let mut pages = self.words().chunks(WORDS);
        let page = usize::try_from(page).ok().and_then(|page| pages.nth(page));
        page.context("the peer sent a page that there is not")
    }

    fn send(&self, message: Message) -> anyhow::Result<()> {
        let frame = message.frame(self.node)?;
        Ok(self.end.send(self.peer, Class::Control, frame)?)
    }

    pub(crate) fn backing(&self) -> std::sync::MutexGuard<'_, Box<dyn Backing>> {
        self.backing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
