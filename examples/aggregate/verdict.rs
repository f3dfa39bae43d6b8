//! What the end of a run means.

use anyhow::anyhow;
use giantvm_core::NodeId;
use giantvm_io::machine::{Cause, Stop};

use crate::exit::{Exit, Fatal};
use crate::hot::{SHOWN, spots};
use crate::report::{NodeReport, ProgramReport, RunReport};
use crate::scheduling::Summary;
use crate::task::Task;

/// The end of a machine that did not end by its guest's own word.
pub(crate) fn bad_end(stop: Stop, name: impl Fn(NodeId) -> String) -> Fatal {
    let place = match stop.vcpu {
        Some(vcpu) => format!("vCPU {vcpu} on node {}", name(stop.node)),
        None => format!("node {}", name(stop.node)),
    };
    let (exit, error) = match stop.cause {
        Cause::NodeLost(node) => (
            Exit::Lost,
            anyhow!("the machine stopped because node {} was lost", name(node)),
        ),
        Cause::Interrupted => (Exit::Interrupted, anyhow!("interrupted on {place}")),
        Cause::TripleFault => (
            Exit::Wrong,
            anyhow!("the guest crashed: triple fault of {place}"),
        ),
        Cause::Shutdown => (
            Exit::Wrong,
            anyhow!("{place} switched the machine off before its end"),
        ),
        Cause::Reset => (Exit::Reset, anyhow!("{place} reset the machine")),
        Cause::Panicked => (Exit::Panicked, anyhow!("the guest panicked on {place}")),
        Cause::Failed(_) => (
            Exit::Host,
            anyhow!("{place} could not go on; its own output says why"),
        ),
        Cause::TimedOut => (Exit::Lost, anyhow!("{place} did not stop in time")),
        Cause::Exit(status) => (Exit::Wrong, anyhow!("the guest ended with status {status}")),
    };
    Fatal { exit, error }
}

/// The report of a machine whose guest ended by its own word.
pub(crate) fn report(
    task: &Task,
    stop: Stop,
    programs: Vec<ProgramReport>,
    mut nodes: Vec<NodeReport>,
    scheduling: Option<Summary>,
) -> RunReport {
    let hottest = spots(
        nodes
            .iter()
            .map(|node| (&*node.name, &node.counts.hottest[..])),
    );
    for node in &mut nodes {
        node.counts.hottest.truncate(SHOWN);
    }
    let good = task.plan.work.is_good_end(stop.cause);
    let outcome = match stop.cause {
        Cause::Shutdown => "the guest switched the machine off".to_owned(),
        Cause::Exit(0) => "the guest says that all is right".to_owned(),
        Cause::Exit(status) => format!("the guest ended with status {status}"),
        other => format!("{other:?}"),
    };
    RunReport {
        verified: good && programs.iter().all(|p| p.verified),
        outcome,
        transport: task.plan.transport.to_owned(),
        protocol: task.plan.protocol.name().to_owned(),
        vcpu_host: task.plan.vcpu.name().to_owned(),
        memory_bytes: task.spec.memory(),
        page_bytes: task.spec.page_size().bytes(),
        programs,
        nodes,
        hottest,
        scheduling,
    }
}
