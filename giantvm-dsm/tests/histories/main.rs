//! Histories recorded on real memory under load, checked for coherence and consistency.

mod broken;
mod processes;
mod record;
#[path = "../support/mod.rs"]
mod support;

use std::thread;

use giantvm_dsm::protocol::{CoherenceProtocol, Directory, Ivy, Lease};
use giantvm_dsm::testing::history::{History, Model, Operation, Scope};

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

/// What the threads of one node do.
fn work(node: u8, shared: &support::Shared<Words>, mix: Mix) -> Vec<Vec<Operation>> {
    thread::scope(|scope| {
        let one = |thread| {
            let number = u32::from(node) * THREADS + thread;
            scope.spawn(move || record(&shared.body, number, OPERATIONS, mix))
        };
        let threads: Vec<_> = (0..THREADS).map(one).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

/// What the threads of all nodes did; `None` without userfaultfd.
fn recorded<P: CoherenceProtocol>(test: &str, mix: Mix) -> Option<History> {
    let done =
        support::on_nodes::<P, Words, _>(test, NODES, |node, shared| work(node, shared, mix))?;
    for (_, stats) in &done {
        assert!(stats.faults_remote() > 100, "the nodes fought: {stats:?}");
    }
    let (threads, _): (Vec<_>, Vec<_>) = done.into_iter().unzip();
    Some(History::new(threads.concat()))
}

fn assert_checked(history: &History, scope: Scope, model: Model) {
    match history.check(scope, model) {
        Ok(checked) => {
            let all = usize::from(NODES) * (THREADS * OPERATIONS) as usize;
            assert_eq!(checked.operations, all);
        }
        Err(violation) => panic!("{violation}"),
    }
}

fn assert_sequential(history: Option<History>) {
    for scope in [Scope::Page, Scope::All] {
        if let Some(history) = &history {
            assert_checked(history, scope, Model::Sequential);
        }
    }
}

fn assert_ordered_as_on_x86(history: Option<History>) {
    let Some(history) = history else {
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
            use super::*;

            #[test]
            fn exchanges_are_sequential_in_each_page_and_across_pages() {
                let test = concat!(stringify!($name), "::exchanges");
                assert_sequential(recorded::<$protocol>(test, LOCKED));
            }

            #[test]
            fn plain_accesses_are_coherent_in_each_word_and_ordered_as_on_x86() {
                let test = concat!(stringify!($name), "::plain_accesses");
                assert_ordered_as_on_x86(recorded::<$protocol>(test, PLAIN));
            }

            #[test]
            fn exchanges_of_separate_processes_are_sequential_across_pages() {
                let test = concat!(stringify!($name), "::separate_processes");
                let node = concat!(stringify!($name), "::node");
                assert_sequential(processes::recorded(test, node));
            }

            #[test]
            #[ignore = "one node of the separate processes, which start it"]
            fn node() {
                processes::be_node::<$protocol>(LOCKED);
            }
        }
    )*};
}

protocols! {
    directory: Directory;
    ivy: Ivy;
    lease: Lease;
}
