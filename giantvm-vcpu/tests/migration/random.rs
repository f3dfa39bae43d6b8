//! Random orders of events in machines that are too large for all.

use proptest::prelude::*;

use crate::world::{Step, World};

const NODES: usize = 4;
const VCPUS: usize = 3;

/// What to do next, the numbers to be taken modulo what there is.
#[derive(Debug, Clone, Copy)]
enum Wish {
    Interrupt(usize, usize),
    Move(usize, usize),
    Fail(usize),
    Go(usize),
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        2 => (0..NODES, 0..VCPUS).prop_map(|(node, vcpu)| Wish::Interrupt(node, vcpu)),
        1 => (0..VCPUS, 0..NODES).prop_map(|(vcpu, to)| Wish::Move(vcpu, to)),
        1 => any::<usize>().prop_map(Wish::Fail),
        12 => any::<usize>().prop_map(Wish::Go),
    ]
}

fn pick(steps: &[Step], number: usize) -> Option<Step> {
    let index = number.checked_rem(steps.len())?;
    steps.get(index).copied()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_interrupt_arrives_once(
        wishes in prop::collection::vec(wish(), 0..400),
        rest in any::<u64>(),
    ) {
        let mut world = World::new(NODES, &[0, 1, 1]);
        for wish in wishes {
            let step = match wish {
                // As many as there are vectors for.
                Wish::Interrupt(node, vcpu) if world.sent.len() < 200 => {
                    Some(Step::Interrupt { node, vcpu })
                }
                Wish::Interrupt(..) => None,
                Wish::Move(vcpu, to) => {
                    let mover = world.mover(vcpu).filter(|mover| *mover != to);
                    mover.map(|_| Step::Move { vcpu, to })
                }
                Wish::Fail(number) => pick(&world.failures(), number),
                Wish::Go(number) => pick(&world.steps(), number),
            };
            if let Some(step) = step {
                world.take(step);
            }
        }
        let mut random = rest;
        while let Some(step) = pick(&world.steps(), usize::try_from(random >> 33).unwrap()) {
            // Knuth's linear congruential generator.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            world.take(step);
        }
        world.check_end();
    }
}
