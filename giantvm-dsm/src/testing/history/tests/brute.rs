//! The checker against a search of all orders, on tiny histories.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::super::{Model, Scope};
use super::*;

/// A machine with a store buffer a thread that tries to do a history, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
struct State {
    done: Vec<usize>,
    buffers: Vec<VecDeque<(Location, u64)>>,
    memory: BTreeMap<Location, u64>,
}

impl State {
    /// The state after the thread's next operation, if it would see what the history says.
    fn act(mut self, history: &History, thread: usize, model: Model) -> Option<Self> {
        let operation = history.threads[thread].get(self.done[thread])?;
        let Operation { location, action } = *operation;
        self.done[thread] += 1;
        let buffer = &mut self.buffers[thread];
        let own = buffer.iter().rev().find(|write| write.0 == location);
        let seen = own
            .map(|write| write.1)
            .or(self.memory.get(&location).copied())
            .unwrap_or(0);
        match action {
            Action::Load(value) => return (seen == value).then_some(self),
            Action::Store(value) if model == Model::TotalStoreOrder => {
                buffer.push_back((location, value));
            }
            Action::Store(value) => drop(self.memory.insert(location, value)),
            Action::Swap { value, previous } => {
                self.memory.insert(location, value);
                return (buffer.is_empty() && seen == previous).then_some(self);
            }
        }
        Some(self)
    }

    fn drain(mut self, thread: usize) -> Option<Self> {
        let (location, value) = self.buffers[thread].pop_front()?;
        self.memory.insert(location, value);
        Some(self)
    }
}

/// Whether some run of the machine gives the history.
fn possible(history: &History, model: Model) -> bool {
    let threads = history.threads.len();
    let start = State {
        done: vec![0; threads],
        buffers: vec![VecDeque::new(); threads],
        memory: BTreeMap::new(),
    };
    let mut known = BTreeSet::from([start.clone()]);
    let mut open = vec![start];
    while let Some(state) = open.pop() {
        if state.done.iter().sum::<usize>() == history.operations() {
            return true;
        }
        for thread in 0..threads {
            let acted = state.clone().act(history, thread, model);
            let drained = state.clone().drain(thread);
            for next in acted.into_iter().chain(drained) {
                if known.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
    }
    false
}

/// A history of any values that were written, in any combination.
fn histories(kinds: std::ops::Range<u8>) -> impl Strategy<Value = History> {
    let operation = (0..2_u64, kinds, any::<prop::sample::Index>());
    let thread = prop::collection::vec(operation, 0..=4);
    prop::collection::vec(thread, 1..=3).prop_map(|threads| {
        let mut values = BTreeMap::from([(X, vec![0]), (Y, vec![0])]);
        let mut next = 0;
        for &(page, kind, _) in threads.iter().flatten() {
            next += 1;
            if kind > 0 {
                values.get_mut(&page).unwrap().push(next);
            }
        }
        let mut next = 0;
        let threads = threads.into_iter().map(|thread| {
            let act = |(page, kind, pick): (u64, u8, prop::sample::Index)| {
                next += 1;
                let seen = *pick.get(&values[&page]);
                match kind {
                    0 => load(page, seen),
                    1 => swap(page, seen, next),
                    _ => store(page, next),
                }
            };
            thread.into_iter().map(act).collect()
        });
        History::new(threads.collect())
    })
}

fn agree(history: &History, model: Model) -> Result<(), TestCaseError> {
    match history.check(Scope::All, model) {
        Ok(checked) if checked.open > 0 => {}
        Ok(_) => prop_assert!(possible(history, model), "wrongly accepted"),
        Err(violation) => prop_assert!(!possible(history, model), "wrongly rejected: {violation}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn loads_and_exchanges_are_decided_as_by_the_search_of_all_orders(history in histories(0..2)) {
        for model in [Model::Sequential, Model::TotalStoreOrder] {
            let open = history.check(Scope::All, model).map_or(0, |checked| checked.open);
            prop_assert_eq!(open, 0);
            agree(&history, model)?;
        }
    }

    #[test]
    fn plain_stores_are_decided_as_by_the_search_of_all_orders(history in histories(0..4)) {
        for model in [Model::Sequential, Model::TotalStoreOrder] {
            agree(&history, model)?;
        }
    }
}
