//! Every race, with every protocol.

use crate::litmus::*;
use crate::loss::*;
use crate::protocol::{Directory, Ivy, Lease, Tick};
use crate::races::*;
use crate::watched::Subject;

/// All races, of each protocol.
macro_rules! races {
    ($($name:ident: $make:expr, takes $takes:literal;)*) => {
        $(races! { @of $name, $make, $takes,
            a_load_that_begins_after_a_store_ended_sees_it
            a_message_passed_through_two_pages_is_never_ahead_of_what_it_is_about
            a_page_is_evicted_while_it_is_asked_for
            a_page_is_pinned_while_another_node_asks_for_it
            a_peer_is_lost_while_a_fault_waits_for_it
            a_reader_faults_while_its_page_is_being_taken
            an_invalidation_arrives_between_a_fault_and_its_grant
            counters_that_all_nodes_increment_are_exact
            two_stores_are_not_both_missed_by_the_loads_after_them
            two_writers_upgrade_the_same_shared_page_at_once
        })*
    };
    (@of $name:ident, $make:expr, $takes:literal, $($race:ident)*) => {
        mod $name {
            use super::*;

            $(#[test]
            fn $race() {
                super::$race(Subject { make: $make, takes: $takes, spoil: |_| {} });
            })*
        }
    };
}

races! {
    // Nothing rests: no real time passes between a schedule's steps.
    directory: |setup| Directory::with_rest(setup, Tick(0)), takes true;
    ivy: |setup| Ivy::with_rest(setup, Tick(0)), takes true;
    lease: |setup| Lease::with_times(setup, Tick(0), None), takes false;
}
