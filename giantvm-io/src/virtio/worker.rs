//! The thread of a device: calls it for the queues whose bell rang.

use std::io;
use std::sync::Arc;
use std::thread::Builder;

use rustix::event::{PollFd, PollFlags, poll};
use virtio_queue::Queue;
use vm_memory::GuestMemory;

use super::shared::{Interrupts, Order, Shared, Signal};
use super::{Malformed, Ring, Served, VirtioDevice};

/// A device at work. Owned by its thread, which is the only one to call the device and to touch
/// guest memory for it; what the registers' side wants of it comes by [`Shared`].
pub(super) struct Worker<D, M, I: Interrupts> {
    device: D,
    memory: M,
    shared: Arc<Shared<I>>,
    /// The queues in use; none while the device is stopped.
    rings: Vec<Option<Ring>>,
    /// The queues to look at, as bits.
    pending: u64,
    /// The device has buffers for its input.
    hungry: bool,
    /// How often a driver broke the rules.
    broken: u64,
}

impl<D: VirtioDevice, M: GuestMemory + Send + 'static, I: Interrupts> Worker<D, M, I> {
    /// Starts the thread. It ends when the registers' side quits.
    pub(super) fn spawn(device: D, memory: M, shared: Arc<Shared<I>>) -> io::Result<()> {
        let name = format!("gvm-{}", device.name());
        let worker = Self {
            device,
            memory,
            shared,
            rings: Vec::new(),
            pending: 0,
            hungry: false,
            broken: 0,
        };
        Builder::new().name(name).spawn(move || worker.run())?;
        Ok(())
    }

    fn run(mut self) {
        loop {
            let work = self.shared.take();
            match work.order {
                Some(Order::Quit) => return,
                Some(Order::Start(features, queues)) => self.start(features, queues),
                Some(Order::Stop) => {
                    self.forget();
                    self.device.reset();
                    self.shared.stopped();
                }
                None => {}
            }
            self.pending |= work.rung;
            if !self.round() {
                self.sleep();
            }
        }
    }

    fn start(&mut self, features: u64, queues: Vec<Option<Queue>>) {
        let shared = &self.shared;
        let ring = |queue| Ring::halted_by(queue, shared.halted());
        self.rings = queues.into_iter().map(|queue| queue.map(ring)).collect();
        self.device.start(features);
        // Input may have come before.
        self.hungry = self.device.input().is_some();
    }

    fn forget(&mut self) {
        self.rings.clear();
        self.pending = 0;
        self.hungry = false;
    }

    /// Serves each pending queue once. Whether there is more to do.
    fn round(&mut self) -> bool {
        let input = self.device.input().map(|(queue, _)| queue);
        for queue in 0..self.rings.len() {
            let bit = 1 << queue;
            if self.pending & bit == 0 {
                continue;
            }
            self.pending &= !bit;
            match self.serve(queue) {
                Ok(served) => {
                    if served == Served::More {
                        self.pending |= bit;
                    }
                    if input == Some(queue) {
                        self.hungry = served == Served::Hungry;
                    }
                    self.pending |= self.device.take_due();
                }
                Err(malformed) => {
                    self.fail(queue, &malformed);
                    return true;
                }
            }
        }
        self.rings
            .iter()
            .enumerate()
            .any(|(queue, ring)| ring.is_some() && self.pending & 1 << queue != 0)
    }

    fn serve(&mut self, queue: usize) -> Result<Served, Malformed> {
        let Some(Some(ring)) = self.rings.get_mut(queue) else {
            return Ok(Served::Idle);
        };
        let before = ring.position();
        ring.look(&self.memory)?;
        let mut served = self.device.serve(queue, ring, &self.memory)?;
        // Where the device waits for input, the driver need not tell of more buffers.
        if served == Served::Idle && ring.listen(&self.memory)? {
            served = Served::More;
        }
        if ring.tells(&self.memory, before)? {
            self.shared.signal(Signal::Used(queue));
        }
        Ok(served)
    }

    fn fail(&mut self, queue: usize, malformed: &Malformed) {
        self.broken += 1;
        // A guest can do this as often as it likes.
        if self.broken.is_power_of_two() {
            let (device, times) = (self.device.name(), self.broken);
            tracing::warn!(device, queue, times, "stopped until its reset: {malformed}");
        }
        self.forget();
        self.shared.broken();
    }

    /// Waits for a bell, or for input.
    fn sleep(&mut self) {
        let input = self.device.input().filter(|_| self.hungry);
        let mut waits = vec![PollFd::from_borrowed_fd(self.shared.bell(), PollFlags::IN)];
        let queue = input.map(|(queue, source)| {
            waits.push(PollFd::from_borrowed_fd(source, PollFlags::IN));
            queue
        });
        // An interrupted wait is followed by a look at what there is to do, as any other.
        poll(&mut waits, None).ok();
        let came = waits.get(1).is_some_and(|wait| !wait.revents().is_empty());
        if let Some(queue) = queue
            && came
        {
            self.pending |= 1 << queue;
        }
    }
}

impl<D, M, I: Interrupts> Drop for Worker<D, M, I> {
    /// However the thread ends, by a panic of the device for one, no one waits for it in vain.
    fn drop(&mut self) {
        self.shared.gone();
    }
}
