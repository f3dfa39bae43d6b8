//! Every state of small worlds, with stateright over the protocols themselves.
//!
//! The numbers of states are pinned, so that a world that shrinks by mistake is noticed: after a
//! change of a protocol, look whether the new number makes sense.

use std::num::NonZeroU8;

use giantvm_dsm::protocol::{Directory, Setup, Tick};
use giantvm_dsm::testing::model::{Budget, Checkable, SmallWorld};

/// Any time will do: a state knows only whether a page rests, not for how long.
const REST: Tick = Tick(1);

const NO_REST: Tick = Tick(0);

fn world(budgets: &[Budget], pages: u64) -> SmallWorld {
    SmallWorld {
        budgets: budgets.to_vec(),
        pages,
        mortal: false,
    }
}

fn faults<const N: usize>(faults: [u8; N]) -> [Budget; N] {
    faults.map(Budget::faults)
}

fn mortal(world: SmallWorld) -> SmallWorld {
    SmallWorld {
        mortal: true,
        ..world
    }
}

/// Explores a world, and gives the number of its states.
fn states<P: Checkable>(world: &SmallWorld, make: impl Fn(Setup) -> P) -> usize {
    let explored = world.explore_with(&make);
    explored.unwrap_or_else(|found| panic!("{found}")).states
}

fn directory(rest: Tick) -> impl Fn(Setup) -> Directory {
    move |setup| Directory::with_rest(setup, rest)
}

/// Whose homes move to a node that is so many writes ahead.
fn moving(rest: Tick, after: u8) -> impl Fn(Setup) -> Directory {
    move |setup| Directory::with_moves(setup, rest, NonZeroU8::new(after))
}

mod moving_homes {
    use super::*;

    #[test]
    fn two_nodes_keep_every_law_wherever_the_home_is() {
        let world = world(&faults([6, 6]), 1);
        assert_eq!(states(&world, moving(REST, 1)), 977_287);
    }

    #[test]
    fn three_nodes_keep_every_law_wherever_the_home_is() {
        let world = world(&faults([2, 2, 3]), 1);
        assert_eq!(states(&world, moving(REST, 1)), 2_700_095);
    }

    #[test]
    fn four_nodes_keep_every_law_wherever_the_home_is() {
        let world = world(&faults([1, 1, 1, 1]), 1);
        assert_eq!(states(&world, moving(NO_REST, 1)), 67_031);
    }

    #[test]
    fn a_home_moves_only_to_a_node_that_is_ahead() {
        let world = world(&faults([2, 3, 2]), 1);
        assert_eq!(states(&world, moving(NO_REST, 2)), 337_301);
    }

    #[test]
    fn copies_and_homes_are_given_up_at_any_time_on_two_nodes() {
        let budget = Budget {
            evictions: 2,
            ..Budget::faults(3)
        };
        let world = world(&[budget; 2], 1);
        assert_eq!(states(&world, moving(REST, 1)), 1_674_883);
    }

    #[test]
    fn copies_and_homes_are_given_up_at_any_time_on_three_nodes() {
        let [one, two] = [1, 2].map(|faults| Budget {
            evictions: 1,
            ..Budget::faults(faults)
        });
        let world = world(&[one, one, two], 1);
        assert_eq!(states(&world, moving(REST, 1)), 510_309);
    }

    #[test]
    fn a_pinned_page_stays_while_its_home_moves() {
        let budget = Budget {
            pins: 1,
            evictions: 1,
            ..Budget::faults(2)
        };
        let world = world(&[budget; 2], 1);
        assert_eq!(states(&world, moving(REST, 1)), 124_331);
    }

    #[test]
    fn homes_of_two_pages_move_apart() {
        let world = world(&faults([2, 3]), 2);
        assert_eq!(states(&world, moving(REST, 1)), 116_645);
    }

    #[test]
    fn a_death_shows_no_wrong_data_wherever_the_home_is() {
        let world = mortal(world(&faults([1, 1, 2]), 1));
        assert_eq!(states(&world, moving(REST, 1)), 221_671);
    }
}

mod departures {
    use super::*;

    fn leaver(faults: u8) -> Budget {
        Budget {
            departures: 1,
            ..Budget::faults(faults)
        }
    }

    #[test]
    fn one_of_two_nodes_leaves_at_any_time() {
        let world = world(&[leaver(2), leaver(2)], 1);
        assert_eq!(states(&world, moving(REST, 1)), 112_661);
    }

    #[test]
    fn the_birth_home_of_three_leaves_at_any_time() {
        let world = world(&[leaver(1), Budget::faults(1), Budget::faults(2)], 1);
        assert_eq!(states(&world, moving(REST, 1)), 2_239_843);
    }

    #[test]
    fn an_heir_that_knew_another_home_asks_the_one_that_leaves() {
        let leaver = leaver(0);
        let world = world(&[leaver, Budget::faults(2), Budget::faults(2)], 1);
        assert_eq!(states(&world, moving(NO_REST, 1)), 775_751);
    }

    #[test]
    fn a_holder_of_three_leaves_at_any_time() {
        let world = world(&[Budget::faults(1), Budget::faults(1), leaver(2)], 1);
        assert_eq!(states(&world, moving(REST, 1)), 929_391);
    }
}

mod default_protocol {
    use super::*;

    #[test]
    fn two_nodes_keep_every_law_in_every_state() {
        let world = world(&faults([8, 8]), 1);
        assert_eq!(states(&world, directory(REST)), 260_825);
    }

    #[test]
    fn two_nodes_keep_every_law_when_no_page_rests() {
        let world = world(&faults([8, 8]), 1);
        assert_eq!(states(&world, directory(NO_REST)), 156_845);
    }

    #[test]
    fn three_nodes_keep_every_law_in_every_state() {
        let world = world(&faults([2, 3, 3]), 1);
        assert_eq!(states(&world, directory(REST)), 1_117_431);
    }

    #[test]
    fn four_nodes_keep_every_law_in_every_state() {
        let world = world(&faults([1, 1, 1, 1]), 1);
        assert_eq!(states(&world, directory(REST)), 40_319);
    }

    #[test]
    fn two_nodes_with_two_pages_keep_every_law() {
        let world = world(&faults([3, 4]), 2);
        assert_eq!(states(&world, directory(REST)), 770_907);
    }

    #[test]
    fn copies_are_evicted_at_any_time_on_two_nodes() {
        let budget = Budget {
            evictions: 2,
            ..Budget::faults(4)
        };
        let world = world(&[budget; 2], 1);
        assert_eq!(states(&world, directory(REST)), 1_323_085);
    }

    #[test]
    fn copies_are_evicted_at_any_time_on_three_nodes() {
        let [one, two] = [1, 2].map(|faults| Budget {
            evictions: 1,
            ..Budget::faults(faults)
        });
        let world = world(&[one, one, two], 1);
        assert_eq!(states(&world, directory(REST)), 165_991);
    }

    #[test]
    fn a_pinned_page_stays_and_no_one_waits_for_ever() {
        let budget = Budget {
            pins: 1,
            evictions: 1,
            ..Budget::faults(3)
        };
        let world = world(&[budget; 2], 1);
        assert_eq!(states(&world, directory(REST)), 370_085);
    }

    #[test]
    fn upgrades_race_with_one_another_and_with_evictions() {
        let evictor = Budget {
            evictions: 1,
            ..Budget::faults(2)
        };
        let world = world(&[Budget::faults(1), evictor, Budget::faults(3)], 1);
        assert_eq!(states(&world, directory(NO_REST)), 224_223);
    }

    #[test]
    fn two_nodes_show_no_wrong_data_wherever_one_dies() {
        let world = mortal(world(&faults([5, 5]), 1));
        assert_eq!(states(&world, directory(REST)), 223_979);
    }

    #[test]
    fn three_nodes_show_no_wrong_data_wherever_one_dies() {
        let world = mortal(world(&faults([1, 2, 2]), 1));
        assert_eq!(states(&world, directory(REST)), 663_847);
    }

    #[test]
    fn a_death_in_a_world_of_evictions_and_pins_shows_no_wrong_data() {
        let budget = Budget {
            evictions: 1,
            pins: 1,
            ..Budget::faults(2)
        };
        let world = mortal(world(&[budget; 2], 1));
        assert_eq!(states(&world, directory(REST)), 221_335);
    }
}
