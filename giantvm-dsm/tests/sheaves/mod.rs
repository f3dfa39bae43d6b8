//! Drivers with all that the engine does on its own account - letters that go together, pages that are
//! held and asked for ahead - on simulated memory, network and time, in one thread and from one seed.

mod net;
mod thread;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use giantvm_core::{Epoch, NodeSet, PageIndex, PageSize};
use giantvm_dsm::backing::sim::{SimBacking, SimMemory};
use giantvm_dsm::engine::Driver;
use giantvm_dsm::engine::parcel::Parcels;
use giantvm_dsm::protocol::{CoherenceProtocol, HomeMap, Lease, Rights, Setup};
use giantvm_transport::{Event, Transport as _};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use net::End;
use thread::Thread;

const NODES: usize = 3;
const THREADS: usize = 2;
pub(crate) const PAGES: u64 = 48;
/// Words of a page that are used.
pub(crate) const WORDS: usize = 4;
/// Steps after which a run is stuck: many times what any takes.
const STEPS: usize = 60_000;
/// Steps between two looks at all pages.
const LOOK: usize = 8;
/// Pages that a node has room for, where there is a limit: those that it is home to, and the least reserve.
const ROOM: u64 = 32;

struct Node<P: CoherenceProtocol> {
    driver: Driver<P>,
    memory: SimMemory,
    end: Arc<End>,
    threads: Vec<Thread>,
    /// The last that was seen of each word.
    seen: Vec<u64>,
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) steps: usize,
    pub(crate) sheaves: usize,
    pub(crate) read_ahead: u64,
    /// Copies that had to go.
    pub(crate) evictions: u64,
    /// Frames and time-outs that were put off because a page was held.
    pub(crate) waits: usize,
    /// All values of all words in the end, as a hash would.
    pub(crate) sum: u64,
}

/// The nodes, and what the memory has to show.
struct World<P: CoherenceProtocol> {
    nodes: Vec<Node<P>>,
    rng: SmallRng,
    time: Arc<AtomicU64>,
    /// The last value stored to each word. Every store has a greater one than all before it.
    words: Vec<u64>,
    stores: u64,
    waits: usize,
}

fn at(page: PageIndex, word: usize) -> usize {
    usize::try_from(page.0).unwrap() * WORDS + word
}

/// One run at a time: a driver that holds pages looks at how long other threads of its process ran.
static ONE: Mutex<()> = Mutex::new(());

/// Runs a cluster from `seed` until all of its threads are done. The error begins with the law that is broken.
pub(crate) fn check<P: CoherenceProtocol>(seed: u64) -> Result<Done, String> {
    let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut world = World::<P>::new(seed);
    for step in 0..STEPS {
        if world.is_done() {
            return Ok(world.report(step));
        }
        let checked = world.step().and_then(|()| match step % LOOK {
            0 => world.check_pages(),
            _ => Ok(()),
        });
        checked.map_err(|what| format!("{what} (step {step})"))?;
    }
    Err("progress: threads wait for ever".into())
}

impl<P: CoherenceProtocol> World<P> {
    fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let (all, time) = (NodeSet::first(NODES), Arc::new(AtomicU64::new(0)));
        let homes = HomeMap::weighted(PAGES, all.iter().map(|node| (node, ROOM))).unwrap();
        let node = |end: Arc<End>| {
            let protocol = P::new(Setup {
                local: end.local(),
                nodes: all,
                pages: PAGES,
                homes: homes.clone(),
            });
            let backing = SimBacking::new(PageSize::K4, usize::try_from(PAGES).unwrap());
            let memory = backing.memory();
            let driver = Driver::new(protocol, Box::new(backing), end.clone(), Epoch::FIRST)
                .told_time(time.clone())
                .reading_ahead(64)
                .packing(Parcels::ALWAYS)
                .guessing(true)
                .holding(true)
                .lingering(true);
            let driver = match seed % 2 {
                0 => driver,
                _ => driver.within(ROOM, &homes),
            };
            Node {
                driver,
                memory,
                end,
                threads: (0..THREADS).map(|_| Thread::random(&mut rng, 12)).collect(),
                seen: vec![0; at(PageIndex(PAGES), 0)],
            }
        };
        let nodes = net::network(NODES, seed).into_iter().map(node).collect();
        Self {
            nodes,
            rng,
            time,
            words: vec![0; at(PageIndex(PAGES), 0)],
            stores: 0,
            waits: 0,
        }
    }

    fn is_done(&self) -> bool {
        let mut threads = self.nodes.iter().flat_map(|node| &node.threads);
        threads.all(Thread::is_done)
    }

    /// Lets one node do one thing.
    fn step(&mut self) -> Result<(), String> {
        self.time
            .fetch_add(self.rng.random_range(0..600), Ordering::Relaxed);
        let node = self.rng.random_range(0..NODES);
        match self.rng.random_range(0..8) {
            0..=2 => self.run_thread(node),
            3..=5 => self.receive(node),
            6 => self.serve(node),
            _ => self.settle(node),
        }
    }

    fn run_thread(&mut self, node: usize) -> Result<(), String> {
        let node = &mut self.nodes[node];
        let thread = &mut node.threads[self.rng.random_range(0..THREADS)];
        let value = self.stores + 1;
        let Some((op, before)) = thread.step(&node.memory, value)? else {
            return Ok(());
        };
        let word = at(op.page, op.word);
        // Under leases, what is loaded may be old, but what is stored to is not.
        let exact = op.stores || P::NAME != Lease::NAME;
        if exact && before != self.words[word] || before < node.seen[word] {
            let last = self.words[word];
            return Err(format!("data value: {before} for {last}, {op:?}"));
        }
        node.seen[word] = before;
        if op.stores {
            self.stores = value;
            (self.words[word], node.seen[word]) = (value, value);
        }
        Ok(())
    }

    /// Feeds frames that came together: any number of any streams.
    fn receive(&mut self, node: usize) -> Result<(), String> {
        let node = &mut self.nodes[node];
        for _ in 0..self.rng.random_range(1..6) {
            let mut events = Vec::new();
            node.end.poll(&mut |event| events.push(event));
            for event in events {
                let Event::Frame { frame, .. } = event else {
                    return Err("link: a node is lost".into());
                };
                node.driver
                    .admit(&frame)
                    .map_err(|refused| format!("refused: {refused}"))?;
                let taken = node
                    .driver
                    .take(&frame)
                    .map_err(|error| format!("backing: {error}"))?;
                taken.map_err(|refused| format!("refused: {refused}"))?;
            }
        }
        node.driver
            .flush()
            .map_err(|error| format!("backing: {error}"))
    }

    /// Feeds the faults so far, and sometimes a wish to be rid of a page.
    fn serve(&mut self, node: usize) -> Result<(), String> {
        let driver = &mut self.nodes[node].driver;
        let mut faults = Vec::new();
        let taken = driver.backing().take_faults(&mut faults);
        let served = taken.and_then(|()| {
            faults
                .into_iter()
                .try_for_each(|fault| driver.fault(fault))?;
            if self.rng.random_ratio(1, 32) {
                driver.evict(PageIndex(self.rng.random_range(0..PAGES)))?;
            }
            Ok(())
        });
        served.map_err(|error| format!("backing: {error}"))
    }

    /// Does what is due. When nothing else can happen, time passes until something is.
    fn settle(&mut self, node: usize) -> Result<(), String> {
        let backing = |error| format!("backing: {error}");
        let driver = &mut self.nodes[node].driver;
        if let Some((from, refused)) = driver.release().map_err(backing)?.first() {
            return Err(format!("refused: {refused} of node {from}"));
        }
        let next = driver.tick().map_err(backing)?;
        driver.make_room().map_err(backing)?;
        if let Some(next) = next.filter(|next| !next.is_zero()) {
            self.waits += 1;
            if self.nodes[node].end.is_quiet() && self.rng.random_ratio(1, 8) {
                let next = u64::try_from(next.as_nanos()).unwrap_or(0);
                self.time.fetch_add(next, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// One writer or many readers, and all of them see what was written last.
    fn check_pages(&self) -> Result<(), String> {
        if P::NAME == Lease::NAME {
            return Ok(());
        }
        for page in (0..PAGES).map(PageIndex) {
            let (mut holders, mut writers, mut right) = (0, 0, true);
            for node in &self.nodes {
                node.memory.inspect(page, |rights, bytes| {
                    let Some(rights) = rights else { return };
                    holders += 1;
                    writers += usize::from(rights == Rights::Write);
                    let words = &self.words[at(page, 0)..][..WORDS];
                    let words = words.iter().flat_map(|word| word.to_le_bytes());
                    right &= bytes.iter().copied().take(8 * WORDS).eq(words);
                });
            }
            if writers > 0 && holders > 1 {
                return Err(format!("single writer: page {page} has {holders} holders"));
            }
            if !right {
                return Err(format!("data value: a copy of page {page} is old"));
            }
        }
        Ok(())
    }

    fn report(&self, steps: usize) -> Done {
        let stats = self.nodes.iter().map(|node| node.driver.stats());
        let stats: Vec<_> = stats.map(|stats| stats.lock().unwrap().clone()).collect();
        let mix = |sum: u64, word: &u64| sum.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ word;
        Done {
            steps,
            sheaves: self.nodes[0].end.sheaves(),
            read_ahead: stats.iter().map(|stats| stats.read_ahead).sum(),
            evictions: stats.iter().map(|stats| stats.memory.evictions_clean).sum(),
            waits: self.waits,
            sum: self.words.iter().fold(0, mix),
        }
    }
}
