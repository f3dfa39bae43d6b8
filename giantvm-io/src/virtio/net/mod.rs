//! A network card.

mod port;

use std::fmt::Debug;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::BorrowedFd;

use giantvm_core::Mac;
use virtio_bindings::virtio_ids::VIRTIO_ID_NET;
use virtio_bindings::virtio_net::VIRTIO_NET_F_MAC;
use vm_memory::GuestMemory;

pub use port::{NetPort, Tap};

use super::device::{SHARE, serve_each};
use super::{Malformed, Ring, Served, VirtioDevice};

/// The queue for frames to the guest. The other one is for those that it sends.
const RECEIVE: usize = 0;
/// Chains in a queue.
const QUEUE: u16 = 256;
/// Bytes before each frame, of which none means anything without offloads but the last two.
const HEADER: usize = 12;
/// A port that fails so often in a row is not waited for any more.
const MAX_FAILURES: u32 = 16;
/// Most bytes of a frame: those of a jumbo frame with room to spare.
const MAX_FRAME: usize = 1 << 14;
/// The header of a frame to the guest: all of it is in one chain.
const RECEIVED: [u8; HEADER] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];

/// A network card on virtio, at a port of a network outside the guest.
///
/// Frames are whole and as on the wire: there are no offloads, and checksums are the guest's to make.
/// A frame that the network does not take, or that does not fit the guest's buffer, is lost, as
/// frames are; and counted.
///
/// ```
/// use std::os::unix::net::UnixDatagram;
///
/// use giantvm_core::Mac;
/// use giantvm_io::virtio::net::Net;
///
/// let (card, _network) = UnixDatagram::pair()?;
/// let net = Net::new(card, "52:54:00:12:34:56".parse::<Mac>().unwrap())?;
/// assert_eq!(net.lost(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Net<P> {
    port: P,
    mac: Mac,
    /// A frame for the guest, and how much of the buffer it takes; none of it is no frame.
    buffer: Box<[u8]>,
    waiting: usize,
    lost: u64,
    /// How often in a row the port has failed.
    failures: u32,
}

impl<P: NetPort> Net<P> {
    /// A card with this address at a port, which is made not to block.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(port: P, mac: Mac) -> std::io::Result<Self> {
        port.unblock()?;
        Ok(Self {
            port,
            mac,
            buffer: vec![0; MAX_FRAME].into_boxed_slice(),
            waiting: 0,
            lost: 0,
            failures: 0,
        })
    }

    /// How many frames were lost here, in both directions.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Takes a frame from the port. Whether there is one.
    fn fill(&mut self) -> bool {
        if self.waiting == 0 {
            match self.port.receive(&mut self.buffer) {
                Ok(bytes @ 1..) => {
                    self.waiting = bytes;
                    self.failures = 0;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // A port that is closed gives nothing, again and again.
                failed => {
                    self.failures += 1;
                    if self.failures == MAX_FAILURES {
                        tracing::warn!(?failed, mac = %self.mac, "the network is gone");
                    }
                }
            }
        }
        self.waiting > 0
    }

    fn receive<M: GuestMemory>(
        &mut self,
        ring: &mut Ring,
        memory: &M,
    ) -> Result<Served, Malformed> {
        for _ in 0..SHARE {
            // Only with a frame in hand is a chain taken, so that none is held back.
            if !self.fill() {
                return Ok(Served::Hungry);
            }
            let Some(chain) = ring.pop(memory)? else {
                return Ok(Served::Idle);
            };
            let mut writer = chain.writer(memory);
            let frame = &self.buffer[..std::mem::take(&mut self.waiting)];
            let fits = writer.left() >= (HEADER + frame.len()) as u64;
            if fits {
                let parts = [&RECEIVED[..], frame];
                let written = parts
                    .into_iter()
                    .try_for_each(|part| writer.write_all(part));
                written.map_err(|_| Malformed::NoMemory)?;
            } else {
                self.lose();
            }
            ring.push(memory, &chain, writer.passed())?;
        }
        Ok(Served::More)
    }

    fn send<M: GuestMemory>(&mut self, ring: &mut Ring, memory: &M) -> Result<Served, Malformed> {
        let mut frame = [0; MAX_FRAME];
        serve_each(ring, memory, |chain| {
            let mut reader = chain.reader(memory);
            if reader.left() < HEADER as u64 {
                return Err(Malformed::Request);
            }
            reader.skip(HEADER as u64);
            let bytes = usize::try_from(reader.left()).ok();
            let frame = bytes.and_then(|bytes| frame.get_mut(..bytes));
            let Some(frame) = frame else {
                self.lose();
                return Ok(0);
            };
            reader.read_exact(frame).map_err(|_| Malformed::NoMemory)?;
            if self.port.send(frame).is_err() {
                self.lose();
            }
            Ok(0)
        })
    }

    fn lose(&mut self) {
        self.lost += 1;
        // A guest or a network can make as many as it likes.
        if self.lost.is_power_of_two() {
            tracing::debug!(lost = self.lost, mac = %self.mac, "frames were lost");
        }
    }
}

impl<P: NetPort> VirtioDevice for Net<P> {
    fn name(&self) -> &str {
        "virtio-net"
    }

    fn kind(&self) -> u32 {
        VIRTIO_ID_NET
    }

    fn features(&self) -> u64 {
        1 << VIRTIO_NET_F_MAC
    }

    fn queues(&self) -> Vec<u16> {
        vec![QUEUE, QUEUE]
    }

    fn config(&self) -> Vec<u8> {
        self.mac.octets().to_vec()
    }

    fn serve<M: GuestMemory>(
        &mut self,
        queue: usize,
        ring: &mut Ring,
        memory: &M,
    ) -> Result<Served, Malformed> {
        match queue {
            RECEIVE => self.receive(ring, memory),
            _ => self.send(ring, memory),
        }
    }

    fn input(&self) -> Option<(usize, BorrowedFd<'_>)> {
        (self.failures < MAX_FAILURES).then(|| (RECEIVE, self.port.as_fd()))
    }

    fn reset(&mut self) {
        self.waiting = 0;
    }
}
