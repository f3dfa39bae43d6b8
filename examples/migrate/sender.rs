//! The sending side of a live migration: rounds over memory whose stores are logged.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::ensure;
use giantvm_core::PageIndex;
use giantvm_core::wire::{Class, HEADER};
use giantvm_dsm::backing::{Backing, Fault};
use giantvm_sched::precopy::{Next, Precopy, Round, Terms};
use giantvm_sched::schedule::Nanos;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::frames::Message;
use crate::link::PATIENCE;
use crate::side::Side;
use crate::vm::PAGE;

/// Pages that are protected, read and sent before faults are served again.
const BATCH: usize = 16;
/// Pages on their way at most.
const WINDOW: u64 = 1024;
/// What a page takes on the wire.
const ON_WIRE: u64 = PAGE + HEADER as u64 + 16;
/// How long to wait for a fault or an answer before looking again.
const MOMENT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000,
};

/// A migration, as its sender sees it.
pub(crate) struct Sender<'s> {
    side: &'s Side,
    backing: MutexGuard<'s, Box<dyn Backing>>,
    faults: Vec<Fault>,
    /// Pages that were stored to since they were sent last.
    dirty: Vec<bool>,
    /// Pages that cannot be stored to unnoticed.
    logged: Vec<bool>,
    /// Pages sent that count as on their way until the peer says otherwise.
    sent: u64,
    marks: u64,
    credit: u64,
}

impl<'s> Sender<'s> {
    pub(crate) fn new(side: &'s Side) -> Self {
        let backing = side.backing();
        let pages = usize::try_from(backing.pages()).unwrap_or(0);
        Self {
            side,
            backing,
            faults: Vec::new(),
            dirty: vec![true; pages],
            logged: vec![false; pages],
            sent: 0,
            marks: side.done.load(Ordering::Acquire),
            credit: side.credit.load(Ordering::Acquire),
        }
    }

    /// Sends rounds while the work goes on, until it is to stop. Returns how many there were.
    pub(crate) fn rounds(&mut self, terms: Terms) -> anyhow::Result<u32> {
        let memory = self.dirty.len() as u64 * PAGE;
        let mut migration = Precopy::new(terms, memory);
        loop {
            let (start, before) = (Instant::now(), self.side.end.traffic().bytes_sent);
            self.round()?;
            let dirty = self.dirty.iter().filter(|dirty| **dirty).count() as u64;
            let next = migration.after(Round {
                sent: self.side.end.traffic().bytes_sent - before,
                took: Nanos::from(start.elapsed()),
                dirty: dirty * ON_WIRE,
            });
            if next != Next::Again {
                return Ok(migration.rounds());
            }
        }
    }

    /// Lets the work go on until `until`, and logs what it stores to.
    pub(crate) fn serve_until(&mut self, until: impl Fn() -> bool) -> anyhow::Result<()> {
        let start = Instant::now();
        while !until() {
            ensure!(start.elapsed() < PATIENCE, "the work does not stop");
            self.wait()?;
        }
        self.serve()
    }

    /// Sends all that is dirty, and waits until it is in its place.
    pub(crate) fn round(&mut self) -> anyhow::Result<()> {
        let dirty = self.dirty.iter().enumerate().filter(|(_, dirty)| **dirty);
        let pages: Vec<_> = dirty.map(|(page, _)| page).collect();
        let mut zeroes: Option<(u64, u64)> = None;
        for batch in pages.chunks(BATCH) {
            self.protect(batch)?;
            for &page in batch {
                self.send_page(page, &mut zeroes)?;
            }
            self.side.end.flush();
            self.serve()?;
            while self.sent > self.arrived() + WINDOW {
                self.wait()?;
            }
        }
        self.send_zeroes(zeroes.take())?;
        let frame = Message::Mark.frame(self.side.node)?;
        // In the class of the pages, behind all of them.
        self.side.end.send(self.side.peer, Class::Bulk, frame)?;
        self.marks += 1;
        let start = Instant::now();
        while self.side.done.load(Ordering::Acquire) < self.marks {
            ensure!(start.elapsed() < PATIENCE, "the other node does not answer");
            self.wait()?;
        }
        (self.sent, self.credit) = (0, self.side.credit.load(Ordering::Acquire));
        Ok(())
    }

    /// Lets everything be stored to unnoticed again.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        for (page, logged) in (0..).map(PageIndex).zip(std::mem::take(&mut self.logged)) {
            if logged {
                self.backing.unprotect_and_wake(page)?;
            }
        }
        Ok(())
    }

    fn protect(&mut self, batch: &[usize]) -> anyhow::Result<()> {
        let free = batch.iter().filter(|page| !self.logged[**page]);
        let pages: Vec<_> = free.map(|&page| PageIndex(page as u64)).collect();
        self.backing.protect_all(&pages)?;
        for &page in batch {
            (self.dirty[page], self.logged[page]) = (false, true);
        }
        Ok(())
    }

    /// Sends a page, or adds it to a run of zeroes.
    fn send_page(&mut self, page: usize, zeroes: &mut Option<(u64, u64)>) -> anyhow::Result<()> {
        let number = page as u64;
        let bytes = self.backing.frame(PageIndex(number))?;
        if bytes.iter().all(|byte| *byte == 0) {
            match zeroes {
                Some((start, count)) if *start + *count == number => *count += 1,
                _ => {
                    let before = zeroes.replace((number, 1));
                    return self.send_zeroes(before);
                }
            }
            return Ok(());
        }
        let frame = Message::Page(number).frame(self.side.node)?;
        // The window is far below what a link holds back.
        self.side
            .end
            .post(self.side.peer, Class::Bulk, frame, bytes)?;
        self.sent += 1;
        Ok(())
    }

    fn send_zeroes(&self, zeroes: Option<(u64, u64)>) -> anyhow::Result<()> {
        if let Some((start, count)) = zeroes {
            let frame = Message::Zeroes { start, count }.frame(self.side.node)?;
            self.side
                .end
                .post(self.side.peer, Class::Bulk, frame, &[])?;
            self.side.end.flush();
        }
        Ok(())
    }

    fn arrived(&self) -> u64 {
        self.side.credit.load(Ordering::Acquire) - self.credit
    }

    /// Serves faults, or sleeps for a moment until there are some.
    fn wait(&mut self) -> anyhow::Result<()> {
        let ready = self.backing.ready();
        // If it is interrupted, whoever waits looks again.
        poll(&mut [PollFd::new(&ready, PollFlags::IN)], Some(&MOMENT)).ok();
        self.serve()
    }

    /// Lets stores happen that wait, and notes where.
    fn serve(&mut self) -> anyhow::Result<()> {
        self.backing.take_faults(&mut self.faults)?;
        for fault in self.faults.drain(..) {
            let page = usize::try_from(fault.page.0)?;
            if std::mem::replace(&mut self.logged[page], false) {
                self.backing.unprotect(fault.page)?;
            }
            self.dirty[page] = true;
            self.backing.wake(fault.page)?;
        }
        Ok(())
    }
}
