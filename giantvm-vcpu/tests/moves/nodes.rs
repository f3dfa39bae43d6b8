//! Nodes of one machine in one process, with a thread for each link between two.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use giantvm_core::{NodeId, NodeSet, VcpuId};
use giantvm_vcpu::message::Message as WireMessage;
use giantvm_vcpu::migration::{Carrier, Message, Mover, Outcome};
use giantvm_vcpu::{Exit, Layout, Vcpu, VcpuError, VcpuHost};

pub(crate) fn node(number: usize) -> NodeId {
    NodeId::new(u8::try_from(number).unwrap()).unwrap()
}

pub(crate) fn id(number: usize) -> VcpuId {
    VcpuId::new(u8::try_from(number).unwrap()).unwrap()
}

/// What a program does about exits. Kicks are not among them; false ends the vCPU's thread.
pub(crate) type Exits = dyn Fn(&mut dyn Vcpu, Exit) -> bool + Send + Sync;

/// How a test sees moves.
#[derive(Debug)]
pub(crate) struct Log {
    /// When a vCPU left the guest to move.
    left: Vec<Mutex<Option<Instant>>>,
    /// Whether threads of vCPUs are to end.
    over: AtomicBool,
    pub(crate) pauses: Mutex<Vec<Duration>>,
    ended: Mutex<Sender<(VcpuId, Outcome)>>,
    pub(crate) ends: Mutex<Receiver<(VcpuId, Outcome)>>,
}

/// One node's surroundings.
struct Around {
    this: Weak<Self>,
    links: Vec<Sender<Message>>,
    mover: Mutex<Weak<Mover>>,
    exits: Arc<Exits>,
    log: Arc<Log>,
}

impl Carrier for Around {
    fn send(&self, to: NodeId, message: Message) {
        // A node that has ended needs no messages.
        self.links[to.index()].send(message).ok();
    }

    fn run(&self, vcpu: Box<dyn Vcpu>) {
        run(&self.this.upgrade().unwrap(), vcpu);
    }

    fn tsc_offset(&self, _: Option<u64>) -> i64 {
        0
    }

    fn relocated(&self, _: VcpuId, _: NodeId) {}

    fn ended(&self, vcpu: VcpuId, _: NodeId, outcome: Outcome) {
        self.log.ended.lock().unwrap().send((vcpu, outcome)).ok();
    }

    fn failed(&self, vcpu: VcpuId, error: VcpuError) {
        panic!("vCPU {vcpu}: {error}");
    }
}

fn run(around: &Arc<Around>, mut vcpu: Box<dyn Vcpu>) {
    let around = Arc::clone(around);
    thread::spawn(move || {
        let id = vcpu.id();
        if let Some(left) = around.log.left[id.index()].lock().unwrap().take() {
            around.log.pauses.lock().unwrap().push(left.elapsed());
        }
        loop {
            let exit = vcpu.run().unwrap();
            if exit != Exit::Kicked && !(around.exits)(&mut *vcpu, exit) {
                return;
            }
            let mover = around.mover.lock().unwrap().upgrade();
            let over = around.log.over.load(Ordering::SeqCst);
            let Some(mover) = mover.filter(|_| !over) else {
                return;
            };
            if mover.wants(id) {
                *around.log.left[id.index()].lock().unwrap() = Some(Instant::now());
                vcpu = match mover.depart(vcpu) {
                    Some(vcpu) => vcpu,
                    None => return,
                };
            }
        }
    });
}

/// Some nodes.
pub(crate) struct Nodes {
    pub(crate) hosts: Vec<Arc<dyn VcpuHost>>,
    pub(crate) movers: Vec<Arc<Mover>>,
    around: Vec<Arc<Around>>,
    pub(crate) log: Arc<Log>,
}

impl Nodes {
    /// vCPU number `i` is on node `places[i]`; `host` makes a node's host.
    pub(crate) fn new(
        places: &[usize],
        exits: Arc<Exits>,
        host: impl Fn(Layout, Arc<Mover>) -> Arc<dyn VcpuHost>,
    ) -> Self {
        let count = places.iter().max().unwrap().max(&1) + 1;
        let (ended, ends) = channel();
        let log = Arc::new(Log {
            left: places.iter().map(|_| Mutex::default()).collect(),
            over: AtomicBool::new(false),
            pauses: Mutex::default(),
            ended: Mutex::new(ended),
            ends: Mutex::new(ends),
        });
        let mut queues = Vec::new();
        let mut around = Vec::new();
        for _ in 0..count {
            let (links, ends): (Vec<_>, Vec<_>) = (0..count).map(|_| channel()).unzip();
            queues.push(ends);
            around.push(Arc::new_cyclic(|this| Around {
                this: this.clone(),
                links,
                mover: Mutex::default(),
                exits: Arc::clone(&exits),
                log: Arc::clone(&log),
            }));
        }
        let (mut hosts, mut movers) = (Vec::new(), Vec::new());
        for (local, around) in around.iter().enumerate() {
            let at = places.iter().map(|place| node(*place)).collect();
            let layout = Layout::new(node(local), at).unwrap();
            let peers: NodeSet = (0..count).filter(|peer| *peer != local).map(node).collect();
            let mover = Mover::start(&layout, peers, around.clone()).unwrap();
            *around.mover.lock().unwrap() = Arc::downgrade(&mover);
            let host = host(layout, Arc::clone(&mover));
            mover.attach(&host);
            hosts.push(host);
            movers.push(mover);
        }
        for (from, ends) in queues.into_iter().enumerate() {
            for (to, queue) in ends.into_iter().enumerate() {
                let mover = Arc::downgrade(&movers[to]);
                thread::spawn(move || carry(node(from), &queue, &mover));
            }
        }
        Self {
            hosts,
            movers,
            around,
            log,
        }
    }

    /// Takes a vCPU that starts here and runs it.
    pub(crate) fn start(&self, number: usize, prepare: impl FnOnce(&mut dyn Vcpu)) {
        let at = self.place(number);
        let mut vcpu = self.hosts[at].take(id(number)).unwrap();
        prepare(&mut *vcpu);
        run(&self.around[at], vcpu);
    }

    /// Where a vCPU is when it does not move.
    pub(crate) fn place(&self, number: usize) -> usize {
        let places = self
            .movers
            .iter()
            .map(|mover| mover.place(id(number)).unwrap());
        places.max_by_key(|place| place.epoch).unwrap().node.index()
    }

    /// Moves a vCPU and waits for the end of that.
    pub(crate) fn relocate(&self, number: usize, to: usize) -> Outcome {
        let from = self.place(number);
        self.movers[from].begin(id(number), node(to)).unwrap();
        let (moved, outcome) = self.log.ends.lock().unwrap().recv().unwrap();
        assert_eq!(moved, id(number), "one move at a time in these tests");
        outcome
    }

    /// Waits until the vCPU's new place knows that it is that.
    pub(crate) fn settle(&self, number: usize) {
        let knows = |mover: &Arc<Mover>, at| mover.place(id(number)).unwrap().node == node(at);
        let at = self.place(number);
        while !self.movers.iter().all(|mover| knows(mover, at)) {
            thread::yield_now();
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.log.over.store(true, Ordering::SeqCst);
        for (host, number) in self.hosts.iter().flat_map(|host| {
            let count = host.layout().count();
            (0..count).map(move |number| (host, number))
        }) {
            host.kick(id(number)).ok();
        }
    }
}

/// Has the calling thread run before others, where that is permitted, as whoever carries messages of a real
/// machine does.
#[expect(unsafe_code, reason = "a system call")]
fn run_before_others() {
    let parameter = libc::sched_param { sched_priority: 1 };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: reads the structure, which lives through the call; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) };
}

/// Messages go through their wire form.
fn carry(from: NodeId, queue: &Receiver<Message>, to: &Weak<Mover>) {
    run_before_others();
    while let Ok(message) = queue.recv() {
        let (kind, body, payload) = WireMessage::Vcpu(message).encode();
        let frame = giantvm_core::wire::Frame {
            service: giantvm_core::wire::Service::Vcpu,
            kind,
            from,
            epoch: giantvm_core::Epoch::FIRST,
            stamp: giantvm_core::Stamp::ZERO,
            body,
            payload,
        };
        let Ok(WireMessage::Vcpu(message)) = WireMessage::decode(&frame) else {
            panic!("a message that does not survive its wire form");
        };
        let Some(mover) = to.upgrade() else { return };
        mover.message(from, message).unwrap();
    }
}

/// Prints how long vCPUs stood still.
pub(crate) fn print_pauses(what: &str, log: &Log) {
    let mut pauses = log.pauses.lock().unwrap().clone();
    pauses.sort_unstable();
    let at = |share: usize| {
        pauses
            .get(pauses.len() * share / 100)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "{what}: {} moves, pause p50 {:?}, p99 {:?}, longest {:?}",
        pauses.len(),
        at(50),
        at(99),
        pauses.last().copied().unwrap_or_default(),
    );
}
