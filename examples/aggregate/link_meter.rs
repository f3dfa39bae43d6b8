//! Measures the links to all other nodes, before the guest runs, and finds out that they have read what
//! was sent.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use giantvm_core::{NodeId, NodeSet};
use giantvm_vcpu::clock::Nanos;

use crate::echoes::Echoes;
use crate::wiring::Outlet;

/// How long that may take. What is not known then is not told to the guest, which is no worse off than
/// without any measurement.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks and listens.
#[derive(Debug)]
pub(crate) struct LinkMeter {
    outlet: Outlet,
    peers: NodeSet,
    origin: Instant,
    echoes: Mutex<Echoes>,
    changed: Condvar,
}

impl LinkMeter {
    pub(crate) fn new(outlet: Outlet, peers: NodeSet) -> Self {
        Self {
            outlet,
            peers,
            origin: Instant::now(),
            echoes: Mutex::new(Echoes::new(peers)),
            changed: Condvar::new(),
        }
    }

    /// The shortest round trip to each node that answers, measured now.
    ///
    /// Whoever has answered has read all that this node said to it before.
    pub(crate) fn measure(&self) -> Vec<(NodeId, Duration)> {
        *self.locked() = Echoes::new(self.peers);
        for peer in self.peers.iter() {
            self.ask(self.locked(), peer);
        }
        let unfinished = |echoes: &mut Echoes| !echoes.are_done();
        let waited = self
            .changed
            .wait_timeout_while(self.locked(), PATIENCE, unfinished)
            .unwrap_or_else(PoisonError::into_inner);
        waited.0.round_trips()
    }

    /// Takes a node's answer, and asks it again if that was not the last.
    pub(crate) fn learn(&self, from: NodeId, number: u32) -> Result<(), String> {
        let mut echoes = self.locked();
        echoes.answer(from, number, self.now())?;
        if echoes.are_done() {
            self.changed.notify_all();
        }
        self.ask(echoes, from);
        Ok(())
    }

    fn ask(&self, mut echoes: MutexGuard<'_, Echoes>, node: NodeId) {
        let question = echoes.ask(node, self.now());
        drop(echoes);
        if let Some(number) = question {
            self.outlet.echo(node, number);
        }
    }

    fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn locked(&self) -> MutexGuard<'_, Echoes> {
        self.echoes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
