//! Who has been silent for too long, and whom to send a sign of life: pure, time is an argument.

use std::time::Duration;

use giantvm_core::{MAX_NODES, NodeId, NodeSet};

/// How often [`Keepalive::tick`] should be called.
pub(super) const TICK: Duration = Duration::from_millis(50);
/// A peer hears from this node at least this often.
pub const HEARTBEAT: Duration = Duration::from_millis(200);
/// A peer that was not heard for this long is lost. Time in which the node that listens stood still itself
/// does not count.
pub const SILENCE: Duration = Duration::from_millis(800);
/// A tick that comes later than this was held up on this node, not by the peers: the time beyond is nobody's
/// silence.
const LATE: Duration = TICK;
/// After a standstill of so long peers that were held up together with this node may owe it a heartbeat.
const LONG: Duration = HEARTBEAT;

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
    /// How late the tick came, if so late that this node may have been missed.
    pub(super) stood_still: Option<Duration>,
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

    /// How long `peer` has been silent while this node ran.
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
        let late = now.saturating_sub(self.last_tick).saturating_sub(TICK);
        self.last_tick = now;
        // This node was stopped or starved. What its peers sent meanwhile it has read by now; those that
        // were held up together with it get the time once more, the whole of it if it was long.
        if late > LONG {
            self.heard.fill(now);
        } else if late > LATE {
            let heard = self.heard.iter_mut();
            heard.for_each(|heard| *heard = (*heard + late).min(now));
        }
        let due = |peer: &NodeId| now.saturating_sub(sent(*peer)) + TICK > HEARTBEAT;
        Tick {
            silent: up
                .iter()
                .filter(|&peer| self.silence(peer, now) >= SILENCE)
                .collect(),
            beat: up.iter().filter(due).collect(),
            stood_still: Some(late).filter(|late| *late > LONG),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    fn short_standstills_of_its_own_are_no_peers_silence() {
        let mut keepalive = Keepalive::new(MS(0));
        let mut now = 0;
        // It runs for 50 ms and stands still for 100, again and again.
        let found = [50, 150].into_iter().cycle().take(100).find_map(|gap| {
            now += gap;
            let tick = keepalive.tick(MS(now), NodeSet::only(PEER), |_| MS(now));
            tick.silent.contains(PEER).then_some(now)
        });
        assert_eq!(found, Some(1600));
    }

    #[test]
    fn what_came_in_before_a_late_tick_is_no_older_than_that() {
        let mut keepalive = Keepalive::new(MS(0));
        keepalive.heard(PEER, MS(150));
        assert_eq!(silent_at(&mut keepalive, 160, 2000), Some(960));
    }

    #[test]
    fn a_tick_tells_of_a_standstill_that_peers_may_have_noticed() {
        let mut keepalive = Keepalive::new(MS(0));
        let mut stood_still = |ms| {
            let tick = keepalive.tick(MS(ms), NodeSet::EMPTY, |_| MS(ms));
            tick.stood_still
        };
        assert_eq!([50, 100, 350].map(&mut stood_still), [None; 3]);
        assert_eq!(stood_still(1400), Some(MS(1000)));
        assert_eq!(stood_still(1450), None);
    }

    proptest! {
        #[test]
        fn a_peer_is_found_silent_by_the_time_that_this_node_ran(
            gaps in proptest::collection::vec(1..=250_u64, 100),
        ) {
            let mut keepalive = Keepalive::new(MS(0));
            let (mut now, mut ran) = (0, 0);
            for gap in gaps {
                now += gap;
                // A tick that is late by one more is not late.
                ran += if gap > 100 { 50 } else { gap };
                let tick = keepalive.tick(MS(now), NodeSet::only(PEER), |_| MS(now));
                prop_assert_eq!(tick.silent.contains(PEER), ran >= 800);
            }
        }
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
