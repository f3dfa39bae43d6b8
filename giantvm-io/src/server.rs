//! Serves other nodes' accesses to own devices, off the network thread.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use giantvm_core::{MAX_NODES, MAX_VCPUS, NodeId};

use crate::{Bus, DeviceId, IoReply, IoRequest, MAX_ABANDONED, MAX_POSTED, Origin, Violation};

/// Most requests of one node that wait or are being served: what its [`Forwarder`](crate::Forwarder)
/// can have under way and given up.
pub const MAX_QUEUED: usize = MAX_VCPUS + MAX_ABANDONED;

/// Most posted writes of one node that wait for one device.
pub const MAX_POSTED_QUEUED: usize = MAX_VCPUS * MAX_POSTED;

/// What each node has waiting.
type Allowance = [AtomicUsize; MAX_NODES];

/// What a worker is to do next.
enum Work {
    /// Serve a node's request.
    Serve(NodeId, IoRequest),
    /// Say that all before this is done.
    Pass(Sender<()>),
}

type Reply = dyn Fn(NodeId, IoReply) + Send + Sync;

struct Worker {
    device: DeviceId,
    queue: Sender<Work>,
    /// Posted writes of each node that are not served yet.
    posted: Arc<Allowance>,
    thread: JoinHandle<()>,
}

/// One thread for each own device, which serves other nodes' accesses to it in the order they came.
///
/// A device may touch distributed memory and fault, and the network thread must not wait for that:
/// it brings the page. Every node has its own allowance of [`MAX_QUEUED`] requests and, for each
/// device, [`MAX_POSTED_QUEUED`] posted writes, so none can use up another's.
pub struct DeviceServer {
    bus: Arc<Bus>,
    workers: Vec<Worker>,
    /// Requests of each node that are not answered yet.
    queued: Arc<Allowance>,
}

impl fmt::Debug for DeviceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("DeviceServer");
        debug.field("devices", &self.workers.len());
        debug.finish_non_exhaustive()
    }
}

impl DeviceServer {
    /// Starts the threads. `reply` takes an answer to its node; a node that is lost needs none.
    ///
    /// # Errors
    /// What the system says if it gives no thread.
    pub fn start(
        bus: Arc<Bus>,
        reply: impl Fn(NodeId, IoReply) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let reply: Arc<Reply> = Arc::new(reply);
        let queued = Arc::new([const { AtomicUsize::new(0) }; MAX_NODES]);
        let start = |(device, name): (DeviceId, &str)| {
            let (queue, work) = channel();
            let (bus, queued) = (Arc::clone(&bus), Arc::clone(&queued));
            let reply = Arc::clone(&reply);
            let posted = Arc::new([const { AtomicUsize::new(0) }; MAX_NODES]);
            let mine = Arc::clone(&posted);
            let thread = Builder::new()
                .name(format!("gvm-{name}"))
                .spawn(move || serve(&bus, &work, &queued, &mine, &*reply))?;
            Ok(Worker {
                device,
                queue,
                posted,
                thread,
            })
        };
        let workers = bus.local_devices().map(start).collect::<io::Result<_>>()?;
        Ok(Self {
            bus,
            workers,
            queued,
        })
    }

    /// Takes a request of another node. Does not block.
    ///
    /// # Errors
    /// [`Violation`] for a request that no sound node sends; it is not served.
    pub fn submit(&self, from: NodeId, request: IoRequest) -> Result<(), Violation> {
        let device = self.bus.target(from, &request)?;
        let worker = self.workers.iter().find(|worker| worker.device == device);
        let worker = worker.ok_or(Violation::NotHere { from })?;
        let (queued, limit) = match request.token {
            Some(_) => (&self.queued[from.index()], MAX_QUEUED),
            None => (&worker.posted[from.index()], MAX_POSTED_QUEUED),
        };
        if queued.fetch_add(1, Ordering::Relaxed) >= limit {
            queued.fetch_sub(1, Ordering::Relaxed);
            return Err(Violation::TooMany { from, limit });
        }
        if worker.queue.send(Work::Serve(from, request)).is_err() {
            // A worker ends only with the server, or by a panic in `reply`, which is the caller's.
            queued.fetch_sub(1, Ordering::Relaxed);
            tracing::error!(%from, "the thread that serves the device is gone");
        }
        Ok(())
    }

    /// Waits until all requests taken so far are answered. Between two runs of a machine, when no
    /// node sends any more, this keeps the old run's writes out of the new one.
    pub fn drain(&self) {
        let (passed, all_passed) = channel();
        for worker in &self.workers {
            // A worker that is gone has nothing left to do.
            worker.queue.send(Work::Pass(passed.clone())).ok();
        }
        drop(passed);
        // Ends when every worker has dropped its sender.
        all_passed.iter().for_each(drop);
    }

    /// Serves what is queued, then ends the threads and waits for them. Dropping the server ends
    /// them too, but does not wait.
    pub fn shutdown(self) {
        for Worker { queue, thread, .. } in self.workers {
            drop(queue);
            if thread.join().is_err() {
                tracing::error!("a thread that served a device panicked");
            }
        }
    }
}

fn serve(bus: &Bus, work: &Receiver<Work>, queued: &Allowance, posted: &Allowance, reply: &Reply) {
    for work in work {
        let (from, request) = match work {
            Work::Serve(from, request) => (from, request),
            Work::Pass(passed) => {
                // Whoever waited may have gone.
                passed.send(()).ok();
                continue;
            }
        };
        let origin = Origin {
            node: from,
            vcpu: request.vcpu,
        };
        let result = bus.serve(origin, request.access);
        let Some(token) = request.token else {
            // The bus has counted and logged what went wrong.
            posted[from.index()].fetch_sub(1, Ordering::Relaxed);
            continue;
        };
        // Before the answer, so that the next request it allows finds room.
        queued[from.index()].fetch_sub(1, Ordering::Relaxed);
        reply(from, IoReply { token, result });
    }
}
