//! What a device is to its transport.

use std::fmt::Debug;
use std::os::fd::BorrowedFd;

use vm_memory::GuestMemory;

use super::{Malformed, Ring};

/// Why a device has stopped serving a queue, for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// It has done all it could: it waits for the driver's bell.
    Idle,
    /// It has done its share, and others wait: it is to be called again.
    More,
    /// It has buffers and waits for what to put there, from its [`input`](VirtioDevice::input) or from
    /// what it will have to say.
    Hungry,
}

/// Chains that a device serves before it returns to its worker.
pub const SHARE: usize = 16;

/// A virtio device without its transport: what it is, and what it does with its queues.
///
/// Nothing here locks, waits or knows of a thread, but for what stands behind the device: a file, a
/// network, and guest memory, which may be on another node. A worker owns the device and calls it;
/// accesses to the registers that a driver sees never do.
pub trait VirtioDevice: Send + Debug + 'static {
    /// The device's name in errors and reports.
    fn name(&self) -> &str;

    /// The kind of device, by the number that the standard gives it.
    fn kind(&self) -> u32;

    /// The features that it offers, without those of the transport and the rings.
    fn features(&self) -> u64;

    /// The largest size of each queue: a power of two, [`MAX_SEGMENTS`](super::MAX_SEGMENTS) at most.
    fn queues(&self) -> Vec<u16>;

    /// What a driver reads in the device's configuration. There is nothing to write in those of the
    /// devices here.
    fn config(&self) -> Vec<u8> {
        Vec::new()
    }

    /// The driver has accepted these features and begins.
    fn start(&mut self, _features: u64) {}

    /// Serves a queue: takes chains from its ring and gives them back, [`SHARE`] of them at most.
    ///
    /// # Errors
    /// [`Malformed`] if the driver broke the rules; the device is stopped until its reset. What goes
    /// wrong otherwise is told to the driver by the means of the device.
    fn serve<M: GuestMemory>(
        &mut self,
        queue: usize,
        ring: &mut Ring,
        memory: &M,
    ) -> Result<Served, Malformed>;

    /// The queues that have something to do because of what was served, as bits, and forgets them. They
    /// are served as if their bells had rung.
    fn take_due(&mut self) -> u64 {
        0
    }

    /// Where the device's input comes from, and the queue that it is for. Waited for where the device
    /// is [`Hungry`](Served::Hungry); a source that has ended or failed is to be named no more, as it
    /// would be ready for ever.
    fn input(&self) -> Option<(usize, BorrowedFd<'_>)> {
        None
    }

    /// Forgets what the driver has done. The device may start again.
    fn reset(&mut self) {}
}

/// Serves chains one by one until there is none, or [`SHARE`] are done. `each` gives the bytes
/// written.
pub(super) fn serve_each<M: GuestMemory>(
    ring: &mut Ring,
    memory: &M,
    mut each: impl FnMut(&super::Chain) -> Result<u64, Malformed>,
) -> Result<Served, Malformed> {
    for _ in 0..SHARE {
        let Some(chain) = ring.pop(memory)? else {
            return Ok(Served::Idle);
        };
        let written = each(&chain)?;
        ring.push(memory, &chain, written)?;
    }
    Ok(Served::More)
}
