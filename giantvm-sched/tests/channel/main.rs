//! The channel to the guest: its messages in bytes, in streams, and from one to the next.

mod codec;
mod deltas;
mod stream;
mod values;
mod window;
