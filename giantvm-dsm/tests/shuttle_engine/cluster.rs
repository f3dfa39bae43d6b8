//! A cluster of nodes with their pumps, as the threads of a test see it.

use std::sync::Arc;
use std::time::Duration;

use giantvm_core::{Epoch, NodeSet, PageIndex, PageSize};
use giantvm_dsm::engine::Driver;
use giantvm_transport::Transport as _;
use shuttle::sync::atomic::Ordering;
use shuttle::thread::{self, JoinHandle};

use crate::backing::sim::{SimBacking, SimMemory};
use crate::ledger::{Ledger, Seen};
use crate::net::network;
use crate::node::{Ends, Node};
use crate::orders::{Order, Orders, PinReply};
use crate::pin::Pin;
use crate::protocol::{CoherenceProtocol, HomeMap, Setup};
use crate::watched::{Subject, Watched};

/// Under shuttle no time passes.
const PATIENCE: Duration = Duration::from_secs(3600);

/// One node as its threads see it.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    pub(crate) memory: SimMemory,
    orders: Arc<Orders>,
    ends: Arc<Ends>,
}

impl Local {
    /// As `Dsm::evict`.
    pub(crate) fn evict(&self, page: PageIndex) {
        assert!(self.orders.push(Order::Evict(page)));
    }

    /// As `Dsm::pin`.
    pub(crate) fn pin(&self, page: PageIndex) -> Pin {
        let reply = PinReply::new();
        assert!(self.orders.push(Order::Pin(page, reply.clone())));
        assert!(reply.wait(PATIENCE));
        Pin::new(page, Arc::clone(&self.orders))
    }

    /// The node dies, some time soon.
    pub(crate) fn kill(&self) {
        self.ends.dies.store(true, Ordering::SeqCst);
    }
}

/// A running cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Local>,
    pub(crate) ledger: Ledger,
    pumps: Vec<JoinHandle<()>>,
}

impl Cluster {
    /// Starts `count` nodes with `pages` pages, which are evenly at home on them.
    pub(crate) fn start<P: CoherenceProtocol>(
        subject: Subject<P>,
        (count, pages): (usize, usize),
        seen: &Seen,
    ) -> Self {
        let all = NodeSet::first(count);
        let ledger = Ledger::new(seen);
        let (mut nodes, mut pumps) = (Vec::new(), Vec::new());
        for net in network(count) {
            let setup = Setup {
                local: net.local(),
                nodes: all,
                pages: pages as u64,
                homes: HomeMap::even(pages as u64, all.iter()),
            };
            let protocol = Watched::with(subject, setup, ledger.clone());
            let backing = SimBacking::new(PageSize::K4, pages);
            let local = Local {
                memory: backing.memory(),
                orders: Arc::new(Orders::new().unwrap()),
                ends: Arc::default(),
            };
            let node = Node {
                driver: Driver::new(protocol, Box::new(backing), net.clone(), Epoch::FIRST),
                net,
                orders: Arc::clone(&local.orders),
                ends: Arc::clone(&local.ends),
                pinning: Vec::new(),
                left: None,
            };
            nodes.push(local);
            pumps.push(thread::spawn(move || node.run()));
        }
        Self {
            nodes,
            ledger,
            pumps,
        }
    }

    /// Runs `work` on a thread of node `at`.
    pub(crate) fn on<T: Send + 'static>(
        &self,
        at: usize,
        work: impl FnOnce(Local) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let local = self.nodes[at].clone();
        thread::spawn(move || work(local))
    }

    /// Runs `work` on a thread of every node, and gives what came of it.
    pub(crate) fn on_all<T: Send + 'static>(
        &self,
        work: impl Fn(usize, Local) -> T + Clone + Send + 'static,
    ) -> Vec<T> {
        let spawn = |at| {
            let work = work.clone();
            self.on(at, move |local| work(at, local))
        };
        let threads: Vec<_> = (0..self.nodes.len()).map(spawn).collect();
        let join = |thread: JoinHandle<T>| thread.join().unwrap();
        threads.into_iter().map(join).collect()
    }

    /// Stops the pumps, once no thread uses the memory.
    pub(crate) fn stop(self) {
        for node in &self.nodes {
            node.ends.stops.store(true, Ordering::SeqCst);
        }
        for pump in self.pumps {
            pump.join().unwrap();
        }
    }
}
