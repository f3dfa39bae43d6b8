//! Replays the seeds and findings of the fuzz targets through the decoders.

use std::fs;
use std::path::Path;

use bytes::BytesMut;
use giantvm_core::wire::{Frame, HEADER, Limits, MAX_BODY};
use giantvm_transport::handshake::{HANDSHAKE_LIMITS, Hello, Settings};

const LIMITS: Limits = Limits { max_payload: 4096 };

fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let entries = fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{corpus:?}: {error}"));
    let paths = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file());
    let inputs: Vec<_> = paths
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    assert!(inputs.len() >= 5, "{corpus:?} has lost its seeds");
    inputs
}

#[test]
fn frames_of_the_corpus_decode_or_fail_within_the_limits() {
    let mut frames = 0;
    for (name, input) in inputs("frame") {
        let mut stream = BytesMut::from(&input[..]);
        while let Ok(Some(frame)) = Frame::decode(&mut stream, LIMITS) {
            assert!(frame.wire_len() <= HEADER + MAX_BODY + 4096, "{name}");
            frames += 1;
        }
    }
    assert!(frames > 0, "no seed holds a frame");
}

#[test]
fn handshakes_of_the_corpus_decode_or_fail_and_what_decodes_encodes_alike() {
    let (mut hellos, mut settings) = (0, 0);
    for (name, input) in inputs("handshake") {
        if let Ok(read) = Settings::decode(&input) {
            assert_eq!(&read.encode()[..], &input[..], "{name}");
            settings += 1;
        }
        let mut stream = BytesMut::from(&input[..]);
        while let Ok(Some(frame)) = Frame::decode(&mut stream, HANDSHAKE_LIMITS) {
            if let Ok(hello) = Hello::decode(&frame) {
                // A greeting has no time of its own: what the link's frames carry means nothing.
                let stamp = frame.stamp;
                let again = Frame {
                    stamp,
                    ..hello.encode()
                };
                assert_eq!(again, frame, "{name}");
                hellos += 1;
            }
        }
    }
    assert!(
        hellos > 0 && settings > 0,
        "no seed holds a greeting, or none holds settings"
    );
}
