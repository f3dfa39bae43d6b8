//! The threads of the proxies.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use giantvm_core::VcpuId;

use super::cpu::Cpu;
use super::machine::Machine;
use super::proxy::Proxy;
use crate::error::VcpuError;
use crate::haste::Living;

/// Ends with the vCPU, or without if it failed or the machine ended.
type Thread = JoinHandle<Option<Cpu>>;

/// A thread for each vCPU that is a proxy. It ends when its vCPU is wanted back, and hands that over.
#[derive(Debug)]
pub(super) struct Proxies {
    /// By vCPU number.
    threads: Mutex<Vec<Option<Thread>>>,
    recalled: Vec<AtomicBool>,
    living: Vec<Arc<Living>>,
}

impl Proxies {
    pub(super) fn new(count: usize) -> Self {
        Self {
            threads: Mutex::new((0..count).map(|_| None).collect()),
            recalled: (0..count).map(|_| AtomicBool::new(false)).collect(),
            living: (0..count).map(|_| Arc::default()).collect(),
        }
    }

    /// Whether the proxy's thread has to hand over its vCPU.
    pub(super) fn recalled(&self, id: VcpuId) -> bool {
        self.recalled[id.index()].load(Ordering::Acquire)
    }

    fn threads(&self) -> MutexGuard<'_, Vec<Option<Thread>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machine {
    /// Starts a thread for a proxy.
    pub(super) fn start_proxy(&self, proxy: Proxy) -> Result<(), VcpuError> {
        let id = proxy.id();
        let living = Arc::clone(&self.proxies.living[id.index()]);
        let mut threads = self.proxies.threads();
        self.proxies.recalled[id.index()].store(false, Ordering::Release);
        let thread = thread::Builder::new()
            .name(format!("proxy {id}"))
            .spawn(move || {
                let _life = living.begin();
                proxy.serve()
            })
            .map_err(|source| VcpuError::Os {
                operation: "starting a proxy's thread",
                source,
            })?;
        threads[id.index()] = Some(thread);
        Ok(())
    }

    /// Takes the vCPU back from its proxy's thread, when that has forwarded what it took.
    pub(super) fn recall_proxy(&self, id: VcpuId) -> Result<Cpu, VcpuError> {
        let thread = self.proxies.threads()[id.index()].take();
        // Nobody has it but one who has just recalled it.
        let thread = thread.ok_or(VcpuError::IsLocal(id))?;
        self.proxies.recalled[id.index()].store(true, Ordering::Release);
        // Not by its gate: it may be outside, on its way with what it took. It ends, so it never has to calm down.
        self.proxies.living[id.index()].hasten();
        self.kick(id);
        let recalled = thread.join().ok().flatten();
        // The sink was told why, or the machine stops.
        recalled.ok_or(VcpuError::HostLacks("a proxy: it ended before"))
    }

    /// Makes the proxies' threads end, and waits for them.
    pub(super) fn stop_proxies(&self) {
        self.stopping.store(true, Ordering::Release);
        let threads: Vec<_> = {
            let mut threads = self.proxies.threads();
            let all = VcpuId::first(threads.len()).zip(threads.iter_mut());
            all.filter_map(|(id, thread)| Some((id, thread.take()?)))
                .collect()
        };
        for (id, _) in &threads {
            self.kick(*id);
        }
        for (_, proxy) in threads {
            // A sink may hold the last reference: then this is a proxy's thread, which ends after
            // this. A panic was reported by the thread itself.
            if proxy.thread().id() != thread::current().id() {
                proxy.join().ok();
            }
        }
    }
}
