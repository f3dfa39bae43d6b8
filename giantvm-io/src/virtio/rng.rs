//! Randomness.

use std::io::Write;

use rustix::rand::{GetRandomFlags, getrandom};
use virtio_bindings::virtio_ids::VIRTIO_ID_RNG;
use vm_memory::GuestMemory;

use super::device::serve_each;
use super::{Malformed, Ring, Served, VirtioDevice};

/// Most bytes for one chain. A driver that wants more asks again.
const MOST: usize = 4096;
/// Chains in the queue.
const QUEUE: u16 = 16;

/// A source of randomness on virtio: the host's.
#[derive(Debug, Clone, Copy, Default)]
pub struct Entropy;

impl VirtioDevice for Entropy {
    fn name(&self) -> &str {
        "virtio-rng"
    }

    fn kind(&self) -> u32 {
        VIRTIO_ID_RNG
    }

    fn features(&self) -> u64 {
        0
    }

    fn queues(&self) -> Vec<u16> {
        vec![QUEUE]
    }

    fn serve<M: GuestMemory>(
        &mut self,
        _: usize,
        ring: &mut Ring,
        memory: &M,
    ) -> Result<Served, Malformed> {
        serve_each(ring, memory, |chain| {
            let mut writer = chain.writer(memory);
            let mut bytes = [0; MOST];
            let want = usize::try_from(writer.left()).map_or(MOST, |left| left.min(MOST));
            // Where the host has none yet the driver gets none, and asks again.
            let got = getrandom(&mut bytes[..want], GetRandomFlags::NONBLOCK).unwrap_or(0);
            writer
                .write_all(&bytes[..got])
                .map_err(|_| Malformed::NoMemory)?;
            Ok(got as u64)
        })
    }
}
