//! How a segment gets from one process to the other.
//!
//! ```text
//! taker (higher number)                giver (lower number)
//!     | --- connect, its hello --------> |  both names are numbers that only the join told
//!     | <---- segment ------------------ |  as a descriptor
//!     | --- taken ---------------------> |  mapped, and found right
//!     | <---- given -------------------- |
//! ```
//! Each step has a time limit. After the last one both know that the other looks at the pipes; if it
//! does not come, the taker tries again from the start, and the giver forgets the first segment when
//! the next one is taken. The socket goes on as the [`Doorbell`] of the two.

use std::io::{self, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::Duration;

use giantvm_core::NodeId;
use giantvm_core::wire::Limits;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::doorbell::Doorbell;
use super::ends::Pipes;
use super::segment::{Segment, SegmentError};

/// How long one step may take.
const STEP: Duration = Duration::from_secs(2);
/// Descriptors that are handed over: the segment.
const HANDED: usize = 1;
/// Bytes of a taker's hello: its number, its process, the giver's process.
const HELLO: usize = 1 + 8 + 8;
const TAKEN: u8 = 1;
const GIVEN: u8 = 2;

/// Why no pipes came about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("the socket belongs to another user")]
    Stranger,
    #[error("the other side said something else")]
    Nonsense,
}

/// Where the process of this number listens; the name is gone with the process.
fn address(instance: u64) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("giantvm-{instance:016x}"))
}

/// Listens for takers.
pub(crate) fn listen(instance: u64) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&address(instance)?)
}

/// Gets pipes from the process `giver`.
pub(crate) fn take(
    local: NodeId,
    (instance, giver): (u64, u64),
    limits: Limits,
) -> Result<Pipes, ExchangeError> {
    let mut stream = UnixStream::connect_addr(&address(giver)?)?;
    prepare(&stream)?;
    let mut hello = [local.get(); HELLO];
    hello[1..9].copy_from_slice(&instance.to_le_bytes());
    hello[9..].copy_from_slice(&giver.to_le_bytes());
    stream.write_all(&hello)?;
    let [segment] = receive(&stream)?;
    let segment = Segment::adopt(segment, limits)?;
    stream.write_all(&[TAKEN])?;
    expect(&mut stream, GIVEN)?;
    Ok(Pipes::new(&segment, false, Doorbell::new(stream)))
}

/// Gives pipes to whoever connected; says which node that is, and of which process.
pub(crate) fn give(
    mut stream: UnixStream,
    instance: u64,
    limits: Limits,
) -> Result<(NodeId, u64, Pipes), ExchangeError> {
    prepare(&stream)?;
    let mut hello = [0; HELLO];
    stream.read_exact(&mut hello)?;
    let (node, numbers) = (NodeId::new(hello[0]), &hello[1..]);
    let (taker, giver) = numbers.split_at(8);
    let node = node.map_err(|_| ExchangeError::Nonsense)?;
    if giver != instance.to_le_bytes() {
        return Err(ExchangeError::Nonsense);
    }
    let taker = taker.try_into().map_err(|_| ExchangeError::Nonsense)?;
    let (segment, file) = Segment::create(limits)?;
    let fds = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDED))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(ExchangeError::Nonsense);
    }
    let bytes = [io::IoSlice::new(&[GIVEN])];
    sendmsg(&stream, &bytes, &mut control, SendFlags::NOSIGNAL).map_err(io::Error::from)?;
    expect(&mut stream, TAKEN)?;
    stream.write_all(&[GIVEN])?;
    let pipes = Pipes::new(&segment, true, Doorbell::new(stream));
    Ok((node, u64::from_le_bytes(taker), pipes))
}

fn prepare(stream: &UnixStream) -> Result<(), ExchangeError> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(STEP))?;
    stream.set_write_timeout(Some(STEP))?;
    let peer = rustix::net::sockopt::socket_peercred(stream).map_err(io::Error::from)?;
    if peer.uid != rustix::process::geteuid() {
        return Err(ExchangeError::Stranger);
    }
    Ok(())
}

fn receive(stream: &UnixStream) -> Result<[OwnedFd; HANDED], ExchangeError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDED))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let bytes = &mut [io::IoSliceMut::new(&mut byte)];
    recvmsg(stream, bytes, &mut control, RecvFlags::CMSG_CLOEXEC).map_err(io::Error::from)?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(handed) = message {
            fds.extend(handed);
        }
    }
    fds.try_into().map_err(|_| ExchangeError::Nonsense)
}

fn expect(stream: &mut UnixStream, byte: u8) -> Result<(), ExchangeError> {
    let mut got = [0];
    stream.read_exact(&mut got)?;
    if got != [byte] {
        return Err(ExchangeError::Nonsense);
    }
    Ok(())
}
