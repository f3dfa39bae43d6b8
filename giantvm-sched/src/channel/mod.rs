//! The channel between host and guest: what the host knows of the guest's remote faults, and what the
//! guest tells of its threads.
//!
//! A guest sees time go by and does not know why: a fault that another node answers is a load that
//! took long. The host sees pages and vCPUs, and not the threads that run there. Whoever places
//! threads needs both. The channel is small, versioned, and the same for every guest; how its bytes
//! travel is the carrier's affair.
//!
//! # Messages
//!
//! Each has a header with [`layout::MAGIC`], version, kind and length; [`layout`] has every field.
//!
//! | message | from | what it says |
//! |---|---|---|
//! | [`Message::Ask`] | guest | tell me, and repeat this number |
//! | [`Message::Snapshot`] | host | vCPUs with their nodes, faults and stalls; links; the hottest groups of pages and who waited for them; advice |
//! | [`Message::Report`] | guest | which thread runs where; threads that start, wake, block and exit |
//!
//! The host says nothing unasked, so a guest that does not listen costs nothing. A [`Snapshot`] is one
//! message, whole or not there at all. Its generation is another whenever its content is, and only
//! grows. Faults and stalls of a vCPU only grow, too. Those of a group grow as long as the group
//! is known without a break and start anew after that: [`Deltas`] tells what is new of either, in
//! the form that a [`Scheduler`](crate::schedule::Scheduler) takes.
//!
//! # Carriers
//!
//! * *A byte stream* for an operating system: a named port of a virtio console. Stock Linux has the
//!   driver and shows it as a file that a group may read, so the agent needs no driver and no right.
//!   [`Stream`] cuts it into messages and finds the next one after bytes that are none.
//! * *A window of registers* for a guest that has no drivers: memory-mapped, one page of registers,
//!   one page a vCPU, and the bytes of a snapshot. [`Register`] says what is where. A vCPU's own page
//!   is answered by its own node. Nothing of it is in guest memory: pages that the host writes and the
//!   guest reads would travel between nodes, and be among the hottest.
//!
//! # Trust
//!
//! Neither side believes the other. Decoding is total: any bytes are a message or a [`ChannelError`],
//! and what is taken is bounded by the limits in [`layout`]. Each message has one form in bytes. What
//! a guest says of its threads is a hint for placing that guest, and can hurt no one else.
//!
//! ```
//! use giantvm_sched::channel::{Message, Snapshot, Stream};
//! use giantvm_sched::schedule::Machine;
//!
//! let mut snapshot = Snapshot::new(Machine::new(&[2, 2])?);
//! snapshot.id = 7;
//! let mut stream = Stream::default();
//! stream.feed(b"bytes of a reader before");
//! stream.feed(&Message::from(snapshot.clone()).encode());
//! assert_eq!(stream.next_message(), Some(Message::from(snapshot)));
//! # Ok::<(), giantvm_sched::schedule::MachineError>(())
//! ```

mod adviser;
mod decode;
mod deltas;
mod encode;
mod error;
mod event;
pub mod layout;
mod message;
mod register;
mod snapshot;
mod stream;

pub use adviser::Adviser;
pub use deltas::Deltas;
pub use error::ChannelError;
pub use event::{Report, ThreadEvent};
pub use message::Message;
pub use register::{Register, VcpuRegister};
pub use snapshot::{Advice, Counters, Features, HotGroup, Sharer, Snapshot, Subject};
pub use stream::Stream;
