//! Replays the seeds of the fuzz target `channel`.

use std::fs;
use std::path::Path;

use giantvm_sched::channel::{Message, Stream};

#[test]
fn every_seed_is_a_message_or_an_error_as_its_name_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/channel");
    let mut seeds = 0;
    for entry in fs::read_dir(&folder).expect("the seed corpus is part of the project") {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let message = Message::decode(&bytes);
        if let Ok(message) = &message {
            assert_eq!(message.encode(), bytes, "{name}");
        }
        let mut stream = Stream::default();
        stream.feed(&bytes);
        let heard = std::iter::from_fn(|| stream.next_message()).count();
        match name.split('_').next() {
            Some("good") => assert_eq!((message.is_ok(), heard), (true, 1), "{name}"),
            Some("bad") => assert_eq!((message.is_ok(), heard), (false, 0), "{name}"),
            Some("stream") => assert!(message.is_err() && heard > 0, "{name}"),
            // What a fuzzer finds has a hash for a name and promises nothing but to end.
            _ => {}
        }
        seeds += 1;
    }
    assert!(seeds >= 10, "only {seeds} seeds in {}", folder.display());
}
