//! A pump that looks without sleeping must look thoroughly before it sleeps.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use giantvm_core::testing::skip;
use giantvm_core::wire::{Class, Frame, Limits};
use giantvm_core::{Epoch, NodeId, NodeSet, PageIndex, PageSize};
use giantvm_dsm::engine::{Dsm, DsmOptions, Handlers, Waiting};
use giantvm_dsm::protocol::{Directory, HomeMap};
use giantvm_dsm::uffd::Support;
use giantvm_dsm::view::Region;
use giantvm_transport::inproc::{self, InprocTransport};
use giantvm_transport::{Event, LogicalClock, Loss, SendError, Traffic, Transport};
use rustix::event::{EventfdFlags, eventfd};

/// What wakes a node: only if its last look was a poll that found nothing.
#[derive(Debug)]
struct Ears {
    armed: AtomicBool,
    bell: OwnedFd,
}

/// A transport that is as hard of hearing as the trait allows.
#[derive(Debug)]
struct HardOfHearing {
    inner: Arc<InprocTransport>,
    /// By node.
    ears: Arc<[Ears; 2]>,
}

impl HardOfHearing {
    fn own(&self) -> &Ears {
        &self.ears[self.local().index()]
    }
}

impl Transport for HardOfHearing {
    fn local(&self) -> NodeId {
        self.inner.local()
    }

    fn peers(&self) -> NodeSet {
        self.inner.peers()
    }

    fn clock(&self) -> &LogicalClock {
        self.inner.clock()
    }

    fn send(&self, to: NodeId, class: Class, frame: Frame) -> Result<(), SendError> {
        self.inner.send(to, class, frame)?;
        let ears = &self.ears[to.index()];
        if ears.armed.swap(false, Ordering::SeqCst) {
            rustix::io::write(&ears.bell, &1_u64.to_ne_bytes()).unwrap();
        }
        Ok(())
    }

    fn poll(&self, sink: &mut dyn FnMut(Event)) -> usize {
        rustix::io::read(&self.own().bell, &mut [0; 8]).ok();
        self.own().armed.store(true, Ordering::SeqCst);
        self.inner.poll(sink)
    }

    fn glance(&self, sink: &mut dyn FnMut(Event)) -> usize {
        self.own().armed.store(false, Ordering::SeqCst);
        self.inner.poll(sink)
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.own().bell.as_fd()
    }

    fn traffic(&self) -> Traffic {
        self.inner.traffic()
    }

    fn sever(&self, node: NodeId, loss: Loss) {
        self.inner.sever(node, loss);
    }

    fn close(&self) {
        self.inner.close();
    }
}

fn node(inner: Arc<InprocTransport>, ears: &Arc<[Ears; 2]>, waiting: Waiting) -> Dsm {
    let ears = Arc::clone(ears);
    let homes = HomeMap::even(2, NodeId::first(2));
    let mut options = DsmOptions::default();
    options.waiting = waiting;
    Dsm::start_with::<Directory>(
        Arc::new(HardOfHearing { inner, ears }),
        Epoch::FIRST,
        PageSize::K4,
        homes,
        Handlers::default(),
        options,
    )
    .unwrap()
}

#[test]
fn a_request_that_comes_after_the_pump_gave_up_looking_wakes_it() {
    if !Support::probe().missing() {
        let test = "a_request_that_comes_after_the_pump_gave_up_looking_wakes_it";
        return skip(test, "userfaultfd is not usable");
    }
    let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
    for waiting in [Waiting::Blocking, Waiting::Adaptive, Waiting::Latency] {
        let ears = Arc::new([(); 2].map(|()| Ears {
            armed: AtomicBool::new(false),
            bell: eventfd(0, flags).unwrap(),
        }));
        let limits = Limits::for_pages(PageSize::K4);
        let transports = inproc::cluster(2, Epoch::FIRST, limits).unwrap();
        let nodes: Vec<_> = transports
            .into_iter()
            .map(|inner| node(inner, &ears, waiting))
            .collect();
        let words: Vec<Region<AtomicU64>> = nodes
            .iter()
            .map(|node| Region::new(node.mapping(), PageIndex(0)).unwrap())
            .collect();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..60 {
                    words[round % 2].fetch_add(1, Ordering::SeqCst);
                    // Longer than any pump looks on.
                    std::thread::sleep(Duration::from_millis(3));
                }
                done.store(true, Ordering::SeqCst);
            });
            let start = Instant::now();
            while !done.load(Ordering::SeqCst) {
                if start.elapsed() > Duration::from_secs(60) {
                    eprintln!("a pump of kind {waiting:?} sleeps for ever");
                    // A thread that waits for a page cannot be ended otherwise.
                    std::process::abort();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        assert_eq!(words[0].load(Ordering::SeqCst), 60);
    }
}
