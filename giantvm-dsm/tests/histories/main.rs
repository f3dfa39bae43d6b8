//! Histories recorded on real memory under load, checked for coherence and consistency.

mod broken;
mod record;
#[path = "../support/mod.rs"]
mod support;

use std::thread;

use giantvm_dsm::protocol::{CoherenceProtocol, Directory};
use giantvm_dsm::testing::history::{History, Model, Scope};

use record::{Mix, Words, record};

const NODES: u8 = 3;
const THREADS: u32 = 2;
/// Operations of each thread.
const OPERATIONS: u32 = 20_000;

/// Loads, which keep their order, and exchanges, which are fences: sequential on any x86.
const LOCKED: Mix = Mix {
    swaps: 30,
    stores: 0,
};
/// Plain loads and stores, which a processor delays, and some fences.
const PLAIN: Mix = Mix {
    swaps: 5,
    stores: 25,
};

/// What the threads of all nodes did; `None` without userfaultfd.
fn recorded<P: CoherenceProtocol>(test: &str, mix: Mix) -> Option<History> {
    let done = support::on_nodes::<P, Words, _>(test, NODES, |node, shared| {
        thread::scope(|scope| {
            let one = |thread| {
                let thread = u32::from(node) * THREADS + thread;
                scope.spawn(move || record(&shared.body, thread, OPERATIONS, mix))
            };
            let threads: Vec<_> = (0..THREADS).map(one).collect();
            threads
                .into_iter()
                .map(|t| t.join().unwrap())
                .collect::<Vec<_>>()
        })
    })?;
    for (_, stats) in &done {
        assert!(stats.faults_remote() > 100, "the nodes fought: {stats:?}");
    }
    let (threads, _): (Vec<_>, Vec<_>) = done.into_iter().unzip();
    Some(History::new(threads.concat()))
}

fn assert_checked(history: &History, scope: Scope, model: Model) {
    match history.check(scope, model) {
        Ok(checked) => assert_eq!(checked.operations, history.operations()),
        Err(violation) => panic!("{violation}"),
    }
}

fn exchanges_are_sequential<P: CoherenceProtocol>() {
    let test = format!("exchanges_are_sequential, {}", P::NAME);
    let Some(history) = recorded::<P>(&test, LOCKED) else {
        return;
    };
    for scope in [Scope::Page, Scope::All] {
        assert_checked(&history, scope, Model::Sequential);
    }
}

fn plain_accesses_are_coherent_and_ordered_as_on_x86<P: CoherenceProtocol>() {
    let test = format!("plain_accesses_are_coherent, {}", P::NAME);
    let Some(history) = recorded::<P>(&test, PLAIN) else {
        return;
    };
    assert_checked(&history, Scope::Word, Model::Sequential);
    for scope in [Scope::Page, Scope::All] {
        assert_checked(&history, scope, Model::TotalStoreOrder);
    }
}

/// The tests, for each protocol.
macro_rules! protocols {
    ($($name:ident: $protocol:ty;)*) => {$(
        mod $name {
            #[test]
            fn exchanges_are_sequential_in_each_page_and_across_pages() {
                super::exchanges_are_sequential::<$protocol>();
            }

            #[test]
            fn plain_accesses_are_coherent_in_each_word_and_ordered_as_on_x86() {
                super::plain_accesses_are_coherent_and_ordered_as_on_x86::<$protocol>();
            }
        }
    )*};
}

protocols! {
    directory: super::Directory;
}
