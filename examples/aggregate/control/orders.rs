//! Carries out what a machine is asked to do, on the first node.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use giantvm_core::{NodeId, NodeSet, VcpuId};
use giantvm_dsm::protocol::Succession;
use giantvm_sched::{ClusterSpec, DeviceKind, Placement};
use giantvm_vcpu::migration::{Mover, Outcome};

use super::{Answer, Request};
use crate::departures::{Ask, Departures, Stage};
use crate::move_order::{End, Order};
use crate::moves::Moves;

/// How long one move may take: a vCPU waits for its pages before it leaves the guest.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a node that leaves is asked how far it is.
const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// How often a move is ordered that could not be made at once, since a node was busy or the vCPU elsewhere.
const TRIES: usize = 5;

/// The machine, as who moves its parts sees it.
#[derive(Debug)]
pub(crate) struct Orders {
    pub(crate) spec: ClusterSpec,
    pub(crate) placement: Placement,
    pub(crate) mover: Arc<Mover>,
    pub(crate) moves: Arc<Moves>,
    /// Why no vCPU can be moved, if so.
    pub(crate) obstacle: Option<&'static str>,
    pub(crate) departures: Arc<Departures>,
    /// Who is home to how much of the memory, and could be to more.
    pub(crate) succession: Mutex<Succession>,
    /// Nodes that have no part in the memory any more.
    pub(crate) left: Mutex<NodeSet>,
}

impl Orders {
    /// Does what is asked; `tell` is given what is done on the way.
    pub(crate) fn carry_out(
        &self,
        request: &Request,
        tell: &mut dyn FnMut(Answer),
    ) -> Result<String, String> {
        if let Some(obstacle) = self.obstacle {
            return Err(format!("no vCPU of this machine can be moved: {obstacle}"));
        }
        match request {
            Request::MoveVcpu { vcpu, node } => {
                let vcpu = VcpuId::new(*vcpu).map_err(|error| error.to_string())?;
                self.relocate(vcpu, self.node(node)?)?;
                Ok(format!("vCPU {vcpu} is on node {node}"))
            }
            Request::Evacuate {
                node,
                bandwidth,
                heir,
            } => {
                let heir = heir.as_deref().map(|heir| self.node(heir)).transpose()?;
                self.evacuate(self.node(node)?, heir, *bandwidth, tell)
            }
            Request::Admit { node } => self.admit(self.node(node)?, tell),
        }
    }

    fn node(&self, name: &str) -> Result<NodeId, String> {
        let node = self.spec.node_named(name);
        node.ok_or_else(|| format!("there is no node `{name}`"))
    }

    pub(super) fn name(&self, node: NodeId) -> &str {
        self.spec.node(node).map_or("?", |node| &node.name)
    }

    fn place(&self, vcpu: VcpuId) -> Option<NodeId> {
        self.mover.place(vcpu).map(|place| place.node)
    }

    fn vcpus(&self) -> impl Iterator<Item = VcpuId> + use<> {
        VcpuId::first(self.placement.vcpu_count())
    }

    fn relocate(&self, vcpu: VcpuId, to: NodeId) -> Result<(), String> {
        let mut last = End::Unbegun;
        for _ in 0..TRIES {
            match self.place(vcpu) {
                None => return Err(format!("the machine has no vCPU {vcpu}")),
                Some(place) if place == to => return Ok(()),
                Some(_) => {}
            }
            let end = self.moves.order(&self.mover, Order { vcpu, to });
            let end = end.ok_or_else(|| format!("vCPU {vcpu} is being moved already"))?;
            last = end.recv_timeout(PATIENCE).map_err(|_| {
                self.moves.forget(vcpu);
                format!("vCPU {vcpu} has not left its node yet; it will when it can")
            })?;
            if last == End::Tried(Outcome::Moved) {
                return Ok(());
            }
        }
        let why = match last {
            End::Tried(Outcome::Moved) => return Ok(()),
            End::Tried(Outcome::NotFrozen) => "its node could not stop it",
            End::Tried(Outcome::Refused) => "the other node could not take it",
            End::Tried(Outcome::Lost) => "the other node is lost",
            End::Unbegun => "its node did not begin to",
        };
        Err(format!("vCPU {vcpu} stays where it was: {why}"))
    }

    fn evacuate(
        &self,
        from: NodeId,
        heir: Option<NodeId>,
        bandwidth: Option<u64>,
        tell: &mut dyn FnMut(Answer),
    ) -> Result<String, String> {
        let kept = self.kept(from);
        // Before anything moves: a node whose memory fits nowhere keeps its vCPUs, too.
        let heir = match kept.is_empty() {
            true => Some(self.heir(from, heir)?),
            false => None,
        };
        let on = |node: NodeId| {
            let vcpus = self.vcpus();
            vcpus.filter(move |vcpu| self.place(*vcpu) == Some(node))
        };
        let leaving: Vec<_> = on(from).collect();
        let of = leaving.len();
        for (done, vcpu) in (1..).zip(leaving) {
            let others = self.others(from);
            let to = others.min_by_key(|node| on(*node).count());
            let to = to.ok_or("there is no other node")?;
            self.relocate(vcpu, to)?;
            let what = format!("vCPU {vcpu} is on node {}", self.name(to));
            tell(Answer::Progress { what, done, of });
        }
        let Some(heir) = heir else {
            let (name, kept) = (self.name(from), kept.join(", "));
            return Ok(format!(
                "node {name} runs no vCPU any more. It keeps its share of the memory, {kept}: do not end it"
            ));
        };
        self.empty(from, heir, bandwidth, tell)?;
        Ok(format!(
            "node {} runs no vCPU any more, and node {} took over its share of the memory: it may be ended",
            self.name(from),
            self.name(heir)
        ))
    }

    /// Nodes that can take over what another has.
    fn others(&self, than: NodeId) -> impl Iterator<Item = NodeId> + use<> {
        let left = *self.left();
        let nodes = NodeId::first(self.spec.nodes().len());
        nodes.filter(move |node| *node != than && !left.contains(*node))
    }

    fn left(&self) -> MutexGuard<'_, NodeSet> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a node's share of the memory leave it for its heir.
    fn empty(
        &self,
        node: NodeId,
        heir: NodeId,
        bytes_a_second: Option<u64>,
        tell: &mut dyn FnMut(Answer),
    ) -> Result<(), String> {
        let why = |why: String| {
            let name = self.name(node);
            format!("node {name} runs no vCPU any more, but keeps its share of the memory: {why}")
        };
        let leave = Ask::Leave {
            heir: heir.get(),
            bytes_a_second,
        };
        let mut told = self.departures.ask(node, leave).map_err(why)?;
        self.succession().inherit(node, heir);
        while told.stage == Stage::Leaving {
            tell(Answer::Progress {
                what: format!("pages of its memory looked at, {} on their way", told.going),
                done: usize::try_from(told.done).unwrap_or(usize::MAX),
                of: usize::try_from(told.of).unwrap_or(usize::MAX),
            });
            std::thread::sleep(LOOK_PERIOD);
            told = self.departures.ask(node, Ask::Look).map_err(why)?;
        }
        if told.stage != Stage::Left {
            return Err(why("it came back".into()));
        }
        let mut left = self.left();
        *left = left.with(node);
        Ok(())
    }

    /// What does not move.
    fn kept(&self, node: NodeId) -> Vec<String> {
        let kinds = DeviceKind::ALL.into_iter();
        let devices = kinds.filter(|kind| self.placement.device_node(*kind) == node);
        let mut kept = Vec::new();
        if node == NodeId::ZERO {
            kept.push(String::from("the time and the orders of the machine"));
        }
        kept.extend(devices.map(|kind| format!("the {} device", kind.name())));
        for (what, count) in [
            (
                "disk",
                self.spec
                    .disks()
                    .iter()
                    .filter(|disk| disk.node == node)
                    .count(),
            ),
            (
                "network card",
                self.spec
                    .nets()
                    .iter()
                    .filter(|net| net.node == node)
                    .count(),
            ),
            (
                "console",
                self.spec
                    .consoles()
                    .iter()
                    .filter(|one| one.node == node)
                    .count(),
            ),
        ] {
            match count {
                0 => {}
                1 => kept.push(format!("a {what}")),
                _ => kept.push(format!("{count} {what}s")),
            }
        }
        kept
    }

    fn admit(&self, to: NodeId, tell: &mut dyn FnMut(Answer)) -> Result<String, String> {
        if self.left().contains(to) {
            let why = |why| format!("node {} cannot come back: {why}", self.name(to));
            let mut told = self.departures.ask(to, Ask::Return).map_err(why)?;
            while told.stage != Stage::Here {
                std::thread::sleep(LOOK_PERIOD);
                told = self.departures.ask(to, Ask::Look).map_err(why)?;
            }
            let mut left = self.left();
            *left = left.without(to);
        }
        let away = |vcpu: &VcpuId| self.place(*vcpu) != Some(to);
        let coming: Vec<_> = self.placement.vcpus_of(to).filter(away).collect();
        let of = coming.len();
        for (done, vcpu) in (1..).zip(coming) {
            self.relocate(vcpu, to)?;
            let what = format!("vCPU {vcpu} is back");
            tell(Answer::Progress { what, done, of });
        }
        Ok(format!(
            "node {} runs the vCPUs that it started with",
            self.name(to)
        ))
    }
}
