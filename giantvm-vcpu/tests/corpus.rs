//! Replays the seeds of the fuzz target `vcpu_message`, each of which is one raw frame.

use std::fs;
use std::path::Path;

use bytes::BytesMut;
use giantvm_core::wire::{Frame, Limits};
use giantvm_vcpu::message::Message;

#[test]
fn every_seed_is_a_message_or_an_error_as_its_name_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/vcpu_message");
    let mut seeds = 0;
    for entry in fs::read_dir(&folder).expect("the seed corpus is part of the project") {
        let path = entry.unwrap().path();
        let mut stream = BytesMut::from(&fs::read(&path).unwrap()[..]);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let frame = Frame::decode(&mut stream, Limits { max_payload: 4096 });
        let frame = frame.ok().flatten();
        let message = frame.as_ref().and_then(|frame| Message::decode(frame).ok());
        // What a fuzzer finds and adds has a hash for a name and promises nothing but to end.
        if name.starts_with("good") || name.starts_with("bad") {
            assert_eq!(
                message.is_some(),
                name.starts_with("good"),
                "{name}: {frame:?}"
            );
        }
        if let (Some(frame), Some(message)) = (frame, message) {
            let (kind, body, payload) = message.encode();
            assert_eq!((kind, body), (frame.kind, frame.body), "{name}");
            // A state has more than one form, and one that it is written in.
            let again = Frame { payload, ..frame };
            assert_eq!(Message::decode(&again), Ok(message), "{name}");
        }
        seeds += 1;
    }
    assert!(seeds >= 18, "only {seeds} seeds in {}", folder.display());
}
