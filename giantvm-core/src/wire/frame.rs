//! The frame and its codec.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{DecodeError, EncodeError, Service};
use crate::{Epoch, NodeId, PageSize, Stamp};

/// The first two bytes of every frame: `GV` on the wire.
pub const MAGIC: u16 = u16::from_le_bytes(*b"GV");
/// The version of the frame layout and of every service's messages.
pub const PROTOCOL_VERSION: u8 = 2;
/// Bytes of a frame's header.
pub const HEADER: usize = size_of::<Header>();
/// Most bytes of a frame's body, so that header and body fit 64 bytes.
pub const MAX_BODY: usize = 64 - HEADER;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    greeting: Greeting,
    service: u8,
    kind: u8,
    from: u8,
    body_len: U16,
    payload_len: U32,
    epoch: U32,
    stamp: U64,
}

/// How the frames of every version begin: enough to tell whether the rest can be read, however
/// long the other version's header is.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Greeting {
    magic: U16,
    version: u8,
}

impl Greeting {
    fn check(&self) -> Result<(), DecodeError> {
        match (self.magic.get(), self.version) {
            (MAGIC, PROTOCOL_VERSION) => Ok(()),
            (MAGIC, version) => Err(DecodeError::UnsupportedVersion(version)),
            (magic, _) => Err(DecodeError::BadMagic(magic)),
        }
    }
}

/// A message body of at most [`MAX_BODY`] bytes, held inline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Body {
    len: u8,
    bytes: [u8; MAX_BODY],
}

impl Body {
    /// The body of no bytes.
    pub const EMPTY: Self = Self {
        len: 0,
        bytes: [0; MAX_BODY],
    };

    /// A body of the given bytes.
    ///
    /// # Errors
    /// [`EncodeError::BodyTooLong`] above [`MAX_BODY`] bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, EncodeError> {
        let len = u8::try_from(bytes.len()).map_err(|_| EncodeError::BodyTooLong(bytes.len()))?;
        let mut body = Self {
            len,
            bytes: [0; MAX_BODY],
        };
        body.bytes
            .get_mut(..bytes.len())
            .ok_or(EncodeError::BodyTooLong(bytes.len()))?
            .copy_from_slice(bytes);
        Ok(body)
    }

    /// A body of the layout `T`, whose size is checked when the program is compiled.
    #[must_use]
    pub fn of<T: IntoBytes + Immutable>(message: &T) -> Self {
        const { assert!(size_of::<T>() <= MAX_BODY, "a body has at most 40 bytes") };
        let mut bytes = [0; MAX_BODY];
        bytes[..size_of::<T>()].copy_from_slice(message.as_bytes());
        #[expect(
            clippy::cast_possible_truncation,
            reason = "at most MAX_BODY, as of the assertion"
        )]
        let len = size_of::<T>() as u8;
        Self { len, bytes }
    }

    /// This body with `more` bytes behind it.
    ///
    /// # Errors
    /// [`EncodeError::BodyTooLong`] above [`MAX_BODY`] bytes.
    pub fn with(&self, more: &[u8]) -> Result<Self, EncodeError> {
        let (start, len) = (self.as_slice().len(), self.as_slice().len() + more.len());
        let mut body = *self;
        let rest = body.bytes.get_mut(start..len);
        rest.ok_or(EncodeError::BodyTooLong(len))?
            .copy_from_slice(more);
        body.len = u8::try_from(len).map_err(|_| EncodeError::BodyTooLong(len))?;
        Ok(body)
    }

    /// The body's bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// The most that a receiver accepts in one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most payload bytes of a frame.
    pub max_payload: u32,
}

impl Limits {
    /// No payload at all.
    pub const CONTROL_ONLY: Self = Self { max_payload: 0 };

    /// Payloads of up to one page, and never less than 64 KiB, which configuration exchange and
    /// reports may use.
    #[must_use]
    pub const fn for_pages(size: PageSize) -> Self {
        const FLOOR: usize = 64 << 10;
        let bytes = size.bytes();
        #[expect(clippy::cast_possible_truncation, reason = "a page is at most 2 MiB")]
        let max_payload = if bytes > FLOOR { bytes } else { FLOOR } as u32;
        Self { max_payload }
    }
}

/// One message between two nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Which part of the receiving node it is for.
    pub service: Service,
    /// Which message of that service it is.
    pub kind: u8,
    /// The node that sent it. A transport checks it against the connection.
    pub from: NodeId,
    /// The sender's membership epoch.
    pub epoch: Epoch,
    /// The sender's logical time when it sent. The transport sets it when it takes the frame, from
    /// its clock (`giantvm_transport::Transport::clock`), whatever was here before.
    pub stamp: Stamp,
    /// The message's fixed-layout part.
    pub body: Body,
    /// What the message carries besides, often nothing.
    pub payload: Bytes,
}

impl Frame {
    /// A frame without payload, not stamped yet.
    ///
    /// # Errors
    /// [`EncodeError::BodyTooLong`] above [`MAX_BODY`] bytes of body.
    pub fn control(
        service: Service,
        kind: u8,
        from: NodeId,
        epoch: Epoch,
        body: &[u8],
    ) -> Result<Self, EncodeError> {
        Ok(Self {
            service,
            kind,
            from,
            epoch,
            stamp: Stamp::ZERO,
            body: Body::new(body)?,
            payload: Bytes::new(),
        })
    }

    /// Bytes that the frame takes on the wire.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        HEADER + self.body.as_slice().len() + self.payload.len()
    }

    /// Appends header and body, all but the payload, to `out`: for vectored sends.
    pub fn encode_head(&self, out: &mut impl BufMut) {
        self.encode_head_of(self.payload.len(), out);
    }

    /// As [`encode_head`](Self::encode_head), for a payload of `len` bytes that is sent in place of
    /// the frame's own.
    pub fn encode_head_of(&self, len: usize, out: &mut impl BufMut) {
        let header = Header {
            greeting: Greeting {
                magic: MAGIC.into(),
                version: PROTOCOL_VERSION,
            },
            service: self.service as u8,
            kind: self.kind,
            from: self.from.get(),
            body_len: u16::from(self.body.len).into(),
            // A transport refuses payloads over its limit, which is far below 4 GiB.
            payload_len: u32::try_from(len).unwrap_or(u32::MAX).into(),
            epoch: self.epoch.0.into(),
            stamp: self.stamp.0.into(),
        };
        out.put_slice(header.as_bytes());
        out.put_slice(self.body.as_slice());
    }

    /// Appends the whole frame to `out`.
    pub fn encode(&self, out: &mut impl BufMut) {
        self.encode_head(out);
        out.put_slice(&self.payload);
    }

    /// Takes the first frame off `stream`; `None` if it has not all arrived.
    ///
    /// The header is checked as soon as it is there, so a receiver knows that a frame is too long
    /// before it buffers any of it, and never allocates more than `limits` allow.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no frame; `stream` is then left as it was.
    pub fn decode(stream: &mut BytesMut, limits: Limits) -> Result<Option<Self>, DecodeError> {
        if let Ok((greeting, _)) = Greeting::ref_from_prefix(stream) {
            greeting.check()?;
        }
        let Ok((header, _)) = Header::ref_from_prefix(stream) else {
            return Ok(None);
        };
        let service = Service::from_wire(header.service)?;
        let from = super::read_node("from", header.from)?;
        let (kind, epoch) = (header.kind, Epoch(header.epoch.get()));
        let stamp = Stamp(header.stamp.get());
        let body_len = usize::from(header.body_len.get());
        if body_len > MAX_BODY {
            return Err(DecodeError::BodyTooLong(body_len));
        }
        let payload_len = header.payload_len.get();
        if payload_len > limits.max_payload {
            return Err(DecodeError::PayloadTooLong {
                got: payload_len.into(),
                limit: limits.max_payload.into(),
            });
        }
        if stream.len() < HEADER + body_len + payload_len as usize {
            return Ok(None);
        }
        let body = Body::new(&stream[HEADER..HEADER + body_len])
            .map_err(|_| DecodeError::BodyTooLong(body_len))?;
        stream.advance(HEADER + body_len);
        let payload = stream.split_to(payload_len as usize).freeze();
        Ok(Some(Self {
            service,
            kind,
            from,
            epoch,
            stamp,
            body,
            payload,
        }))
    }
}

const _: () = assert!(HEADER == 24 && MAX_BODY == 40);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { max_payload: 4096 };

    prop_compose! {
        fn frames()(
            service in 0..5_u8,
            kind in any::<u8>(),
            from in 0..64_u8,
            epoch in any::<u32>(),
            stamp in any::<u64>(),
            body in prop::collection::vec(any::<u8>(), 0..=MAX_BODY),
            payload in prop::collection::vec(any::<u8>(), 0..=256),
        ) -> Frame {
            Frame {
                service: Service::from_wire(service).unwrap(),
                kind,
                from: NodeId::new(from).unwrap(),
                epoch: Epoch(epoch),
                stamp: Stamp(stamp),
                body: Body::new(&body).unwrap(),
                payload: payload.into(),
            }
        }
    }

    fn sample() -> BytesMut {
        let mut stream = BytesMut::new();
        Frame::control(Service::Dsm, 1, NodeId::ZERO, Epoch::FIRST, &[7; 8])
            .unwrap()
            .encode(&mut stream);
        stream
    }

    proptest! {
        #[test]
        fn frames_survive_any_split_of_the_stream(
            sent in prop::collection::vec(frames(), 1..5),
            cut in 1..64_usize,
        ) {
            let mut bytes = BytesMut::new();
            sent.iter().for_each(|frame| frame.encode(&mut bytes));
            let (mut stream, mut received) = (BytesMut::new(), Vec::new());
            for chunk in bytes.chunks(cut) {
                stream.extend_from_slice(chunk);
                while let Some(frame) = Frame::decode(&mut stream, LIMITS).unwrap() {
                    received.push(frame);
                }
            }
            prop_assert_eq!(received, sent);
            prop_assert!(stream.is_empty());
        }

        #[test]
        fn any_bytes_decode_or_fail_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut stream = BytesMut::from(&bytes[..]);
            while let Ok(Some(frame)) = Frame::decode(&mut stream, LIMITS) {
                prop_assert!(frame.wire_len() <= HEADER + MAX_BODY + 4096);
            }
        }
    }

    #[test]
    fn each_bad_header_field_has_its_error() {
        let decode = |at: usize, value: u8| {
            let mut stream = sample();
            stream[at] = value;
            Frame::decode(&mut stream, LIMITS).unwrap_err()
        };
        assert_eq!(decode(0, b'X'), DecodeError::BadMagic(0x5658));
        assert_eq!(decode(2, 9), DecodeError::UnsupportedVersion(9));
        assert_eq!(decode(3, 200), DecodeError::UnknownService(200));
        assert_eq!(decode(6, 41), DecodeError::BodyTooLong(41));
        let from = DecodeError::BadField {
            field: "from",
            value: 64,
        };
        assert_eq!(decode(5, 64), from);
        let long = DecodeError::PayloadTooLong {
            got: 0x10_0000,
            limit: 4096,
        };
        assert_eq!(decode(10, 0x10), long);
    }

    #[test]
    fn another_version_is_told_by_its_first_bytes_whatever_its_header() {
        let mut stream = sample();
        stream[2] = 1;
        stream.truncate(3);
        let refusal = Frame::decode(&mut stream, LIMITS).unwrap_err();
        assert_eq!(refusal, DecodeError::UnsupportedVersion(1));
        stream.truncate(2);
        assert_eq!(Frame::decode(&mut stream, LIMITS), Ok(None));
    }

    #[test]
    fn the_header_is_laid_out_as_documented() {
        let node = NodeId::new(5).unwrap();
        let mut frame = Frame::control(Service::Vcpu, 3, node, Epoch(0x0a0b_0c0d), b"!").unwrap();
        frame.stamp = Stamp(0x0102_0304_0506_0708);
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        let expected =
            b"GV\x02\x02\x03\x05\x01\0\0\0\0\0\x0d\x0c\x0b\x0a\x08\x07\x06\x05\x04\x03\x02\x01!";
        assert_eq!(bytes[..], expected[..]);
    }

    #[test]
    fn an_overlong_payload_is_refused_before_it_arrives() {
        let mut stream = sample();
        stream[11] = 0xff;
        stream.truncate(HEADER);
        assert!(Frame::decode(&mut stream, LIMITS).is_err());
    }

    #[test]
    fn a_control_frame_is_at_most_64_bytes() {
        let frame = Frame::control(Service::Io, 0, NodeId::ZERO, Epoch::FIRST, &[0; MAX_BODY]);
        assert_eq!(frame.unwrap().wire_len(), 64);
        assert!(Body::new(&[0; MAX_BODY + 1]).is_err());
    }
}
