//! A console with one port.

use std::fmt::{self, Debug};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use virtio_bindings::virtio_ids::VIRTIO_ID_CONSOLE;
use vm_memory::GuestMemory;

use super::device::{SHARE, serve_each};
use super::{Malformed, Ring, Served, VirtioDevice};

/// Input, from the device to the driver.
const INPUT: usize = 0;
/// Chains in a queue.
const QUEUE: u16 = 64;
/// Bytes that are taken or given at a time.
const PIECE: usize = 4096;
/// Most bytes of a chain that are put out: what a driver writes in one go is no more.
const MAX_OUTPUT: u64 = 1 << 20;

/// Takes what the guest puts out.
type Output = dyn FnMut(&[u8]) + Send;

/// A console on virtio: `hvc0` of a Linux guest.
///
/// ```
/// use giantvm_io::virtio::VirtioDevice;
/// use giantvm_io::virtio::console::Console;
///
/// let console = Console::new(|bytes| print!("{}", String::from_utf8_lossy(bytes)));
/// assert_eq!(console.queues().len(), 2, "in and out");
/// ```
pub struct Console {
    output: Box<Output>,
    /// `None` at the input's end.
    input: Option<std::fs::File>,
    /// Input that was read and is not the driver's yet.
    waiting: Vec<u8>,
}

impl Console {
    /// A console without input.
    pub fn new(output: impl FnMut(&[u8]) + Send + 'static) -> Self {
        Self {
            output: Box::new(output),
            input: None,
            waiting: Vec::new(),
        }
    }

    /// The same console with input from a terminal, a pipe or a socket, which is read where it is
    /// readable.
    #[must_use]
    pub fn with_input(mut self, input: OwnedFd) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Reads what there is. Whether there is any.
    fn fill(&mut self) -> bool {
        if !self.waiting.is_empty() {
            return true;
        }
        let Some(input) = &mut self.input else {
            return false;
        };
        // A blocking descriptor must not be read before it is readable.
        let mut wait = [rustix::event::PollFd::new(
            input,
            rustix::event::PollFlags::IN,
        )];
        let now = rustix::event::Timespec::default();
        if !matches!(rustix::event::poll(&mut wait, Some(&now)), Ok(1..)) {
            return false;
        }
        let mut piece = [0; PIECE];
        match input.read(&mut piece) {
            Ok(0) => {
                self.input = None;
                false
            }
            Ok(read) => {
                self.waiting.extend_from_slice(&piece[..read]);
                true
            }
            Err(error) => {
                if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) {
                    tracing::warn!(%error, "the console has no input any more");
                    self.input = None;
                }
                false
            }
        }
    }

    fn serve_input<M: GuestMemory>(
        &mut self,
        ring: &mut Ring,
        memory: &M,
    ) -> Result<Served, Malformed> {
        for _ in 0..SHARE {
            // Only with input in hand is a chain taken, so that none is held back.
            if !self.fill() {
                return Ok(Served::Hungry);
            }
            let Some(chain) = ring.pop(memory)? else {
                return Ok(Served::Idle);
            };
            let mut writer = chain.writer(memory);
            let room = usize::try_from(writer.left()).unwrap_or(usize::MAX);
            let piece: Vec<_> = self.waiting.drain(..room.min(self.waiting.len())).collect();
            writer.write_all(&piece).map_err(|_| Malformed::NoMemory)?;
            ring.push(memory, &chain, piece.len() as u64)?;
        }
        Ok(Served::More)
    }
}

impl VirtioDevice for Console {
    fn name(&self) -> &str {
        "virtio-console"
    }

    fn kind(&self) -> u32 {
        VIRTIO_ID_CONSOLE
    }

    fn features(&self) -> u64 {
        0
    }

    fn queues(&self) -> Vec<u16> {
        vec![QUEUE, QUEUE]
    }

    fn serve<M: GuestMemory>(
        &mut self,
        queue: usize,
        ring: &mut Ring,
        memory: &M,
    ) -> Result<Served, Malformed> {
        if queue == INPUT {
            return self.serve_input(ring, memory);
        }
        serve_each(ring, memory, |chain| {
            let reader = chain.reader(memory);
            let mut left = reader.take(MAX_OUTPUT);
            let mut piece = [0; PIECE];
            loop {
                match left.read(&mut piece).map_err(|_| Malformed::NoMemory)? {
                    0 => return Ok(0),
                    read => (self.output)(&piece[..read]),
                }
            }
        })
    }

    fn input(&self) -> Option<(usize, BorrowedFd<'_>)> {
        Some((INPUT, self.input.as_ref()?.as_fd()))
    }

    fn reset(&mut self) {
        self.waiting.clear();
    }
}

impl Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Console");
        debug.field("waiting", &self.waiting.len());
        debug.finish_non_exhaustive()
    }
}
