//! What is to be done about a node that has too many pages.

use giantvm_core::PageIndex;

use super::state::{Frame, Mark};
use super::{Budget, MOST_LEAVING, Trial};
use crate::mutants::mutant;

/// Most pages of each kind in one plan.
const BATCH: usize = 64;
/// Most pages that the hand passes in one plan.
const LOOKS: u64 = 1 << 16;

/// What to do next, in this order.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Pages whose frames to give back.
    pub(crate) release: Vec<PageIndex>,
    /// Pages whose mappings to suspend.
    pub(crate) suspend: Vec<PageIndex>,
    /// Pages to tell the protocol that they are not wanted; what came of it is to be
    /// [noted](Budget::wished).
    pub(crate) evict: Vec<PageIndex>,
}

impl Plan {
    fn is_empty(&self) -> bool {
        self.release.is_empty() && self.suspend.is_empty() && self.evict.is_empty()
    }
}

impl Budget {
    /// Whether there may be something to do.
    pub(crate) fn is_due(&self) -> bool {
        self.short && !self.gone.is_empty()
            || self.wants_spares()
            || self.wants_trials()
            || self.wants_leavers()
    }

    /// Makes a plan, which counts as carried out from then on. `false` if there is nothing to do
    /// now. Pages that are `pinned` stay as they are.
    pub(crate) fn plan(&mut self, pinned: impl Fn(PageIndex) -> bool, plan: &mut Plan) -> bool {
        plan.release.clear();
        plan.suspend.clear();
        plan.evict.clear();
        self.let_go(plan);
        self.sweep(&pinned, plan);
        let taken = self.choose(&pinned, plan);
        taken || !plan.is_empty()
    }

    fn above(&self) -> u64 {
        self.stats.resident.saturating_sub(self.limits.low)
    }

    /// Pages that have to leave by a wish: neither spare frames nor under way.
    fn missing(&self) -> u64 {
        let going = self.spare + self.leaving as u64;
        self.above().saturating_sub(going)
    }

    /// Whether the hand has been everywhere in vain lately.
    const fn rests(&self) -> bool {
        self.came < self.rests_until
    }

    fn wants_spares(&self) -> bool {
        self.short
            && !mutant!(KeepsSpareFrames)
            && self.spare > self.gone.len() as u64
            && !self.rests()
    }

    fn wants_trials(&self) -> bool {
        let len = self.queue.len();
        let room = len < self.limits.trial && (self.filling || len <= self.limits.trial / 2);
        self.above() > 0 && room && self.credit > 0 && !self.rests()
    }

    fn wants_leavers(&self) -> bool {
        let over = self.stats.resident > self.limits.budget;
        let ripe = |trial: &Trial| over || self.came - trial.since >= self.limits.patience;
        let some = self.leaving < MOST_LEAVING && self.queue.front().is_some_and(ripe);
        self.short && some && self.missing() > 0
    }

    /// Gives back the frames of pages that left.
    fn let_go(&mut self, plan: &mut Plan) {
        while self.short
            && plan.release.len() < BATCH
            && let Some(page) = self.gone.pop()
        {
            if self.states.frame(page) == Frame::Spare && !mutant!(KeepsSpareFrames) {
                self.put(page, Frame::None);
                plan.release.push(page);
            }
        }
    }

    /// Moves the hand, but not far at a time.
    fn sweep(&mut self, pinned: &impl Fn(PageIndex) -> bool, plan: &mut Plan) {
        let mut left = LOOKS;
        while left > 0 {
            let spares = self.wants_spares() && plan.release.len() < BATCH;
            let trials = self.wants_trials() && plan.suspend.len() < BATCH;
            if !spares && !trials {
                break;
            }
            self.filling |= trials;
            let (start, pages) = (self.hand, self.states.pages());
            let end = pages.min(start.saturating_add(left));
            let found = self.states.next(start, end).map(PageIndex);
            self.hand = found.map_or(end, |page| page.0 + 1);
            if let Some(run) = found.and_then(|page| self.homed(page))
                && !spares
            {
                // All of them stay.
                self.hand = run.end.0.min(end);
            }
            let went = self.hand - start;
            (self.barren, left) = (self.barren + went, left - went);
            if self.hand >= pages {
                self.hand = 0;
            }
            if let Some(page) = found {
                self.consider(page, pinned, plan);
            }
            if self.barren > pages {
                self.barren = 0;
                self.filling = false;
                self.rests_until = self.came + self.limits.trial as u64 / 4 + 1;
            }
        }
        self.filling &= self.queue.len() < self.limits.trial;
    }

    /// The hand points at a page.
    fn consider(&mut self, page: PageIndex, pinned: &impl Fn(PageIndex) -> bool, plan: &mut Plan) {
        let frame = self.states.frame(page);
        match frame {
            Frame::Spare if self.wants_spares() && plan.release.len() < BATCH => {
                self.put(page, Frame::None);
                plan.release.push(page);
                self.barren = 0;
            }
            Frame::None | Frame::Spare | Frame::Held => {}
            Frame::Retained | Frame::Shared | Frame::Owned => {
                let free = [Mark::Queued, Mark::Leaving]
                    .into_iter()
                    .all(|mark| !self.states.has(page, mark));
                let some = self.wants_trials() && plan.suspend.len() < BATCH;
                if !some || !free || self.homed(page).is_some() || pinned(page) {
                    return;
                }
                self.states.mark(page, Mark::Queued);
                self.states.mark(page, Mark::Trial);
                self.enqueue(page);
                self.credit -= 1;
                self.barren = 0;
                if frame != Frame::Retained {
                    self.stats.suspended += 1;
                    plan.suspend.push(page);
                }
            }
        }
    }

    fn enqueue(&mut self, page: PageIndex) {
        let since = self.came;
        self.queue.push_back(Trial { page, since });
    }

    /// Takes pages from the queue, as many as have to leave. Whether it took any.
    fn choose(&mut self, pinned: &impl Fn(PageIndex) -> bool, plan: &mut Plan) -> bool {
        let mut taken = false;
        // Once around: who comes back has to wait.
        for _ in 0..self.queue.len() {
            if !self.wants_leavers() || plan.evict.len() >= BATCH {
                break;
            }
            let Some(Trial { page, .. }) = self.queue.pop_front() else {
                break;
            };
            taken = true;
            // It may have been inherited since.
            let stays = pinned(page) || self.homed(page).is_some();
            let trial = self.states.has(page, Mark::Trial) && !stays;
            let owned = self.states.frame(page) == Frame::Owned;
            if trial && owned && !self.states.has(page, Mark::Again) {
                self.states.mark(page, Mark::Again);
                self.enqueue(page);
                continue;
            }
            self.states.unmark(page, Mark::Queued);
            self.end_trial(page);
            if trial {
                self.states.mark(page, Mark::Leaving);
                self.leaving += 1;
                plan.evict.push(page);
            }
        }
        taken
    }
}
