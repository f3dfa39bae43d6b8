//! Messages from a stream of bytes.

use super::layout::{HEADER, MAGIC, MAX_MESSAGE};
use super::{ChannelError, Message, decode};

/// Cuts a stream into messages. Bytes that are no message are skipped up to where one could begin, so
/// that whoever starts to listen in the midst of one hears the next.
///
/// What it holds is bounded: what is [fed](Self::feed) while more than [`MAX_MESSAGE`] bytes wait to be
/// taken is left out, which reads like any other loss.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    bytes: Vec<u8>,
    skipped: u64,
    refused: Option<ChannelError>,
}

impl Stream {
    /// Takes up what came. Returns how many bytes it took.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        let room = (2 * MAX_MESSAGE).saturating_sub(self.bytes.len());
        let taken = room.min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// The next message, if all of it came.
    pub fn next_message(&mut self) -> Option<Message> {
        loop {
            let header = self.bytes.first_chunk::<HEADER>()?;
            let length = match decode::length(header) {
                Ok(length) => length,
                Err(error) => {
                    self.skip(error);
                    continue;
                }
            };
            let bytes = self.bytes.get(..length)?;
            match Message::decode(bytes) {
                Ok(message) => {
                    self.bytes.drain(..length);
                    return Some(message);
                }
                Err(error) => self.skip(error),
            }
        }
    }

    /// Bytes that were skipped.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Why bytes were last skipped, and forgets it.
    pub const fn take_refused(&mut self) -> Option<ChannelError> {
        self.refused.take()
    }

    /// Forgets what came and was not taken.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Skips to where the next message could begin.
    fn skip(&mut self, error: ChannelError) {
        // What is not even the beginning of a message says less than what is.
        if error != ChannelError::Magic || self.refused.is_none() {
            self.refused = Some(error);
        }
        let magic = MAGIC.to_le_bytes();
        let begins = |at: &usize| {
            let rest = &self.bytes[*at..];
            rest.starts_with(&magic[..rest.len().min(magic.len())])
        };
        let next = (1..self.bytes.len()).find(begins);
        let next = next.unwrap_or(self.bytes.len());
        self.bytes.drain(..next);
        self.skipped += next as u64;
    }
}
