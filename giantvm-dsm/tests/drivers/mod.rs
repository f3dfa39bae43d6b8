//! A cluster of drivers over simulated memory, fed by hand in one thread, whose pages travel as
//! parcels.

mod checks;
mod far;

use std::sync::Arc;

use giantvm_core::wire::{Frame, Limits};
use giantvm_core::{Epoch, NodeSet, PageIndex, PageSize};
use giantvm_dsm::backing::BackingError;
use giantvm_dsm::backing::sim::{Attempt, SimBacking, SimMemory};
use giantvm_dsm::engine::parcel::{BadParcel, ParcelStats, Parcels};
use giantvm_dsm::engine::{Driver, Refused};
use giantvm_dsm::protocol::{CoherenceProtocol, HomeMap, Setup};
use giantvm_transport::inproc::{self, InprocTransport};
use giantvm_transport::{Event, Transport};

pub(crate) use checks::{check, check_forged};
use far::Far;

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
        Self::over(count, pages, parcels, |end| end)
    }

    /// The same, as if each node were on a host of its own.
    pub(crate) fn apart(count: usize, pages: u64, parcels: Parcels) -> Self {
        Self::over(count, pages, parcels, |end| Arc::new(Far(end)))
    }

    fn over(
        count: usize,
        pages: u64,
        parcels: Parcels,
        link: fn(Arc<InprocTransport>) -> Arc<dyn Transport>,
    ) -> Self {
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
            let transport = link(end.clone());
            let driver = Driver::new(protocol, Box::new(backing), transport, Epoch::FIRST);
            Node {
                driver: driver.packing(parcels).lingering(true),
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

    /// Asks for a copy to be given up.
    pub(crate) fn evict(&mut self, node: usize, page: PageIndex) -> Result<(), String> {
        self.nodes[node].driver.evict(page).map_err(backing)
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
                        memory.inspect(access.page, |_, page| done(access, page))?;
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
