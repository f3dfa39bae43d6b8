//! How two nodes make sure of each other before a link carries anything: pure, without I/O.
//!
//! Every connection starts with it. The dialer sends [`Hello`]; the acceptor answers with its own.
//! Each side then sends a welcome, or, when the digests differ, its [`Settings`] so that both can
//! name the key that differs, or a [`Refusal`]. The connection is a link once a welcome went both
//! ways. There is no secret in it: it finds mistakes, it does not keep an attacker out.
//!
//! [`Handshake`] is the state machine; frames go in, frames and a verdict come out.

mod error;
mod hello;
mod machine;
mod settings;

pub use error::{HandshakeError, Refusal};
pub(crate) use hello::is_name;
pub use hello::{Hello, MAX_NAME};
pub use machine::{Handshake, LocalNode, Step};
pub use settings::{Difference, SETTINGS_LIMIT, Settings, SettingsError};

use giantvm_core::wire::Limits;

/// What a node accepts in one frame before the handshake is over.
pub const HANDSHAKE_LIMITS: Limits = Limits {
    max_payload: 64 << 10,
};

const _: () = assert!(HANDSHAKE_LIMITS.max_payload as usize == SETTINGS_LIMIT);
