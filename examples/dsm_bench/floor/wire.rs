//! Round trips and streams on a bare connection to the process of node b.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::ring::{Memory, Rings, Use};
use super::swap::Swap;
use super::tcp::Tcp;
use super::walk::Walked;
use crate::sample::Times;
use crate::workload::Touch;

/// Bytes of a request, as long as a control frame can be.
pub(super) const REQUEST: usize = 64;
/// Bytes of one write of the stream.
const CHUNK: usize = 256 << 10;

/// How an end waits for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Looks again at once.
    Busy,
    /// Blocks in the kernel.
    Blocking,
}

/// One end of a connection. Both ends name the same lengths.
pub(super) trait Wire {
    fn send(&mut self, data: &[u8], wait: Wait) -> io::Result<()>;
    fn receive(&mut self, data: &mut [u8], wait: Wait) -> io::Result<()>;
}

/// What the far end is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Ask {
    /// Answer as long as a frame with a page.
    Page = 1,
    /// Answer as long as the request.
    Control = 2,
    /// Answer with as many bytes as the request says.
    Stream = 3,
    /// Write a page at the same time for as many milliseconds as the request says, and answer how
    /// often it came.
    Swap = 4,
    /// Give as many pages away as the request says, for loads, and answer when they are there again.
    Loads = 5,
    /// The same, for stores.
    Stores = 6,
    /// Nothing more.
    End = 7,
}

impl Ask {
    const fn reply(self) -> usize {
        match self {
            Self::Page => REQUEST + 4096,
            Self::Control => REQUEST,
            Self::Swap | Self::Loads | Self::Stores => 8,
            Self::Stream | Self::End => 0,
        }
    }
}

/// What was measured on one connection.
#[derive(Debug)]
pub(crate) struct Trips {
    /// A request and a reply with a page, both ends busy.
    pub(crate) page_busy: Times,
    pub(crate) page_blocking: Times,
    /// A request and a reply without.
    pub(crate) control_busy: Times,
    pub(crate) control_blocking: Times,
    /// Mebibytes a second, one way, by the faster way to wait.
    pub(crate) stream: f64,
}

impl Trips {
    pub(crate) const fn pages(&self) -> [&Times; 2] {
        [&self.page_busy, &self.page_blocking]
    }

    pub(crate) const fn controls(&self) -> [&Times; 2] {
        [&self.control_busy, &self.control_blocking]
    }
}

/// How long trips of one kind are made.
const ENOUGH: Duration = Duration::from_secs(1);

/// The near end.
#[derive(Debug)]
pub(crate) struct RawLink<W>(pub(super) W);

impl<W: Wire> RawLink<W> {
    pub(super) fn trips(&mut self, count: u64, bytes: u64) -> io::Result<Trips> {
        Ok(Trips {
            stream: self.best_stream(bytes)?,
            page_busy: self.round_trips(count, Ask::Page, Wait::Busy)?,
            page_blocking: self.round_trips(count, Ask::Page, Wait::Blocking)?,
            control_busy: self.round_trips(count, Ask::Control, Wait::Busy)?,
            control_blocking: self.round_trips(count, Ask::Control, Wait::Blocking)?,
        })
    }

    /// Handovers a second while both ends write a page.
    pub(super) fn swaps(&mut self, swap: &mut Swap, time: Duration) -> anyhow::Result<f64> {
        let millis = u64::try_from(time.as_millis())?;
        self.ask(Ask::Swap, millis, [Wait::Blocking; 2])?;
        let own = swap.write(time)?;
        let mut other = [0; 8];
        self.0.receive(&mut other, Wait::Blocking)?;
        Ok((own + u64::from_le_bytes(other)) as f64 / time.as_secs_f64())
    }

    /// Mebibytes a second of a thread that walks over `pages` of the far end, by the faster way to wait.
    pub(super) fn best_walk(
        &mut self,
        walked: &mut Walked,
        pages: u64,
        touch: Touch,
    ) -> anyhow::Result<f64> {
        let ask = match touch {
            Touch::Load => Ask::Loads,
            Touch::Store => Ask::Stores,
        };
        let mut best = 0.0_f64;
        for wait in [Wait::Busy, Wait::Blocking] {
            self.ask_by(Wait::Blocking, ask, pages, [wait, Wait::Blocking])?;
            // It has all its pages now.
            self.0.receive(&mut [0; 8], Wait::Blocking)?;
            let seconds = walked.take(pages, touch, wait)?;
            best = best.max(pages as f64 / 256.0 / seconds);
        }
        Ok(best)
    }

    /// By the faster way to wait.
    pub(super) fn best_stream(&mut self, bytes: u64) -> io::Result<f64> {
        let busy = self.stream(bytes, Wait::Busy)?;
        Ok(self.stream(bytes, Wait::Blocking)?.max(busy))
    }

    pub(super) fn end(&mut self) -> io::Result<()> {
        self.ask(Ask::End, 0, [Wait::Blocking; 2])
    }

    /// Asks; the far end answers by the first way to wait, and waits for what comes next by the
    /// second.
    fn ask(&mut self, ask: Ask, bytes: u64, [wait, then]: [Wait; 2]) -> io::Result<()> {
        self.ask_by(wait, ask, bytes, [wait, then])
    }

    /// The same, of a far end that waits in a way of its own for what is asked.
    fn ask_by(
        &mut self,
        how: Wait,
        ask: Ask,
        bytes: u64,
        [wait, then]: [Wait; 2],
    ) -> io::Result<()> {
        let mut request = [0; REQUEST];
        request[..3].copy_from_slice(&[ask as u8, wait as u8, then as u8]);
        request[8..16].copy_from_slice(&bytes.to_le_bytes());
        self.0.send(&request, how)
    }

    fn round_trips(&mut self, count: u64, ask: Ask, wait: Wait) -> io::Result<Times> {
        let mut reply = vec![0; ask.reply()];
        let mut times = Times::default();
        // The far end still sleeps before the first, and shall sleep after the last.
        self.ask(ask, 0, [Wait::Blocking, wait])?;
        self.0.receive(&mut reply, Wait::Blocking)?;
        let start = Instant::now();
        for left in (0..count).rev() {
            // Where both ends look and others want the processors, each trip takes some of their turns.
            let last = left == 0 || start.elapsed() > ENOUGH;
            let then = if last { Wait::Blocking } else { wait };
            times.time(|| {
                self.ask(ask, 0, [wait, then])?;
                self.0.receive(&mut reply, wait)
            })?;
            if last {
                break;
            }
        }
        Ok(times)
    }

    fn stream(&mut self, bytes: u64, wait: Wait) -> io::Result<f64> {
        let mut buffer = vec![0; CHUNK];
        let start = Instant::now();
        // The far end still sleeps. Both wait alike for the stream: who looks wakes no one.
        let ways = [wait, Wait::Blocking];
        self.ask_by(Wait::Blocking, Ask::Stream, bytes, ways)?;
        for len in chunks(bytes) {
            self.0.receive(&mut buffer[..len], wait)?;
        }
        Ok(bytes as f64 / f64::from(1 << 20) / start.elapsed().as_secs_f64())
    }
}

/// The lengths of the pieces of a stream.
fn chunks(mut left: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let len = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        left -= len as u64;
        (len > 0).then_some(len)
    })
}

/// Serves the far ends until the near ends have done.
pub(crate) fn answer(raw: u16, ring: &Path) -> anyhow::Result<()> {
    let tcp = Tcp::connect(raw)?;
    let memory = Memory::open(ring)?;
    let ring = memory.far(Use::Trips)?;
    let (mut swap, mut walked) = (Swap::far(&memory)?, Walked::far(&memory)?);
    let tcp = std::thread::spawn(|| serve(tcp, |_, _, _, _| bail!("over rings only")));
    serve::<Rings>(ring, |ring, ask, number, wait| {
        let touch = match ask {
            Ask::Loads => Touch::Load,
            Ask::Stores => Touch::Store,
            _ => {
                let came = swap.write(Duration::from_millis(number))?;
                return Ok(ring.send(&came.to_le_bytes(), Wait::Blocking)?);
            }
        };
        let ready = || ring.send(&[0; 8], Wait::Blocking);
        walked.give(number, touch, wait, ready)
    })?;
    tcp.join().expect("it does not panic")
}

fn serve<W: Wire>(
    mut wire: W,
    mut with_pages: impl FnMut(&mut W, Ask, u64, Wait) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let data = vec![0x5a; CHUNK];
    let (mut request, mut next) = ([0; REQUEST], Wait::Blocking);
    let waits = |byte| {
        if byte == Wait::Busy as u8 {
            Wait::Busy
        } else {
            Wait::Blocking
        }
    };
    loop {
        match wire.receive(&mut request, next) {
            Err(error) if error.kind() == ErrorKind::TimedOut => continue,
            received => received?,
        }
        let wait = waits(request[1]);
        next = waits(request[2]);
        let number = u64::from_le_bytes(request[8..16].try_into().context("eight bytes")?);
        match request[0] {
            ask if ask == Ask::Page as u8 => wire.send(&data[..Ask::Page.reply()], wait)?,
            ask if ask == Ask::Control as u8 => wire.send(&data[..REQUEST], wait)?,
            ask if ask == Ask::Swap as u8 => with_pages(&mut wire, Ask::Swap, number, wait)?,
            ask if ask == Ask::Loads as u8 => with_pages(&mut wire, Ask::Loads, number, wait)?,
            ask if ask == Ask::Stores as u8 => with_pages(&mut wire, Ask::Stores, number, wait)?,
            ask if ask == Ask::Stream as u8 => {
                chunks(number).try_for_each(|len| wire.send(&data[..len], wait))?;
            }
            _ => return Ok(()),
        }
    }
}
