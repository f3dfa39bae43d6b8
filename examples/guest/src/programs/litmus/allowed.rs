//! x86-TSO as a machine so small that all its runs can be tried.
//!
//! Every thread has a buffer of its stores, first in, first out, which empties into memory at any
//! time; a thread reads its own newest buffered store, else memory. A locked store goes to memory at
//! once when its thread's buffer is empty, which it always is: the stores of a case are all locked
//! or none is.

use super::outcome::{Outcome, Outcomes};
use super::test::{Instruction, STORES, THREADS, Test, Variable};
use super::{Case, Stores};

/// Every outcome that x86-TSO allows for a case.
///
/// ```
/// use giantvm_guest::programs::litmus::{Case, allowed};
///
/// // Store buffering has three orders of its four instructions, and with plain stores the
/// // outcome of which no order is the reason.
/// let plain = Case::all().next().unwrap();
/// assert_eq!(plain.test().name, "SB");
/// assert_eq!(allowed(plain).iter().count(), 4);
/// assert_eq!(allowed(plain.in_order()).iter().count(), 3);
/// ```
#[must_use]
pub fn allowed(case: Case) -> Outcomes {
    let machine = Machine {
        test: case.test(),
        stores: case.stores,
    };
    let mut ends = Outcomes::EMPTY;
    machine.explore(State::default(), &mut ends);
    ends
}

struct Machine {
    test: Test,
    stores: Stores,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// The next instruction of each thread.
    next: [usize; THREADS],
    /// The stores of each thread that are not in memory yet, oldest first.
    buffers: [[Option<(Variable, u8)>; STORES]; THREADS],
    memory: [u8; 2],
    registers: Outcome,
}

impl Machine {
    fn explore(&self, state: State, ends: &mut Outcomes) {
        let mut ended = true;
        for thread in 0..self.test.threads.len() {
            let next = [self.execute(state, thread), drain(state, thread)];
            for next in next.into_iter().flatten() {
                ended = false;
                self.explore(next, ends);
            }
        }
        if ended {
            ends.insert(state.outcome());
        }
    }

    /// The state after a thread's next instruction, if there is one that can run.
    fn execute(&self, mut state: State, thread: usize) -> Option<State> {
        let instruction = self.test.threads[thread].get(state.next[thread])?;
        state.next[thread] += 1;
        let buffer = &mut state.buffers[thread];
        match (*instruction, self.stores) {
            (Instruction::Load(from, register), _) => {
                let own = buffer.iter().rev().flatten().find(|(to, _)| *to == from);
                let value = own.map_or(state.memory[from as usize], |(_, value)| *value);
                state.registers = state.registers.with_register(register, value.into());
            }
            (Instruction::Store(to, value), Stores::Plain) => {
                *buffer.iter_mut().find(|place| place.is_none())? = Some((to, value));
            }
            (Instruction::Store(to, value), Stores::Locked) => {
                state.memory[to as usize] = value;
            }
        }
        Some(state)
    }
}

/// The state after a thread's oldest store has gone to memory, if it has one.
fn drain(mut state: State, thread: usize) -> Option<State> {
    let buffer = &mut state.buffers[thread];
    let (to, value) = buffer[0].take()?;
    buffer.rotate_left(1);
    state.memory[to as usize] = value;
    Some(state)
}

impl State {
    fn outcome(&self) -> Outcome {
        let [x, y] = self.memory.map(u64::from);
        self.registers
            .with_variable(Variable::X, x)
            .with_variable(Variable::Y, y)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Pages;
    use super::*;

    fn case(name: &str, stores: Stores) -> Case {
        let named = |case: &Case| case.test().name == name && case.stores == stores;
        Case::all().find(named).unwrap()
    }

    /// The outcome that a test is about, with `[x, y]` at the end.
    fn outcome(registers: &[u64], memory: [u64; 2]) -> Outcome {
        let mut outcome = Outcome::default();
        for (register, value) in registers.iter().enumerate() {
            outcome = outcome.with_register(register, *value);
        }
        outcome
            .with_variable(Variable::X, memory[0])
            .with_variable(Variable::Y, memory[1])
    }

    /// The outcomes the tests are named for, and whether plain stores allow them.
    fn questions() -> [(&'static str, Outcome, bool); 11] {
        [
            ("SB", outcome(&[0, 0], [1, 1]), true),
            ("MP", outcome(&[1, 0], [1, 1]), false),
            ("LB", outcome(&[1, 1], [1, 1]), false),
            ("S", outcome(&[1], [2, 1]), false),
            ("R", outcome(&[0], [1, 2]), true),
            ("2+2W", outcome(&[], [2, 2]), false),
            ("WRC", outcome(&[1, 1, 0], [1, 1]), false),
            ("IRIW", outcome(&[1, 0, 1, 0], [1, 1]), false),
            ("CoRR", outcome(&[1, 0], [1, 0]), false),
            ("CoWW", outcome(&[2, 2], [1, 0]), false),
            ("CoWW", outcome(&[2, 1], [2, 0]), false),
        ]
    }

    #[test]
    fn plain_stores_may_only_pass_later_loads() {
        for (name, weak, may) in questions() {
            let found = allowed(case(name, Stores::Plain)).contains(weak);
            assert_eq!(found, may, "{name}");
        }
    }

    #[test]
    fn locked_stores_pass_nothing() {
        for (name, weak, _) in questions() {
            assert!(
                !allowed(case(name, Stores::Locked)).contains(weak),
                "{name}"
            );
        }
    }

    #[test]
    fn what_an_order_of_the_instructions_gives_is_allowed() {
        for stores in [Stores::Plain, Stores::Locked] {
            let may = |name, outcome| allowed(case(name, stores)).contains(outcome);
            for registers in [[0, 1], [1, 0], [1, 1]] {
                assert!(may("SB", outcome(&registers, [1, 1])));
            }
            for registers in [[0, 0], [0, 1], [1, 1]] {
                assert!(may("MP", outcome(&registers, [1, 1])));
                assert!(may("CoRR", outcome(&registers, [1, 0])));
            }
            for memory in [[1, 1], [1, 2], [2, 1]] {
                assert!(may("2+2W", outcome(&[], memory)));
            }
            assert!(may("IRIW", outcome(&[1, 1, 1, 0], [1, 1])));
        }
    }

    #[test]
    fn how_many_outcomes_each_test_has() {
        let count = |name, stores| allowed(case(name, stores)).iter().count();
        let counts = |name| [Stores::Plain, Stores::Locked].map(|stores| count(name, stores));
        assert_eq!(counts("SB"), [4, 3]);
        assert_eq!(counts("MP"), [3, 3]);
        assert_eq!(counts("LB"), [3, 3]);
        assert_eq!(counts("S"), [3, 3]);
        assert_eq!(counts("R"), [4, 3]);
        assert_eq!(counts("2+2W"), [3, 3]);
        assert_eq!(counts("WRC"), [7, 7]);
        assert_eq!(counts("IRIW"), [15, 15]);
        assert_eq!(counts("CoRR"), [3, 3]);
        assert_eq!(counts("CoWW"), [6, 6]);
    }

    #[test]
    fn a_thread_reads_its_own_buffered_store() {
        const READS_OWN: Test = Test {
            name: "own",
            threads: &[&[
                Instruction::Store(Variable::X, 1),
                Instruction::Store(Variable::X, 2),
                Instruction::Load(Variable::X, 0),
            ]],
        };
        let machine = Machine {
            test: READS_OWN,
            stores: Stores::Plain,
        };
        let mut ends = Outcomes::EMPTY;
        machine.explore(State::default(), &mut ends);
        assert!(ends.iter().eq([outcome(&[2], [2, 0])]));
    }

    #[test]
    fn where_the_variables_lie_allows_nothing_more() {
        for case in Case::all() {
            let pages = Pages::One;
            assert_eq!(allowed(case), allowed(Case { pages, ..case }));
        }
    }
}
