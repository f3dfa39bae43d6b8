//! How long a page stays with the threads that waited for it, while others want it.
//!
//! A page that is asked for all the time could leave before the thread that it came for has run:
//! waking it takes microseconds, a message of the next node's request may be here at once, and fault
//! and transfer would repeat without end. So what others say about the page waits until the page was
//! used, as far as this node can see it, and for a time at most. To them it is a slow link; the home
//! queues them, refuses no one and is asked by no one twice.
//!
//! | since the thread was woken | then |
//! |---|---|
//! | less than [`LEAST`] | the page stays |
//! | less than [`MOST`], and it shows what it showed then | it stays, and is looked at again in a while |
//! | less than [`ASLEEP`], it shows that, as it did when it came last, and no thread of this process has run | the same: the thread is woken, but others have its processor |
//! | else | it goes |
//!
//! A page shows what it showed if nobody wrote, or if somebody wrote it back, as who takes and leaves a
//! lock does. Where it cannot be seen - a copy for reading, a backing without a second mapping - the
//! page stays for [`UNSEEN`].
//!
//! A value without a clock and without memory of its own: time and bytes are arguments.

use giantvm_core::PageIndex;
use xxhash_rust::xxh3::xxh3_64;

use crate::protocol::Tick;

/// A thread that sleeps on the processor of its pump runs, and has made its access, this soon after the
/// pump sleeps.
const LEAST: u64 = 4_000;
/// How long a page stays where nobody can see whether it was used.
const UNSEEN: u64 = 8_000;
/// How long one stays that does not look used: some times what waking a thread takes when its
/// processor is busy. What is not done by then would be a bet at everyone's expense.
const MOST: u64 = 50_000;
/// How long one stays whose thread cannot have used it: some times what the system lets a thread run
/// before the next one's turn comes.
const ASLEEP: u64 = 10_000_000;
/// Processor time in which a thread that runs again has made its access, in nanoseconds.
const RUN: u64 = 2_000;
/// How long a page that was taken away counts as wanted: only these are looked at, as that costs some
/// hundred nanoseconds a transfer.
const WANTED: u64 = 1_000_000;
/// Places in the table: a power of two.
const PLACES: usize = 512;

/// What a page showed: pages that show the same may differ, if hardly ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Print(u64);

impl Print {
    /// Of the bytes of a page.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(xxh3_64(bytes))
    }
}

/// What is seen of a page and its threads at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// What the page showed.
    pub(super) print: Print,
    /// The processor time that all threads but the pump had used, in nanoseconds; `None` if nobody
    /// asked, which takes two system calls.
    pub(super) used: Option<u64>,
}

/// What is to be seen of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// What it shows.
    Shows,
    /// That, and whether its threads run.
    Runs,
}

/// What becomes of a message about a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is handled now.
    Go,
    /// It waits, and is asked about again then.
    Stay(Tick),
}

#[derive(Debug, Clone, Copy)]
struct Place {
    page: PageIndex,
    /// When a thread was woken for it, if the page has not left since.
    woken: Option<Tick>,
    /// What was seen then.
    seen: Option<Seen>,
    /// When it was taken away last.
    taken: Option<Tick>,
    /// Whether it looked unused after [`MOST`] when that was looked at last.
    unused: bool,
}

/// What a node remembers of pages that came and went. A page that shares its place with another one
/// may be forgotten, and then does not stay.
#[derive(Debug)]
pub(super) struct Holds(Vec<Place>);

impl Holds {
    pub(super) fn new() -> Self {
        let nothing = Place {
            page: PageIndex(u64::MAX),
            woken: None,
            seen: None,
            taken: None,
            unused: false,
        };
        Self(vec![nothing; PLACES])
    }

    /// One that lets every page go at once.
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// Whether `page` was taken away so lately that it is worth a print when it comes again.
    pub(super) fn is_wanted(&self, page: PageIndex, now: Tick) -> bool {
        let lately = |taken: Tick| now.0.saturating_sub(taken.0) < WANTED;
        let known = self.known(page);
        known.is_some_and(|place| place.taken.is_some_and(lately))
    }

    /// Whether it is worth knowing who runs when `page` comes again.
    pub(super) fn was_unused(&self, page: PageIndex) -> bool {
        self.known(page).is_some_and(|place| place.unused)
    }

    /// Notes that a thread was woken that had waited for `page`, and what was `seen` of that.
    pub(super) fn woke(&mut self, page: PageIndex, now: Tick, seen: Option<Seen>) {
        if let Some(place) = self.place(page) {
            (place.woken, place.seen) = (Some(now), seen);
        }
    }

    /// Notes that `page` was taken away.
    pub(super) fn took(&mut self, page: PageIndex, now: Tick) {
        if let Some(place) = self.place(page) {
            (place.woken, place.taken) = (None, Some(now));
        }
    }

    /// What becomes of a message about `page`, of which this is `seen` now.
    pub(super) fn judge(
        &mut self,
        page: PageIndex,
        now: Tick,
        seen: impl FnOnce(Question) -> Option<Seen>,
    ) -> Verdict {
        let place = self.0.get_mut(at(page)).filter(|place| place.page == page);
        let Some((place, woken)) = place.and_then(|place| place.woken.map(|woken| (place, woken)))
        else {
            return Verdict::Go;
        };
        let since = now.0.saturating_sub(woken.0);
        let until = |after: u64| Verdict::Stay(Tick(woken.0.saturating_add(after)));
        let Some(then) = place.seen else {
            return if since < UNSEEN {
                until(UNSEEN)
            } else {
                Verdict::Go
            };
        };
        if since < LEAST {
            return until(LEAST);
        }
        let question = match then.used {
            Some(_) if since >= MOST => Question::Runs,
            _ => Question::Shows,
        };
        let seen = seen(question).filter(|now| now.print == then.print);
        place.unused = seen.is_some();
        match seen.map(|now| now.used.zip(then.used)) {
            None => Verdict::Go,
            Some(_) if since < MOST => until((2 * since).min(MOST)),
            Some(Some((now, then))) if since < ASLEEP && now.saturating_sub(then) < RUN => {
                until((2 * since).min(ASLEEP))
            }
            Some(_) => Verdict::Go,
        }
    }

    fn known(&self, page: PageIndex) -> Option<&Place> {
        self.0.get(at(page)).filter(|place| place.page == page)
    }

    fn place(&mut self, page: PageIndex) -> Option<&mut Place> {
        let place = self.0.get_mut(at(page))?;
        if place.page != page {
            *place = Place {
                page,
                woken: None,
                seen: None,
                taken: None,
                unused: false,
            };
        }
        Some(place)
    }
}

fn at(page: PageIndex) -> usize {
    // The remainder is below the number of places.
    usize::try_from(page.0 % PLACES as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: PageIndex = PageIndex(5);
    const NEW: Option<Seen> = seen(1, RUN);
    const OLD: Option<Seen> = seen(2, 0);
    /// It shows what it showed, but a thread ran.
    const RAN: Option<Seen> = seen(2, RUN);

    const fn seen(print: u64, used: u64) -> Option<Seen> {
        let (print, used) = (Print(print), Some(used));
        Some(Seen { print, used })
    }

    fn judge(holds: &mut Holds, at: u64, seen: Option<Seen>) -> Verdict {
        holds.judge(PAGE, Tick(at), |_| seen)
    }

    #[test]
    fn a_page_that_no_thread_waited_for_goes_at_once() {
        let mut holds = Holds::new();
        assert_eq!(judge(&mut holds, 0, OLD), Verdict::Go);
        holds.woke(PageIndex(PAGE.0 + 1), Tick(0), OLD);
        assert_eq!(judge(&mut holds, 0, OLD), Verdict::Go);
    }

    #[test]
    fn who_holds_nothing_lets_every_page_go() {
        let mut holds = Holds::none();
        holds.woke(PAGE, Tick(0), OLD);
        assert_eq!(judge(&mut holds, 0, OLD), Verdict::Go);
        holds.took(PAGE, Tick(1));
        assert!(!holds.is_wanted(PAGE, Tick(2)));
    }

    #[test]
    fn a_page_stays_until_it_was_written_and_goes_then() {
        let mut holds = Holds::new();
        holds.woke(PAGE, Tick(100), OLD);
        assert_eq!(
            judge(&mut holds, 100, NEW),
            Verdict::Stay(Tick(100 + LEAST))
        );
        assert_eq!(judge(&mut holds, 100 + LEAST, NEW), Verdict::Go);
        let again = Verdict::Stay(Tick(100 + 2 * LEAST));
        assert_eq!(judge(&mut holds, 100 + LEAST, OLD), again);
        assert_eq!(judge(&mut holds, 100 + MOST, RAN), Verdict::Go);
    }

    #[test]
    fn a_page_whose_thread_has_no_processor_stays_for_longer() {
        let mut holds = Holds::new();
        holds.woke(PAGE, Tick(0), OLD);
        let again = Verdict::Stay(Tick(2 * MOST));
        assert_eq!(judge(&mut holds, MOST, OLD), again);
        assert_eq!(judge(&mut holds, 2 * MOST, RAN), Verdict::Go);
        assert_eq!(
            judge(&mut holds, ASLEEP - 1, OLD),
            Verdict::Stay(Tick(ASLEEP))
        );
        assert_eq!(judge(&mut holds, ASLEEP, OLD), Verdict::Go);
    }

    #[test]
    fn who_runs_is_asked_only_of_a_page_that_was_unused_when_it_came_last() {
        let (mut holds, mut asked) = (Holds::new(), Vec::new());
        let blind = OLD.map(|seen| Seen { used: None, ..seen });
        for before in [false, true] {
            assert_eq!(holds.was_unused(PAGE), before);
            holds.woke(PAGE, Tick(0), if before { OLD } else { blind });
            let verdict = holds.judge(PAGE, Tick(MOST), |question| {
                asked.push(question);
                OLD
            });
            assert_eq!(verdict == Verdict::Go, !before);
        }
        assert_eq!(asked, [Question::Shows, Question::Runs]);
        judge(&mut holds, MOST, NEW);
        assert!(!holds.was_unused(PAGE));
    }

    #[test]
    fn a_page_that_cannot_be_seen_stays_for_a_fixed_time() {
        let mut holds = Holds::new();
        holds.woke(PAGE, Tick(0), None);
        let fixed = Verdict::Stay(Tick(UNSEEN));
        assert_eq!(holds.judge(PAGE, Tick(1), |_| unreachable!()), fixed);
        assert_eq!(
            holds.judge(PAGE, Tick(UNSEEN), |_| unreachable!()),
            Verdict::Go
        );
    }

    #[test]
    fn a_page_that_was_taken_is_held_no_longer_and_wanted_for_a_while() {
        let mut holds = Holds::new();
        assert!(!holds.is_wanted(PAGE, Tick(0)));
        holds.woke(PAGE, Tick(0), OLD);
        holds.took(PAGE, Tick(10));
        assert_eq!(judge(&mut holds, 10, OLD), Verdict::Go);
        assert!(holds.is_wanted(PAGE, Tick(WANTED)));
        assert!(!holds.is_wanted(PAGE, Tick(WANTED + 10)));
        let other = PageIndex(PAGE.0 + PLACES as u64);
        assert!(!holds.is_wanted(other, Tick(20)), "it was another page");
    }

    #[test]
    fn a_print_tells_any_one_changed_word() {
        let mut page = [0_u8; 4096];
        let print = Print::of(&page);
        for at in (0..4096).step_by(8) {
            page[at] = 1;
            assert_ne!(Print::of(&page), print, "{at}");
            page[at] = 0;
        }
        assert_eq!(Print::of(&page), print);
    }

    proptest! {
        #[test]
        fn asked_again_when_told_a_page_goes_after_a_few_times_and_in_time(
            start in 0_u64..1 << 60,
            first in 0_u64..2 * ASLEEP,
            late in 0_u64..1000,
            sees in any::<bool>(),
        ) {
            let mut holds = Holds::new();
            holds.woke(PAGE, Tick(start), OLD.filter(|_| sees));
            let (mut now, mut asked) = (start + first, 0);
            while let Verdict::Stay(Tick(at)) = judge(&mut holds, now, OLD) {
                prop_assert!(at > now && at <= start + ASLEEP);
                now = at + late;
                asked += 1;
            }
            prop_assert!(asked <= 14, "asked {asked} times");
        }
    }
}
