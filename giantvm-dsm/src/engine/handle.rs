//! The handle of a running node.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use giantvm_core::wire::{Body, Class, Frame, Service};
use giantvm_core::{Epoch, NodeId, NodeSet, PageIndex, PageRange, PageSize, Stamp};
use giantvm_transport::{SendError, Transport};

use super::departure::{Bandwidth, DepartError, Reply, Wish, Wishes};
use super::driver::Driver;
use super::farewells::Farewells;
use super::finish;
use super::heat::{Gauge, PageHeat, StallGauge, Stalls};
use super::hooks::Handlers;
use super::options::DsmOptions;
use super::orders::{Order, Orders, PinReply};
use super::pin::{Pin, PinError};
use super::pump::Pump;
use super::stats::DsmStats;
use super::stop::StopSwitch;
use super::terms::{self, Terms};
use crate::backing::{self, Backing, Mapping, OpenError};
use crate::protocol::{CoherenceProtocol, Departure, HomeMap, Setup, reserve};

/// How long the pump may take to say that a departure has begun: it never waits for anyone.
const PUMP_PATIENCE: Duration = Duration::from_secs(10);

/// A node could not start to share memory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The memory could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The pages that this node is home to do not fit its memory budget.
    #[error(
        "this node is home to {homed} pages, more than the {room} that a memory budget of {budget} \
         pages has room for: raise it, or give it fewer homes (`HomeMap::weighted` does)"
    )]
    Memory {
        /// Pages that it is home to.
        homed: u64,
        /// Pages that it could be home to.
        room: u64,
        /// Pages of its budget.
        budget: u64,
    },
    /// The pump could not be started.
    #[error("the pump thread could not be started")]
    Pump(#[source] std::io::Error),
}

/// The common end was not reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FinishError {
    /// Some peers did not say that they were done, in time or before they went.
    #[error("nodes {0} did not finish: they were lost, or are still at work")]
    Missing(NodeSet),
}

/// One node's share of a distributed memory: its mapping, and the pump that keeps it coherent.
///
/// Dropping the handle stops the pump; accesses to pages that are not here then wait for ever.
/// Stop all threads that use the memory first, or leave with [`finish`](Self::finish).
///
/// ```
/// use giantvm_core::wire::Limits;
/// use giantvm_core::{Epoch, NodeId, PageSize};
/// use giantvm_dsm::engine::{Dsm, Handlers};
/// use giantvm_dsm::protocol::{Directory, HomeMap};
/// use giantvm_transport::inproc;
///
/// # if !giantvm_dsm::uffd::Support::probe().missing() { return Ok(()) }
/// let size = PageSize::K4;
/// let alone = inproc::cluster(1, Epoch::FIRST, Limits::for_pages(size))?.remove(0);
/// let homes = HomeMap::even(1024, NodeId::first(1));
/// let dsm = Dsm::start::<Directory>(alone, Epoch::FIRST, size, homes, Handlers::default())?;
/// assert_eq!(dsm.mapping().len(), 4 << 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Dsm {
    transport: Arc<dyn Transport>,
    epoch: Epoch,
    mapping: Arc<Mapping>,
    stats: Arc<Mutex<DsmStats>>,
    heat: Gauge,
    farewells: Arc<Farewells>,
    orders: Arc<Orders>,
    wishes: Wishes,
    stop: Arc<StopSwitch>,
    pump: Option<JoinHandle<()>>,
}

impl Dsm {
    /// Opens the memory that `homes` covers, with the best backing the kernel offers, and starts
    /// to serve it. Every node of the cluster has to give the same arguments but for `transport` and
    /// `handlers`. Nodes tell one another, and end the link to one that gave others: a
    /// [`Watcher`](super::Watcher) hears which differ, as [`TermsDiffer`](super::TermsDiffer) says it.
    ///
    /// # Errors
    /// [`StartError`] if this host cannot serve; the text says what to do.
    pub fn start<P: CoherenceProtocol>(
        transport: Arc<dyn Transport>,
        epoch: Epoch,
        page_size: PageSize,
        homes: HomeMap,
        handlers: Handlers,
    ) -> Result<Self, StartError> {
        let options = DsmOptions::default();
        Self::start_with::<P>(transport, epoch, page_size, homes, handlers, options)
    }

    /// As [`start`](Self::start), with `options` for this node.
    ///
    /// # Errors
    /// As of [`start`](Self::start).
    pub fn start_with<P: CoherenceProtocol>(
        transport: Arc<dyn Transport>,
        epoch: Epoch,
        page_size: PageSize,
        homes: HomeMap,
        handlers: Handlers,
        options: DsmOptions,
    ) -> Result<Self, StartError> {
        let (choice, address) = (options.backing, options.address);
        let memory = backing::open_at(homes.pages(), page_size, choice, address)?;
        Self::start_on::<P>(memory, transport, epoch, homes, handlers, options)
    }

    /// As [`start_with`](Self::start_with), on memory that the caller [opened](backing::open) for
    /// the pages of `homes`: for a backing of one's own, or one that watches another.
    ///
    /// # Errors
    /// [`StartError::Memory`] or [`StartError::Pump`].
    pub fn start_on<P: CoherenceProtocol>(
        (backing, mapping): (Box<dyn Backing>, Arc<Mapping>),
        transport: Arc<dyn Transport>,
        epoch: Epoch,
        homes: HomeMap,
        handlers: Handlers,
        options: DsmOptions,
    ) -> Result<Self, StartError> {
        let local = transport.local();
        let size = backing.page_size();
        let budget = options.memory.map(|memory| memory.pages(size));
        if let Some(budget) = budget {
            check_memory(local, &homes, budget)?;
        }
        let terms = Terms::new::<P>(size, &homes);
        let protocol = P::new(Setup {
            local,
            nodes: transport.peers().with(local),
            pages: homes.pages(),
            homes: homes.clone(),
        });
        let mut driver = Driver::new(protocol, backing, transport.clone(), epoch)
            .reading_ahead(options.read_ahead)
            .packing(options.parcels)
            .guessing(options.migratory)
            .holding(options.hold)
            .gathering(options.gather)
            .lingering(true)
            .noting_heat(options.heat)
            .telling(handlers.faults());
        if let Some(budget) = budget {
            driver = driver.within(budget, &homes);
        }
        let (stats, heat, wishes) = (driver.stats(), driver.heat(), driver.wishes());
        let farewells = Arc::new(Farewells::new(transport.peers()));
        let orders = Arc::new(Orders::new().map_err(StartError::Pump)?);
        let stop = Arc::new(StopSwitch::new().map_err(StartError::Pump)?);
        let pump = Pump::new(
            driver,
            terms,
            handlers,
            farewells.clone(),
            orders.clone(),
            stop.clone(),
            options,
        )
        .map_err(StartError::Pump)?;
        // Before anything that the pump says.
        tell_all(&*transport, epoch, terms::KIND, terms.body());
        let pump = std::thread::Builder::new()
            .name(format!("dsm-pump-{local}"))
            .spawn(move || pump.run())
            .map_err(StartError::Pump)?;
        Ok(Self {
            transport,
            epoch,
            mapping,
            stats,
            heat,
            farewells,
            orders,
            wishes,
            stop,
            pump: Some(pump),
        })
    }

    /// The memory as local threads see it.
    #[must_use]
    pub fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// The counters as they are now.
    #[must_use]
    pub fn stats(&self) -> DsmStats {
        self.stats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The `most` pages that this node asked for and had taken away most often of late, the hottest
    /// first. None if [`DsmOptions::heat`] is off.
    #[must_use]
    pub fn heat(&self, most: usize) -> Vec<PageHeat> {
        self.heat.hottest(most)
    }

    /// Which threads waited for other nodes and how long, and for the `most` groups of
    /// [`STALL_GROUP`](super::STALL_GROUP) pages that they waited for most often of late. None if
    /// [`DsmOptions::heat`] is off.
    #[must_use]
    pub fn stalls(&self, most: usize) -> Stalls {
        self.heat.stalls(most)
    }

    /// The same for another thread to look at.
    #[must_use]
    pub fn stall_gauge(&self) -> StallGauge {
        StallGauge(self.heat.clone())
    }

    /// Asks for `page` to be given up, because its memory is wanted for others. A wish: see
    /// [`Input::Evict`](crate::protocol::Input::Evict). `false` if too many orders wait.
    pub fn evict(&self, page: PageIndex) -> bool {
        self.orders.push(Order::Evict(page))
    }

    /// Waits until this node may write `page`, and holds it from then on.
    ///
    /// # Errors
    /// [`PinError`] if that takes longer than `patience`.
    pub fn pin(&self, page: PageIndex, patience: Duration) -> Result<Pin, PinError> {
        let reply = PinReply::new();
        if !self.orders.push(Order::Pin(page, reply.clone())) {
            return Err(PinError::Busy(page));
        }
        if !reply.wait(patience) {
            return Err(PinError::TimedOut(page));
        }
        Ok(Pin::new(page, self.orders.clone()))
    }

    /// Has this node leave the shared memory, while others go on using it: its pages, and its part as
    /// their home, go elsewhere, and what it was to all others its `heir` becomes. That has to have room for
    /// it, which [`Succession`](crate::protocol::Succession) says and no one checks here: without, it stays above
    /// its budget. Returns as soon as that has begun. Once [`departure`](Self::departure) says
    /// [`Phase::Left`](crate::protocol::Phase::Left), the node's process may be killed: no peer minds. Accesses
    /// of local threads take pages back until it is [`Phase::Closing`](crate::protocol::Phase::Closing), and
    /// wait from then on.
    ///
    /// At most one node of a cluster may be leaving at a time.
    ///
    /// ```
    /// use giantvm_core::wire::Limits;
    /// use giantvm_core::{Epoch, NodeId, PageSize};
    /// use giantvm_dsm::engine::{Bandwidth, Dsm, Handlers};
    /// use giantvm_dsm::protocol::{Directory, HomeMap, Phase};
    /// use giantvm_transport::inproc;
    ///
    /// # if !giantvm_dsm::uffd::Support::probe().missing() { return Ok(()) }
    /// let size = PageSize::K4;
    /// let homes = HomeMap::even(64, NodeId::first(2));
    /// let nodes = inproc::cluster(2, Epoch::FIRST, Limits::for_pages(size))?;
    /// let start = |end| {
    ///     let (homes, handlers) = (homes.clone(), Handlers::default());
    ///     Dsm::start::<Directory>(end, Epoch::FIRST, size, homes, handlers)
    /// };
    /// let [first, second] = [nodes[0].clone(), nodes[1].clone()].map(|end| start(end));
    /// let (first, second) = (first?, second?);
    /// second.depart(NodeId::ZERO, Bandwidth(100 << 20))?;
    /// while second.departure().phase != Phase::Left {
    ///     std::thread::yield_now();
    /// }
    /// // As a kill would do it.
    /// drop(second);
    /// first.finish(std::time::Duration::from_secs(10))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`DepartError`] says what is against it.
    pub fn depart(&self, heir: NodeId, bandwidth: Bandwidth) -> Result<(), DepartError> {
        let reply = Reply::default();
        let wish = Wish {
            heir,
            bandwidth,
            reply: reply.clone(),
        };
        if !self.wishes.put(wish) {
            return Err(DepartError::Busy);
        }
        if !self.orders.push(Order::Depart) {
            self.wishes.take();
            return Err(DepartError::Busy);
        }
        reply.wait(PUMP_PATIENCE)
    }

    /// Has this node take part again after it has left; nothing happens otherwise. Pages come back by
    /// use, their homes do not. `false` if too many orders wait.
    pub fn come_back(&self) -> bool {
        self.orders.push(Order::Return)
    }

    /// How far this node's departure is.
    #[must_use]
    pub fn departure(&self) -> Departure {
        let stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        stats.departure
    }

    /// Says that this node is done with the memory, and serves on until all others have said the
    /// same. Call it when no thread of this process uses the memory any more.
    ///
    /// # Errors
    /// [`FinishError::Missing`] if a peer goes without a word, or `patience` runs out.
    pub fn finish(mut self, patience: Duration) -> Result<(), FinishError> {
        tell_all(&*self.transport, self.epoch, finish::KIND, Body::EMPTY);
        let outcome = self.farewells.wait(patience).map_err(FinishError::Missing);
        self.halt();
        outcome
    }

    fn halt(&mut self) {
        self.stop.set();
        if let Some(pump) = self.pump.take() {
            pump.join().ok();
            self.transport.close();
        }
    }
}

impl Drop for Dsm {
    fn drop(&mut self) {
        self.halt();
    }
}

/// Sends a frame to every peer.
fn tell_all(transport: &dyn Transport, epoch: Epoch, kind: u8, body: Body) {
    let frame = Frame {
        service: Service::Dsm,
        kind,
        from: transport.local(),
        epoch,
        stamp: Stamp::ZERO,
        body,
        payload: bytes::Bytes::new(),
    };
    for peer in transport.peers() {
        match transport.send(peer, Class::Control, frame.clone()) {
            Ok(()) | Err(SendError::Lost(_)) => {}
            Err(error) => tracing::error!(%error, %peer, kind, "a peer was not told"),
        }
    }
}

/// Whether the pages that a node is home to fit its budget.
fn check_memory(local: NodeId, homes: &HomeMap, budget: u64) -> Result<(), StartError> {
    let homed = homes.of(local).map(PageRange::len).sum();
    let room = budget.saturating_sub(reserve(budget));
    if homed <= room {
        return Ok(());
    }
    Err(StartError::Memory {
        homed,
        room,
        budget,
    })
}
