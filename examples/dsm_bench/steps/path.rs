//! The steps of remote stores, found among what two nodes noted.

use serde::{Deserialize, Serialize};

/// What a node did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    /// The pump began to read faults, of which there were some.
    Read,
    /// Faults were read.
    Fault,
    /// A message was about to be sent.
    Send,
    /// It was sent.
    Sent,
    /// A message was delivered.
    Came,
    /// So many pages were about to be taken away.
    Unmap(u32),
    /// They were.
    Unmapped,
    /// A page's bytes were about to be put into its frame.
    Store,
    /// They were.
    Stored,
    /// Pages were about to be mapped or to be written again, and their threads woken.
    Map,
    /// They were.
    Mapped,
}

/// What a node did when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Nanoseconds of the host's clock, which is the same for all of its processes.
    pub(crate) at: u64,
    pub(crate) what: What,
}

/// Which node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum At {
    /// That of the thread.
    A,
    /// That of the page.
    B,
}

/// A step, which begins where the one before it ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) at: At,
    until: Until,
}

/// How a step ends.
#[derive(Debug, Clone, Copy)]
enum Until {
    /// With this note.
    Note(What),
    /// With this note, or before it: the thread may run by then on another processor.
    May(What),
    /// With the store.
    End,
}

const fn step(name: &'static str, at: At, until: What) -> Step {
    let until = Until::Note(until);
    Step { name, at, until }
}

const fn late(name: &'static str, at: At, until: What) -> Step {
    let until = Until::May(until);
    Step { name, at, until }
}

/// What a store is made of to a page that b has, in order.
pub(crate) const FETCH: &[Step] = &[
    step("the thread faults, the pump wakes", At::A, What::Read),
    step("the fault is read", At::A, What::Fault),
    step("the protocol asks the page's home", At::A, What::Send),
    step("the request goes into the ring", At::A, What::Sent),
    step("b notices the request", At::B, What::Came),
    step("the protocol gives the page up", At::B, What::Unmap(1)),
    step("the page is taken from b's threads", At::B, What::Unmapped),
    step("the reply is made", At::B, What::Send),
    step("the page is copied into the ring", At::B, What::Sent),
    step("a notices the reply", At::A, What::Came),
    step("the protocol takes the page", At::A, What::Store),
    step("the page is copied into its frame", At::A, What::Stored),
    step("the mapping is made ready", At::A, What::Map),
    late("the page is mapped, the thread woken", At::A, What::Mapped),
    late("b is told that a has it", At::A, What::Sent),
    LAST,
];

/// What a store is made of to a page that both may read.
pub(crate) const UPGRADE: &[Step] = &[
    step("the thread faults, the pump wakes", At::A, What::Read),
    step("the fault is read", At::A, What::Fault),
    step("the protocol asks the page's home", At::A, What::Send),
    step("the request goes into the ring", At::A, What::Sent),
    step("b notices the request", At::B, What::Came),
    step("the protocol gives the page up", At::B, What::Unmap(1)),
    step("the page is taken from b's threads", At::B, What::Unmapped),
    step("the reply is made", At::B, What::Send),
    step("the reply goes into the ring", At::B, What::Sent),
    step("a notices the reply", At::A, What::Came),
    step("the protocol takes the page", At::A, What::Map),
    late(
        "the page may be written, the thread woken",
        At::A,
        What::Mapped,
    ),
    late("b is told that a has it", At::A, What::Sent),
    LAST,
];

const LAST: Step = Step {
    name: "the pump ends its turn, the thread runs",
    at: At::A,
    until: Until::End,
};

/// Nanoseconds of each of `steps` of a store from `start` to `end`; `None` if it went another way.
/// Notes of the nodes are in order.
pub(crate) fn follow(
    steps: &[Step],
    [start, end]: [u64; 2],
    [a, b]: [&[Note]; 2],
) -> Option<Vec<u64>> {
    let (mut now, mut took) = (start, Vec::with_capacity(steps.len()));
    for step in steps {
        let notes = match step.at {
            At::A => a,
            At::B => b,
        };
        let from = notes.partition_point(|note| note.at < now);
        let next = |what| {
            let mut rest = notes[from..].iter().take_while(|note| note.at <= end);
            rest.find(|note| note.what == what).map(|note| note.at)
        };
        let then = match step.until {
            Until::Note(what) => next(what)?,
            Until::May(what) => next(what).unwrap_or(now),
            Until::End => end,
        };
        took.push(then.checked_sub(now)?);
        now = then;
    }
    Some(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store from 100 to 300 whose every step takes ten, but for the last.
    fn notes(at: At) -> Vec<Note> {
        notes_of(FETCH, at)
    }

    fn notes_of(steps: &[Step], at: At) -> Vec<Note> {
        let ends = steps.iter().zip(1..);
        let own = ends.filter(|(step, _)| step.at == at);
        own.filter_map(|(step, number)| {
            Some(Note {
                at: 100 + number * 10,
                what: match step.until {
                    Until::Note(what) | Until::May(what) => what,
                    Until::End => return None,
                },
            })
        })
        .collect()
    }

    fn fetch(start: u64, end: u64, a: &[Note], b: &[Note]) -> Option<Vec<u64>> {
        follow(FETCH, [start, end], [a, b])
    }

    #[test]
    fn steps_follow_one_another_and_add_up_to_the_whole() {
        let steps = fetch(100, 300, &notes(At::A), &notes(At::B)).unwrap();
        for (step, took) in FETCH.iter().zip(&steps).take(15) {
            assert_eq!(*took, 10, "{}", step.name);
        }
        assert_eq!(steps.iter().sum::<u64>(), 200);
    }

    #[test]
    fn an_upgrade_is_followed_by_steps_of_its_own() {
        let [a, b] = [At::A, At::B].map(|at| notes_of(UPGRADE, at));
        let steps = follow(UPGRADE, [100, 300], [&a, &b]).unwrap();
        assert_eq!(steps.len(), UPGRADE.len());
        assert_eq!(steps.iter().sum::<u64>(), 200);
    }

    #[test]
    fn notes_of_other_stores_are_left_alone() {
        let (mut a, mut b) = (notes(At::A), notes(At::B));
        for notes in [&mut a, &mut b] {
            let later = notes.iter().map(|note| Note {
                at: note.at + 1000,
                ..*note
            });
            let later: Vec<_> = later.collect();
            notes.extend(later);
        }
        let first = fetch(100, 300, &a, &b);
        assert!(first.is_some());
        assert_eq!(fetch(1100, 1300, &a, &b), first);
    }

    #[test]
    fn a_store_that_went_another_way_is_not_followed() {
        let mut b = notes(At::B);
        b.retain(|note| note.what != What::Unmapped);
        assert_eq!(fetch(100, 300, &notes(At::A), &b), None);
        assert_eq!(fetch(100, 200, &notes(At::A), &notes(At::B)), None);
    }

    #[test]
    fn the_thread_may_run_before_the_pump_has_noted_that_it_woke_it() {
        let steps = fetch(100, 235, &notes(At::A), &notes(At::B)).unwrap();
        assert_eq!(steps[12..], [10, 0, 0, 5]);
    }
}
