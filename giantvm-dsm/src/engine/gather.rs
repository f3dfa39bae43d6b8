//! Pages that one access needs together, and how long they stay together.
//!
//! An access can need several pages at once: a processor that walks a guest's page tables by nested
//! paging writes to one of each level, before it makes the access that it walks for. Where two nodes
//! need the same pages, each takes them from the other one by one, nobody ever has them all, and pages
//! go back and forth without end though every one of them is used. So:
//!
//! * A thread *gathers* from its first fault until it faults no more for a while. A thread that lost a
//!   page which it gathered, and faulted on it again, is *crowded*.
//! * What a crowded thread gathered stays while it waits for more of it, and for a turn once it has all.
//! * What it gathered before is asked for together when the first of it comes.
//! * But only for a time, by chance longer or shorter, after which the thread *gives way* for as long:
//!   of two that each have what the other wants, one has to.
//! * One that had its turn gives way first.
//!
//! All times are multiples of what a page takes to come. A value without a clock: time is an argument.

use giantvm_core::PageIndex;

use crate::protocol::{Access, Tick};

/// Most threads that are watched; one more takes the place of the one that faulted last the longest ago.
const THREADS: usize = 64;
/// Most pages of a gathering: some times what an access of x86-64 can need, with the guest's page
/// tables for its code and two operands.
const PAGES: usize = 32;
/// Pages that have to be lost and missed again for a thread to count as crowded.
const LOSSES: u32 = 2;
/// Gatherings after which a page that came unasked is no longer thought to be needed.
const UNSEEN: u8 = 16;
/// How long it counts as that, in waits.
const CROWDED: u64 = 4096;
/// The shortest and the longest wait that is believed.
const WAIT: (u64, u64) = (10_000, 10_000_000);
/// How long a gathering's pages stay at least and at most before it gives way, in waits.
const STAY: (u64, u64) = (8, 64);
/// How long one gives way first that had its turn, in waits.
const COURTESY: u64 = 12;
/// How long the pages stay once the thread has them all, in waits, besides one for each page: a thread
/// that is woken takes its time to run.
const TURN: u64 = 4;

/// What threads gather.
#[derive(Debug)]
pub(super) struct Gathering {
    threads: Vec<Thread>,
    /// What a page takes to come, of late.
    wait: u64,
    /// For chance.
    seed: u64,
}

/// A page of a gathering.
#[derive(Debug, Clone, Copy)]
struct Gathered {
    page: PageIndex,
    access: Access,
    /// Gatherings since the thread was seen to need it.
    unseen: u8,
}

#[derive(Debug)]
struct Thread {
    id: u32,
    /// What it waits for, since when.
    awaits: Option<(PageIndex, Tick)>,
    /// What it gathered, the first ones.
    pages: Vec<Gathered>,
    began: Tick,
    /// When it was woken last.
    woken: Tick,
    /// Pages that came since its pages stay.
    came: usize,
    /// Losses since it was crowded last.
    losses: u32,
    /// When it was found to be crowded last.
    crowded: Option<Tick>,
    /// Until when its pages stay, and until when it then gives way.
    until: Tick,
    again: Tick,
}

impl Gathering {
    /// Of a node by itself; nodes with other seeds choose otherwise.
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            threads: Vec::new(),
            wait: WAIT.0,
            seed: seed.wrapping_mul(2).wrapping_add(1),
        }
    }

    /// Notes that a thread waits for `page`. Number 0 is of no thread that can be told from others.
    pub(super) fn faulted(&mut self, id: u32, page: PageIndex, access: Access, now: Tick) {
        if id == 0 {
            return;
        }
        let (wait, stay) = (self.wait, self.draw());
        let thread = self.thread(id, now);
        if thread.awaits.is_none() && now.0 > thread.woken.0.saturating_add(thread.turn(wait)) {
            thread.begin(page, wait, now);
        }
        if thread.again <= now {
            thread.came = 0;
            thread.stay(now, stay);
        }
        let known = thread.pages.iter().position(|known| known.page == page);
        if let Some(at) = known {
            let known = &mut thread.pages[at];
            (known.unseen, known.access) = (0, known.access.max(access));
            if thread.awaits.is_none_or(|(awaited, _)| awaited != page) {
                thread.lost(now);
            }
        } else if thread.pages.len() < PAGES {
            thread.pages.push(Gathered {
                page,
                access,
                unseen: 0,
            });
        }
        thread.awaits = Some((page, now));
    }

    /// Notes that who waited for `page` goes on, and whether it `came` from another node. Tells
    /// `needs` what is thought to be needed next.
    pub(super) fn woke(
        &mut self,
        page: PageIndex,
        now: Tick,
        came: bool,
        mut needs: impl FnMut(PageIndex, Access),
    ) {
        let stay = self.draw();
        for thread in &mut self.threads {
            if let Some((_, since)) = thread.awaits.take_if(|(awaited, _)| *awaited == page) {
                thread.woken = now;
                if came && thread.is_crowded(self.wait, now) {
                    let others = thread.pages.iter().filter(|known| known.page != page);
                    others.for_each(|known| needs(known.page, known.access));
                }
                // Courtesy is over once it was made use of.
                let courteous = thread.until <= thread.began && thread.again > now;
                if courteous && now.0.saturating_sub(since.0) >= 2 * self.wait {
                    thread.stay(now, stay);
                }
                // Who gets on keeps what it has, as often as it can need another page.
                if now < thread.until && thread.came < PAGES {
                    thread.came += 1;
                    thread.stay(now, stay);
                }
                let took = now.0.saturating_sub(since.0).clamp(WAIT.0, WAIT.1);
                if came {
                    // A wait for what others keep is longer than one has to be.
                    self.wait = match took > 4 * self.wait {
                        true => self.wait + self.wait / 16,
                        false => (7 * self.wait + took) / 8,
                    };
                }
            }
        }
    }

    /// When to ask again about `page`, if it stays.
    pub(super) fn stays(&self, page: PageIndex, now: Tick) -> Option<Tick> {
        let gathers = |thread: &&Thread| thread.pages.iter().any(|known| known.page == page);
        self.next(self.threads.iter().filter(gathers), now)
    }

    /// When to ask again, if any page stays.
    pub(super) fn any_stays(&self, now: Tick) -> Option<Tick> {
        self.next(self.threads.iter(), now)
    }

    fn next<'a>(&self, threads: impl Iterator<Item = &'a Thread>, now: Tick) -> Option<Tick> {
        let keeps = |thread: &&Thread| {
            let crowded = thread.pages.len() > 1 && thread.is_crowded(self.wait, now);
            let wants = thread.awaits.is_some()
                || now.0 < thread.woken.0.saturating_add(thread.turn(self.wait));
            crowded && wants && now < thread.until
        };
        let mut threads = threads.filter(keeps);
        // What comes, and whether it was the last, is not known before.
        let soon = Tick(now.0.saturating_add(self.wait / 4));
        let until = threads.next()?.until;
        Some(until.min(soon))
    }

    /// How long pages stay this time.
    fn draw(&mut self) -> u64 {
        // Xorshift, whose zero is not reached from anything else.
        for shift in [13_i32, -7, 17] {
            self.seed ^= match shift {
                1.. => self.seed << shift,
                _ => self.seed >> -shift,
            };
        }
        self.wait * (STAY.0 + self.seed % (STAY.1 - STAY.0))
    }

    fn thread(&mut self, id: u32, now: Tick) -> &mut Thread {
        let known = self.threads.iter().position(|thread| thread.id == id);
        let place = known.unwrap_or_else(|| {
            let thread = Thread::new(id, now);
            let oldest = (0..self.threads.len()).min_by_key(|&at| self.threads[at].woken);
            match oldest {
                Some(oldest) if self.threads.len() >= THREADS => {
                    self.threads[oldest] = thread;
                    oldest
                }
                _ => {
                    self.threads.push(thread);
                    self.threads.len() - 1
                }
            }
        });
        &mut self.threads[place]
    }
}

impl Thread {
    const fn new(id: u32, now: Tick) -> Self {
        Self {
            id,
            awaits: None,
            pages: Vec::new(),
            began: now,
            woken: now,
            came: 0,
            losses: 0,
            crowded: None,
            until: now,
            again: now,
        }
    }

    /// Begins a gathering with `page`, of what the thread gathered before if that was among it.
    fn begin(&mut self, page: PageIndex, wait: u64, now: Tick) {
        let had_its_turn = self.is_crowded(wait, now) && self.pages.len() > 1;
        let courtesy = if had_its_turn { COURTESY * wait } else { 0 };
        self.began = now;
        self.until = now;
        self.again = Tick(now.0.saturating_add(courtesy));
        if !had_its_turn || self.pages.iter().all(|known| known.page != page) {
            self.pages.clear();
        }
        self.pages.iter_mut().for_each(|known| known.unseen += 1);
        self.pages.retain(|known| known.unseen < UNSEEN);
    }

    /// Notes that it lost a page that it had.
    const fn lost(&mut self, now: Tick) {
        self.losses += 1;
        if self.losses >= LOSSES {
            self.losses = 0;
            self.crowded = Some(now);
        }
    }

    fn is_crowded(&self, wait: u64, now: Tick) -> bool {
        let lately = |crowded: Tick| now.0.saturating_sub(crowded.0) < CROWDED * wait;
        self.crowded.is_some_and(lately)
    }

    /// Lets its pages stay for some time, and then give way for as long.
    const fn stay(&mut self, now: Tick, time: u64) {
        self.until = Tick(now.0.saturating_add(time));
        self.again = Tick(now.0.saturating_add(2 * time));
    }

    /// How long its pages stay once it has them all: those that came unasked are still to be found,
    /// one by one.
    const fn turn(&self, wait: u64) -> u64 {
        (TURN + self.pages.len() as u64) * wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a page takes to come, between the nodes of [`Race`].
    const COMES: u64 = 1_000_000;
    const STEP: u64 = 50_000;

    /// Nodes whose threads all need the same pages together to get on.
    struct Race {
        nodes: Vec<Gathering>,
        /// Which node has each page.
        owners: Vec<usize>,
        /// Who asked for which page, and when it comes if its owner has let it go.
        asked: Vec<(usize, usize, Option<u64>)>,
        /// What each node's thread waits for.
        waits: Vec<Option<usize>>,
        /// When it runs again after it was woken.
        resumes: Vec<u64>,
        seed: u64,
        /// How long each node's thread had all pages.
        ran: Vec<u64>,
    }

    impl Race {
        fn new(nodes: usize, pages: usize) -> Self {
            Self {
                nodes: (0..nodes as u64).map(Gathering::new).collect(),
                owners: (0..pages).map(|page| page % nodes).collect(),
                asked: Vec::new(),
                waits: vec![None; nodes],
                resumes: vec![0; nodes],
                seed: 7,
                ran: vec![0; nodes],
            }
        }

        /// Some time from a quarter to twice what a page takes.
        fn comes(&mut self) -> u64 {
            let seed = self.seed.wrapping_mul(6_364_136_223_846_793_005);
            self.seed = seed.wrapping_add(1);
            (COMES / 4) << (self.seed >> 62)
        }

        fn ask(&mut self, node: usize, page: usize) {
            let known = |&(by, of, _): &(usize, usize, _)| (by, of) == (node, page);
            if self.owners[page] != node && !self.asked.iter().any(known) {
                self.asked.push((node, page, None));
            }
        }

        fn step(&mut self, now: u64) {
            for node in 0..self.nodes.len() {
                if self.waits[node].is_some() || now < self.resumes[node] {
                    continue;
                }
                let Some(page) = self.owners.iter().position(|&owner| owner != node) else {
                    self.ran[node] += STEP;
                    continue;
                };
                let number = PageIndex(page as u64);
                self.nodes[node].faulted(1, number, Access::Write, Tick(now));
                self.waits[node] = Some(page);
                self.ask(node, page);
            }
            for at in 0..self.asked.len() {
                let (_, page, comes) = self.asked[at];
                let owner = self.owners[page];
                let stays = self.nodes[owner].stays(PageIndex(page as u64), Tick(now));
                let moves = self
                    .asked
                    .iter()
                    .any(|&(_, of, at)| of == page && at.is_some());
                if comes.is_none() && !moves && stays.is_none() {
                    self.asked[at].2 = Some(now + self.comes());
                }
            }
            let arrive = |&mut (_, _, at): &mut (_, _, Option<u64>)| at.is_some_and(|at| at <= now);
            for (node, page, _) in self.asked.extract_if(.., arrive).collect::<Vec<_>>() {
                self.owners[page] = node;
                if self.waits[node]
                    .take_if(|awaited| *awaited == page)
                    .is_some()
                {
                    self.resumes[node] = now + self.comes();
                    let mut needs = Vec::new();
                    let (number, need) = (PageIndex(page as u64), |page, _| needs.push(page));
                    self.nodes[node].woke(number, Tick(now), true, need);
                    let needs = needs.into_iter().map(|page: PageIndex| page.0.try_into());
                    needs.for_each(|page| self.ask(node, page.unwrap()));
                }
            }
        }
    }

    #[test]
    fn what_a_thread_never_lost_goes_at_once() {
        let mut all = Gathering::new(0);
        for page in [1, 2, 3].map(PageIndex) {
            all.faulted(1, page, Access::Write, Tick(page.0 * COMES));
            all.woke(
                page,
                Tick((page.0 + 1) * COMES),
                true,
                |_, _| unreachable!(),
            );
        }
        for page in [1, 2, 3].map(PageIndex) {
            assert_eq!(all.stays(page, Tick(4 * COMES)), None);
        }
    }

    #[test]
    fn a_page_alone_goes_at_once_however_often_it_was_lost() {
        let mut all = Gathering::new(0);
        for at in 0..50 {
            let [before, after] = [2 * at, 2 * at + 1].map(|at| Tick(at * COMES));
            all.faulted(1, PageIndex(1), Access::Write, before);
            all.woke(PageIndex(1), after, true, |_, _| unreachable!());
            assert_eq!(all.stays(PageIndex(1), after), None);
        }
    }

    #[test]
    fn a_thread_without_a_number_is_not_watched_and_tables_have_limits() {
        let mut all = Gathering::new(0);
        all.faulted(0, PageIndex(1), Access::Write, Tick(0));
        assert!(all.threads.is_empty());
        for thread in 1..200 {
            for page in 0..100 {
                all.faulted(thread, PageIndex(page), Access::Read, Tick(page));
            }
        }
        assert_eq!(all.threads.len(), THREADS);
        assert!(all.threads.iter().all(|thread| thread.pages.len() <= PAGES));
    }

    #[test]
    fn nodes_that_need_the_same_pages_take_turns() {
        for (nodes, pages) in [(2, 2), (2, 3), (2, 10), (2, 20), (3, 10), (4, 12)] {
            let mut race = Race::new(nodes, pages);
            let time = 10_000 * COMES;
            for now in (0..time / STEP).map(|step| step * STEP) {
                race.step(now);
            }
            let ran: Vec<_> = race.ran.iter().map(|ran| ran * 100 / time).collect();
            assert!(ran.iter().all(|&part| part > 0), "{nodes} {pages} {ran:?}");
        }
    }
}
