//! Faults of local threads, and what they say of the faults to come.

use super::Driver;
use crate::backing::{BackingError, Fault};
use crate::protocol::{CoherenceProtocol, Input};

/// Most pages under way that were asked for ahead of time: as many as keep a fast link busy, and no more,
/// as pages that a thread waits for come behind them.
pub(super) const MOST_COMING: usize = 64;
/// How many more there have to be room for, so that they are asked for together.
const RUN: usize = 16;

impl<P: CoherenceProtocol> Driver<P> {
    /// Feeds a local fault.
    ///
    /// # Errors
    /// [`BackingError`]: the node has to stop.
    pub fn fault(&mut self, fault: Fault) -> Result<(), BackingError> {
        let page = fault.page;
        self.kept.faulted(fault, self.now());
        self.heat.faulted(page, fault.access);
        let before = self.protocol.rights(page);
        let access = self.migratory.faulted(page, fault.access, before);
        if access != fault.access {
            self.outlet.count(|stats| stats.guesses += 1);
        }
        self.outlet.awaits(fault, access, before);
        self.give(Input::Fault { page, access })?;
        // Before anything is asked for ahead.
        self.outlet.flush();
        self.ahead.faulted(page, access);
        let used = self.ahead.used();
        if used > 0 {
            self.outlet.count(|stats| stats.read_ahead_used += used);
        }
        self.flush()
    }

    /// Asks for pages that no thread waits for yet, if not too much is under way.
    pub(super) fn read_ahead(&mut self) -> Result<(), BackingError> {
        loop {
            let room = MOST_COMING.saturating_sub(self.coming.len());
            if room < RUN {
                return Ok(());
            }
            let Some((wish, access)) = self.ahead.more(room as u64) else {
                return Ok(());
            };
            for page in wish.pages(self.backing.pages()) {
                let held = self.protocol.rights(page);
                let coming = self.protocol.in_flight();
                if held.is_none() && self.has_room(page, coming) {
                    self.outlet.count(|stats| stats.read_ahead += 1);
                    self.coming.insert(page);
                    self.give(Input::Fault { page, access })?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use giantvm_core::wire::Limits;
    use giantvm_core::{Epoch, NodeId, NodeSet, PageIndex, PageSize};
    use giantvm_transport::inproc::{self, InprocTransport};
    use giantvm_transport::{Event, Transport};

    use super::*;
    use crate::backing::sim::SimBacking;
    use crate::engine::{FaultWatcher, Handlers, ServedFault};
    use crate::protocol::{Access, Directory, HomeMap, Setup};

    const PAGES: u64 = 64;
    const FRAMES: usize = 64;

    fn driver(transport: &Arc<InprocTransport>) -> Driver<Directory> {
        let protocol = Directory::new(Setup {
            local: transport.local(),
            nodes: NodeSet::first(2),
            pages: PAGES,
            homes: HomeMap::even(PAGES, [NodeId::ZERO]),
        });
        let backing = Box::new(SimBacking::new(PageSize::K4, FRAMES));
        Driver::new(protocol, backing, transport.clone(), Epoch::FIRST).noting_heat(true)
    }

    #[derive(Default)]
    struct Told(Mutex<Vec<(u64, u32, Access)>>);

    impl FaultWatcher for Told {
        fn served(&self, fault: &ServedFault) {
            let told = (fault.page.0, fault.thread, fault.access);
            self.0.lock().unwrap().push(told);
        }
    }

    /// Lets two drivers hear what they say to one another, until they are silent.
    fn talk(ends: &[Arc<InprocTransport>], drivers: &mut [Driver<Directory>; 2]) {
        let mut is_quiet = false;
        while !is_quiet {
            is_quiet = true;
            for (end, driver) in ends.iter().zip(drivers.iter_mut()) {
                let mut events = Vec::new();
                end.poll(&mut |event| events.push(event));
                for event in events {
                    if let Event::Frame { frame, .. } = event {
                        driver.take(&frame).unwrap().unwrap();
                        is_quiet = false;
                    }
                }
                driver.flush().unwrap();
            }
        }
    }

    #[test]
    fn everyone_who_waited_for_a_page_is_told_of_once_and_who_waited_for_no_node_is_not() {
        let ends = inproc::cluster(2, Epoch::FIRST, Limits::for_pages(PageSize::K4)).unwrap();
        let told = [(); 2].map(|()| Arc::new(Told::default()));
        let watched = |node: usize| {
            let handlers = Handlers::default().on_faults(told[node].clone());
            driver(&ends[node]).telling(handlers.faults())
        };
        let mut drivers = [watched(0), watched(1)];
        let mut fault = |node: usize, thread, page, access| {
            let page = PageIndex(page);
            let fault = Fault {
                page,
                access,
                thread,
            };
            drivers[node].fault(fault).unwrap();
        };
        // Two threads of the second node wait for one page, one of them reported twice.
        fault(1, 8, 20, Access::Read);
        fault(1, 7, 20, Access::Write);
        fault(1, 8, 20, Access::Read);
        // The home answers itself.
        fault(0, 9, 40, Access::Write);
        talk(&ends, &mut drivers);
        let told = told.map(|told| told.0.lock().unwrap().clone());
        assert_eq!(told[0], []);
        assert_eq!(told[1], [(20, 8, Access::Read), (20, 7, Access::Write)]);
        let [home, other] = drivers.each_mut().map(|driver| {
            driver.tick().unwrap();
            driver.heat().stalls(9)
        });
        assert_eq!(home.threads, []);
        let told = other
            .threads
            .iter()
            .map(|of| (of.thread, of.reads, of.writes));
        assert_eq!(told.collect::<Vec<_>>(), [(7, 0, 1), (8, 1, 0)]);
        let groups = other
            .groups
            .iter()
            .map(|of| (of.first.0, of.thread, of.reads, of.writes));
        assert_eq!(groups.collect::<Vec<_>>(), [(16, 8, 1, 0), (16, 7, 0, 1)]);
    }
}
