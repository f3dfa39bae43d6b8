//! Every pair of state and message is handled or refused by name: the tables in `docs/` are made
//! from the code, and are what the code does now.
//!
//! After a change of a protocol, run this with `GIANTVM_BLESS=1` and read the difference.

use std::path::Path;
use std::{env, fs};

use giantvm_dsm::protocol::{Directory, Ivy, Lease};
use giantvm_dsm::testing::Roaming;
use giantvm_dsm::testing::model::{Budget, Checkable, SmallWorld};
use giantvm_dsm::testing::transitions::Transitions;

fn world(budget: Budget) -> SmallWorld {
    SmallWorld {
        budgets: vec![budget; 3],
        pages: 1,
        mortal: false,
    }
}

fn busy() -> SmallWorld {
    world(Budget {
        evictions: 1,
        timeouts: Some(2),
        ..Budget::faults(2)
    })
}

fn table<P: Checkable>() -> Transitions {
    Transitions::of::<P>(&busy())
}

fn is_up_to_date(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name);
    if env::var_os("GIANTVM_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "{name} is not what the code does; see the head of this test"
    );
}

fn covers_and_matches<P: Checkable>(table: &Transitions) {
    for state in table.states() {
        for message in table.messages() {
            let cell = table.cells.get(&(state, message));
            let filled =
                cell.is_some_and(|cell| !cell.taken.is_empty() || !cell.refused.is_empty());
            assert!(filled, "{message} in state {state} was never tried");
        }
    }
    is_up_to_date(&format!("{}-transitions.md", P::NAME), &table.to_string());
    is_up_to_date(&format!("{}-transitions.svg", P::NAME), &table.to_svg());
}

#[test]
fn the_directorys_table_is_complete_and_up_to_date() {
    let mut all = table::<Directory>();
    // Homes that move at once do so in small worlds too, and nodes leave.
    let leaving = world(Budget {
        departures: 1,
        ..Budget::faults(1)
    });
    all.extend(Transitions::of_all::<Roaming<1>>(&[busy(), leaving]));
    covers_and_matches::<Directory>(&all);
}

#[test]
fn ivys_table_is_complete_and_up_to_date() {
    covers_and_matches::<Ivy>(&table::<Ivy>());
}

#[test]
fn the_table_of_leases_is_complete_and_up_to_date() {
    covers_and_matches::<Lease>(&table::<Lease>());
}
