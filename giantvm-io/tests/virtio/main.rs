//! Virtio devices, driven as a guest drives them: by registers and rings in memory.

mod blk;
mod console;
mod driver;
mod net;
mod port;
mod support;
mod transport;
