//! Pages that stay for a moment with the threads that they came for.

use std::collections::VecDeque;
use std::time::Duration;

use giantvm_core::{NodeId, PageIndex};

use super::Driver;
use crate::backing::{Backing, BackingError, Fault};
use crate::engine::gather::Gathering;
use crate::engine::hold::{Holds, Print, Question, Seen, Verdict};
use crate::engine::refused::Refused;
use crate::engine::runtime::Runtime;
use crate::protocol::{Access, CoherenceProtocol, Input, Rights, Tick};

/// How long a time-out waits at most for threads that were woken, in nanoseconds.
const LONGEST: u64 = 1_000_000;

/// Most pages that are asked for at a time because threads may need them.
const MOST_NEEDS: usize = 256;

/// Most contended pages that are remembered since threads were woken for them.
const MOST_FRESH: usize = 8;

/// What a driver knows of pages that others want.
#[derive(Debug)]
pub(super) struct Kept {
    holds: Holds,
    gathering: Gathering,
    gathers: bool,
    /// Pages that threads are thought to need together with one that just came.
    needs: Vec<(PageIndex, Access)>,
    /// Pages that are pinned for threads which were just woken, and when that is looked at again: at
    /// most as many as there are pins.
    held: Vec<(Tick, PageIndex)>,
    /// Contended pages for which threads were woken, the last few.
    fresh: VecDeque<PageIndex>,
    /// Room for one page.
    bytes: Vec<u8>,
}

impl Kept {
    /// `seed` tells the nodes apart.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            holds: Holds::new(),
            gathering: Gathering::new(seed),
            ..Self::none()
        }
    }

    /// One that keeps no page.
    pub(super) const fn none() -> Self {
        Self {
            holds: Holds::none(),
            gathering: Gathering::new(0),
            gathers: false,
            needs: Vec::new(),
            held: Vec::new(),
            fresh: VecDeque::new(),
            bytes: Vec::new(),
        }
    }

    /// Notes that a thread asks for more of a page than it got: it waits for others now, as they do for
    /// it.
    pub(super) fn faulted(&mut self, fault: Fault, now: Tick) {
        let page = fault.page;
        if self.gathers {
            self.gathering
                .faulted(fault.thread, page, fault.access, now);
        }
        if let Some((at, _)) = self.held.iter_mut().find(|(_, held)| *held == page) {
            *at = Tick::default();
        }
    }

    /// Notes that `page` is taken away.
    pub(super) fn took(&mut self, page: PageIndex, now: Tick) {
        self.holds.took(page, now);
    }

    /// Notes that threads are about to be woken that wait for `page`, which `brought` this, or whose
    /// bytes were there.
    pub(super) fn woke(
        &mut self,
        page: PageIndex,
        now: Tick,
        brought: Option<&[u8]>,
        backing: &mut dyn Backing,
    ) {
        let needs = &mut self.needs;
        if self.gathers {
            self.gathering
                .woke(page, now, brought.is_some(), |page, access| {
                    if needs.len() < MOST_NEEDS {
                        needs.push((page, access));
                    }
                });
        }
        let mut seen = None;
        if self.holds.is_wanted(page, now) {
            let question = if self.holds.was_unused(page) {
                Question::Runs
            } else {
                Question::Shows
            };
            let print = brought.filter(|bytes| !bytes.is_empty()).map(Print::of);
            let print = print.or_else(|| glimpse(page, backing, &mut self.bytes));
            seen = print.map(|print| answer(question, print));
        }
        self.holds.woke(page, now, seen);
        if seen.is_some() && !self.fresh.contains(&page) {
            self.fresh.truncate(MOST_FRESH - 1);
            self.fresh.push_front(page);
        }
    }

    /// Looks at a page that was pinned for its threads again at some time.
    pub(super) fn keep(&mut self, at: Tick, page: PageIndex) {
        self.held.push((at, page));
    }

    /// Whether pages are pinned for their threads.
    pub(super) const fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// How long until one of them is looked at.
    pub(super) fn next(&self, now: Tick) -> Option<Duration> {
        let next = self.held.iter().map(|(at, _)| at.0.saturating_sub(now.0));
        next.min().map(Duration::from_nanos)
    }

    fn judge(&mut self, page: PageIndex, now: Tick, backing: &mut dyn Backing) -> Verdict {
        if let Some(at) = self.gathering.stays(page, now) {
            return Verdict::Stay(at);
        }
        let bytes = &mut self.bytes;
        let seen = |question| {
            let print = glimpse(page, backing, bytes)?;
            Some(answer(question, print))
        };
        self.holds.judge(page, now, seen)
    }
}

impl<P: CoherenceProtocol> Driver<P> {
    /// Keeps pages together that one access needs together, or not, as at first; only if it is
    /// [holding](Self::holding), which has to be said before.
    #[must_use]
    pub const fn gathering(mut self, gathers: bool) -> Self {
        self.kept.gathers = gathers;
        self
    }

    /// Lets pages go that have stayed long enough with the threads they came for, and asks for those
    /// that threads are about to need. Returns what [`unpin`](Self::unpin) does.
    ///
    /// # Errors
    /// [`BackingError`]: the node has to stop.
    pub fn release(&mut self) -> Result<Vec<(NodeId, Refused)>, BackingError> {
        for (page, access) in std::mem::take(&mut self.kept.needs) {
            let has = self.protocol.rights(page);
            if has.is_none_or(|rights| access == Access::Write && rights != Rights::Write) {
                self.feed(Input::Fault { page, access })?;
            }
        }
        let mut refusals = Vec::new();
        if !self.kept.is_holding() {
            return Ok(refusals);
        }
        let now = self.now();
        for (at, page) in std::mem::take(&mut self.kept.held) {
            let verdict = if at > now {
                Verdict::Stay(at)
            } else {
                self.judge(page, now)
            };
            match verdict {
                Verdict::Stay(at) => self.kept.keep(at, page),
                Verdict::Go => refusals.extend(self.unpin(page)?),
            }
        }
        Ok(refusals)
    }

    /// Until when a time-out that was `due` has to wait for threads that were woken, as it may take
    /// from them what they came for: what a home says to itself is no message that could wait.
    pub(super) fn stays(&mut self, due: Tick, now: Tick) -> Option<Tick> {
        // These are bounded by themselves.
        if let Some(at) = self.kept.gathering.any_stays(now) {
            return Some(at);
        }
        if now.0.saturating_sub(due.0) >= LONGEST {
            return None;
        }
        let mut next = None;
        let mut fresh = std::mem::take(&mut self.kept.fresh);
        fresh.retain(|&page| match self.judge(page, now) {
            Verdict::Go => false,
            Verdict::Stay(at) => {
                next = Some(next.map_or(at, |next: Tick| next.min(at)));
                true
            }
        });
        self.kept.fresh = fresh;
        next
    }

    /// Whether `page` stays with others that a thread here needs together with it.
    pub(super) fn is_gathered(&self, page: PageIndex, now: Tick) -> bool {
        self.kept.gathering.stays(page, now).is_some()
    }

    /// Whether what a peer says about `page` has to wait for the threads that it came for.
    pub(super) fn judge(&mut self, page: PageIndex, now: Tick) -> Verdict {
        // A thread that waits for more rights waits for what is said, too.
        if self.outlet.is_awaited(page) || self.protocol.rights(page).is_none() {
            return Verdict::Go;
        }
        self.kept.judge(page, now, &mut *self.backing)
    }
}

/// What a page shows at the moment, as far as `backing` can see it.
fn glimpse(page: PageIndex, backing: &mut dyn Backing, bytes: &mut Vec<u8>) -> Option<Print> {
    bytes.resize(backing.page_size().bytes(), 0);
    let there = backing.glimpse(page, bytes);
    there.then(|| Print::of(bytes))
}

/// What is seen now of a page that shows `print`.
fn answer(question: Question, print: Print) -> Seen {
    let used = match question {
        Question::Shows => None,
        Question::Runs => u64::try_from(Runtime::used().as_nanos()).ok(),
    };
    Seen { print, used }
}
