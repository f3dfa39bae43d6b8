//! A cluster of drivers over simulated memory, fed by hand in one thread, whose pages travel as
//! parcels; and a check of them that compares every byte with what was written.

use std::fmt::Write as _;
use std::sync::Arc;

use giantvm_core::wire::{Frame, Limits};
use giantvm_core::{Epoch, NodeSet, PageIndex, PageSize};
use giantvm_dsm::backing::BackingError;
use giantvm_dsm::backing::sim::{Attempt, SimBacking, SimMemory};
use giantvm_dsm::engine::parcel::{BadParcel, Packing, ParcelStats, Parcels};
use giantvm_dsm::engine::{Driver, Refused};
use giantvm_dsm::protocol::{CoherenceProtocol, HomeMap, Lease, Setup};
use giantvm_transport::inproc::{self, InprocTransport};
use giantvm_transport::{Event, Transport};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Words of a page.
pub(crate) const WORDS: usize = 512;
/// Rounds without a time-out after which nothing more is expected to happen.
const ROUNDS: usize = 10_000;

struct Node<P: CoherenceProtocol> {
    driver: Driver<P>,
    memory: SimMemory,
    end: Arc<InprocTransport>,
}

/// The nodes.
pub(crate) struct Drivers<P: CoherenceProtocol> {
    nodes: Vec<Node<P>>,
    /// Changes frames under way.
    pub(crate) tamper: fn(&mut Frame),
}

impl<P: CoherenceProtocol> Drivers<P> {
    pub(crate) fn new(count: usize, pages: u64, parcels: Parcels) -> Self {
        let limits = Limits::for_pages(PageSize::K4);
        let ends = inproc::cluster(count, Epoch::FIRST, limits).unwrap();
        let nodes = NodeSet::first(count);
        let node = |end: Arc<InprocTransport>| {
            let protocol = P::new(Setup {
                local: end.local(),
                nodes,
                pages,
                homes: HomeMap::even(pages, nodes),
            });
            let backing = SimBacking::new(PageSize::K4, usize::try_from(pages).unwrap());
            let memory = backing.memory();
            let driver = Driver::new(protocol, Box::new(backing), end.clone(), Epoch::FIRST);
            Node {
                driver: driver.packing(parcels),
                memory,
                end,
            }
        };
        Self {
            nodes: ends.into_iter().map(node).collect(),
            tamper: |_| {},
        }
    }

    /// Feeds the faults so far. Whether there were any.
    fn serve(&mut self) -> Result<bool, String> {
        let mut faults = Vec::new();
        let mut any = false;
        for node in &mut self.nodes {
            let taken = node.driver.backing().take_faults(&mut faults);
            taken.map_err(backing)?;
            any |= !faults.is_empty();
            for fault in faults.drain(..) {
                node.driver.fault(fault).map_err(backing)?;
            }
        }
        Ok(any)
    }

    /// Lets what is under way go on for a while.
    fn go_on(&mut self) -> Result<(), String> {
        let mut any = self.serve()?;
        let mut due = None;
        for node in &mut self.nodes {
            let mut events = Vec::new();
            any |= node.end.poll(&mut |event| events.push(event)) > 0;
            for event in events {
                let Event::Frame { mut frame, .. } = event else {
                    return Err("a node is lost".into());
                };
                (self.tamper)(&mut frame);
                let told = node.driver.frame(&frame).map_err(backing)?;
                told.map_err(|refused| format!("{}: {refused}", name_of(&refused)))?;
            }
            let next = node.driver.tick().map_err(backing)?;
            due = due.into_iter().chain(next).min();
        }
        if let Some(due) = due.filter(|_| !any) {
            std::thread::sleep(due);
        }
        Ok(())
    }

    /// Starts accesses to words, together, and lets them happen one after the other. `done` is told
    /// of each, with the page as its node sees it then.
    pub(crate) fn access(
        &mut self,
        accesses: &[Access],
        mut done: impl FnMut(Access, &[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut open = accesses.to_vec();
        for _ in 0..ROUNDS {
            let mut left = Vec::new();
            for access in open {
                let memory = &self.nodes[access.node].memory;
                let attempt = match access.store {
                    Some(value) => memory.try_store(access.page, access.word, value),
                    None => memory.try_load(access.page, access.word),
                };
                match attempt {
                    Attempt::Done(_) => {
                        memory.inspect(access.page, |_, page| done(access, page))?
                    }
                    Attempt::Faulted => left.push(access),
                    Attempt::Poisoned => return Err("poisoned".into()),
                }
            }
            if left.is_empty() {
                // A thread that tried in vain more than once left faults that must not ask for its
                // page when that has moved on.
                while self.serve()? {}
                return Ok(());
            }
            open = left;
            self.go_on()?;
        }
        Err("stuck: a page never comes".into())
    }

    /// What the pages cost that all nodes sent.
    pub(crate) fn cost(&self) -> ParcelStats {
        let all = self.nodes.iter().map(|node| {
            let stats = node.driver.stats();
            let stats = stats.lock().unwrap();
            stats.parcels
        });
        all.reduce(|a, b| a.plus(&b)).unwrap_or_default()
    }
}

fn backing(error: BackingError) -> String {
    format!("backing: {error}")
}

fn name_of(refused: &Refused) -> &'static str {
    match refused {
        Refused::Parcel(BadParcel::UnknownBase(_)) => "unknown base",
        Refused::Parcel(_) => "parcel",
        _ => "refused",
    }
}

/// A thread's access to one word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access {
    pub(crate) node: usize,
    pub(crate) page: PageIndex,
    pub(crate) word: usize,
    pub(crate) store: Option<u64>,
}

/// Nodes write words, zeroes, noise and half pages into a few pages, with room for fewer copies than
/// there are pages. Each sees, whenever it has written, all that the others wrote.
pub(crate) fn check<P: CoherenceProtocol>(seed: u64, steps: usize) -> Result<ParcelStats, String> {
    const NODES: usize = 3;
    const PAGES: u64 = 5;
    let mut parcels = Parcels::ALWAYS;
    parcels.standby = 4 * PageSize::K4.bytes();
    let mut drivers = Drivers::<P>::new(NODES, PAGES, parcels);
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut memory = vec![vec![0_u64; WORDS]; usize::try_from(PAGES).unwrap()];
    for step in 0..steps {
        let mut accesses = Vec::new();
        for _ in 0..rng.random_range(1..4) {
            let page = PageIndex(rng.random_range(0..PAGES));
            let node = rng.random_range(0..NODES);
            let kind = rng.random_range(0..10);
            let words = match kind {
                0..=5 => vec![rng.random_range(0..WORDS)],
                6 => (0..WORDS).collect(),
                7 => (0..WORDS / 2).collect(),
                _ => (0..WORDS).step_by(8 * rng.random_range(1..4)).collect(),
            };
            for word in words {
                let store = match kind {
                    0 => None,
                    1 | 6 => Some(0),
                    7 => Some(rng.random()),
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
                false => {
                    let mut what = String::from("bytes: ");
                    let _ = write!(what, "page {} at step {step}", access.page);
                    Err(what)
                }
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
