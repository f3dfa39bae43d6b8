//! Messages in a stream of bytes.

use giantvm_sched::channel::{ChannelError, Message, Stream, layout};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::values::message;

fn heard(stream: &mut Stream) -> Vec<Message> {
    std::iter::from_fn(|| stream.next_message()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pieces_of_any_size_are_the_same_messages(
        messages in vec(message(), 0..4),
        sizes in vec(1..200_usize, 1..20),
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(Message::encode).collect();
        let (mut stream, mut found, mut left) = (Stream::default(), Vec::new(), &bytes[..]);
        for size in sizes.iter().cycle() {
            if left.is_empty() {
                break;
            }
            let (piece, rest) = left.split_at((*size).min(left.len()));
            prop_assert_eq!(stream.feed(piece), piece.len());
            found.extend(heard(&mut stream));
            left = rest;
        }
        prop_assert_eq!(found, messages);
        prop_assert_eq!(stream.skipped(), 0);
    }

    #[test]
    fn after_what_is_no_message_the_next_is_found(
        first in message(),
        cut in any::<prop::sample::Index>(),
        noise in vec(any::<u8>(), 0..40),
        last in message(),
    ) {
        // The end of a message that another reader began to hear. Zeroes end what noise may begin.
        let bytes = first.encode();
        let mut stream = Stream::default();
        stream.feed(&bytes[1 + cut.index(bytes.len() - 1)..]);
        stream.feed(&noise);
        stream.feed(&last.encode());
        let mut found = heard(&mut stream);
        // What looks like the beginning of a long message waits for its end.
        stream.feed(&vec![0; layout::MAX_MESSAGE]);
        found.extend(heard(&mut stream));
        prop_assert_eq!(found.last(), Some(&last));
    }

    #[test]
    fn any_bytes_end_in_messages_or_nothing(pieces in vec(vec(any::<u8>(), 0..300), 0..6)) {
        let mut stream = Stream::default();
        for piece in pieces {
            stream.feed(&piece);
            prop_assert_eq!(heard(&mut stream), []);
        }
    }
}

#[test]
fn what_waits_is_bounded() {
    let mut stream = Stream::default();
    let ask = Message::Ask(7).encode();
    let fed: usize = (0..100_000).map(|_| stream.feed(&ask)).sum();
    assert_eq!(fed, 2 * layout::MAX_MESSAGE);
    assert_eq!(heard(&mut stream).len(), fed / ask.len());
}

#[test]
fn who_speaks_another_version_is_known() {
    let mut stream = Stream::default();
    let mut bytes = Message::Ask(7).encode();
    bytes[4] = 9;
    stream.feed(&bytes);
    assert_eq!(stream.next_message(), None);
    assert_eq!(stream.take_refused(), Some(ChannelError::Version(9)));
    assert_eq!(stream.take_refused(), None);
    assert_eq!(stream.skipped(), bytes.len() as u64);
}

#[test]
fn what_was_cleared_is_not_heard() {
    let mut stream = Stream::default();
    stream.feed(&Message::Ask(7).encode()[..20]);
    stream.clear();
    stream.feed(&Message::Ask(8).encode());
    assert_eq!(heard(&mut stream), [Message::Ask(8)]);
}
