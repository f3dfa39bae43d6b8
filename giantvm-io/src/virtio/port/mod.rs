//! A port with a name, by which a program in the guest talks to one on the host.

mod control;

use std::io::{Read as _, Write as _};
use std::os::fd::{BorrowedFd, OwnedFd};

use virtio_bindings::virtio_ids::VIRTIO_ID_CONSOLE;
use vm_memory::GuestMemory;

use self::control::{Control, MAX_MESSAGE};
use super::console::Console;
use super::device::{SHARE, serve_each};
use super::{Malformed, Ring, Served, VirtioDevice};

/// The port's own queues are a console's; these are the device's.
const CONTROL_IN: usize = 2;
const CONTROL_OUT: usize = 3;
/// Chains in a queue of the port, and in one of the device.
const QUEUE: u16 = 64;
const CONTROL_QUEUE: u16 = 32;
/// The device has ports with names, of which this one has one.
const MULTIPORT: u64 = 1 << 1;

/// A virtio console that is no console: a stream of bytes each way, with a name.
///
/// A Linux guest has its driver in every distribution's kernel, and shows it as `/dev/vport0p0` and,
/// by udev, as `/dev/virtio-ports/NAME`: a file whose mode and group the guest's administrator chooses, so
/// that a program without any right in the kernel can be given it. One program at a time may have it
/// open.
///
/// ```
/// use giantvm_io::virtio::VirtioDevice;
/// use giantvm_io::virtio::port::Port;
///
/// let port = Port::new("org.example.port", |bytes| println!("{} bytes", bytes.len()));
/// assert_eq!(port.queues().len(), 4, "two of the port, two of the device");
/// ```
#[derive(Debug)]
pub struct Port {
    stream: Console,
    control: Control,
    /// Queues that are to be served, as bits.
    due: u64,
}

impl Port {
    /// The longest name, in bytes; what is longer is cut.
    pub const MAX_NAME: usize = 64;

    /// A port by which nothing comes in.
    pub fn new(name: &str, output: impl FnMut(&[u8]) + Send + 'static) -> Self {
        Self {
            stream: Console::new(output),
            control: Control::new(name),
            due: 0,
        }
    }

    /// The same port with input from a pipe or a socket, which is read where it is readable and the
    /// guest has room.
    #[must_use]
    pub fn with_input(mut self, input: OwnedFd) -> Self {
        self.stream = self.stream.with_input(input);
        self
    }

    /// Gives the driver what there is to say.
    fn say<M: GuestMemory>(&mut self, ring: &mut Ring, memory: &M) -> Result<Served, Malformed> {
        for _ in 0..SHARE {
            if self.control.is_silent() {
                // Its buffers wait, and it is served again when there is something to say.
                return Ok(Served::Hungry);
            }
            let Some(chain) = ring.pop(memory)? else {
                return Ok(Served::Idle);
            };
            let message = self.control.take().unwrap_or_default();
            let mut writer = chain.writer(memory);
            let room = usize::try_from(writer.left()).unwrap_or(usize::MAX);
            let fits = &message[..room.min(message.len())];
            writer.write_all(fits).map_err(|_| Malformed::NoMemory)?;
            ring.push(memory, &chain, fits.len() as u64)?;
        }
        Ok(Served::More)
    }

    /// Hears what the driver says.
    fn hear<M: GuestMemory>(&mut self, ring: &mut Ring, memory: &M) -> Result<Served, Malformed> {
        let control = &mut self.control;
        let served = serve_each(ring, memory, |chain| {
            let mut message = Vec::new();
            let mut reader = chain.reader(memory).take(MAX_MESSAGE as u64);
            let read = reader.read_to_end(&mut message);
            read.map_err(|_| Malformed::NoMemory)?;
            control.heard(&message);
            Ok(0)
        });
        if control.was_closed() {
            self.stream.reset();
        }
        if !self.control.is_silent() {
            self.due |= 1 << CONTROL_IN;
        }
        served
    }
}

impl VirtioDevice for Port {
    fn name(&self) -> &str {
        "virtio-port"
    }

    fn kind(&self) -> u32 {
        VIRTIO_ID_CONSOLE
    }

    fn features(&self) -> u64 {
        MULTIPORT
    }

    fn queues(&self) -> Vec<u16> {
        vec![QUEUE, QUEUE, CONTROL_QUEUE, CONTROL_QUEUE]
    }

    /// No size of a screen, and one port.
    fn config(&self) -> Vec<u8> {
        vec![0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    }

    fn serve<M: GuestMemory>(
        &mut self,
        queue: usize,
        ring: &mut Ring,
        memory: &M,
    ) -> Result<Served, Malformed> {
        match queue {
            CONTROL_IN => self.say(ring, memory),
            CONTROL_OUT => self.hear(ring, memory),
            _ => self.stream.serve(queue, ring, memory),
        }
    }

    fn take_due(&mut self) -> u64 {
        std::mem::take(&mut self.due)
    }

    fn input(&self) -> Option<(usize, BorrowedFd<'_>)> {
        self.stream.input()
    }

    fn reset(&mut self) {
        self.stream.reset();
        self.control.reset();
        self.due = 0;
    }
}
