//! A budget with a node around it that does what it plans.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::protocol::reserve;

const PAGES: u64 = 1000;
const BUDGET: u64 = 100;
/// Pages that the node is home to: as many as fit.
const OWN: u64 = BUDGET - 16;

/// A node whose peers take a page back when they are told to.
struct Node {
    budget: Budget,
    mapped: BTreeMap<PageIndex, Rights>,
    suspended: BTreeSet<PageIndex>,
    /// Pages used since they were last suspended.
    used: BTreeSet<PageIndex>,
    pinned: BTreeSet<PageIndex>,
    /// Pages whose bytes may be leased again.
    retained: BTreeSet<PageIndex>,
    frames: BTreeSet<PageIndex>,
    wishes: VecDeque<PageIndex>,
    evicted: Vec<PageIndex>,
    /// Whether the protocol lets go of anything.
    lets_go: bool,
}

fn own() -> PageRange {
    PageRange::first(OWN)
}

impl Node {
    fn new() -> Self {
        Self::giving(BUDGET)
    }

    fn giving(budget: u64) -> Self {
        Self {
            budget: Budget::new(PAGES, vec![own()], budget),
            mapped: BTreeMap::new(),
            suspended: BTreeSet::new(),
            used: BTreeSet::new(),
            pinned: BTreeSet::new(),
            retained: BTreeSet::new(),
            frames: BTreeSet::new(),
            wishes: VecDeque::new(),
            evicted: Vec::new(),
            lets_go: true,
        }
    }

    fn note(&mut self, command: &Command<()>) {
        self.budget.note(command);
    }

    /// A thread uses a page, which comes if it is not here.
    fn access(&mut self, page: u64, rights: Rights) {
        let page = PageIndex(page);
        let now = self.mapped.get(&page).copied();
        if now.is_none_or(|now| now < rights) || self.suspended.remove(&page) {
            if now.is_none() {
                self.note(&Command::Store { page });
            }
            let rights = now.map_or(rights, |now| now.max(rights));
            self.note(&Command::Map { page, rights });
            self.mapped.insert(page, rights);
            self.frames.insert(page);
        }
        self.used.insert(page);
        self.make_room();
    }

    /// Another node takes a page.
    fn lose(&mut self, page: u64, frame: FrameFate) {
        let page = PageIndex(page);
        if self.mapped.remove(&page).is_some() {
            self.suspended.remove(&page);
            self.used.remove(&page);
            self.note(&Command::Unmap { page, frame });
            if frame == FrameFate::Retain {
                self.retained.insert(page);
            }
        }
        self.make_room();
    }

    fn make_room(&mut self) {
        let mut plan = Plan::default();
        let mut rounds = 0;
        while self
            .budget
            .plan(|page| self.pinned.contains(&page), &mut plan)
        {
            rounds += 1;
            assert!(rounds < 1000, "a plan after the other without end");
            for page in &plan.release {
                assert!(!self.mapped.contains_key(page), "{page} is in use");
                assert!(self.frames.remove(page));
            }
            for &page in &plan.suspend {
                assert!(self.mapped.contains_key(&page), "{page} is not mapped");
                assert!(!self.pinned.contains(&page) && !own().contains(page));
                self.suspended.insert(page);
                self.used.remove(&page);
            }
            for &page in &plan.evict {
                assert!(!self.pinned.contains(&page) && !own().contains(page));
                assert!(!self.used.contains(&page), "{page} was used on probation");
                let told = self.lets_go && self.mapped.contains_key(&page);
                if told {
                    self.wishes.push_back(page);
                } else if self.retained.remove(&page) {
                    let frame = FrameFate::Drop;
                    self.note(&Command::Unmap { page, frame });
                }
                self.budget.wished(page, told);
            }
        }
    }

    /// Peers answer `count` wishes.
    fn answer(&mut self, count: usize) {
        for _ in 0..count {
            let Some(page) = self.wishes.pop_front() else {
                return;
            };
            if self.mapped.contains_key(&page) && !self.pinned.contains(&page) {
                self.evicted.push(page);
                self.lose(page.0, FrameFate::Drop);
            }
        }
    }

    fn resident(&self) -> u64 {
        self.frames.len() as u64
    }
}

#[test]
fn a_working_set_inside_the_budget_is_left_alone() {
    let mut node = Node::new();
    let low = BUDGET - reserve(BUDGET) / 2;
    for round in 0..3 {
        for page in 0..low {
            node.access(page + 20, Rights::Write);
            node.lose(page + 20, FrameFate::Keep);
            node.access(page + 20, Rights::Read);
        }
        assert_eq!(node.budget.stats().resident, low, "round {round}");
    }
    let MemoryStats {
        suspended,
        evictions_clean,
        evictions_dirty,
        ..
    } = node.budget.stats();
    assert_eq!((suspended, evictions_clean, evictions_dirty), (0, 0, 0));
}

#[test]
fn pages_are_asked_for_ahead_only_as_long_as_they_have_room() {
    let mut node = Node::new();
    let high = BUDGET - reserve(BUDGET) / 4;
    let page = PageIndex(0);
    for other in 500..500 + high - 3 {
        node.access(other, Rights::Read);
    }
    assert!(node.budget.has_room(page, 2) && !node.budget.has_room(page, 3));
    node.lose(500, FrameFate::Drop);
    assert!(node.budget.has_room(page, 3), "a spare frame is room");
    assert!(node.budget.has_room(PageIndex(500), 1000), "it has a frame");
}

#[test]
fn spare_frames_go_before_any_copy() {
    let mut node = Node::new();
    for page in 500..500 + BUDGET - 5 {
        node.access(page, Rights::Read);
        if page % 2 == 0 {
            node.lose(page, FrameFate::Drop);
        }
    }
    for page in 700..730 {
        node.access(page, Rights::Read);
    }
    assert!(node.wishes.is_empty(), "{:?}", node.wishes);
    assert!(node.resident() <= BUDGET);
}

#[test]
fn clean_copies_leave_before_those_that_no_one_else_has() {
    let mut node = Node::giving(800);
    for page in 100..PAGES {
        let rights = [Rights::Write, Rights::Read][usize::from(page % 2 == 1)];
        node.access(page, rights);
    }
    node.answer(usize::MAX);
    assert!(node.evicted.len() >= 20);
    assert!(node.evicted[..10].iter().all(|page| page.0 % 2 == 1));
}

#[test]
fn pages_in_use_stay_while_others_pass() {
    let mut node = Node::new();
    let hot = 500..510;
    for page in 600..PAGES {
        for page in hot.clone() {
            node.access(page, Rights::Read);
        }
        node.access(page, Rights::Read);
        node.answer(usize::MAX);
    }
    let hot_left = node.evicted.iter().filter(|page| page.0 < 510).count();
    assert_eq!(hot_left, 0, "of {} evicted", node.evicted.len());
    assert!(node.budget.stats().second_chances > 0);
    assert!(node.resident() <= BUDGET);
}

#[test]
fn what_leases_retained_is_let_go_without_probation() {
    let mut node = Node::new();
    for page in 500..600 {
        node.access(page, Rights::Read);
        node.lose(page, FrameFate::Retain);
    }
    let stats = node.budget.stats();
    assert_eq!(stats.suspended, 0);
    assert!(stats.evictions_clean > 0 && node.resident() <= BUDGET);
}

#[test]
fn pages_that_cannot_leave_cost_a_few_suspensions_each() {
    let mut node = Node::new();
    node.lets_go = false;
    for page in 100..PAGES {
        node.access(page, Rights::Write);
    }
    let suspended = node.budget.stats().suspended;
    assert!(suspended <= 4 * PAGES, "{suspended} suspensions");
}

#[test]
fn a_wish_that_leases_answer_by_protecting_the_page_is_over() {
    let mut budget = Budget::new(PAGES, Vec::new(), 17);
    let mut plan = Plan::default();
    let mut asked = Vec::new();
    for page in (0..20).map(PageIndex) {
        let rights = Rights::Write;
        budget.note(&Command::<()>::MapZero { page, rights });
        while budget.plan(|_| false, &mut plan) {
            asked.append(&mut plan.evict);
        }
    }
    let page = asked[0];
    let leaving = budget.leaving;
    budget.note(&Command::<()>::Protect { page });
    assert_eq!(budget.leaving, leaving - 1);
}

#[derive(Debug, Clone)]
enum Step {
    Access(u64, Rights),
    Lose(u64, FrameFate),
    Answer(usize),
    Pin(u64),
    Unpin,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rights = || prop::sample::select(vec![Rights::Read, Rights::Write]);
    let fate = || prop::sample::select(vec![FrameFate::Keep, FrameFate::Drop]);
    let page = || prop_oneof![0..OWN, 90..120_u64, 0..PAGES];
    prop::collection::vec(
        prop_oneof![
            20 => (page(), rights()).prop_map(|(page, rights)| Step::Access(page, rights)),
            3 => (page(), fate()).prop_map(|(page, fate)| Step::Lose(page, fate)),
            5 => (0..8_usize).prop_map(Step::Answer),
            1 => page().prop_map(Step::Pin),
            1 => Just(Step::Unpin),
        ],
        0..1500,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    /// `Node` itself checks that no page leaves that is pinned, used or homed here, and that no
    /// frame goes that is needed.
    #[test]
    fn whatever_happens_the_books_are_right_and_the_node_fits_once_wishes_are_answered(
        steps in steps(),
    ) {
        let mut node = Node::new();
        for step in steps {
            match step {
                Step::Access(page, rights) => node.access(page, rights),
                Step::Lose(page, fate) => node.lose(page, fate),
                Step::Answer(count) => node.answer(count),
                Step::Pin(page) => {
                    let page = PageIndex(page);
                    if node.mapped.contains_key(&page) && node.pinned.len() < 3 {
                        node.budget.end_trial(page);
                        node.suspended.remove(&page);
                        node.used.insert(page);
                        node.pinned.insert(page);
                    }
                }
                Step::Unpin => {
                    node.pinned.pop_first();
                }
            }
            prop_assert_eq!(node.budget.stats().resident, node.resident());
            prop_assert!(node.budget.leaving <= MOST_LEAVING);
            prop_assert!(node.budget.queue.len() <= node.budget.limits.trial);
        }
        node.pinned.clear();
        for page in 900..900 + 3 * reserve(BUDGET) {
            node.answer(usize::MAX);
            node.access(page, Rights::Read);
        }
        node.answer(usize::MAX);
        prop_assert!(node.resident() <= BUDGET, "{} pages", node.resident());
    }
}

#[test]
fn who_inherits_pages_keeps_them_and_forgets_that_it_wanted_to_be_rid_of_some() {
    let mut node = Node::new();
    // Pages of a home that is full, too, and answers no wish.
    let end = OWN + 400;
    (OWN..end).for_each(|page| node.access(page, Rights::Write));
    assert_eq!(node.budget.leaving, MOST_LEAVING);
    let inherited = PageRange {
        start: PageIndex(OWN),
        end: PageIndex(end),
    };
    node.budget.come_home(vec![own(), inherited]);
    assert_eq!(node.budget.leaving, 0);
    node.wishes.clear();
    // No more of them are wished away, as the home is here; pages of others are.
    let others = end..end + 100;
    others
        .clone()
        .for_each(|page| node.access(page, Rights::Write));
    node.answer(100);
    others.for_each(|page| node.access(page, Rights::Read));
    assert!(!node.evicted.is_empty());
    assert!(
        node.evicted.iter().all(|page| page.0 >= end),
        "{:?}",
        node.evicted
    );
    // Who has an heir is home to nothing, and gives up all that it has no room for.
    node.budget.come_home(Vec::new());
    assert_eq!(node.budget.homed(PageIndex(0)), None);
}
