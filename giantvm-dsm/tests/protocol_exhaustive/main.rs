//! Every state of small worlds: the real protocol, with any order of faults, stores, messages and
//! time-outs that the transport and the driver allow.
//!
//! The simulation takes one order after the other from a seed; here none is left out. The price is
//! a world of one page and few faults. A fault may be a read or a write, at any time; a node that
//! may write stores at any time; messages stay in order only from one node to another within one
//! class of traffic. The numbers of states are pinned, so that a world that shrinks by mistake is
//! noticed: after a change of the protocol, look whether the new number makes sense.

mod explore;
mod laws;
mod node;
mod world;

use explore::explore;
use giantvm_dsm::protocol::Tick;
use world::World;

/// Any time will do: a state knows only whether a page rests, not for how long.
const REST: Tick = Tick(1);

const NO_REST: Tick = Tick(0);

/// Explores a world: its states, and those of them in which nothing is under way.
fn all_states(world: World) -> (usize, usize) {
    let explored = explore(world).unwrap_or_else(|failure| panic!("{failure}"));
    (explored.states, explored.quiet)
}

#[test]
fn two_nodes_keep_every_law_in_every_state() {
    assert_eq!(all_states(World::new(&[8, 8], REST)), (67_021, 4_173));
}

#[test]
fn two_nodes_keep_every_law_when_no_page_rests() {
    assert_eq!(all_states(World::new(&[8, 8], NO_REST)), (156_813, 10_717));
}

#[test]
fn three_nodes_keep_every_law_in_every_state() {
    assert_eq!(all_states(World::new(&[2, 3, 3], REST)), (292_779, 4_257));
}

#[test]
fn three_nodes_keep_every_law_when_no_page_rests() {
    assert_eq!(all_states(World::new(&[2, 2, 2], NO_REST)), (76_079, 2_709));
}

#[test]
fn four_nodes_keep_every_law_in_every_state() {
    assert_eq!(all_states(World::new(&[1, 1, 1, 1], REST)), (14_767, 397));
}

#[test]
fn two_nodes_fail_closed_wherever_one_dies() {
    assert_eq!(
        all_states(World::new(&[5, 5], REST).with_a_death()),
        (60_475, 27_111)
    );
}

#[test]
fn three_nodes_fail_closed_wherever_one_dies() {
    assert_eq!(
        all_states(World::new(&[1, 2, 2], REST).with_a_death()),
        (212_187, 41_762)
    );
}
