//! What the other side of the channel says: one message, and a stream of them.
#![no_main]

use giantvm_sched::channel::{Message, Stream, ThreadEvent, layout};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = Message::decode(bytes) {
        assert_eq!(message.encode(), bytes);
    }
    for word in bytes.chunks_exact(8).take(layout::MAX_EVENTS) {
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        if let Ok(event) = ThreadEvent::from_word(word) {
            assert_eq!(event.word(), word);
        }
    }
    // However it comes in pieces, the same is heard. More than this is not kept while it waits.
    let bytes = &bytes[..bytes.len().min(layout::MAX_MESSAGE)];
    let mut streams = [Stream::default(), Stream::default()];
    let size = 1 + bytes.first().map_or(0, |byte| usize::from(*byte));
    let mut heard: [Vec<Message>; 2] = Default::default();
    for (stream, (heard, size)) in streams
        .iter_mut()
        .zip(heard.iter_mut().zip([size, usize::MAX]))
    {
        for piece in bytes.chunks(size) {
            stream.feed(piece);
            heard.extend(std::iter::from_fn(|| stream.next_message()));
        }
    }
    assert_eq!(heard[0], heard[1]);
});
