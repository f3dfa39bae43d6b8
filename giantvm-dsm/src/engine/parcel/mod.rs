//! How a page is packed for the wire.
//!
//! A protocol sends a page or nothing. What of a page really has to travel is decided below it, when
//! the frame is made, and undone before the receiving protocol sees the message: there it is a page
//! again. So no protocol, model or simulation knows of parcels.
//!
//! | packing | payload |
//! |---|---|
//! | [`Whole`](Packing::Whole) | the page |
//! | [`Zero`](Packing::Zero) | none: every byte is zero |
//! | [`Delta`](Packing::Delta) | which of 64 lines differ from a base, and those lines |
//! | [`Lz4`](Packing::Lz4) | the page, compressed |
//! | [`Lz4Delta`](Packing::Lz4Delta) | as a delta, its lines compressed |
//!
//! # Bases
//! Each node keeps [standby copies](Parcels::standby) of pages as they were when they last crossed a
//! link, in either direction. Who asks for a page that it has no mapping of, and has a standby copy,
//! names that copy in its request by a 128-bit digest ([`Ask`]). The digest goes along when the
//! request is handed on ([`PageMessage::asks_for`](crate::protocol::PageMessage::asks_for)), and
//! whoever sends the page in the end compares it with its own standby copies of the page. Is one of
//! them the same, the page goes as a delta against it; else as it is. Three rules keep a delta from
//! ever meeting a node that cannot read it:
//!
//! 1. A copy that was named stays until its page has come or was mapped, whatever else wants its place.
//! 2. What is known of a node's copy is replaced by its next request, and forgotten if that names none.
//! 3. The delta repeats the digest, and the receiver compares it: an unknown one is refused.
//!
//! A page is copied after its frame was sent, or after the threads that waited for it were woken, and
//! only from the second time on that it travels: pages that are read once cost nothing.
//!
//! # When it pays
//! A page is looked through for zeroes always: the first word that is not zero ends it. Deltas and
//! compression cost time on both ends, and save the link's time for each byte. [`worth_it`] compares
//! the two. Between nodes of one host ([`Transport::near`](giantvm_transport::Transport::near)) neither
//! pays. Of a network nothing is known at first but that it is one: deltas pay on all but the fastest,
//! compression only on a slow one, so it begins when enough pages in a row were seen to arrive slowly.

mod ask;
mod delta;
mod digest;
mod error;
mod links;
mod options;
mod pack;
mod packer;
mod packing;
mod speed;
mod standby;
mod tally;
mod travelled;
mod unpack;
mod worth;

pub use ask::Ask;
pub use digest::Digest;
pub use error::BadParcel;
pub use options::{Parcels, When};
pub use pack::{Base, pack};
pub(super) use packer::Packer;
pub use packing::Packing;
pub(crate) use packing::Tag;
pub use tally::ParcelStats;
pub use unpack::unpack;
pub use worth::{Rate, worth_it};

/// Lines of a page: one bit each of a mask. A line of a 4 KiB page has 64 bytes.
const LINES: usize = 64;
/// Bytes of a delta before its lines: the base's digest and the mask.
const DELTA_HEAD: usize = Digest::BYTES + size_of::<u64>();
