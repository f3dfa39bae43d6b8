//! What a thread gets done, and what it could get done if it did not wait for others' pages.
//!
//! Stalls are not all that memory in common costs: threads meet, are woken across nodes, and wait for one that
//! stalls. So it is also counted what threads compute, of the time that they have a processor for, which
//! says what all of it together costs.

use super::decay::{Fading, Left};

/// Time in ns that has to be known of before anything is concluded.
const ENOUGH: u64 = 50_000_000;
/// Of the time for which a thread has a processor, in thousandths, what it has to stall for pages at least before
/// all the rest in which it does not compute is put down to them as well: else its host may be busy.
const LEAST_STALL: u64 = 100;
/// The most that stalls are taken to stand for, and the most that sums of a new thread are taken to miss.
const MOST: u64 = 16;

/// Sums over the last while, all of the same time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Doing {
    /// All of it.
    span: Fading,
    /// In which the thread had a processor.
    held: Fading,
    /// In which it computed.
    cpu: Fading,
    /// In which it stalled.
    stall: Fading,
}

impl Doing {
    pub(super) fn fade(&mut self, left: Left) {
        for sum in [
            &mut self.span,
            &mut self.held,
            &mut self.cpu,
            &mut self.stall,
        ] {
            sum.fade(left);
        }
    }

    pub(super) fn pass(&mut self, span: u64) {
        self.span.add(span);
    }

    pub(super) fn run(&mut self, held: u64, cpu: u64) {
        self.held.add(held);
        self.cpu.add(cpu.min(held));
    }

    pub(super) fn stall(&mut self, stall: u64) {
        self.stall.add(stall);
    }

    /// How many times its stalls the thread loses.
    pub(super) fn stands_for(&self) -> u64 {
        let (held, stall) = (self.held.sum(), self.stall.sum());
        if held < ENOUGH || !is_much(stall, held) {
            return 1;
        }
        let lost = held.saturating_sub(self.cpu.sum());
        (lost / stall.max(1)).clamp(1, MOST)
    }

    /// Whether threads that do this stall enough for all that they do not compute to be put down to that.
    pub(super) fn stall_much<'a>(all: impl Iterator<Item = &'a Self>) -> bool {
        let (stall, held) = all.fold((0_u64, 0_u64), |(stall, held), of| {
            (
                stall.saturating_add(of.stall.sum()),
                held.saturating_add(of.held.sum()),
            )
        });
        is_much(stall, held)
    }

    /// What it computes, in thousandths of a processor; `None` if too little is known.
    pub(super) fn computes(&self) -> Option<u64> {
        let known = self.held.sum() >= ENOUGH && self.cpu.sum() > 0;
        known.then(|| part(self.cpu.sum(), self.span.sum()))
    }

    /// How much there would be to a sum that there is one of now, in thousandths, if a thread had been known for long; `steady`
    /// is all the time of one that is.
    pub(super) fn missing(&self, steady: u64) -> u64 {
        (steady.saturating_mul(1000) / self.span.sum().max(1)).clamp(1000, 1000 * MOST)
    }

    /// What it would compute if it lost nothing, in thousandths of a processor: of its time it then has what it
    /// `rests` of now for every turn of computing.
    pub(super) fn could_compute(&self, rests: u64) -> u64 {
        let computes = part(self.cpu.sum(), self.span.sum());
        part(computes, computes.saturating_add(rests))
    }
}

fn is_much(stall: u64, held: u64) -> bool {
    stall.saturating_mul(1000) >= held.saturating_mul(LEAST_STALL)
}

/// Thousandths.
fn part(some: u64, all: u64) -> u64 {
    (some.saturating_mul(1000) / all.max(1)).min(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::das::decay::Decay;

    const MS: u64 = 1_000_000;

    /// Of a thread that has a processor for `held` of 1000 ms, computes in `cpu` and stalls in `stall` of them.
    fn doing(held: u64, cpu: u64, stall: u64) -> Doing {
        let mut doing = Doing::default();
        doing.pass(1000 * MS);
        doing.run(held * MS, cpu * MS);
        doing.stall(stall * MS);
        doing
    }

    #[test]
    fn what_is_lost_beside_stalls_is_put_down_to_them_where_there_are_many() {
        assert_eq!(doing(800, 100, 200).stands_for(), 3);
        assert_eq!(doing(800, 600, 200).stands_for(), 1, "nothing else is lost");
        assert_eq!(doing(800, 100, 70).stands_for(), 1, "its host is busy");
        assert_eq!(doing(800, 0, 0).stands_for(), 1);
        assert_eq!(doing(40, 0, 10).stands_for(), 1, "too little is known");
        assert_eq!(doing(800, 900, 200).stands_for(), 1, "more than it had");
    }

    #[test]
    fn what_a_thread_could_compute_is_all_but_what_it_rests() {
        let of = doing(800, 100, 200);
        assert_eq!(of.computes(), Some(100));
        assert_eq!(of.could_compute(0), 1000);
        assert_eq!(of.could_compute(100), 500);
        assert_eq!(doing(40, 10, 0).computes(), None, "too little is known");
        assert_eq!(doing(800, 0, 0).computes(), None, "nobody says");
    }

    #[test]
    fn sums_of_a_thread_that_is_new_are_a_part_of_what_they_will_be() {
        let steady = Decay::new(16).steady(100 * MS);
        let mut new = Doing::default();
        new.pass(steady / 4);
        assert_eq!(new.missing(steady), 4000);
        new.pass(steady);
        assert_eq!(new.missing(steady), 1000);
        assert_eq!(Doing::default().missing(steady), 16_000);
    }

    #[test]
    fn a_team_stalls_much_as_a_whole() {
        let (much, little) = (doing(500, 100, 200), doing(500, 400, 10));
        assert!(Doing::stall_much([&much, &little].into_iter()));
        assert!(!Doing::stall_much([&little, &little].into_iter()));
    }
}
