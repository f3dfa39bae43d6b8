//! The rules that every frame meets when it enters or leaves a link.

use giantvm_core::wire::{DecodeError, Frame, Limits, Service};
use giantvm_core::{NodeId, NodeSet};

use crate::link::{self, Kind};
use crate::{LogicalClock, Loss, SendError};

/// Bytes of output that one link (a peer and a class) queues before
/// [`SendError::Full`]: 64 MiB.
pub const QUEUE_LIMIT: usize = 64 << 20;

/// What to do with a frame that arrived on an established link.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Give it to the node.
    Deliver,
    /// It was a sign of life and nothing else.
    Heartbeat,
}

/// Checks a frame that came over the established link to `peer`.
pub(crate) fn admit(frame: &Frame, peer: NodeId) -> Result<Admission, Loss> {
    if frame.from != peer {
        return Err(Loss::Impostor(frame.from));
    }
    if frame.service != Service::Link {
        return Ok(Admission::Deliver);
    }
    match Kind::of(frame)? {
        Kind::Heartbeat => {
            link::expect_lengths(frame, 0, 0)?;
            Ok(Admission::Heartbeat)
        }
        // The handshake is over: none of its messages makes sense here.
        Kind::Hello | Kind::Welcome | Kind::Settings | Kind::Refusal | Kind::Ready => {
            Err(Loss::Protocol(DecodeError::UnknownKind {
                service: frame.service,
                kind: frame.kind,
            }))
        }
    }
}

/// Takes a frame that is to be sent to `to` with `payload` bytes, by a node with these `peers`: checks
/// it, and stamps it with the time of `clock`.
pub(crate) fn take(
    frame: Frame,
    payload: usize,
    to: NodeId,
    peers: NodeSet,
    limits: Limits,
    clock: &LogicalClock,
    is_linked: impl FnOnce(NodeId) -> bool,
) -> Result<Frame, SendError> {
    if !peers.contains(to) {
        return Err(SendError::NoPeer(to));
    }
    let (got, limit) = (payload, limits.max_payload as usize);
    if got > limit {
        return Err(SendError::TooLong { got, limit });
    }
    if !is_linked(to) {
        return Err(SendError::Lost(to));
    }
    let stamp = clock.now();
    Ok(Frame { stamp, ..frame })
}

/// Memory that a queued frame is charged with, so that many small frames meet the limit too.
pub(crate) fn charge(frame: &Frame) -> usize {
    size_of::<Frame>() + frame.payload.len()
}

#[cfg(test)]
mod tests {
    use giantvm_core::{Epoch, Stamp};

    use super::*;

    fn frame(service: Service, kind: u8, body: &[u8]) -> Frame {
        Frame::control(service, kind, NodeId::ZERO, Epoch::FIRST, body).unwrap()
    }

    #[test]
    fn a_frame_in_another_name_is_an_impostor() {
        let peer = NodeId::new(1).unwrap();
        let verdict = admit(&frame(Service::Dsm, 0, &[]), peer);
        assert_eq!(verdict, Err(Loss::Impostor(NodeId::ZERO)));
    }

    #[test]
    fn a_frame_is_stamped_by_the_clock_and_not_by_its_maker() {
        let clock = LogicalClock::default();
        clock.advance(Stamp(5));
        let to = NodeId::new(1).unwrap();
        for made_up in [0, 9] {
            let mut frame = frame(Service::Dsm, 0, &[]);
            frame.stamp = Stamp(made_up);
            let limits = Limits::CONTROL_ONLY;
            let taken = take(frame, 0, to, NodeSet::only(to), limits, &clock, |_| true);
            assert_eq!(taken.map(|frame| frame.stamp), Ok(Stamp(5)));
        }
    }

    #[test]
    fn of_link_frames_only_an_empty_heartbeat_makes_sense_after_the_join() {
        let verdict = |kind, body: &[u8]| admit(&frame(Service::Link, kind, body), NodeId::ZERO);
        assert_eq!(
            verdict(Kind::Heartbeat as u8, &[]),
            Ok(Admission::Heartbeat)
        );
        assert!(verdict(Kind::Heartbeat as u8, &[1]).is_err());
        assert!(verdict(Kind::Hello as u8, &[]).is_err());
        assert!(verdict(200, &[]).is_err());
    }
}
