//! One node of the machine, from the joined transport to its end.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use giantvm_core::{NodeId, NodeSet, PageSize, VcpuId};
use giantvm_dsm::engine::{Dsm, DsmOptions};
use giantvm_io::machine::{Cause, Stop};
use giantvm_io::{Bus, BusBuilder, DeviceServer, IoMessage, Unsent};
use giantvm_sched::schedule::Machine;
use giantvm_sched::{Links, Placement};
use giantvm_transport::Transport;
use giantvm_vcpu::Layout;
use giantvm_vcpu::kvm::PageTableWalks;
use giantvm_vcpu::migration::Mover;

use crate::channel::{Channel, Local, Service};
use crate::console::{Console, ConsoleTo};
use crate::control::orders::Orders;
use crate::control::server::Control;
use crate::counts::Counts;
use crate::departures::{self, Departures};
use crate::devices::{self, Parts};
use crate::exit::{Exit, Fatal, OrExit};
use crate::guest::Guest;
use crate::inbox::Notice;
use crate::lifecycle::LifecycleDriver;
use crate::link_meter::LinkMeter;
use crate::linux::devices::{Devices, Makings};
use crate::linux::interrupts::LineOutput;
use crate::linux::keyboard;
use crate::linux::late::LateMemory;
use crate::linux::terminal::Output;
use crate::moves::Moves;
use crate::report::{NodeReport, RunReport};
use crate::scheduling::{Conductor, Desk};
use crate::stalls::{HOTTEST, NodeStalls, VcpuThreads};
use crate::task::Task;
use crate::timekeeper::Timekeeper;
use crate::top::Top;
use crate::vcpus;
use crate::verdict;
use crate::wiring::{Outlet, Wiring};
use crate::work::Work;

/// How long vCPUs may take to leave the guest, and other nodes to say that theirs have.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// The same when a node is lost: a vCPU that waits for its pages never leaves.
const LOSS_PATIENCE: Duration = Duration::from_millis(300);
/// How long the other nodes may take to report and to part.
const PART_PATIENCE: Duration = Duration::from_secs(10);
/// The node that keeps the time, reads the results and writes the report.
const REPORTER: NodeId = NodeId::ZERO;

/// Runs this node until the machine ends. The first node also gives the machine's report.
pub(crate) fn run(
    task: &Task,
    transport: Arc<dyn Transport>,
    interrupted: Receiver<()>,
) -> Result<Option<RunReport>, Fatal> {
    let mut node = Node::start(task, transport)?;
    node.stop_on_request(interrupted).or_exit(Exit::Host)?;
    node.boot(task)?;
    let _control = node.take_orders(task).or_exit(Exit::Usage)?;
    let stop = node.wait_for_end();
    node.part(task, stop)
}

/// A node whose vCPUs can run.
struct Node {
    local: NodeId,
    names: Vec<String>,
    page_size: PageSize,
    placement: Placement,
    transport: Arc<dyn Transport>,
    notices: Receiver<Notice>,
    moves: Arc<Moves>,
    wiring: Arc<Wiring>,
    dsm: Dsm,
    guest: Guest,
    context: vcpus::Context,
    /// Other nodes' reports, on the node that gathers them.
    reports: Vec<(NodeId, NodeReport)>,
    /// Nodes that are gone, and that no one needs any more.
    gone: NodeSet,
    /// The live view, on the node that shows it.
    top: Option<Top>,
    started: Instant,
}

impl Node {
    fn start(task: &Task, transport: Arc<dyn Transport>) -> Result<Self, Fatal> {
        let Task { spec, plan, .. } = task;
        let local = transport.local();
        let placement = Placement::plan(spec);
        let (sender, notices) = channel();
        let local_vcpus = placement.vcpus_of(local).count();
        let lifecycle = Arc::new(LifecycleDriver::new(
            transport.clone(),
            local_vcpus,
            sender.clone(),
        ));
        let names: Vec<_> = spec.nodes().iter().map(|node| node.name.clone()).collect();
        let (top, console) = match &task.top {
            Some(show) if local == REPORTER => {
                let (top, console) = Top::start(show, names.clone()).or_exit(Exit::Usage)?;
                (Some(top), console)
            }
            Some(_) | None => (None, ConsoleTo::Stdout),
        };
        let outlet = Outlet::new(transport.clone());
        let timekeeper = Arc::new(Timekeeper::new(outlet.clone()));
        let parts = Parts {
            console: Console::new(spec, console),
            lifecycle: lifecycle.clone(),
            clock: timekeeper.clock(),
        };
        let (host_slot, mut lines) = (Arc::new(OnceLock::new()), None);
        let memory = LateMemory::default();
        let channel = Channel::new().or_exit(Exit::Host)?;
        let machine = Machine::of(&placement).or_exit(Exit::Usage)?;
        let threads = Arc::new(VcpuThreads::new(plan.work.slow_motion()));
        let builder = match &plan.work {
            Work::Programs(_) => {
                let window = channel.window(machine.clone());
                devices::bus(local, &placement, &parts, window).or_exit(Exit::Host)?
            }
            Work::Linux(options) => {
                let makings = Makings {
                    console: Output::new(parts.console, local),
                    lifecycle: lifecycle.clone(),
                    lines: LineOutput {
                        outlet: outlet.clone(),
                        host: Arc::clone(&host_slot),
                    },
                    memory: memory.clone(),
                    channel: &channel,
                };
                let made = Devices::new(local, &placement, &options.attached, makings);
                let made = made.or_exit(Exit::Host)?;
                lines = Some(made.lines);
                if let Some(console) = made.keyboard {
                    let lifecycle = lifecycle.clone();
                    let quit = move || lifecycle.stop(Stop::by_node(local, Cause::Interrupted));
                    // A socket, for one, cannot be handed on.
                    if let Err(error) = keyboard::listen(task.keyboard, console, quit) {
                        eprintln!("aggregate: the console takes no input: {error}");
                    }
                }
                made.bus
            }
        };
        let bus = Arc::new(bus(builder, &outlet));
        let devices = serve_devices(&bus, &outlet).or_exit(Exit::Host)?;
        let desk = desk(task, &placement, &outlet, &lifecycle).or_exit(Exit::Host)?;
        let vcpu_nodes = VcpuId::first(placement.vcpu_count())
            .filter_map(|vcpu| placement.node_of_vcpu(vcpu))
            .collect();
        let layout = Layout::new(local, vcpu_nodes).or_exit(Exit::Usage)?;
        let moves = Arc::new(Moves::new(outlet.clone(), timekeeper.clone()));
        let mover = Mover::start(&layout, transport.peers(), moves.clone()).or_exit(Exit::Host)?;
        let wiring = Arc::new(Wiring {
            outlet: outlet.clone(),
            lifecycle: lifecycle.clone(),
            bus: bus.clone(),
            devices,
            timekeeper: timekeeper.clone(),
            link_meter: LinkMeter::new(outlet.clone(), transport.peers()),
            notices: Mutex::new(sender),
            looks: Mutex::default(),
            stall_looks: Mutex::default(),
            departure_looks: Mutex::default(),
            departures: Arc::new(Departures::new(outlet.clone())),
            channel: OnceLock::new(),
            host: host_slot,
            mover: mover.clone(),
            moves: moves.clone(),
            lines: lines.clone(),
            desk: desk.clone(),
        });
        let mut options = DsmOptions::default();
        options.memory = task.memory.of(local);
        options.address = task.same_addresses();
        options.gather = PageTableWalks::of_host().count_as_writes();
        let dsm = plan
            .protocol
            .start(
                transport.clone(),
                spec.page_size(),
                task.memory.homes.clone(),
                wiring.handlers(),
                options,
            )
            .or_exit(Exit::Host)?;
        if plan.work.has_channel(local) {
            let service = Service {
                local,
                peers: transport.peers(),
                machine,
                homes: task.memory.homes.clone(),
                known: Local {
                    gauge: dsm.stall_gauge(),
                    threads: threads.clone(),
                },
                wiring: wiring.clone(),
            };
            channel.serve(service).or_exit(Exit::Host)?;
        }
        timekeeper.start().or_exit(Exit::Host)?;

        let guest = Guest::new(plan, &dsm).or_exit(Exit::Host)?;
        memory.set(guest.memory().clone());
        let map = guest.map().clone();
        let host = guest
            .host(layout, mover.clone(), timekeeper.clock(), desk.clone())
            .or_exit(Exit::Host)?;
        wiring.host.set(host.clone()).ok();
        timekeeper.attach(host.clone());
        lifecycle.attach(host.clone(), bus.clone());
        mover.attach(&host);
        let context = vcpus::Context {
            host,
            mover,
            bus,
            lifecycle,
            timekeeper,
            map,
            lines,
            desk,
            relaxes: matches!(plan.work, Work::Programs(_)),
            threads,
        };
        moves.attach(context.clone());
        Ok(Self {
            local,
            names,
            page_size: spec.page_size(),
            placement,
            transport,
            notices,
            moves,
            wiring,
            dsm,
            guest,
            context,
            reports: Vec::new(),
            gone: NodeSet::EMPTY,
            top,
            started: Instant::now(),
        })
    }
}

impl Node {
    /// Starts this node's vCPUs.
    fn launch(&mut self) -> anyhow::Result<()> {
        let mut prepared = Vec::new();
        for vcpu in self.placement.vcpus_of(self.local) {
            let mut vcpu = self.context.host.take(vcpu)?;
            self.guest.prepare(&mut *vcpu)?;
            prepared.push(vcpu);
        }
        // Only now: the boot vCPU starts the others at once, and whoever is prepared after that
        // has forgotten it.
        for vcpu in prepared {
            self.moves.spawn(&self.context, vcpu)?;
        }
        self.started = Instant::now();
        Ok(())
    }

    /// Ends the machine in good order when the outside asks for it.
    fn stop_on_request(&self, interrupted: Receiver<()>) -> std::io::Result<()> {
        let lifecycle = self.context.lifecycle.clone();
        let local = self.local;
        std::thread::Builder::new()
            .name("stop-request".into())
            .spawn(move || {
                if interrupted.recv().is_ok() {
                    lifecycle.stop(Stop::by_node(local, Cause::Interrupted));
                }
            })
            .map(drop)
    }

    /// Starts the guest once every node is ready: its node loads it, all others say so and wait
    /// for its first interrupt. A kernel is told how far nodes are from one another.
    fn boot(&mut self, task: &Task) -> Result<(), Fatal> {
        let settled = self.context.timekeeper.wait_settled();
        settled.or_exit(Exit::Lost)?;
        let boot_node = self
            .placement
            .node_of_vcpu(VcpuId::BOOT)
            .ok_or_else(|| anyhow!("the machine has no vCPU"))
            .or_exit(Exit::Usage)?;
        let own = match &task.plan.work {
            Work::Linux(_) => self.wiring.link_meter.measure(),
            Work::Programs(_) => Vec::new(),
        };
        if boot_node != self.local {
            self.launch().or_exit(Exit::Host)?;
            return self
                .wiring
                .outlet
                .ready(boot_node, &own)
                .or_exit(Exit::Lost);
        }
        let mut measured = Links::default();
        for (to, round_trip) in own {
            measured.measured(self.local, to, round_trip);
        }
        let mut missing = self.transport.peers();
        while !missing.is_empty() {
            match self.notices.recv_timeout(PART_PATIENCE) {
                Ok(Notice::Ready(node, round_trips)) => {
                    missing = missing.without(node);
                    for (to, round_trip) in round_trips.into_iter().filter(|(to, _)| *to != node) {
                        measured.measured(node, to, round_trip);
                    }
                }
                Ok(Notice::Lost(node, loss)) => self.tell_loss(node, &loss),
                Ok(Notice::Finished(_) | Notice::Stopping) => return Ok(()),
                Ok(Notice::Failed(error)) => return Err(anyhow!(error)).or_exit(Exit::Host),
                Ok(Notice::Look(node)) => self.wiring.answer(node, &self.counts()),
                Ok(Notice::AskStalls(node)) => self.wiring.tell_stalls(node, &self.stalls()),
                Ok(Notice::Report(..) | Notice::Glimpse(..) | Notice::Gone(_)) => {}
                Ok(Notice::Depart(node, ask)) => self.depart(node, ask),
                Err(_) => {
                    let error = anyhow!("{} did not get ready", self.names_of(missing));
                    return Err(error).or_exit(Exit::Lost);
                }
            }
        }
        let mut topology = self.placement.topology();
        topology.set_links(&task.spec.links().clone().or(&measured));
        tracing::info!(distances = ?topology.distances(), "the guest is told of its nodes");
        self.guest
            .load(&topology)
            .context("the guest cannot be loaded")
            .or_exit(Exit::Host)?;
        self.launch().or_exit(Exit::Host)
    }

    /// Lets the machine be told what to do, if this is the node for that.
    fn take_orders(&self, task: &Task) -> anyhow::Result<Option<Control>> {
        let path = task.control.as_ref().filter(|_| self.local == REPORTER);
        let listen = |path: &PathBuf| {
            let orders = Orders {
                spec: task.spec.clone(),
                placement: self.placement.clone(),
                mover: self.context.mover.clone(),
                moves: self.moves.clone(),
                obstacle: task.keeps_vcpus(),
                departures: self.wiring.departures.clone(),
                succession: Mutex::new(task.memory.succession(&task.spec)),
                left: Mutex::default(),
            };
            let control = Control::listen(path, orders);
            control.with_context(|| format!("no orders can be taken at {}", path.display()))
        };
        path.map(listen).transpose()
    }

    /// Waits until the machine has stopped everywhere, or as far as it still can.
    fn wait_for_end(&mut self) -> Stop {
        let mut deadline: Option<Instant> = None;
        loop {
            let patience = deadline.map_or(Duration::MAX, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            let left = self.look().map_or(patience, |due| due.min(patience));
            match self.notices.recv_timeout(left) {
                Ok(Notice::Finished(stop)) => return stop,
                Ok(Notice::Stopping) => {
                    deadline.get_or_insert_with(|| Instant::now() + STOP_PATIENCE);
                }
                Ok(Notice::Lost(node, loss)) => {
                    self.tell_loss(node, &loss);
                    deadline = Some(Instant::now() + LOSS_PATIENCE);
                }
                Ok(Notice::Failed(error)) => {
                    eprintln!("aggregate: the shared memory of this node failed: {error}");
                    deadline = Some(Instant::now() + LOSS_PATIENCE);
                }
                // A peer may know before this node that the machine has stopped everywhere.
                Ok(Notice::Report(node, report)) => self.reports.push((node, *report)),
                Ok(Notice::Ready(..)) => {}
                Ok(Notice::Gone(node)) => self.gone = self.gone.with(node),
                Ok(Notice::Depart(node, ask)) => self.depart(node, ask),
                Ok(Notice::Look(node)) => self.wiring.answer(node, &self.counts()),
                Ok(Notice::AskStalls(node)) => self.wiring.tell_stalls(node, &self.stalls()),
                Ok(Notice::Glimpse(node, counts)) => {
                    if let Some(top) = &mut self.top {
                        top.learn(node, *counts);
                    }
                }
                Err(RecvTimeoutError::Timeout) if left < patience => {}
                Err(RecvTimeoutError::Timeout) => self.context.lifecycle.deadline(),
                Err(RecvTimeoutError::Disconnected) => {
                    return Stop::by_node(self.local, Cause::Failed(0));
                }
            }
        }
    }

    /// Asks all nodes for their counters if they are to be shown and it is time. Returns how long
    /// until the next time.
    fn look(&mut self) -> Option<Duration> {
        if self.top.as_ref()?.due_in().is_zero() {
            let own = self.counts();
            let there = self.transport.peers().minus(self.gone);
            let asked = self.wiring.look(there);
            self.top.as_mut()?.asked(asked, self.local, own);
        }
        Some(self.top.as_ref()?.due_in())
    }

    /// Does what a node says about this one's share of the memory.
    fn depart(&self, from: NodeId, ask: departures::Ask) {
        let settle = || drop(self.wiring.link_meter.measure());
        let told = departures::carry_out(&self.dsm, ask, settle);
        self.wiring.tell_departure(from, &told);
    }

    fn counts(&self) -> Counts {
        Counts::of(&self.dsm, self.transport.traffic(), self.page_size)
    }

    fn stalls(&self) -> NodeStalls {
        NodeStalls::new(&self.dsm.stalls(HOTTEST), &self.context.threads)
    }

    /// Reports, checks and parts from the other nodes.
    fn part(mut self, task: &Task, stop: Stop) -> Result<Option<RunReport>, Fatal> {
        if !task.plan.work.is_its_own_end(stop.cause) {
            let name = |node: NodeId| self.name(node).to_owned();
            return Err(verdict::bad_end(stop, name));
        }
        for thread in self.moves.threads() {
            thread
                .join()
                .map_err(|_| anyhow!("a vCPU thread panicked"))
                .or_exit(Exit::Wrong)?;
        }
        let (own, mut last) = (self.report(), Vec::new());
        let report = if self.local == REPORTER {
            let programs = self.guest.verify().or_exit(Exit::Host)?;
            let nodes = self.gather(own)?;
            // The view has all nodes, in order.
            if self.gone.is_empty() {
                last = nodes.iter().map(|node| node.counts.clone()).collect();
            }
            let conductor = self.wiring.desk.as_ref().and_then(|desk| desk.conductor());
            let scheduling = conductor.map(Conductor::summary);
            Some(verdict::report(task, stop, programs, nodes, scheduling))
        } else {
            self.wiring
                .outlet
                .report(REPORTER, &own)
                .or_exit(Exit::Lost)?;
            None
        };
        // Nothing of this process touches the memory any more.
        let names = self.names;
        self.dsm.finish(PART_PATIENCE).or_exit(Exit::Lost)?;
        if let Some(top) = self.top {
            // Only now: a slow terminal may keep this node, and no other.
            top.finish(last);
        }
        if report.is_none() && !task.plan.work.is_good_end(stop.cause) {
            // The first node says more; this one must not end as if all were right.
            return Err(verdict::bad_end(stop, |node| {
                name_in(&names, node).to_owned()
            }));
        }
        Ok(report)
    }

    fn gather(&mut self, own: NodeReport) -> Result<Vec<NodeReport>, Fatal> {
        let mut reports = std::mem::take(&mut self.reports);
        let early = reports.iter().map(|(node, _)| *node).collect();
        let mut missing = self.transport.peers().minus(early).minus(self.gone);
        reports.push((self.local, own));
        while !missing.is_empty() {
            match self.notices.recv_timeout(PART_PATIENCE) {
                Ok(Notice::Report(node, report)) => {
                    missing = missing.without(node);
                    reports.push((node, *report));
                }
                Ok(Notice::Gone(node)) => missing = missing.without(node),
                Ok(Notice::Lost(node, loss)) => {
                    self.tell_loss(node, &loss);
                    return Err(anyhow!("node {} was lost", self.name(node))).or_exit(Exit::Lost);
                }
                Ok(_) => {}
                Err(_) => {
                    let error = anyhow!("{} did not report", self.names_of(missing));
                    return Err(error).or_exit(Exit::Lost);
                }
            }
        }
        reports.sort_by_key(|(node, _)| *node);
        let named = reports.into_iter().map(|(node, report)| NodeReport {
            // By the cluster file, not by its own word: it goes to the terminal.
            name: self.name(node).to_owned(),
            ..report
        });
        Ok(named.collect())
    }

    fn report(&self) -> NodeReport {
        let io = self.wiring.bus.counts();
        NodeReport {
            name: self.name(self.local).to_owned(),
            vcpus: self.placement.vcpus_of(self.local).count(),
            ipis_sent: self.moves.interrupts_sent(),
            io_forwarded: io.forwarded,
            io_unclaimed: io.unclaimed,
            clock_error_us: self.wiring.timekeeper.error_us(),
            run_seconds: self.started.elapsed().as_secs_f64(),
            counts: self.counts(),
        }
    }

    fn tell_loss(&self, node: NodeId, loss: &giantvm_transport::Loss) {
        eprintln!(
            "aggregate[{}]: node {} was lost: {loss}. What only it had is gone, so the machine was \
             stopped before any vCPU could read it; start the machine again.",
            self.name(self.local),
            self.name(node),
        );
    }

    fn name(&self, node: NodeId) -> &str {
        name_in(&self.names, node)
    }

    fn names_of(&self, nodes: NodeSet) -> String {
        let names: Vec<_> = nodes.iter().map(|node| self.name(node)).collect();
        names.join(", ")
    }
}

/// The desk of this node, if the guest has threads.
fn desk(
    task: &Task,
    placement: &Placement,
    outlet: &Outlet,
    lifecycle: &Arc<LifecycleDriver>,
) -> anyhow::Result<Option<Arc<Desk>>> {
    if Guest::threads(&task.plan) == 0 {
        return Ok(None);
    }
    let (machine, homes) = (Machine::of(placement)?, task.memory.homes.clone());
    let kind = task.plan.scheduler;
    let desk = Desk::new(kind, machine, homes, outlet.clone(), lifecycle.clone());
    let desk = Arc::new(desk);
    lifecycle.attach_desk(&desk);
    desk.start()?;
    Ok(Some(desk))
}

fn name_in(names: &[String], node: NodeId) -> &str {
    names.get(node.index()).map_or("?", String::as_str)
}

fn bus(builder: BusBuilder, outlet: &Outlet) -> Bus {
    let outlet = outlet.clone();
    builder.build(move |to, request| {
        outlet
            .io(to, &IoMessage::Request(request))
            .map_err(|error| Unsent(error.to_string()))
    })
}

fn serve_devices(bus: &Arc<Bus>, outlet: &Outlet) -> std::io::Result<DeviceServer> {
    let outlet = outlet.clone();
    DeviceServer::start(bus.clone(), move |to, reply| {
        match outlet.io(to, &IoMessage::Reply(reply)) {
            // The loss is an event of its own.
            Ok(()) | Err(giantvm_transport::SendError::Lost(_)) => {}
            Err(error) => tracing::error!(%error, %to, "a device's answer was not sent"),
        }
    })
}
