//! All orders of events.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use crate::world::{Step, World};

/// What happens from outside, each list in its order, at any time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Script {
    /// A vCPU and where it is to go.
    moves: Vec<(usize, usize)>,
    /// A node and whom it interrupts.
    interrupts: Vec<(usize, usize)>,
    failures: usize,
    lose: Option<usize>,
}

impl Script {
    fn steps(&self, world: &World) -> Vec<(Step, Self)> {
        let mut steps = Vec::new();
        let rest = |change: fn(&mut Self)| {
            let mut rest = self.clone();
            change(&mut rest);
            rest
        };
        if let Some(&(vcpu, to)) = self.moves.first()
            && world.mover(vcpu).is_some_and(|mover| mover != to)
        {
            let rest = rest(|script| {
                script.moves.remove(0);
            });
            steps.push((Step::Move { vcpu, to }, rest));
        }
        if let Some(&(node, vcpu)) = self.interrupts.first() {
            let rest = rest(|script| {
                script.interrupts.remove(0);
            });
            steps.push((Step::Interrupt { node, vcpu }, rest));
        }
        if self.failures > 0 {
            let rest = rest(|script| script.failures -= 1);
            let failures = world.failures().into_iter();
            steps.extend(failures.map(|step| (step, rest.clone())));
        }
        if let Some(node) = self.lose {
            steps.push((Step::Lose { node }, rest(|script| script.lose = None)));
        }
        steps
    }
}

/// Goes through every state; `least` says that there are more than a few.
fn explore(world: &World, script: &Script, least: usize) {
    let hasher = RandomState::new();
    let mut seen = HashSet::new();
    let mut todo = vec![(world.clone(), script.clone())];
    while let Some((world, script)) = todo.pop() {
        if !seen.insert(hasher.hash_one((&world, &script))) {
            continue;
        }
        let own = world.steps();
        if own.is_empty() {
            world.check_end();
        }
        let own = own.into_iter().map(|step| (step, script.clone()));
        for (step, script) in own.chain(script.steps(&world)) {
            let mut next = world.clone();
            next.take(step);
            todo.push((next, script));
        }
    }
    println!("{} states", seen.len());
    assert!(seen.len() > least, "{} states", seen.len());
}

#[test]
fn one_move_loses_and_doubles_no_interrupt_from_anywhere() {
    let script = Script {
        moves: vec![(0, 1)],
        interrupts: vec![(0, 0), (1, 0), (2, 0), (2, 0)],
        ..Script::default()
    };
    explore(&World::new(3, &[0]), &script, 10_000);
}

#[test]
fn interrupts_find_a_vcpu_that_moves_on_and_back() {
    for moves in [
        [(0, 1), (0, 0), (0, 1)],
        [(0, 1), (0, 2), (0, 0)],
        [(0, 2), (0, 1), (0, 2)],
    ] {
        let script = Script {
            moves: moves.to_vec(),
            interrupts: vec![(2, 0), (1, 0), (0, 0)],
            ..Script::default()
        };
        explore(&World::new(3, &[0]), &script, 10_000);
    }
}

#[test]
fn two_vcpus_change_places() {
    let script = Script {
        moves: vec![(0, 1), (1, 0)],
        interrupts: vec![(0, 1), (1, 0), (1, 1)],
        ..Script::default()
    };
    explore(&World::new(2, &[0, 1]), &script, 10_000);
}

#[test]
fn a_move_that_fails_changes_nothing_and_can_be_tried_again() {
    let script = Script {
        moves: vec![(0, 1), (0, 1)],
        interrupts: vec![(0, 0), (1, 0), (2, 0)],
        failures: 2,
        lose: None,
    };
    explore(&World::new(3, &[0]), &script, 10_000);
}

#[test]
fn a_destination_that_is_lost_before_the_commit_leaves_the_vcpu_where_it_was() {
    let script = Script {
        moves: vec![(0, 1)],
        // None through the lost node, with which it may be lost.
        interrupts: vec![(0, 0), (2, 0), (2, 0)],
        failures: 0,
        lose: Some(1),
    };
    explore(&World::new(3, &[0]), &script, 1_000);
}

#[test]
fn the_loss_of_a_third_node_is_nothing_to_a_move() {
    let script = Script {
        moves: vec![(0, 1)],
        interrupts: vec![(0, 0), (1, 0)],
        failures: 1,
        lose: Some(2),
    };
    explore(&World::new(3, &[0]), &script, 1_000);
}
