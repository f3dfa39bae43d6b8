//! The litmus tests of the literature, by their names there.

use super::super::{Model, Reason, Scope, Violation};
use super::*;

const BOTH: [Model; 2] = [Model::Sequential, Model::TotalStoreOrder];

/// How many links the cycle has that rejects the history across pages, if it is rejected.
fn cycle(history: &History, model: Model) -> Option<usize> {
    match history.check(Scope::All, model) {
        Ok(checked) => {
            assert_eq!(checked.open, 0);
            None
        }
        Err(Violation::Cycle(cycle)) => Some(cycle.links.len()),
        Err(other) => panic!("{other}"),
    }
}

fn assert_coherent(history: &History) {
    history
        .check(Scope::Page, Model::Sequential)
        .expect("each page alone is in order");
}

#[test]
fn store_buffering_is_refused_with_exchanges_and_allowed_with_plain_stores() {
    let swaps = history([&[swap(X, 0, 1), load(Y, 0)], &[swap(Y, 0, 2), load(X, 0)]]);
    let stores = history([&[store(X, 1), load(Y, 0)], &[store(Y, 2), load(X, 0)]]);
    assert_coherent(&swaps);
    assert_eq!(BOTH.map(|model| cycle(&swaps, model)), [Some(4), Some(4)]);
    assert_eq!(BOTH.map(|model| cycle(&stores, model)), [Some(4), None]);
}

#[test]
fn a_store_that_its_own_thread_sees_early_is_allowed_as_a_plain_store_only() {
    let history = history([
        &[store(X, 1), load(X, 1), load(Y, 0)],
        &[store(Y, 2), load(Y, 2), load(X, 0)],
    ]);
    assert_eq!(BOTH.map(|model| cycle(&history, model)), [Some(6), None]);
}

#[test]
fn an_exchange_is_a_fence_even_if_it_is_of_another_word() {
    const Z: u64 = 2;
    let history = history([
        &[store(X, 1), swap(Z, 0, 3), load(Y, 0)],
        &[store(Y, 2), swap(Z, 3, 4), load(X, 0)],
    ]);
    assert!(BOTH.iter().all(|model| cycle(&history, *model).is_some()));
}

#[test]
fn message_passing_of_old_data_is_refused() {
    let history = history([&[store(X, 1), store(Y, 2)], &[load(Y, 2), load(X, 0)]]);
    assert_coherent(&history);
    assert_eq!(BOTH.map(|model| cycle(&history, model)), [Some(4); 2]);
}

#[test]
fn readers_that_see_independent_writes_in_different_order_are_refused() {
    let history = history([
        &[store(X, 1)],
        &[store(Y, 2)],
        &[load(X, 1), load(Y, 0)],
        &[load(Y, 2), load(X, 0)],
    ]);
    assert_coherent(&history);
    assert_eq!(BOTH.map(|model| cycle(&history, model)), [Some(6); 2]);
}

#[test]
fn loads_that_see_later_stores_are_refused() {
    let history = history([&[load(X, 2), store(Y, 1)], &[load(Y, 1), store(X, 2)]]);
    assert_coherent(&history);
    assert_eq!(BOTH.map(|model| cycle(&history, model)), [Some(4); 2]);
}

#[test]
fn two_words_that_end_with_either_threads_first_store_are_refused() {
    let history = history([
        &[store(X, 1), store(Y, 2)],
        &[store(Y, 3), store(X, 4)],
        &[load(X, 4), load(X, 1)],
        &[load(Y, 2), load(Y, 3)],
    ]);
    assert_coherent(&history);
    assert!(BOTH.iter().all(|model| cycle(&history, *model).is_some()));
}

#[test]
fn a_read_that_goes_back_in_time_is_refused_on_its_own_word() {
    for (old, links) in [(0, 4), (1, 2)] {
        let history = history([&[store(X, 1), store(X, 2)], &[load(X, 2), load(X, old)]]);
        let error = history.check(Scope::Word, Model::Sequential).unwrap_err();
        let Violation::Cycle(cycle) = error else {
            panic!("{error}");
        };
        assert_eq!((cycle.scope, cycle.links.len()), (Scope::Word, links));
    }
}

#[test]
fn a_thread_that_misses_its_own_store_is_refused_by_both_models() {
    let history = history([&[store(X, 1), load(X, 0)]]);
    assert_eq!(BOTH.map(|model| cycle(&history, model)), [Some(2); 2]);
}

#[test]
fn a_read_of_a_store_that_its_own_thread_does_later_is_refused() {
    let history = history([&[load(X, 1), store(X, 1)]]);
    assert_eq!(BOTH.map(|model| cycle(&history, model)), [Some(2); 2]);
}

#[test]
fn two_readers_that_see_two_stores_in_different_order_are_refused() {
    let history = history([
        &[store(X, 1)],
        &[store(X, 2)],
        &[load(X, 1), load(X, 2)],
        &[load(X, 2), load(X, 1)],
    ]);
    let error = history.check(Scope::Word, Model::Sequential).unwrap_err();
    let Violation::Cycle(cycle) = error else {
        panic!("{error}");
    };
    assert!(cycle.links.len() <= 3, "{cycle}");
}

/// That 1 is older than 2 in X follows from one reader, that another's read of 1 is older from that.
#[test]
fn what_follows_from_another_threads_reads_is_refused() {
    let history = history([
        &[store(X, 1)],
        &[store(X, 2), load(Y, 0)],
        &[swap(Y, 0, 3), load(X, 1)],
        &[load(X, 1), load(X, 2)],
    ]);
    assert_coherent(&history);
    assert_eq!(cycle(&history, Model::Sequential), Some(4));
}

#[test]
fn two_words_that_order_the_stores_of_a_third_differently_are_refused() {
    const Z: u64 = 2;
    let history = history([
        &[store(X, 1), store(Y, 2)],
        &[store(X, 3), store(Z, 4)],
        &[load(Y, 2), load(X, 3)],
        &[load(Z, 4), load(X, 1)],
    ]);
    assert_eq!(
        history
            .check(Scope::Word, Model::Sequential)
            .map(|checked| checked.open),
        Ok(1)
    );
    assert!(BOTH.iter().all(|model| cycle(&history, *model).is_some()));
}

#[test]
fn words_of_one_page_are_checked_together() {
    let at = |word, action| {
        let mut operation = on(X, action);
        operation.location.word = word;
        operation
    };
    let history = history([
        &[at(0, Action::Store(1)), at(1, Action::Store(2))],
        &[at(1, Action::Load(2)), at(0, Action::Load(0))],
    ]);
    assert!(history.check(Scope::Word, Model::Sequential).is_ok());
    assert!(history.check(Scope::Page, Model::Sequential).is_err());
}

#[test]
fn exchanges_that_saw_the_same_value_are_a_lost_update() {
    let history = history([&[swap(X, 0, 1)], &[swap(X, 0, 2)]]);
    let error = history.check(Scope::Word, Model::Sequential).unwrap_err();
    let text = "a lost update: thread 0 #0 swap of page 0x0 word 0 = 0x0 := 0x1 and \
                thread 1 #0 swap of page 0x0 word 0 = 0x0 := 0x2 saw the same value";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_store_between_the_halves_of_an_exchange_is_refused() {
    // The exchange saw 1 and is the last write, yet 2 came after 1.
    let history = history([&[store(X, 1), store(X, 2), load(X, 3)], &[swap(X, 1, 3)]]);
    assert!(BOTH.iter().all(|model| cycle(&history, *model).is_some()));
}

#[test]
fn exchanges_that_saw_one_another_are_refused() {
    let history = history([&[swap(X, 2, 1)], &[swap(X, 1, 2)]]);
    assert_eq!(cycle(&history, Model::Sequential), Some(2));
}

#[test]
fn a_value_that_no_one_wrote_there_comes_from_nowhere() {
    let history = history([&[store(Y, 9)], &[load(X, 9)]]);
    let error = history.check(Scope::Word, Model::Sequential).unwrap_err();
    assert!(
        matches!(error, Violation::Phantom(step) if step.thread == 1),
        "{error}"
    );
}

#[test]
fn values_that_are_not_unique_are_the_recorders_fault() {
    for threads in [[store(X, 5), swap(X, 5, 5)], [store(X, 0), load(X, 0)]] {
        let error = history([&threads])
            .check(Scope::Word, Model::Sequential)
            .unwrap_err();
        assert!(matches!(error, Violation::NotUnique(_)), "{error}");
    }
}

#[test]
fn a_history_that_needs_too_much_memory_is_refused() {
    let threads = vec![vec![load(X, 0), load(Y, 0)]; 1 << 12];
    let checked = History::new(threads.clone()).check(Scope::All, Model::Sequential);
    let too_large = History::new([&threads[..], &threads[..1]].concat());
    assert_eq!(checked.map(|checked| checked.operations), Ok(1 << 13));
    let error = too_large.check(Scope::All, Model::Sequential).unwrap_err();
    assert!(matches!(error, Violation::TooLarge { .. }), "{error}");
}

#[test]
fn a_history_of_nothing_is_in_order() {
    for threads in [vec![], vec![vec![], vec![]]] {
        let checked = History::new(threads).check(Scope::All, Model::TotalStoreOrder);
        assert_eq!(
            checked.map(|checked| (checked.operations, checked.open)),
            Ok((0, 0))
        );
    }
}

#[test]
fn a_cycle_is_told_line_by_line() {
    let history = history([&[store(X, 1), store(Y, 2)], &[load(Y, 2), load(X, 0)]]);
    let error = history.check(Scope::All, Model::Sequential).unwrap_err();
    let lines = [
        "no order of all operations explains this (sequential consistency):",
        "  thread 0 #0 store to page 0x0 word 0 := 0x1 comes before thread 0 #1 store to page 0x1 \
         word 0 := 0x2: their thread did them in this order",
        "  thread 0 #1 store to page 0x1 word 0 := 0x2 comes before thread 1 #0 load of page 0x1 \
         word 0 = 0x2: it was seen",
        "  thread 1 #0 load of page 0x1 word 0 = 0x2 comes before thread 1 #1 load of page 0x0 \
         word 0 = 0x0: their thread did them in this order",
        "  thread 1 #1 load of page 0x0 word 0 = 0x0 comes before thread 0 #0 store to page 0x0 \
         word 0 := 0x1: it saw an older value",
    ];
    assert_eq!(error.to_string(), lines.join("\n"));
    let Violation::Cycle(cycle) = error else {
        panic!("{error}");
    };
    let reasons: Vec<_> = cycle.links.iter().map(|link| link.reason).collect();
    use Reason::{Overwrote, Program, Seen};
    assert_eq!(reasons, [Program, Seen, Program, Overwrote]);
}
