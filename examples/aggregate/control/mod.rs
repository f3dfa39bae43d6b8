//! Orders to a running machine: a unix socket of the first node, and the commands that use it.
//!
//! A connection carries one [`Request`] as a line of JSON, and is answered by [`Answer`]s, a line each, of
//! which the last is [`Done`](Answer::Done) or [`Failed`](Answer::Failed).

pub(crate) mod client;
mod heirs;
pub(crate) mod orders;
pub(crate) mod server;
mod words;

pub(crate) use words::{Answer, Request};
