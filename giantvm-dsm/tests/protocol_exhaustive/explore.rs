//! Breadth-first search: every state once, and the shortest way to a bad one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::world::{Event, World};

/// Most states of a world. One that grows beyond is a failure, not a full memory.
const LIMIT: usize = 4_000_000;

/// What was reached.
#[derive(Debug)]
pub(crate) struct Explored {
    pub(crate) states: usize,
    /// States in which nothing is under way, so that no one may wait.
    pub(crate) quiet: usize,
}

/// A state's 64-bit digest stands for it: of a million states two are alike by chance in one of
/// thirty million worlds.
type Digest = u64;

/// How each state was first reached; the start was not.
type Reached = HashMap<Digest, Option<(Digest, Event)>>;

/// Checks every state that can come after `start`, and `start`.
///
/// # Errors
/// What is wrong in the first bad state, and the events that led to it.
pub(crate) fn explore(start: World) -> Result<Explored, String> {
    let first = digest(&start);
    let mut reached = Reached::from([(first, None)]);
    let (mut quiet, mut layer) = (0, vec![(first, start)]);
    while !layer.is_empty() {
        let mut next = Vec::new();
        for (at, world) in layer {
            world.check().map_err(|what| trace(&reached, at, &what))?;
            quiet += usize::from(world.is_quiet());
            for event in world.events() {
                let after = world.after(event);
                let after =
                    after.map_err(|what| trace(&reached, at, &format!("{event:?}: {what}")))?;
                let digest = digest(&after);
                if let Entry::Vacant(place) = reached.entry(digest) {
                    place.insert(Some((at, event)));
                    next.push((digest, after));
                }
            }
            if reached.len() > LIMIT {
                return Err(format!("more than {LIMIT} states: bound the world"));
            }
        }
        layer = next;
    }
    Ok(Explored {
        states: reached.len(),
        quiet,
    })
}

fn digest(world: &World) -> Digest {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

fn trace(reached: &Reached, mut at: Digest, what: &str) -> String {
    let mut lines = vec![what.to_owned()];
    while let Some(&Some((before, event))) = reached.get(&at) {
        lines.push(format!("{event:?}"));
        at = before;
    }
    lines.reverse();
    lines.join("\n")
}
