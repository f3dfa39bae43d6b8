//! How the nodes of the machine find one another.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::anyhow;
use giantvm_core::wire::Limits;
use giantvm_core::{Epoch, NodeId};
use giantvm_transport::tcp::TcpConnector;
use giantvm_transport::{JoinConfig, NodeEntry, Progress, Transport, inproc, join_blocking};

use crate::exit::{Exit, Fatal, OrExit};
use crate::node;
use crate::report::RunReport;
use crate::task::Task;

/// How long the processes of one host may look for one another without a word.
const QUIET: Duration = Duration::from_millis(900);

/// Joins the other nodes over TCP, with a line about who is missing.
pub(crate) fn by_tcp(task: &Task, local: NodeId) -> Result<Arc<dyn Transport>, Fatal> {
    let spec = &task.spec;
    let entry = |node: &giantvm_sched::NodeSpec| NodeEntry {
        name: node.name.clone(),
        address: node.address.to_string(),
    };
    let mut config = JoinConfig::new(spec.name(), spec.nodes().iter().map(entry).collect(), local);
    config.settings = settings(task);
    config.limits = Limits::for_pages(spec.page_size());
    config.deadline = spec.deadline();
    config.same_host = task.same_host;
    let name = spec.node(local).map_or("?", |node| &node.name).to_owned();
    // The processes of one host find one another at once; there is nothing to tell for a while.
    let quiet = if task.one_host { QUIET } else { Duration::ZERO };
    let tell = |progress: &Progress| {
        if progress.waited >= quiet && !progress.missing.is_empty() {
            eprintln!("aggregate[{name}]: {progress}");
        }
    };
    let connector = if task.one_host {
        TcpConnector::with_listener(config, inherited_listener().or_exit(Exit::Host)?)
    } else {
        TcpConnector::new(config)
    };
    join_blocking(&connector, &tell).or_exit(Exit::Lost)
}

/// The socket that the parent process gave this node as its standard input.
fn inherited_listener() -> std::io::Result<TcpListener> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    Ok(TcpListener::from(socket))
}

/// Everything on which all nodes have to agree: the cluster file, and what is to be run.
fn settings(task: &Task) -> BTreeMap<String, String> {
    let mut settings = task.spec.settings();
    settings.extend(task.plan.work.settings());
    settings.insert("run.protocol".into(), task.plan.protocol.name().into());
    settings.insert("run.node_memory".into(), task.memory.settings());
    settings.insert("run.vcpu".into(), task.plan.vcpu.name().into());
    settings.insert("run.scheduler".into(), task.plan.scheduler.name().into());
    if let Some(code) = task.code_address() {
        settings.insert("run.code".into(), format!("{code:#x}"));
    }
    settings
}

/// Runs all nodes in this process, each on a thread of its own; returns the machine's report.
pub(crate) fn in_process(task: &Task) -> Result<Option<RunReport>, Fatal> {
    let limits = Limits::for_pages(task.spec.page_size());
    let count = task.spec.nodes().len();
    let transports = inproc::cluster(count, Epoch::FIRST, limits).or_exit(Exit::Host)?;
    let signals = crate::signals::watch().or_exit(Exit::Host)?;
    let mut first_node = Some(signals);
    let nodes: Vec<_> = transports
        .into_iter()
        .map(|transport| {
            let task = task.clone();
            // One node that stops in good order stops all: the first hears of the signals.
            let interrupted = first_node.take().unwrap_or_else(|| channel().1);
            std::thread::Builder::new()
                .name(format!("node-{}", transport.local()))
                .spawn(move || node::run(&task, transport, interrupted))
        })
        .collect::<Result<_, _>>()
        .or_exit(Exit::Host)?;
    let mut report = None;
    for node in nodes {
        let ended = node.join().map_err(|_| anyhow!("a node's thread panicked"));
        report = report.or(ended.or_exit(Exit::Host)??);
    }
    Ok(report)
}
