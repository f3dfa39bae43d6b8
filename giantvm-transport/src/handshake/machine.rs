//! The handshake as a state machine.

use std::sync::Arc;

use bytes::Bytes;
use giantvm_core::wire::{Body, Class, Frame, Limits, Service};
use giantvm_core::{Epoch, NodeId, Stamp};

use super::{HandshakeError, Hello, Refusal, Settings, SettingsError};
use crate::link::{Kind, expect_lengths};

/// What a node knows of itself and of the cluster when it greets others.
#[derive(Debug, Clone)]
pub struct LocalNode {
    /// The cluster's id.
    pub cluster: String,
    /// This node's number.
    pub node: NodeId,
    /// The names of all nodes, by number.
    pub names: Vec<String>,
    /// Tells this process from another that runs as the same node.
    pub instance: u64,
    /// Names this host as far as sharing memory goes; 0 to share none.
    pub host: u64,
    /// The membership epoch that the cluster starts in.
    pub epoch: Epoch,
    /// The most a frame may carry.
    pub limits: Limits,
    /// What all nodes must agree on.
    pub settings: Settings,
}

impl LocalNode {
    fn hello(&self, class: Class) -> Hello {
        Hello {
            cluster: self.cluster.clone(),
            node: self.node,
            name: self
                .names
                .get(self.node.index())
                .cloned()
                .unwrap_or_default(),
            class,
            instance: self.instance,
            host: self.host,
            digest: self.settings.digest(),
            epoch: self.epoch,
            limits: self.limits,
        }
    }

    fn describe(&self, node: NodeId) -> String {
        match self.names.get(node.index()) {
            Some(name) => format!("node {node} `{name}`"),
            None => format!("node {node}"),
        }
    }
}

/// What a frame changed in a [`Handshake`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// More frames are needed.
    Pending,
    /// The connection is a link to the node that sent this greeting.
    Established(Hello),
}

#[derive(Debug)]
enum State {
    Greeting,
    Verdict(Hello),
    Comparing(Hello),
    Over,
}

/// One connection's handshake, on either side.
///
/// Frames to send are appended to `out`, also when an error ends the handshake: the peer is told
/// why as far as it can be.
#[derive(Debug)]
pub struct Handshake {
    local: Arc<LocalNode>,
    /// The node and class that were dialed; `None` on the accepting side.
    dialed: Option<(NodeId, Class)>,
    state: State,
}

impl Handshake {
    /// The handshake of a connection that this node opened to `peer` for `class`.
    #[must_use]
    pub fn dial(local: Arc<LocalNode>, peer: NodeId, class: Class, out: &mut Vec<Frame>) -> Self {
        out.push(local.hello(class).encode());
        Self {
            local,
            dialed: Some((peer, class)),
            state: State::Greeting,
        }
    }

    /// The handshake of a connection that someone opened to this node.
    #[must_use]
    pub fn accept(local: Arc<LocalNode>) -> Self {
        Self {
            local,
            dialed: None,
            state: State::Greeting,
        }
    }

    /// Takes the peer's next frame. `taken` says whether another process holds the place of the
    /// node that sends a greeting.
    ///
    /// # Errors
    /// [`HandshakeError`]: the connection ends, after `out` was sent.
    pub fn on_frame(
        &mut self,
        frame: &Frame,
        taken: &mut dyn FnMut(&Hello) -> bool,
        out: &mut Vec<Frame>,
    ) -> Result<Step, HandshakeError> {
        let kind = Kind::of(frame).inspect_err(|_| out.push(self.refusal(Refusal::Malformed)))?;
        match (std::mem::replace(&mut self.state, State::Over), kind) {
            (State::Greeting, Kind::Hello) => self.greeted(frame, taken, out),
            (State::Verdict(hello), Kind::Welcome) if hello.node == frame.from => {
                expect_lengths(frame, 0, 0)?;
                Ok(Step::Established(hello))
            }
            (State::Comparing(hello), Kind::Settings) => {
                let there = Settings::decode(&frame.payload)?;
                let difference = self.local.settings.first_difference(&there, &hello.name);
                Err(difference.map_or(SettingsError::Digest.into(), HandshakeError::Differs))
            }
            (State::Greeting | State::Verdict(_) | State::Comparing(_), Kind::Refusal) => {
                Err(HandshakeError::Refused(Refusal::decode(frame)?))
            }
            (
                State::Greeting | State::Verdict(_) | State::Comparing(_) | State::Over,
                Kind::Heartbeat
                | Kind::Hello
                | Kind::Welcome
                | Kind::Settings
                | Kind::Refusal
                | Kind::Ready,
            ) => {
                out.push(self.refusal(Refusal::Malformed));
                Err(HandshakeError::OutOfTurn(frame.kind))
            }
        }
    }

    /// What to tell a peer whose bytes were no frame, perhaps for want of the same version.
    #[must_use]
    pub fn unreadable(&self) -> Frame {
        self.refusal(Refusal::Malformed)
    }

    fn greeted(
        &mut self,
        frame: &Frame,
        taken: &mut dyn FnMut(&Hello) -> bool,
        out: &mut Vec<Frame>,
    ) -> Result<Step, HandshakeError> {
        let hello = Hello::decode(frame).inspect_err(|_| out.push(self.unreadable()))?;
        if self.dialed.is_none() {
            out.push(self.local.hello(hello.class).encode());
        }
        let verdict = self.check(&hello, taken);
        match verdict {
            Ok(true) => {
                out.push(Kind::Welcome.empty(self.local.node, self.local.epoch));
                self.state = State::Verdict(hello);
                Ok(Step::Pending)
            }
            Ok(false) => {
                let payload = self.local.settings.encode();
                out.push(self.message(Kind::Settings, Body::of(&[0_u8; 0]), payload));
                self.state = State::Comparing(hello);
                Ok(Step::Pending)
            }
            Err(error) => {
                out.push(self.refusal(Refusal::for_error(&error)));
                Err(error)
            }
        }
    }

    /// Whether the greeting is right in all things, `false` if only the settings differ.
    fn check(
        &self,
        hello: &Hello,
        taken: &mut dyn FnMut(&Hello) -> bool,
    ) -> Result<bool, HandshakeError> {
        let local = &self.local;
        if hello.cluster != local.cluster {
            return Err(HandshakeError::Cluster {
                here: local.cluster.clone(),
                there: hello.cluster.clone(),
            });
        }
        if hello.digest != local.settings.digest() {
            return Ok(false);
        }
        if self.dialed.is_none() && hello.node < local.node {
            // Nodes dial those with lower numbers.
            return Err(HandshakeError::OutOfTurn(Kind::Hello as u8));
        }
        let listed = local.names.get(hello.node.index()) == Some(&hello.name);
        let expected = self.dialed.map_or(hello.node, |(peer, _)| peer);
        if !listed || hello.node != expected || hello.node == local.node {
            return Err(HandshakeError::Identity {
                expected: local.describe(expected),
                got: format!("node {} `{}`", hello.node, hello.name),
            });
        }
        if self.dialed.is_some_and(|(_, class)| class != hello.class) {
            return Err(HandshakeError::Class);
        }
        if taken(hello) {
            return Err(HandshakeError::Duplicate(local.describe(hello.node)));
        }
        Ok(true)
    }

    fn refusal(&self, refusal: Refusal) -> Frame {
        self.message(Kind::Refusal, refusal.body(), Bytes::new())
    }

    fn message(&self, kind: Kind, body: Body, payload: Bytes) -> Frame {
        Frame {
            service: Service::Link,
            kind: kind as u8,
            from: self.local.node,
            epoch: self.local.epoch,
            stamp: Stamp::ZERO,
            body,
            payload,
        }
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
