//! Which pages come home to a node, and so stay there: others than at first once nodes have left.

use giantvm_core::{PageIndex, PageRange};

use super::Budget;
use super::state::Mark;
use crate::mutants::mutant;
use crate::protocol::CoherenceProtocol;

impl Budget {
    /// Takes note of which pages come home to this node, if nodes have handed theirs over since. Costs
    /// next to nothing otherwise.
    pub(crate) fn follow(&mut self, protocol: &impl CoherenceProtocol) {
        let handovers = protocol.handovers();
        if handovers != self.handovers && !mutant!(ForgetsWhatItInherited) {
            self.handovers = handovers;
            self.come_home(protocol.comes_home());
        }
    }

    /// From now on the pages `own`, ascending, stay here, and no others have to.
    pub(super) fn come_home(&mut self, own: Vec<PageRange>) {
        self.own = own;
        // The home that was asked to take a page may be gone before it does, and the wish with it. Of a
        // page that stays no answer is waited for.
        for run in self.own.clone() {
            let mut next = run.start.0;
            while let Some(page) = self.states.next(next, run.end.0) {
                next = page + 1;
                if self.states.has(PageIndex(page), Mark::Leaving) {
                    self.stays(PageIndex(page));
                }
            }
        }
        // There may be pages to be found where the hand was in vain.
        self.rests_until = self.came;
    }

    /// The run of pages homed here that `page` is in.
    pub(super) fn homed(&self, page: PageIndex) -> Option<PageRange> {
        let at = self.own.partition_point(|run| run.end <= page);
        let run = self.own.get(at).copied();
        run.filter(|run| run.contains(page))
    }
}
