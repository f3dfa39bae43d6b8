//! The guest's channel: who answers what the guest asks.
//!
//! A Linux guest has it as a named port of a virtio console, `giantvm.channel`. Of the ways to reach a
//! program in an unmodified Debian guest this is the one that needs nothing of ours in the kernel and
//! no right but to open a file, which a udev rule gives to a group:
//!
//! | way | why not |
//! |---|---|
//! | a window of registers, announced by ACPI | without a driver only `/dev/mem` reaches it: root, and no kernel with lockdown |
//! | a page in guest memory that ACPI reserves | the same; and the host's writes would travel between nodes |
//! | a second serial line | every byte is an exit, and no way to tell it from a console |
//! | vsock | an address family instead of a file: whoever can open a socket can ask |
//! | network | the guest has to be given an address |
//!
//! The guest that ships with the project has no drivers, and reads [registers](window).
//!
//! A thread on the port's node, or on each node that has registers, answers: it asks the other nodes, [gathers](gather) and writes. It works
//! only when asked, for at most one question at a time.

mod gather;
mod window;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use giantvm_core::{NodeId, NodeSet};
use giantvm_dsm::engine::StallGauge;
use giantvm_dsm::protocol::HomeMap;
use giantvm_io::virtio::port::Port;
use giantvm_sched::channel::{Message, Report, Stream};
use giantvm_sched::schedule::Machine;

use self::gather::Gatherer;
pub(crate) use self::window::ChannelWindow;
use crate::stalls::{HOTTEST, NodeStalls, VcpuThreads};
use crate::wiring::Wiring;

/// The port's name in the guest.
const NAME: &str = "giantvm.channel";
/// Requests that wait; what comes then is lost, and the guest asks again.
const MOST_REQUESTS: usize = 128;
/// How long other nodes may take to answer. One that is late is told of as it was.
const PATIENCE: Duration = Duration::from_millis(100);
/// What was gathered is good for so long, however often the guest asks.
const FRESH: Duration = Duration::from_millis(10);

/// Something for the thread that answers.
#[derive(Debug)]
pub(crate) enum Request {
    /// The guest asks, by a number.
    Ask(u64),
    /// The guest tells of its threads.
    Report(Report),
    /// A node tells what its vCPUs wait for.
    Stalls(NodeId, NodeStalls),
    /// The window wants a snapshot, with its generation.
    Take(SyncSender<(Vec<u8>, u64)>),
}

/// The channel before there is memory: what the port is made of, and what its thread will be.
#[derive(Debug)]
pub(crate) struct Channel {
    requests: SyncSender<Request>,
    inbox: Receiver<Request>,
    answers: File,
    /// The port's end; taken by the port.
    input: OwnedFd,
    local: Arc<OnceLock<Local>>,
}

/// What this node knows of its vCPUs.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    pub(crate) gauge: StallGauge,
    pub(crate) threads: Arc<VcpuThreads>,
}

impl Local {
    /// What they wait for, and the `most` hottest groups of that.
    pub(crate) fn stalls(&self, most: usize) -> NodeStalls {
        NodeStalls::new(&self.gauge.stalls(most), &self.threads)
    }
}

/// What the thread that answers works with.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) local: NodeId,
    pub(crate) peers: NodeSet,
    pub(crate) machine: Machine,
    pub(crate) homes: HomeMap,
    pub(crate) known: Local,
    pub(crate) wiring: Arc<Wiring>,
}

impl Channel {
    pub(crate) fn new() -> io::Result<Self> {
        let (requests, inbox) = sync_channel(MOST_REQUESTS);
        let (input, answers) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        Ok(Self {
            requests,
            inbox,
            answers: answers.into(),
            input,
            local: Arc::default(),
        })
    }

    /// The port.
    pub(crate) fn port(&self) -> io::Result<Port> {
        let (requests, mut stream) = (self.requests.clone(), Stream::default());
        let hear = move |mut bytes: &[u8]| {
            while !bytes.is_empty() {
                let taken = stream.feed(bytes);
                bytes = &bytes[taken..];
                while let Some(message) = stream.next_message() {
                    let request = match message {
                        Message::Ask(id) => Request::Ask(id),
                        Message::Report(report) => Request::Report(report),
                        // A guest has none to tell.
                        Message::Snapshot(_) => continue,
                    };
                    requests.try_send(request).ok();
                }
                if let Some(refused) = stream.take_refused() {
                    tracing::warn!(%refused, "the guest's channel");
                }
            }
        };
        Ok(Port::new(NAME, hear).with_input(self.input.try_clone()?))
    }

    /// The registers.
    pub(crate) fn window(&self, machine: Machine) -> ChannelWindow {
        ChannelWindow::new(machine, self.requests.clone(), self.local.clone())
    }

    /// Starts to answer. It ends with the process, or when the port is gone.
    pub(crate) fn serve(self, service: Service) -> io::Result<()> {
        service.wiring.channel.set(self.requests).ok();
        self.local.set(service.known.clone()).ok();
        let (inbox, answers) = (self.inbox, self.answers);
        std::thread::Builder::new()
            .name("channel".into())
            .spawn(move || service.run(&inbox, answers))
            .map(drop)
    }
}

impl Service {
    fn run(self, inbox: &Receiver<Request>, mut answers: File) {
        let mut gatherer = Gatherer::new(self.machine.clone(), self.homes.clone());
        let (started, mut gathered) = (Instant::now(), None);
        while let Ok(request) = inbox.recv() {
            tracing::debug!(?request, "the guest's channel");
            match request {
                Request::Report(report) => gatherer.hear(&report),
                Request::Stalls(node, stalls) => gatherer.learn(node, stalls),
                Request::Take(_) | Request::Ask(_) => {
                    let is_fresh = gathered.is_some_and(|at: Instant| at.elapsed() < FRESH);
                    let mut asked = vec![request];
                    if !is_fresh {
                        asked.extend(self.gather(&mut gatherer, inbox));
                        gathered = Some(Instant::now());
                    }
                    let now = self.known.threads.guest_time(started.elapsed());
                    let mut snapshot = gatherer.snapshot(now.into());
                    for request in asked {
                        if let Request::Ask(id) = request {
                            snapshot.id = id;
                        }
                        let answer = Message::from(snapshot.clone()).encode();
                        if let Request::Take(reply) = request {
                            // Who did not wait so long needs it no more.
                            reply.try_send((answer, snapshot.generation)).ok();
                            continue;
                        }
                        // Waits for a guest that does not read what it asked for.
                        if let Err(error) = answers.write_all(&answer) {
                            tracing::warn!(%error, "the guest's channel ends");
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Asks all nodes. Returns the questions that came meanwhile.
    fn gather(&self, gatherer: &mut Gatherer, inbox: &Receiver<Request>) -> Vec<Request> {
        self.wiring.ask_stalls(self.peers);
        gatherer.learn(self.local, self.known.stalls(HOTTEST));
        let (deadline, mut missing, mut asked) =
            (Instant::now() + PATIENCE, self.peers, Vec::new());
        while !missing.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            match inbox.recv_timeout(left) {
                Ok(Request::Stalls(node, stalls)) => {
                    gatherer.learn(node, stalls);
                    missing = missing.without(node);
                }
                Ok(Request::Report(report)) => gatherer.hear(&report),
                Ok(question) if asked.len() < MOST_REQUESTS => asked.push(question),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        asked
    }
}
