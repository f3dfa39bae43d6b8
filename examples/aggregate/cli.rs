//! The command line.

use std::io::Read;
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::{Parser, ValueEnum};
use giantvm_core::NodeId;
use giantvm_guest::{Config, Program, Run};
use giantvm_sched::{ClusterSpec, ConsoleSpec, DiskSpec, MAX_FILE, NodeAddress, Placement, Size};
use giantvm_transport::SameHost;

use crate::control::Request;
use crate::exit::{Exit, Fatal, OrExit};
use crate::guest::Plan;
use crate::linux::keyboard::Keyboard;
use crate::memory::Memory;
use crate::protocol::ProtocolKind;
use crate::scheduling::SchedulerKind;
use crate::task::Task;
use crate::view::Show;
use crate::work::Work;
use crate::{linux, threads, tsc};

/// How the nodes of one host are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportKind {
    /// One process a node, joined by memory that they share.
    Shm,
    /// One process a node, joined by TCP on loopback, as between hosts.
    Tcp,
    /// All nodes in this process, joined by queues in memory.
    Inproc,
}

impl TransportKind {
    /// The kind's name in reports.
    const fn name(self) -> &'static str {
        match self {
            Self::Shm => "shm",
            Self::Tcp => "tcp",
            Self::Inproc => "inproc",
        }
    }
}

/// What stands behind a vCPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VcpuKind {
    /// A KVM vCPU that runs the bare-metal guest. Needs /dev/kvm.
    Kvm,
    /// A host thread that runs the same programs as native code, for hosts without KVM.
    Thread,
}

impl VcpuKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Thread => "thread",
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  aggregate                                two nodes, four vCPUs, every program
  aggregate --nodes 3 --vcpus 5            vCPUs need not divide evenly
  aggregate --nodes 4 --vcpus 2            two nodes give memory only
  aggregate --program ep,is                only these programs
  aggregate --transport inproc             all nodes in one process
  aggregate --protocol lease               another coherence protocol; `compare_protocols` has figures
  aggregate --top                          see faults and hot pages while it runs
  aggregate --top --json                   the same for programs, a line a second and node
  aggregate --kernel vmlinuz --initrd initrd.img --memory 2G
                                           boot Linux; its console is this terminal
  aggregate --kernel vmlinuz --disk root.img --disk data.img,ro,node=1 --cmdline root=/dev/vda
                                           with disks, the second one on the other node
  aggregate --node-memory 160M             nodes that do not have the memory of the whole guest
  aggregate --program cg,mg --threads 16 --scheduler fair
                                           more threads than vCPUs, scheduled without regard to memory
  aggregate --json run.json                figures for machines
  aggregate --control vm.sock              a machine that takes orders; then, from elsewhere,
  aggregate --control vm.sock move-vcpu 1 n0
                                           moves a vCPU to node n0 while the machine runs
  aggregate --cluster cluster.toml --node a
                                           this host is node `a` of the cluster in the file; run the
                                           same on every other host with its own name, in any order

Exit status:
  0  every program ran and every result was right
  1  a result was wrong, or the guest failed
  2  the command line or the cluster file is wrong
  3  a node was lost, or the nodes could not join
  4  this host cannot serve (see `cargo run --release --example doctor`)
  5  the guest reset the machine (with --no-restart, or without --kernel)
  6  the guest's kernel panicked
  130  interrupted";

/// Runs one virtual machine whose vCPUs, memory and devices live on several nodes.
///
/// Without --cluster, all nodes are processes on this host. A small guest that ships with the
/// project boots, runs its programs on all vCPUs over one coherent memory, and every result is
/// checked in the guest and again by the host. A table of what each node did ends the run.
#[derive(Debug, Clone, Parser)]
#[command(name = "aggregate", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do with a machine that runs, instead of running one.
    #[command(subcommand)]
    pub(crate) command: Option<Request>,

    /// Take orders by a unix socket at PATH while the machine runs; or, with a command, where to give
    /// them. In a cluster give it to the first node.
    #[arg(long, value_name = "PATH")]
    pub(crate) control: Option<PathBuf>,

    /// How many nodes to start on this host (1 to 64).
    #[arg(long, value_name = "N", default_value_t = 2, conflicts_with = "cluster",
          value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) nodes: u8,

    /// How many vCPUs the machine has (1 to 254), spread evenly over the nodes: more than nodes,
    /// fewer, or not divisible.
    #[arg(long, value_name = "N", default_value_t = 4, conflicts_with = "cluster",
          value_parser = clap::value_parser!(u8).range(1..=254))]
    pub(crate) vcpus: u8,

    /// How much memory the guest has, such as 256M or 1G. Every node is home to an equal share.
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "256M",
        conflicts_with = "cluster"
    )]
    pub(crate) memory: Size,

    /// How much memory each node gives to the guest's, such as 64M: one size for every node, or one
    /// each in their order. All of it that the guest takes, if left out. A node that is full gives up
    /// what it used least lately; an eighth of each size is for copies, the rest has to hold the
    /// guest's memory. All nodes have to say the same.
    #[arg(long, value_name = "SIZE[,SIZE]", value_delimiter = ',')]
    pub(crate) node_memory: Vec<Size>,

    /// Which programs the guest runs, in this order: ticket, atomic, sum, ep, is, ipi, io, clock,
    /// idle, litmus, cg, mg, ft. All up to clock by default. ep, is, cg, mg and ft are of NPB's class S;
    /// `ep:W` and `ep:A` and the like are of a larger one.
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',', value_parser = run)]
    pub(crate) program: Vec<Run>,

    /// Run the programs on this many threads, which all vCPUs carry by turns (1 to 254), in place of
    /// one a vCPU. Only ticket, atomic, sum, ep, is, cg, mg and ft can run on threads.
    #[arg(long, value_name = "N", conflicts_with = "kernel",
          value_parser = clap::value_parser!(u8).range(1..=254))]
    pub(crate) threads: Option<u8>,

    /// Who decides which vCPU runs which thread.
    #[arg(long, value_enum, requires = "threads", default_value_t = SchedulerKind::Das)]
    pub(crate) scheduler: SchedulerKind,

    /// Boot this Linux kernel instead: a distribution's bzImage, or a vmlinux. Needs KVM that runs an
    /// unmodified kernel. The machine ends when the guest switches it off.
    #[arg(long, value_name = "FILE", conflicts_with = "program")]
    pub(crate) kernel: Option<PathBuf>,

    /// The kernel's initial file system.
    #[arg(long, value_name = "FILE", requires = "kernel")]
    pub(crate) initrd: Option<PathBuf>,

    /// What the kernel is told, after what every kernel is told here (its console and its clock).
    #[arg(
        long,
        value_name = "TEXT",
        requires = "kernel",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    pub(crate) cmdline: String,

    /// A disk of the kernel's machine: a raw file. `,ro` makes it read-only, and `,node=1` puts it on
    /// the second node, for example. May be given several times; a cluster file has sections for it.
    #[arg(long, value_name = "FILE[,ro][,node=N]", requires = "kernel", conflicts_with = "cluster",
          value_parser = linux::arguments::disk)]
    pub(crate) disk: Vec<DiskSpec>,

    /// A network card of the kernel's machine, at this tap interface of the host.
    #[arg(long, value_name = "TAP[,node=N]", requires = "kernel", conflicts_with = "cluster",
          value_parser = linux::arguments::net)]
    pub(crate) net: Vec<(String, NodeId)>,

    /// A console of the kernel's machine beside the serial one, hvc0, on a pseudo-terminal to which the
    /// link LINK leads while the machine runs: `screen LINK` opens it. May be given several times.
    #[arg(long, value_name = "LINK[,node=N]", requires = "kernel", conflicts_with = "cluster",
          value_parser = linux::arguments::console)]
    pub(crate) virtio_console: Vec<ConsoleSpec>,

    /// Tell the guest what its vCPUs wait for: a port of a virtio console with the name giantvm.channel,
    /// which the agent in the guest reads. All nodes have to say the same.
    #[arg(long, requires = "kernel")]
    pub(crate) channel: bool,

    /// Let time pass so many times slower for the kernel (1 to 32): for hosts that are themselves emulated,
    /// on which a kernel may else do nothing but answer its timer.
    #[arg(long, value_name = "TIMES", requires = "kernel", default_value = "1",
          value_parser = clap::value_parser!(u8).range(1..=32))]
    pub(crate) slow_motion: u8,

    /// End with status 5 when the guest resets the machine, instead of starting it again.
    #[arg(long, requires = "kernel")]
    pub(crate) no_restart: bool,

    /// How the nodes on this host are joined.
    #[arg(long, value_enum, default_value_t = TransportKind::Shm, conflicts_with = "cluster")]
    pub(crate) transport: TransportKind,

    /// What stands behind a vCPU.
    #[arg(long, value_enum, default_value_t = VcpuKind::Kvm)]
    pub(crate) vcpu: VcpuKind,

    /// How the nodes keep their memory coherent. All nodes have to name the same.
    #[arg(long, value_enum, default_value_t = ProtocolKind::Directory)]
    pub(crate) protocol: ProtocolKind,

    /// Show the nodes and the hottest pages while the machine runs, anew every second. In a cluster
    /// give it to the first node.
    #[arg(long)]
    pub(crate) top: bool,

    /// Write everything in the table, and more, to FILE as JSON (`-`, or no file, is standard
    /// output). With --top, one object a line: a second of each node, and the table at the end. In
    /// a cluster the first node has it.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub(crate) json: Option<PathBuf>,

    /// Be one node of the cluster that FILE describes (`-` is standard input). A sample with three
    /// unequal nodes is examples/cluster.toml.
    #[arg(long, value_name = "FILE", requires = "node")]
    pub(crate) cluster: Option<PathBuf>,

    /// Which node of the cluster file this process is.
    #[arg(long, value_name = "NAME", requires = "cluster")]
    pub(crate) node: Option<String>,

    /// Which node of a machine on one host this process is; the parent process sets it.
    #[arg(long, hide = true, requires = "ports")]
    pub(crate) member: Option<u8>,

    /// The descriptor by which the parent process hands on its standard input.
    #[arg(long, hide = true, requires = "member")]
    pub(crate) keyboard: Option<u32>,

    /// The loopback port of every node, in order.
    #[arg(long, hide = true, value_delimiter = ',')]
    pub(crate) ports: Vec<u16>,
}

/// What this process is to be.
#[derive(Debug)]
pub(crate) enum Role {
    /// Has a machine that runs do something.
    Client {
        /// Its socket.
        control: PathBuf,
        /// What.
        request: Request,
    },
    /// Starts one process a node and watches them.
    Parent(Task),
    /// Runs all nodes itself.
    AllNodes(Task),
    /// Runs one node.
    OneNode {
        /// What all nodes do.
        task: Task,
        /// Which node this is.
        node: NodeId,
    },
}

impl Cli {
    /// What the arguments ask this process to be.
    pub(crate) fn role(&self) -> Result<Role, Fatal> {
        if let Some(request) = self.command.clone() {
            let control = self.control.clone();
            let control = control
                .ok_or_else(|| anyhow!("which machine? name its socket by --control"))
                .or_exit(Exit::Usage)?;
            return Ok(Role::Client { control, request });
        }
        if let (Some(file), Some(name)) = (&self.cluster, &self.node) {
            let spec = read_cluster(file).or_exit(Exit::Usage)?;
            let node = spec.node_named(name).ok_or_else(|| {
                let names: Vec<_> = spec.nodes().iter().map(|node| node.name.as_str()).collect();
                anyhow!(
                    "{} has no node `{name}`, only {}",
                    file.display(),
                    names.join(", ")
                )
            });
            let node = node.or_exit(Exit::Usage)?;
            // Between the nodes of one host, if there are any, memory is shared.
            let task = self.task(spec, "tcp")?;
            return Ok(Role::OneNode { task, node });
        }
        let (nodes, vcpus) = (usize::from(self.nodes), usize::from(self.vcpus));
        let spec = ClusterSpec::local(nodes, vcpus, self.memory.0).or_exit(Exit::Usage)?;
        let nets = linux::arguments::cards(&self.net).or_exit(Exit::Usage)?;
        let attached = self.disk.iter().map(|disk| disk.node);
        if let Some(missing) = attached
            .chain(nets.iter().map(|net| net.node))
            .chain(self.virtio_console.iter().map(|console| console.node))
            .find(|node| node.index() >= nodes)
        {
            return Err(anyhow!(
                "there is no node {missing} for a disk, network card or console"
            ))
            .or_exit(Exit::Usage);
        }
        let spec = spec.with_attached(self.disk.clone(), nets, self.virtio_console.clone());
        match (self.member, self.transport) {
            (Some(member), _) => {
                let node = NodeId::new(member).or_exit(Exit::Usage)?;
                let ports = self.ports.iter().map(|&port| NodeAddress::loopback(port));
                let spec = spec.with_addresses(ports);
                let task = self.task(spec, self.transport.name())?;
                Ok(Role::OneNode { task, node })
            }
            (None, kind @ (TransportKind::Shm | TransportKind::Tcp)) => {
                Ok(Role::Parent(self.task(spec, kind.name())?))
            }
            (None, TransportKind::Inproc)
                if self.threads.is_some() && self.vcpu == VcpuKind::Thread && nodes > 1 =>
            {
                Err(anyhow!(
                    "stacks are at one address of one process: threads on --vcpu thread need \
                     --transport shm or tcp, or one node"
                ))
                .or_exit(Exit::Usage)
            }
            (None, kind @ TransportKind::Inproc) => {
                Ok(Role::AllNodes(self.task(spec, kind.name())?))
            }
        }
    }

    /// Whether this process starts a machine again that ended with this status. One of several
    /// processes of one host leaves that to the one that started them.
    pub(crate) fn restarts_after(&self, code: u8) -> bool {
        let wanted = self.kernel.is_some() && !self.no_restart;
        wanted && self.member.is_none() && code == Exit::Reset.code()
    }

    /// Where the run is shown while it lasts.
    pub(crate) fn show(&self) -> Option<Show> {
        let json = self.json.clone();
        self.top.then_some(Show { json })
    }

    fn task(&self, spec: ClusterSpec, transport: &'static str) -> Result<Task, Fatal> {
        let placement = Placement::plan(&spec);
        let nodes = (0..placement.vcpu_count())
            .filter_map(|vcpu| placement.node_of_vcpu(vcpu.try_into().ok()?))
            .map(NodeId::get)
            .collect();
        let work = match &self.kernel {
            Some(kernel) if self.vcpu == VcpuKind::Kvm => Work::Linux(linux::Options {
                kernel: kernel.clone(),
                initrd: self.initrd.clone(),
                cmdline: self.cmdline.clone(),
                slow_motion: NonZeroU8::new(self.slow_motion).unwrap_or(NonZeroU8::MIN),
                attached: linux::attached::all(&spec, self.channel).or_exit(Exit::Usage)?,
            }),
            Some(_) => {
                let error = anyhow!("a kernel runs on real vCPUs only: leave out --vcpu thread");
                return Err(error).or_exit(Exit::Usage);
            }
            None => Work::Programs(self.programs(&spec, nodes)?),
        };
        let memory = Memory::plan(&self.node_memory, &spec, &placement).or_exit(Exit::Usage)?;
        let plan = Plan {
            work,
            vcpu: self.vcpu,
            protocol: self.protocol,
            transport,
            scheduler: self.scheduler,
        };
        let one_host = self.cluster.is_none();
        Ok(Task {
            spec,
            plan,
            memory,
            one_host,
            top: self.show(),
            control: self.control.clone(),
            keyboard: match (self.member, self.keyboard) {
                (Some(_), Some(descriptor)) => Keyboard::Inherited(descriptor),
                (Some(_), None) => Keyboard::None,
                (None, _) => Keyboard::Own,
            },
            same_host: match self.transport {
                TransportKind::Tcp => SameHost::Sockets,
                TransportKind::Shm | TransportKind::Inproc => SameHost::Share,
            },
        })
    }

    /// The guest that ships with the project, with vCPUs on these nodes.
    fn programs(&self, spec: &ClusterSpec, nodes: Vec<u8>) -> Result<Config, Fatal> {
        let mut config = Config {
            nodes,
            threads: self.threads.unwrap_or(0).into(),
            memory: spec.memory(),
            cycles_per_ms: match self.vcpu {
                VcpuKind::Kvm => tsc::cycles_per_ms(),
                VcpuKind::Thread => threads::CYCLES_PER_MS,
            },
            deadline: GUEST_PATIENCE,
            ..Config::default()
        };
        if !self.program.is_empty() {
            config.runs.clone_from(&self.program);
        } else if config.threads > 0 {
            config.runs.retain(|run| run.program.on_threads());
        }
        config.boot_image().or_exit(Exit::Usage)?;
        Ok(config)
    }
}

/// Most that one wait in the guest may take. Generous: hosts may be slow and busy.
const GUEST_PATIENCE: Duration = Duration::from_secs(60);

/// A program's name, for some with a class behind a colon.
fn run(text: &str) -> Result<Run, String> {
    let (name, class) = match text.split_once(':') {
        Some((name, class)) => (name, Some(class)),
        None => (text, None),
    };
    let known = Program::ALL.into_iter();
    let program = known
        .clone()
        .find(|program| program.name() == name)
        .ok_or_else(|| {
            let names: Vec<_> = known.map(Program::name).collect();
            format!("there is no such program; choose from {}", names.join(", "))
        })?;
    let mut run = Run::from(program);
    if let Some(class) = class {
        let classes = program.classes();
        let found = classes.iter().find(|(letter, _)| *letter == class);
        let (_, parameter) = found.ok_or_else(|| match classes {
            [] => format!("{name} has no classes"),
            _ => {
                let letters: Vec<_> = classes.iter().map(|(letter, _)| *letter).collect();
                format!("{name} has the classes {}, not {class}", letters.join(", "))
            }
        })?;
        run.parameters[0] = *parameter;
    }
    Ok(run)
}

fn read_cluster(file: &Path) -> anyhow::Result<ClusterSpec> {
    let name = file.display().to_string();
    let mut text = String::new();
    let limit = MAX_FILE as u64 + 1;
    let read = match file.to_str() {
        Some("-") => std::io::stdin().take(limit).read_to_string(&mut text),
        _ => std::fs::File::open(file).and_then(|f| f.take(limit).read_to_string(&mut text)),
    };
    read.with_context(|| format!("cannot read the cluster file {name}"))?;
    Ok(ClusterSpec::parse(&text, &name)?)
}
