//! Every protocol of this crate passes the whole suite.

use giantvm_dsm::protocol::{Directory, Ivy, Lease};
use giantvm_dsm::testing::Roaming;
use giantvm_dsm::testing::conformance::Suite;
use giantvm_dsm::testing::model::Checkable;

fn conforms<P: Checkable>() {
    let verdict = Suite::full().check::<P>(&mut |step| println!("{step}"));
    verdict.unwrap_or_else(|fault| panic!("{fault}"));
}

#[test]
fn the_directory_passes_the_whole_suite() {
    conforms::<Directory>();
}

#[test]
fn the_directory_passes_the_whole_suite_while_homes_move() {
    conforms::<Roaming<1>>();
}

#[test]
fn ivy_passes_the_whole_suite() {
    conforms::<Ivy>();
}

#[test]
fn leases_pass_the_whole_suite() {
    conforms::<Lease>();
}
