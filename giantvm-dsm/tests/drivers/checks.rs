//! Checks of the drivers that compare every byte with what was written.

use giantvm_core::{PageIndex, PageSize};
use giantvm_dsm::engine::parcel::{Packing, ParcelStats, Parcels};
use giantvm_dsm::protocol::{CoherenceProtocol, Lease};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::{Access, Drivers, WORDS};

/// Nodes write words, zeroes, noise and half pages into a few pages and give some up, with room for fewer copies than
/// there are pages. Each sees, whenever it has written, all that the others wrote.
pub(crate) fn check<P: CoherenceProtocol>(seed: u64, steps: usize) -> Result<ParcelStats, String> {
    const NODES: usize = 3;
    const PAGES: u64 = 5;
    let mut parcels = Parcels::ALWAYS;
    parcels.standby = 4 * PageSize::K4.bytes();
    let mut drivers = match seed % 2 {
        0 => Drivers::<P>::new(NODES, PAGES, parcels),
        _ => Drivers::<P>::apart(NODES, PAGES, parcels),
    };
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut memory = vec![vec![0_u64; WORDS]; usize::try_from(PAGES).unwrap()];
    for step in 0..steps {
        let mut accesses = Vec::new();
        if rng.random_ratio(1, 4) {
            let page = PageIndex(rng.random_range(0..PAGES));
            drivers.evict(rng.random_range(0..NODES), page)?;
        }
        for _ in 0..rng.random_range(1..4) {
            let page = PageIndex(rng.random_range(0..PAGES));
            let node = rng.random_range(0..NODES);
            let kind = rng.random_range(0..10);
            let words = match kind {
                0..=5 => vec![rng.random_range(0..WORDS)],
                6 | 8 => (0..WORDS).collect(),
                7 => (0..WORDS / 2).collect(),
                _ => (0..WORDS).step_by(8 * rng.random_range(1..4)).collect(),
            };
            for word in words {
                let store = match kind {
                    0 => None,
                    1 | 6 => Some(0),
                    7 | 8 => Some(rng.random()),
                    _ => Some(rng.random_range(0..4)),
                };
                accesses.push(Access {
                    node,
                    page,
                    word,
                    store,
                });
            }
        }
        drivers.access(&accesses, |access, seen| {
            let page = &mut memory[usize::try_from(access.page.0).unwrap()];
            if let Some(value) = access.store {
                page[access.word] = value;
            } else if P::NAME == Lease::NAME {
                // A copy on lease may be an old one.
                return Ok(());
            }
            let expected = page.iter().flat_map(|word| word.to_le_bytes());
            match seen.iter().copied().eq(expected) {
                true => Ok(()),
                false => Err(format!("bytes: page {} at step {step}", access.page)),
            }
        })?;
    }
    Ok(drivers.cost())
}

/// Node 0 is sent a delta against another base than it named.
pub(crate) fn check_forged<P: CoherenceProtocol>() -> Result<(), String> {
    let mut drivers = Drivers::<P>::new(2, 2, Parcels::ALWAYS);
    let turn = |node, value| Access {
        node,
        page: PageIndex(1),
        word: 3,
        store: Some(value),
    };
    for value in 1..10 {
        for node in [0, 1] {
            drivers.access(&[turn(node, value)], |_, _| Ok(()))?;
        }
    }
    if drivers.cost().count(Packing::Delta) == 0 {
        return Err("undisturbed: no delta was sent".into());
    }
    drivers.tamper = |frame| {
        // A payload of 16 bytes is a request's; a delta begins with the digest.
        if frame.payload.len() > 16 {
            let mut payload = frame.payload.to_vec();
            payload[0] ^= 1;
            frame.payload = payload.into();
        }
    };
    match drivers.access(&[turn(0, 10)], |_, _| Ok(())) {
        Err(what) if what.starts_with("unknown base") => Ok(()),
        other => Err(format!("forged base: {other:?}")),
    }
}
