//! A connection that carries frames while the join lasts.

use std::io;

use bytes::BytesMut;
use giantvm_core::wire::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::handshake::{HANDSHAKE_LIMITS, Handshake, HandshakeError, Hello, Step};

#[derive(Debug)]
pub(super) struct Channel {
    stream: TcpStream,
    buffer: BytesMut,
}

/// Why a connection gave no link.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the connection ended: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("no greeting in time")]
    TimedOut,
}

impl Channel {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: BytesMut::new(),
        })
    }

    /// The next frame. Cancel safe; takes no byte after the frame.
    pub(super) async fn next(&mut self) -> Result<Frame, Broken> {
        loop {
            let frame = Frame::decode(&mut self.buffer, HANDSHAKE_LIMITS);
            match frame.map_err(HandshakeError::from)? {
                Some(frame) => return Ok(frame),
                None => self.fill().await?,
            }
        }
    }

    /// Waits for more bytes. Cancel safe.
    async fn fill(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    pub(super) async fn send(&mut self, frames: &[Frame]) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        frames.iter().for_each(|frame| frame.encode(&mut bytes));
        self.stream.write_all(&bytes).await
    }

    /// Runs a handshake to its end; `out` is what it has to say first.
    pub(super) async fn shake(
        &mut self,
        mut handshake: Handshake,
        mut out: Vec<Frame>,
        taken: &mut (dyn FnMut(&Hello) -> bool + Send),
    ) -> Result<Hello, Broken> {
        loop {
            self.send(&out).await?;
            out.clear();
            let frame = match self.next().await {
                Err(Broken::Handshake(error)) => {
                    self.send(&[handshake.unreadable()]).await?;
                    return Err(error.into());
                }
                frame => frame?,
            };
            match handshake.on_frame(&frame, taken, &mut out) {
                Ok(Step::Pending) => {}
                Ok(Step::Established(hello)) => return Ok(hello),
                Err(error) => {
                    self.send(&out).await?;
                    return Err(error.into());
                }
            }
        }
    }

    /// The socket, out of the runtime, and the bytes that arrived already.
    pub(super) fn into_parts(self) -> io::Result<(std::net::TcpStream, BytesMut)> {
        Ok((self.stream.into_std()?, self.buffer))
    }
}
