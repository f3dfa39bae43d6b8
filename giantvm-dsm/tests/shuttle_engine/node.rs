//! A node: its driver, and what plays its pump.

use std::sync::Arc;

use giantvm_core::PageIndex;
use giantvm_core::wire::Service;
use giantvm_dsm::engine::Driver;
use giantvm_transport::{Event, Transport as _};
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread;

use crate::net::Net;
use crate::orders::{Order, Orders, PinReply};
use crate::protocol::CoherenceProtocol;
use crate::watched::Watched;

/// Tells a pump how to end.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// The node dies without a word.
    pub(crate) dies: AtomicBool,
    /// No thread uses the memory any more.
    pub(crate) stops: AtomicBool,
}

/// Turns that a pump goes on after a loss before the program ends the threads that wait.
const TURNS_AFTER_LOSS: u32 = 20;

pub(crate) struct Node<P: CoherenceProtocol> {
    pub(crate) driver: Driver<Watched<P>>,
    pub(crate) net: Arc<Net>,
    pub(crate) orders: Arc<Orders>,
    pub(crate) ends: Arc<Ends>,
    pub(crate) pinning: Vec<(PageIndex, PinReply)>,
    pub(crate) left: Option<u32>,
}

impl<P: CoherenceProtocol> Node<P> {
    /// Serves until told to stop.
    pub(crate) fn run(mut self) {
        while !self.ends.stops.load(Ordering::SeqCst) {
            if self.ends.dies.load(Ordering::SeqCst) {
                self.net.die();
                self.give_up();
                return;
            }
            self.take_frames();
            self.take_faults();
            self.take_orders();
            self.driver.tick().unwrap();
            if let Some(left) = &mut self.left {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    // What a program does whose memory is no longer whole: it ends its threads.
                    self.give_up();
                }
            }
            thread::yield_now();
        }
    }

    /// Ends every thread that waits for a page or comes to touch one.
    fn give_up(&mut self) {
        for page in 0..self.driver.backing().pages() {
            self.driver.backing().poison(PageIndex(page)).unwrap();
        }
    }

    fn take_frames(&mut self) {
        let mut events = Vec::new();
        self.net.poll(&mut |event| events.push(event));
        for event in events {
            match event {
                Event::Frame { frame, .. } => {
                    assert_eq!(frame.service, Service::Dsm);
                    self.driver.admit(&frame).unwrap();
                    self.driver.take(&frame).unwrap().unwrap();
                }
                Event::Lost { node, .. } => {
                    self.left = Some(TURNS_AFTER_LOSS);
                    self.driver.lost(node).unwrap();
                }
            }
        }
        self.driver.flush().unwrap();
    }

    fn take_faults(&mut self) {
        let mut faults = Vec::new();
        self.driver.backing().take_faults(&mut faults).unwrap();
        for fault in faults {
            self.driver.fault(fault).unwrap();
        }
    }

    fn take_orders(&mut self) {
        while let Some(order) = self.orders.pop() {
            match order {
                Order::Evict(page) => self.driver.evict(page).unwrap(),
                Order::Pin(page, reply) => self.pinning.push((page, reply)),
                Order::Depart | Order::Return => unreachable!("no one leaves here"),
                Order::Unpin(page) => {
                    let refusals = self.driver.unpin(page).unwrap();
                    assert!(refusals.is_empty(), "no one lies here: {refusals:?}");
                }
            }
        }
        for (page, reply) in std::mem::take(&mut self.pinning) {
            if self.driver.pin(page).unwrap() {
                assert!(reply.give(), "no one gives up here");
            } else {
                self.pinning.push((page, reply));
            }
        }
    }
}
