//! Connects the crates: whose frames go to whom.

use std::sync::mpsc::{Sender, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use giantvm_core::wire::{Body, Class, DecodeError, Frame, Service, read_body};
use giantvm_core::{Epoch, MAX_NODES, NodeId, NodeSet, Stamp};
use giantvm_dsm::backing::BackingError;
use giantvm_dsm::engine::{FrameHandler, Handlers, Refusal, Watcher};
use giantvm_io::ioapic::Lines;
use giantvm_io::machine::{FIRST_FREE_KIND, MachineMessage};
use giantvm_io::{Bus, DeviceServer, IoMessage};
use giantvm_transport::{Loss, SendError, Transport};
use giantvm_vcpu::VcpuHost;
use giantvm_vcpu::clock::{Nanos, Probe, Reply};
use giantvm_vcpu::message::Message as VcpuMessage;
use giantvm_vcpu::migration::Mover;
use serde::Serialize;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::channel::Request;
use crate::counts::Counts;
use crate::departures::{Ask, Departures, Told};
use crate::inbox::Notice;
use crate::lifecycle::LifecycleDriver;
use crate::link_meter::LinkMeter;
use crate::looks::Looks;
use crate::move_order::{Order, Report as MoveReport};
use crate::moves::Moves;
use crate::report::NodeReport;
use crate::scheduling::{self as threads, Desk, Letter};
use crate::stalls::NodeStalls;
use crate::timekeeper::Timekeeper;

/// "I am ready to run", to the node of the boot vCPU; with what this node knows of its links, as JSON.
const READY: u8 = FIRST_FREE_KIND;
/// A node's report as JSON, to the first node.
const REPORT: u8 = FIRST_FREE_KIND + 1;
/// What does your time-stamp counter say?
const TSC_PROBE: u8 = FIRST_FREE_KIND + 2;
/// The answer to that.
const TSC_REPLY: u8 = FIRST_FREE_KIND + 3;
/// What did you count so far?
const LOOK: u8 = FIRST_FREE_KIND + 4;
/// The answer to that, as JSON.
const GLIMPSE: u8 = FIRST_FREE_KIND + 5;
/// Say this number back at once.
const ECHO: u8 = FIRST_FREE_KIND + 6;
/// The answer to that.
const ECHOED: u8 = FIRST_FREE_KIND + 7;
/// Move a vCPU of yours.
const MOVE: u8 = FIRST_FREE_KIND + 10;
/// What became of that.
const MOVED: u8 = FIRST_FREE_KIND + 11;

/// What do your vCPUs wait for?
const ASK_STALLS: u8 = FIRST_FREE_KIND + 8;
/// The answer to that, as JSON.
const STALLS: u8 = FIRST_FREE_KIND + 9;

/// Something about your share of the memory, as JSON.
const DEPART: u8 = FIRST_FREE_KIND + 12;
/// The answer to that, as JSON.
const DEPARTED: u8 = FIRST_FREE_KIND + 13;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct TscBody {
    sequence: U32,
    sent: U64,
    /// The host's, zero in a question.
    counter: U64,
    /// The guest's at the sender.
    guest: U64,
}

impl TscBody {
    fn probe(&self) -> Probe {
        Probe {
            sequence: self.sequence.get(),
            sent: Nanos(self.sent.get()),
        }
    }
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct EchoBody {
    number: U32,
}

/// Sends this node's messages of all services but memory.
#[derive(Debug, Clone)]
pub(crate) struct Outlet {
    transport: Arc<dyn Transport>,
}

impl Outlet {
    pub(crate) fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport }
    }

    pub(crate) fn local(&self) -> NodeId {
        self.transport.local()
    }

    pub(crate) fn ready(
        &self,
        to: NodeId,
        round_trips: &[(NodeId, Duration)],
    ) -> anyhow::Result<()> {
        let nanos = round_trips
            .iter()
            .map(|(node, trip)| (node.get(), nanos(*trip)));
        self.json(to, READY, &nanos.collect::<Vec<_>>())
    }

    /// Asks a node for an echo.
    pub(crate) fn echo(&self, to: NodeId, number: u32) {
        self.echo_frame(to, ECHO, number);
    }

    fn echo_frame(&self, to: NodeId, kind: u8, number: u32) {
        let body = Body::of(&EchoBody {
            number: number.into(),
        });
        let frame = Frame {
            body,
            ..self.machine(kind, Bytes::new())
        };
        self.send_or_log(to, Class::Control, frame);
    }

    pub(crate) fn tsc_probe(&self, to: NodeId, probe: Probe, guest: Nanos) {
        self.tsc(to, TSC_PROBE, probe, Nanos(0), guest);
    }

    fn tsc(&self, to: NodeId, kind: u8, probe: Probe, counter: Nanos, guest: Nanos) {
        let body = Body::of(&TscBody {
            sequence: probe.sequence.into(),
            sent: probe.sent.0.into(),
            counter: counter.0.into(),
            guest: guest.0.into(),
        });
        let frame = Frame {
            body,
            ..self.machine(kind, Bytes::new())
        };
        self.send_or_log(to, Class::Control, frame);
    }

    pub(crate) fn report(&self, to: NodeId, report: &NodeReport) -> anyhow::Result<()> {
        self.json(to, REPORT, report)
    }

    fn json(&self, to: NodeId, kind: u8, value: &impl Serialize) -> anyhow::Result<()> {
        let json = serde_json::to_vec(value)?;
        self.transport
            .send(to, Class::Bulk, self.machine(kind, json.into()))?;
        Ok(())
    }

    /// Says something about a node's share of the memory.
    pub(crate) fn depart(&self, to: NodeId, ask: &Ask) -> anyhow::Result<()> {
        self.json(to, DEPART, ask)
    }

    pub(crate) fn io(&self, to: NodeId, message: &IoMessage) -> Result<(), SendError> {
        self.transport.send(
            to,
            Class::Control,
            message.encode(self.local(), Epoch::FIRST),
        )
    }

    /// A letter about threads.
    pub(crate) fn threads(&self, to: NodeId, letter: &Letter) {
        let (kind, body, payload) = letter.write();
        let frame = Frame {
            body,
            ..self.machine(kind, payload)
        };
        self.send_or_log(to, Class::Control, frame);
    }

    /// Has a node move a vCPU.
    pub(crate) fn order(&self, to: NodeId, order: Order) {
        let body = Body::of(&order.to_wire());
        let frame = self.machine(MOVE, Bytes::new());
        self.send_or_log(to, Class::Control, Frame { body, ..frame });
    }

    /// Says what became of a move that a node wanted.
    pub(crate) fn moved(&self, to: NodeId, report: MoveReport) {
        let body = Body::of(&report.to_wire());
        let frame = self.machine(MOVED, Bytes::new());
        self.send_or_log(to, Class::Control, Frame { body, ..frame });
    }

    pub(crate) fn vcpu(&self, to: NodeId, message: &VcpuMessage) {
        let (kind, body, payload) = message.encode();
        let frame = Frame {
            service: Service::Vcpu,
            kind,
            from: self.local(),
            epoch: Epoch::FIRST,
            stamp: Stamp::ZERO,
            body,
            payload,
        };
        self.send_or_log(to, Class::Control, frame);
    }

    fn machine(&self, kind: u8, payload: Bytes) -> Frame {
        Frame {
            service: Service::Machine,
            kind,
            from: self.local(),
            epoch: Epoch::FIRST,
            stamp: Stamp::ZERO,
            body: Body::EMPTY,
            payload,
        }
    }

    fn send_or_log(&self, to: NodeId, class: Class, frame: Frame) {
        match self.transport.send(to, class, frame) {
            // The loss is an event of its own.
            Ok(()) | Err(SendError::Lost(_)) => {}
            Err(error) => tracing::error!(%error, %to, "a message was not sent"),
        }
    }
}

/// Everything that frames can reach on this node.
#[derive(Debug)]
pub(crate) struct Wiring {
    pub(crate) outlet: Outlet,
    pub(crate) lifecycle: Arc<LifecycleDriver>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) devices: DeviceServer,
    pub(crate) timekeeper: Arc<Timekeeper>,
    pub(crate) link_meter: LinkMeter,
    pub(crate) notices: Mutex<Sender<Notice>>,
    pub(crate) looks: Mutex<Looks>,
    pub(crate) stall_looks: Mutex<Looks>,
    pub(crate) departure_looks: Mutex<Looks>,
    pub(crate) departures: Arc<Departures>,
    /// The guest's channel, if it is on this node.
    pub(crate) channel: OnceLock<SyncSender<Request>>,
    /// The vCPUs come last, for they need the memory; before this node says that it is ready, no
    /// one sends them anything.
    pub(crate) host: Arc<OnceLock<Arc<dyn VcpuHost>>>,
    pub(crate) mover: Arc<Mover>,
    pub(crate) moves: Arc<Moves>,
    /// Interrupt lines, if the machine's devices have any.
    pub(crate) lines: Option<Arc<Lines>>,
    /// Where vCPUs say what their threads do, if there are any.
    pub(crate) desk: Option<Arc<Desk>>,
}

impl Wiring {
    /// The handlers of all services.
    pub(crate) fn handlers(self: &Arc<Self>) -> Handlers {
        let handlers = Handlers::default();
        let handlers = match &self.desk {
            Some(desk) => handlers.on_faults(desk.clone()),
            None => handlers,
        };
        handlers
            .on(Service::Vcpu, Arc::new(VcpuFrames(self.clone())))
            .on(Service::Io, Arc::new(IoFrames(self.clone())))
            .on(Service::Machine, Arc::new(MachineFrames::new(self.clone())))
            .watch(Arc::new(Losses(self.clone())))
    }

    /// Asks `peers` for their counters. Returns them all: those that still owe an answer to an
    /// earlier question are not asked once more.
    pub(crate) fn look(&self, peers: NodeSet) -> NodeSet {
        for peer in self.looks().ask(peers) {
            let look = self.outlet.machine(LOOK, Bytes::new());
            self.outlet.send_or_log(peer, Class::Control, look);
        }
        peers
    }

    /// Answers a peer that asked.
    pub(crate) fn answer(&self, to: NodeId, counts: &Counts) {
        self.looks().answered(to);
        if let Err(error) = self.outlet.json(to, GLIMPSE, counts) {
            tracing::debug!(%error, %to, "counters were not sent");
        }
    }

    /// Asks `peers` what their vCPUs wait for, but for those that still owe an answer.
    pub(crate) fn ask_stalls(&self, peers: NodeSet) {
        for peer in self.stall_looks().ask(peers) {
            let ask = self.outlet.machine(ASK_STALLS, Bytes::new());
            self.outlet.send_or_log(peer, Class::Control, ask);
        }
    }

    /// Answers a peer that asked for that.
    pub(crate) fn tell_stalls(&self, to: NodeId, stalls: &NodeStalls) {
        self.stall_looks().answered(to);
        if let Err(error) = self.outlet.json(to, STALLS, stalls) {
            tracing::debug!(%error, %to, "stalls were not sent");
        }
    }

    /// Answers a peer that had a say about this node's share.
    pub(crate) fn tell_departure(&self, to: NodeId, told: &Told) {
        self.departure_looks().answered(to);
        if let Err(error) = self.outlet.json(to, DEPARTED, told) {
            tracing::debug!(%error, %to, "a departure was not told");
        }
    }

    fn departure_looks(&self) -> MutexGuard<'_, Looks> {
        let looks = self.departure_looks.lock();
        looks.expect("no panic while it is held")
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().expect("no panic while it is held")
    }

    fn stall_looks(&self) -> MutexGuard<'_, Looks> {
        self.stall_looks.lock().expect("no panic while it is held")
    }

    fn notice(&self, notice: Notice) {
        let notices = self.notices.lock().expect("no panic while it is held");
        // The receiver is gone only when the program is past caring.
        notices.send(notice).ok();
    }
}

struct VcpuFrames(Arc<Wiring>);

impl FrameHandler for VcpuFrames {
    fn frame(&self, frame: &Frame) -> Result<(), Refusal> {
        match VcpuMessage::decode(frame)? {
            VcpuMessage::Vcpu(message) => {
                if self.0.host.get().is_none() {
                    return Err("an interrupt before this node was ready".into());
                }
                Ok(self.0.mover.message(frame.from, message)?)
            }
            VcpuMessage::ClockProbe(probe) => {
                let reply = self.0.timekeeper.answer(probe);
                let reply = VcpuMessage::ClockReply(reply);
                self.0.outlet.vcpu(frame.from, &reply);
                Ok(())
            }
            VcpuMessage::ClockReply(reply) => Ok(self.0.timekeeper.learn(frame.from, reply)?),
        }
    }
}

struct IoFrames(Arc<Wiring>);

impl FrameHandler for IoFrames {
    fn frame(&self, frame: &Frame) -> Result<(), Refusal> {
        match IoMessage::decode(frame)? {
            IoMessage::Request(request) => Ok(self.0.devices.submit(frame.from, request)?),
            IoMessage::Reply(reply) => Ok(self.0.bus.reply(frame.from, reply)?),
            IoMessage::Line(message) => match &self.0.lines {
                Some(lines) => Ok(lines.receive(frame.from, message)?),
                None => Err("this machine has no interrupt lines".into()),
            },
            IoMessage::Interrupt(_) => Err("no device of this machine interrupts from afar".into()),
        }
    }
}

struct MachineFrames {
    wiring: Arc<Wiring>,
    /// Who has said these, which is said once: no peer can fill the main thread's queue.
    ready: Mutex<NodeSet>,
    reported: Mutex<NodeSet>,
}

impl MachineFrames {
    fn new(wiring: Arc<Wiring>) -> Self {
        let (ready, reported) = (Mutex::default(), Mutex::default());
        Self {
            wiring,
            ready,
            reported,
        }
    }

    fn once(&self, said: &Mutex<NodeSet>, frame: &Frame) -> Result<(), Refusal> {
        let mut said = said.lock().expect("no panic while it is held");
        if said.contains(frame.from) {
            return Err(format!("message kind {} of the machine came twice", frame.kind).into());
        }
        *said = said.with(frame.from);
        Ok(())
    }
}

impl FrameHandler for MachineFrames {
    fn frame(&self, frame: &Frame) -> Result<(), Refusal> {
        match frame.kind {
            READY | REPORT | LOOK | GLIMPSE | ASK_STALLS | STALLS | DEPART | DEPARTED
                if !frame.body.as_slice().is_empty() =>
            {
                Err(Box::new(DecodeError::BodyLength {
                    service: frame.service,
                    kind: frame.kind,
                    expected: 0,
                    got: frame.body.as_slice().len(),
                }))
            }
            READY => {
                self.once(&self.ready, frame)?;
                let round_trips = round_trips(&frame.payload)?;
                self.wiring.notice(Notice::Ready(frame.from, round_trips));
                Ok(())
            }
            REPORT => {
                self.once(&self.reported, frame)?;
                let report = serde_json::from_slice(&frame.payload)?;
                self.wiring.notice(Notice::Report(frame.from, report));
                Ok(())
            }
            LOOK => {
                if self.wiring.looks().asked(frame.from) {
                    self.wiring.notice(Notice::Look(frame.from));
                }
                Ok(())
            }
            GLIMPSE => {
                if !self.wiring.looks().came(frame.from) {
                    return Err("counters that no one asked for".into());
                }
                let counts = serde_json::from_slice(&frame.payload)?;
                self.wiring.notice(Notice::Glimpse(frame.from, counts));
                Ok(())
            }
            ASK_STALLS => {
                if self.wiring.stall_looks().asked(frame.from) {
                    self.wiring.notice(Notice::AskStalls(frame.from));
                }
                Ok(())
            }
            STALLS => {
                if !self.wiring.stall_looks().came(frame.from) {
                    return Err("stalls that no one asked for".into());
                }
                let stalls = serde_json::from_slice(&frame.payload)?;
                if let Some(channel) = self.wiring.channel.get() {
                    // Whoever has too much to do hears it the next time.
                    channel.try_send(Request::Stalls(frame.from, stalls)).ok();
                }
                Ok(())
            }
            DEPART => {
                let ask = serde_json::from_slice(&frame.payload)?;
                // Who has had no answer yet gets one.
                if self.wiring.departure_looks().asked(frame.from) {
                    self.wiring.notice(Notice::Depart(frame.from, ask));
                }
                Ok(())
            }
            DEPARTED => {
                let told = serde_json::from_slice(&frame.payload)?;
                self.wiring.departures.told(frame.from, told);
                Ok(())
            }
            ECHO => {
                let number = read_body::<EchoBody>(frame)?.number.get();
                self.wiring.outlet.echo_frame(frame.from, ECHOED, number);
                Ok(())
            }
            ECHOED => {
                let number = read_body::<EchoBody>(frame)?.number.get();
                Ok(self.wiring.link_meter.learn(frame.from, number)?)
            }
            threads::REPORT | threads::GO | threads::FAULTS => {
                let desk = self.wiring.desk.as_ref();
                let desk = desk.ok_or("a message about threads, of which there are none")?;
                desk.receive(frame.from, Letter::read(frame)?)
            }
            MOVE => {
                let order = Order::of_wire(&read_body(frame)?)?;
                self.wiring
                    .moves
                    .ordered(&self.wiring.mover, frame.from, order);
                Ok(())
            }
            MOVED => {
                let report = MoveReport::of_wire(&read_body(frame)?)?;
                self.wiring.moves.reported(report);
                Ok(())
            }
            TSC_PROBE => {
                let body: TscBody = read_body(frame)?;
                let sent = Nanos(body.guest.get());
                let (counter, guest) = self.wiring.timekeeper.answer_tsc(sent)?;
                let outlet = &self.wiring.outlet;
                outlet.tsc(frame.from, TSC_REPLY, body.probe(), counter, guest);
                Ok(())
            }
            TSC_REPLY => {
                let body: TscBody = read_body(frame)?;
                let counter = Nanos(body.counter.get());
                let (received, replied) = (counter, counter);
                let reply = Reply {
                    probe: body.probe(),
                    received,
                    replied,
                };
                let guest = Nanos(body.guest.get());
                let timekeeper = &self.wiring.timekeeper;
                Ok(timekeeper.learn_tsc(frame.from, reply, guest)?)
            }
            _ => Ok(self
                .wiring
                .lifecycle
                .message(frame.from, MachineMessage::decode(frame)?)?),
        }
    }
}

/// What a node says of its links.
fn round_trips(json: &[u8]) -> Result<Vec<(NodeId, Duration)>, Refusal> {
    let nanos: Vec<(u8, u64)> = serde_json::from_slice(json)?;
    if nanos.len() > MAX_NODES {
        return Err(format!("{} links are more than there can be", nanos.len()).into());
    }
    let known = |(node, nanos)| Ok((NodeId::new(node)?, Duration::from_nanos(nanos)));
    nanos.into_iter().map(known).collect()
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

struct Losses(Arc<Wiring>);

impl Watcher for Losses {
    fn lost(&self, node: NodeId, loss: &Loss) {
        self.0.notice(Notice::Lost(node, loss.clone()));
        self.0.bus.lost(node);
        self.0.mover.lost(node);
        self.0.lifecycle.lost(node);
    }

    fn gone(&self, node: NodeId, _: &Loss) {
        self.0.notice(Notice::Gone(node));
        self.0.bus.lost(node);
        self.0.mover.lost(node);
        self.0.lifecycle.gone(node);
    }

    fn failed(&self, error: &BackingError) {
        self.0.notice(Notice::Failed(error.to_string()));
        self.0.lifecycle.fail();
    }
}
