//! Words that nobody waits for go with others, and at once when somebody does.

#[path = "drivers/far.rs"]
mod far;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use giantvm_core::wire::Limits;
use giantvm_core::{Epoch, NodeId, NodeSet, PageIndex, PageSize};
use giantvm_dsm::backing::Fault;
use giantvm_dsm::backing::sim::{SimBacking, SimMemory};
use giantvm_dsm::engine::Driver;
use giantvm_dsm::protocol::{Access, CoherenceProtocol, Directory, HomeMap, Rights, Setup};
use giantvm_transport::inproc::{self, InprocTransport};
use giantvm_transport::{Event, Transport};

use far::Far;

const PAGES: u64 = 8;
const NODES: usize = 3;

/// Drivers whose time is told. Node 0 is home to all pages.
struct Cluster {
    drivers: Vec<Driver<Directory>>,
    memories: Vec<SimMemory>,
    ends: Vec<Arc<InprocTransport>>,
    time: Arc<AtomicU64>,
}

impl Cluster {
    fn new(link: fn(Arc<InprocTransport>) -> Arc<dyn Transport>) -> Self {
        let limits = Limits::for_pages(PageSize::K4);
        let ends = inproc::cluster(NODES, Epoch::FIRST, limits).unwrap();
        let time = Arc::new(AtomicU64::new(0));
        let mut memories = Vec::new();
        let driver = |end: &Arc<InprocTransport>| {
            let protocol = Directory::new(Setup {
                local: end.local(),
                nodes: NodeSet::first(NODES),
                pages: PAGES,
                homes: HomeMap::even(PAGES, [NodeId::ZERO]),
            });
            let backing = SimBacking::new(PageSize::K4, usize::try_from(PAGES).unwrap());
            memories.push(backing.memory());
            Driver::new(protocol, Box::new(backing), link(end.clone()), Epoch::FIRST)
                .told_time(time.clone())
                .holding(true)
                .lingering(true)
        };
        Self {
            drivers: ends.iter().map(driver).collect(),
            memories,
            ends,
            time,
        }
    }

    fn far() -> Self {
        Self::new(|end| Arc::new(Far(end)))
    }

    fn fault(&mut self, node: usize, page: u64, access: Access) {
        let page = PageIndex(page);
        let fault = Fault {
            page,
            access,
            thread: 1,
        };
        self.drivers[node].fault(fault).unwrap();
    }

    /// Lets everything arrive that was sent, and pages go that were kept for their threads. Takes some
    /// microseconds, but less than a word waits for company.
    fn talk(&mut self) {
        for _ in 0..12 {
            self.time.fetch_add(1000, Ordering::Relaxed);
            for (end, driver) in self.ends.iter().zip(&mut self.drivers) {
                let mut events = Vec::new();
                end.poll(&mut |event| events.push(event));
                for event in events {
                    if let Event::Frame { frame, .. } = event {
                        driver.take(&frame).unwrap().unwrap();
                    }
                }
                driver.flush().unwrap();
                assert_eq!(driver.release().unwrap(), []);
                driver.tick().unwrap();
            }
        }
    }

    fn frames(&self, node: usize) -> u64 {
        self.ends[node].traffic().frames_sent
    }

    fn rights(&self, node: usize) -> Option<Rights> {
        self.memories[node].inspect(PageIndex(0), |rights, _| rights)
    }
}

#[test]
fn that_a_page_has_come_is_said_with_the_next_request() {
    let mut cluster = Cluster::far();
    cluster.fault(1, 0, Access::Write);
    cluster.talk();
    assert_eq!(cluster.frames(1), 1, "the request alone");
    cluster.fault(1, 1, Access::Write);
    assert_eq!(cluster.frames(1), 2, "both together");
    cluster.talk();
    // Had the home not heard it, the page would still be busy.
    cluster.fault(0, 0, Access::Write);
    cluster.talk();
    assert_eq!(cluster.rights(0), Some(Rights::Write));
}

#[test]
fn it_is_said_at_once_when_somebody_waits() {
    let mut cluster = Cluster::far();
    cluster.fault(1, 0, Access::Write);
    cluster.talk();
    assert_eq!(cluster.frames(1), 1);
    cluster.fault(2, 0, Access::Read);
    cluster.talk();
    assert_eq!(cluster.rights(2), Some(Rights::Read));
}

#[test]
fn it_is_said_when_the_time_has_come() {
    let mut cluster = Cluster::far();
    cluster.fault(1, 0, Access::Write);
    cluster.talk();
    let left = cluster.drivers[1].tick().unwrap();
    assert_eq!(cluster.frames(1), 1);
    assert_eq!(
        left, None,
        "no timer is set for it, as that costs more than it saves"
    );
    cluster.time.fetch_add(1_000_000, Ordering::Relaxed);
    cluster.drivers[1].tick().unwrap();
    assert_eq!(cluster.frames(1), 2);
}

#[test]
fn it_is_said_in_the_end() {
    let mut cluster = Cluster::far();
    cluster.fault(1, 0, Access::Write);
    cluster.talk();
    cluster.drivers[1].say_all();
    assert_eq!(cluster.frames(1), 2);
}

#[test]
fn of_a_page_that_others_took_lately_it_is_said_at_once() {
    let mut cluster = Cluster::far();
    for node in [1, 2] {
        cluster.fault(node, 0, Access::Write);
        cluster.talk();
    }
    let before = cluster.frames(1);
    cluster.fault(1, 0, Access::Write);
    cluster.talk();
    assert_eq!(cluster.frames(1) - before, 2, "a request, and its end");
}

#[test]
fn between_nodes_that_share_memory_nothing_waits() {
    let mut cluster = Cluster::new(|end| end);
    cluster.fault(1, 0, Access::Write);
    cluster.talk();
    assert_eq!(cluster.frames(1), 2);
}
