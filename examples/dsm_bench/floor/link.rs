//! A bare TCP connection to the other process.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::pair::FarSide;
use crate::sample::Times;

/// Bytes of a request, as long as a control frame can be.
const REQUEST: usize = 64;
/// Bytes of one write of the stream.
const CHUNK: usize = 256 << 10;

/// What the far end is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Ask {
    /// Answer as long as a frame with a page.
    Page = 1,
    /// Answer as long as the request.
    Control = 2,
    /// Answer with as many bytes as the request says.
    Stream = 3,
}

impl Ask {
    const fn reply(self) -> usize {
        match self {
            Self::Page => REQUEST + 4096,
            Self::Control => REQUEST,
            Self::Stream => 0,
        }
    }
}

/// The near end.
#[derive(Debug)]
pub(crate) struct RawLink(TcpStream);

impl RawLink {
    /// Waits for the other process to call, unless it ends.
    pub(crate) fn accept(listener: &TcpListener, far: &mut FarSide) -> anyhow::Result<Self> {
        listener.set_nonblocking(true)?;
        let stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            if far.has_ended()? {
                bail!("node b ended before it was reached");
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    fn ask(&mut self, ask: Ask, bytes: u64, reply: &mut [u8]) -> io::Result<()> {
        let mut request = [0; REQUEST];
        request[0] = ask as u8;
        request[8..16].copy_from_slice(&bytes.to_le_bytes());
        self.0.write_all(&request)?;
        self.0.read_exact(reply)
    }

    /// Times round trips.
    pub(super) fn round_trips(&mut self, count: u64, ask: Ask) -> io::Result<Times> {
        let mut reply = vec![0; ask.reply()];
        let mut times = Times::default();
        for _ in 0..count {
            times.time(|| self.ask(ask, 0, &mut reply))?;
        }
        Ok(times)
    }

    /// Mebibytes a second of a one-way stream.
    pub(super) fn stream(&mut self, bytes: u64) -> io::Result<f64> {
        let mut buffer = vec![0; CHUNK];
        let start = Instant::now();
        self.ask(Ask::Stream, bytes, &mut [])?;
        let mut left = bytes;
        while left > 0 {
            let len = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            match self.0.read(&mut buffer[..len])? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                got => left -= got as u64,
            }
        }
        Ok(bytes as f64 / f64::from(1 << 20) / start.elapsed().as_secs_f64())
    }
}

/// Serves the far end until the near end closes it.
pub(crate) fn answer(port: u16) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    let data = vec![0x5a; CHUNK];
    let mut request = [0; REQUEST];
    while stream.read_exact(&mut request).is_ok() {
        let mut left = match request[0] {
            ask if ask == Ask::Page as u8 => Ask::Page.reply() as u64,
            ask if ask == Ask::Control as u8 => Ask::Control.reply() as u64,
            _ => u64::from_le_bytes(request[8..16].try_into().context("eight bytes")?),
        };
        while left > 0 {
            let len = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            stream.write_all(&data[..len])?;
            left -= len as u64;
        }
    }
    Ok(())
}
