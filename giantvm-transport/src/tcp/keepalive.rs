//! Who has been silent for too long, and whom to send a sign of life: pure, time is an argument.

use std::time::Duration;

use giantvm_core::{MAX_NODES, NodeId, NodeSet};

/// How often [`Keepalive::tick`] should be called.
pub(super) const TICK: Duration = Duration::from_millis(50);
/// A peer hears from this node at least this often.
pub const HEARTBEAT: Duration = Duration::from_millis(200);
/// A peer that was not heard for this long is lost.
pub const SILENCE: Duration = Duration::from_millis(800);
/// A tick that comes later than this was held up on this node, not by the peers.
const LATE: Duration = HEARTBEAT;

/// Times since the transport started.
#[derive(Debug)]
pub(super) struct Keepalive {
    heard: Vec<Duration>,
    last_tick: Duration,
}

/// What a tick found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tick {
    /// Peers that were silent for [`SILENCE`].
    pub(super) silent: NodeSet,
    /// Peers that have not been sent anything for about [`HEARTBEAT`].
    pub(super) beat: NodeSet,
}

impl Keepalive {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            heard: vec![now; MAX_NODES],
            last_tick: now,
        }
    }

    /// Something arrived from `peer`.
    pub(super) fn heard(&mut self, peer: NodeId, now: Duration) {
        self.heard[peer.index()] = now;
    }

    /// How long `peer` has been silent.
    pub(super) fn silence(&self, peer: NodeId, now: Duration) -> Duration {
        now.saturating_sub(self.heard[peer.index()])
    }

    /// Judges the peers in `up`; `sent` is when something was last sent to a peer.
    pub(super) fn tick(
        &mut self,
        now: Duration,
        up: NodeSet,
        sent: impl Fn(NodeId) -> Duration,
    ) -> Tick {
        let since = now.saturating_sub(self.last_tick);
        self.last_tick = now;
        if since > TICK + LATE {
            // This node was stopped or starved. What its peers sent meanwhile it has read by now;
            // those that were held up together with it get the whole time once more.
            self.heard.fill(now);
        }
        let due = |peer: &NodeId| now.saturating_sub(sent(*peer)) + TICK > HEARTBEAT;
        Tick {
            silent: up
                .iter()
                .filter(|&peer| self.silence(peer, now) >= SILENCE)
                .collect(),
            beat: up.iter().filter(due).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;
    const PEER: NodeId = NodeId::ZERO;

    /// Ticks every [`TICK`] from `from` up to `to` and says when the peer was found silent.
    fn silent_at(keepalive: &mut Keepalive, from: u64, to: u64) -> Option<u64> {
        (from..=to).step_by(50).find(|&ms| {
            let tick = keepalive.tick(MS(ms), NodeSet::only(PEER), |_| MS(ms));
            tick.silent.contains(PEER)
        })
    }

    #[test]
    fn a_silent_peer_is_found_within_a_second() {
        let mut keepalive = Keepalive::new(MS(0));
        assert_eq!(silent_at(&mut keepalive, 50, 2000), Some(800));
    }

    #[test]
    fn a_peer_that_beats_is_not_silent() {
        let mut keepalive = Keepalive::new(MS(0));
        for ms in (200..4000).step_by(200) {
            assert_eq!(silent_at(&mut keepalive, ms - 150, ms), None);
            keepalive.heard(PEER, MS(ms));
        }
    }

    #[test]
    fn a_node_that_was_late_itself_judges_no_one_until_a_further_interval_passed() {
        let mut keepalive = Keepalive::new(MS(0));
        assert_eq!(silent_at(&mut keepalive, 5000, 5000), None);
        assert_eq!(silent_at(&mut keepalive, 5050, 9000), Some(5800));
    }

    #[test]
    fn heartbeats_are_due_only_without_other_traffic() {
        let mut keepalive = Keepalive::new(MS(0));
        let up = NodeSet::only(PEER);
        assert_eq!(keepalive.tick(MS(50), up, |_| MS(0)).beat, NodeSet::EMPTY);
        assert_eq!(keepalive.tick(MS(200), up, |_| MS(0)).beat, up);
        assert_eq!(
            keepalive.tick(MS(250), up, |_| MS(240)).beat,
            NodeSet::EMPTY
        );
    }
}
