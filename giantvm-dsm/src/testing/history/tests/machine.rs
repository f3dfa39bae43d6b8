//! Histories of machines that are right by construction.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::super::{Model, Scope, Violation};
use super::*;

/// Which operation a thread does next, its value to be filled in.
#[derive(Debug, Clone, Copy)]
enum Plan {
    Load,
    Store,
    Swap,
}

type Plans = Vec<Vec<(Location, Plan)>>;

fn location() -> impl Strategy<Value = Location> {
    (0..3_u64, 0..2_u32).prop_map(|(page, word)| Location {
        page: PageIndex(page),
        word,
    })
}

fn plans() -> impl Strategy<Value = Plans> {
    let plan = prop_oneof![Just(Plan::Load), Just(Plan::Store), Just(Plan::Swap)];
    let thread = prop::collection::vec((location(), plan), 0..40);
    prop::collection::vec(thread, 1..5)
}

/// Memory with a store buffer a thread, or without: an x86 machine.
#[derive(Default)]
struct Machine {
    memory: BTreeMap<Location, u64>,
    buffers: Vec<VecDeque<(Location, u64)>>,
    values: u64,
}

impl Machine {
    fn drain(&mut self, thread: usize) {
        if let Some((location, value)) = self.buffers[thread].pop_front() {
            self.memory.insert(location, value);
        }
    }

    fn read(&self, thread: usize, location: Location) -> u64 {
        let own = self.buffers[thread]
            .iter()
            .rev()
            .find(|write| write.0 == location);
        own.map(|write| write.1)
            .or(self.memory.get(&location).copied())
            .unwrap_or(0)
    }

    fn act(&mut self, thread: usize, location: Location, plan: Plan, buffered: bool) -> Operation {
        self.values += 1;
        let value = self.values;
        let action = match plan {
            Plan::Load => Action::Load(self.read(thread, location)),
            Plan::Store => {
                self.buffers[thread].push_back((location, value));
                if !buffered {
                    self.drain(thread);
                }
                Action::Store(value)
            }
            Plan::Swap => {
                while !self.buffers[thread].is_empty() {
                    self.drain(thread);
                }
                let previous = self.memory.insert(location, value).unwrap_or(0);
                Action::Swap { value, previous }
            }
        };
        Operation { location, action }
    }
}

/// Runs the plans; each number of the schedule picks a thread and what it does.
fn run(plans: &Plans, schedule: &[u16], buffered: bool) -> History {
    let mut machine = Machine {
        buffers: vec![VecDeque::new(); plans.len()],
        ..Machine::default()
    };
    let mut done = vec![Vec::new(); plans.len()];
    let count = u16::try_from(plans.len()).unwrap();
    let rest = (0..count).flat_map(|thread| std::iter::repeat_n(thread, 40));
    for pick in schedule.iter().copied().chain(rest) {
        let thread = usize::from(pick % count);
        if buffered && pick / count % 2 == 1 {
            machine.drain(thread);
        } else if let Some(&(location, plan)) = plans[thread].get(done[thread].len()) {
            let operation = machine.act(thread, location, plan, buffered);
            done[thread].push(operation);
        }
    }
    History::new(done)
}

fn schedule() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(any::<u16>(), 300)
}

proptest! {
    #[test]
    fn what_a_sequential_machine_does_is_accepted(plans in plans(), schedule in schedule()) {
        let history = run(&plans, &schedule, false);
        for scope in [Scope::Word, Scope::Page, Scope::All] {
            for model in [Model::Sequential, Model::TotalStoreOrder] {
                prop_assert!(history.check(scope, model).is_ok());
            }
        }
    }

    #[test]
    fn what_a_machine_with_store_buffers_does_is_accepted_as_such(
        plans in plans(), schedule in schedule(),
    ) {
        let history = run(&plans, &schedule, true);
        let checked = history.check(Scope::All, Model::TotalStoreOrder);
        prop_assert!(checked.is_ok(), "{}", checked.unwrap_err());
        prop_assert!(history.check(Scope::Word, Model::Sequential).is_ok());
    }

    /// The thread saw the newer value already, or did itself what overwrote the older one.
    #[test]
    fn a_read_made_to_see_an_older_value_than_its_thread_knew_is_rejected(
        plans in plans(), schedule in schedule(), pick in any::<prop::sample::Index>(),
    ) {
        let mut history = run(&plans, &schedule, false);
        let mut stale = Vec::new();
        for (thread, operations) in history.threads.iter().enumerate() {
            let mut known = BTreeMap::new();
            for (index, operation) in operations.iter().enumerate() {
                let Operation { location, action } = *operation;
                let newest = known.entry(location).or_insert(0);
                if let Action::Load(seen) = action && seen != 0 && *newest == seen {
                    stale.push((thread, index));
                }
                *newest = action.written().or(action.seen()).unwrap();
            }
        }
        prop_assume!(!stale.is_empty());
        let (thread, index) = *pick.get(&stale);
        history.threads[thread][index].action = Action::Load(0);
        for model in [Model::Sequential, Model::TotalStoreOrder] {
            let error = history.check(Scope::All, model).unwrap_err();
            prop_assert!(matches!(error, Violation::Cycle(_)), "{error}");
        }
    }
}

/// Many operations under heavy contention stay within the limits of rounds and memory.
#[test]
fn a_long_history_of_few_words_is_decided() {
    use rand::rngs::SmallRng;
    use rand::{Rng as _, SeedableRng as _};
    let mut random = SmallRng::seed_from_u64(1);
    let mut machine = Machine {
        buffers: vec![VecDeque::new(); 6],
        ..Machine::default()
    };
    let mut threads = vec![Vec::new(); 6];
    for _ in 0..100_000 {
        let thread = random.random_range(0..6);
        let page = PageIndex(random.random_range(0..4));
        let location = Location {
            page,
            word: random.random_range(0..8),
        };
        let plan = match random.random_range(0..4) {
            0 => Plan::Store,
            1 => Plan::Swap,
            _ => Plan::Load,
        };
        if random.random_bool(0.5) {
            machine.drain(thread);
        }
        threads[thread].push(machine.act(thread, location, plan, true));
    }
    let checked = History::new(threads).check(Scope::All, Model::TotalStoreOrder);
    assert_eq!(checked.map(|checked| checked.operations), Ok(100_000));
}
