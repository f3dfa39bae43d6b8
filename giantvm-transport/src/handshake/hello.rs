//! The greeting: who a node is, and what it was configured with.

use bytes::Bytes;
use giantvm_core::wire::Class;
use giantvm_core::wire::{Body, DecodeError, Frame, Limits, Service, read_body};
use giantvm_core::{Epoch, NodeId, Stamp};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::HandshakeError;
use crate::link::{Kind, expect_lengths};

/// Most bytes of a cluster id or node name.
pub const MAX_NAME: usize = 64;

/// The first message each way on a connection.
///
/// The protocol version is that of the frame that carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The cluster's id.
    pub cluster: String,
    /// The sender's number.
    pub node: NodeId,
    /// The sender's name.
    pub name: String,
    /// The traffic class that the connection is for.
    pub class: Class,
    /// A random number that tells two processes apart that run as the same node.
    pub instance: u64,
    /// The digest of the sender's settings.
    pub digest: u128,
    /// The membership epoch that the sender starts in.
    pub epoch: Epoch,
    /// The most the sender accepts in one frame.
    pub limits: Limits,
    /// Names the sender's host as far as sharing memory goes; 0 if it shares none.
    pub host: u64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct HelloBody {
    digest: [u8; 16],
    instance: U64,
    host: U64,
    max_payload: U32,
    class: u8,
    cluster_len: u8,
    name_len: u8,
    reserved: u8,
}

impl Hello {
    /// The frame that carries this greeting. Names are cut at [`MAX_NAME`] bytes by whoever made
    /// them; longer ones are refused by the receiver.
    #[must_use]
    pub fn encode(&self) -> Frame {
        let short = |text: &str| u8::try_from(text.len()).unwrap_or(u8::MAX);
        let body = HelloBody {
            digest: self.digest.to_le_bytes(),
            instance: self.instance.into(),
            host: self.host.into(),
            max_payload: self.limits.max_payload.into(),
            class: self.class as u8,
            cluster_len: short(&self.cluster),
            name_len: short(&self.name),
            reserved: 0,
        };
        Frame {
            service: Service::Link,
            kind: Kind::Hello as u8,
            from: self.node,
            epoch: self.epoch,
            stamp: Stamp::ZERO,
            body: Body::of(&body),
            payload: Bytes::from([self.cluster.as_bytes(), self.name.as_bytes()].concat()),
        }
    }

    /// Reads a greeting. Total: any frame gives a greeting or an error.
    ///
    /// # Errors
    /// [`HandshakeError::Decode`] or [`HandshakeError::BadName`].
    pub fn decode(frame: &Frame) -> Result<Self, HandshakeError> {
        if Kind::of(frame)? != Kind::Hello {
            return Err(HandshakeError::OutOfTurn(frame.kind));
        }
        let body: HelloBody = read_body(frame)?;
        let (cluster_len, name_len) = (usize::from(body.cluster_len), usize::from(body.name_len));
        expect_lengths(frame, size_of::<HelloBody>(), cluster_len + name_len)?;
        let class = Class::ALL.get(usize::from(body.class)).copied();
        let class = class.ok_or(DecodeError::BadField {
            field: "class",
            value: body.class.into(),
        })?;
        if body.reserved != 0 {
            return Err(HandshakeError::Decode(DecodeError::BadField {
                field: "reserved",
                value: body.reserved.into(),
            }));
        }
        let (cluster, name) = frame.payload.split_at(cluster_len);
        Ok(Self {
            cluster: read_name(cluster).ok_or(HandshakeError::BadName("cluster id"))?,
            node: frame.from,
            name: read_name(name).ok_or(HandshakeError::BadName("node name"))?,
            class,
            instance: body.instance.get(),
            digest: u128::from_le_bytes(body.digest),
            epoch: frame.epoch,
            limits: Limits {
                max_payload: body.max_payload.get(),
            },
            host: body.host.get(),
        })
    }
}

fn read_name(bytes: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(bytes).ok()?;
    is_name(name).then(|| name.to_owned())
}

/// Whether `text` can name a cluster or a node: 1 to [`MAX_NAME`] bytes, nothing unprintable.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && !text.chars().any(char::is_control)
}

const _: () = assert!(size_of::<HelloBody>() == 40);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello() -> Hello {
        Hello {
            cluster: "lab".into(),
            node: NodeId::new(2).unwrap(),
            name: "c".into(),
            class: Class::Demand,
            instance: 7,
            digest: u128::MAX - 5,
            epoch: Epoch::FIRST,
            limits: Limits { max_payload: 65536 },
            host: 9,
        }
    }

    #[test]
    fn a_greeting_round_trips() {
        assert_eq!(Hello::decode(&hello().encode()), Ok(hello()));
    }

    #[test]
    fn unprintable_and_overlong_names_are_refused() {
        for name in ["", "a\nb", &"x".repeat(65), &"x".repeat(300)] {
            let bad = Hello {
                name: name.into(),
                ..hello()
            };
            assert!(Hello::decode(&bad.encode()).is_err(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn any_body_and_payload_decode_or_fail(
            body in prop::collection::vec(any::<u8>(), 40),
            payload in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut frame = hello().encode();
            frame.body = Body::new(&body).unwrap();
            frame.payload = payload.into();
            if let Ok(hello) = Hello::decode(&frame) {
                prop_assert_eq!(hello.encode(), frame);
            }
        }
    }
}
