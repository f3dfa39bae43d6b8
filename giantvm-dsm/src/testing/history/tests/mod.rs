//! The checker against hand-made histories, machines, and the search of all orders.

mod brute;
mod classic;
mod machine;

use giantvm_core::PageIndex;

use super::{Action, History, Location, Operation};

const X: u64 = 0;
const Y: u64 = 1;

/// An operation on the first word of a page.
fn on(page: u64, action: Action) -> Operation {
    let page = PageIndex(page);
    Operation {
        location: Location { page, word: 0 },
        action,
    }
}

fn load(page: u64, seen: u64) -> Operation {
    on(page, Action::Load(seen))
}

fn store(page: u64, value: u64) -> Operation {
    on(page, Action::Store(value))
}

fn swap(page: u64, previous: u64, value: u64) -> Operation {
    on(page, Action::Swap { value, previous })
}

fn history<const N: usize>(threads: [&[Operation]; N]) -> History {
    History::new(threads.into_iter().map(<[_]>::to_vec).collect())
}
