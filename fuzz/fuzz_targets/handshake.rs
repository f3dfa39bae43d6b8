//! A stream of bytes from someone who has not proved to be a peer yet.
#![no_main]

use std::sync::Arc;

use bytes::BytesMut;
use giantvm_core::wire::{Frame, Limits};
use giantvm_core::{Epoch, NodeId};
use giantvm_transport::handshake::{HANDSHAKE_LIMITS, Handshake, Hello, LocalNode, Settings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(settings) = Settings::decode(bytes) {
        assert_eq!(settings.encode(), bytes);
    }
    let settings = Settings::from_iter([("memory", "512M"), ("vcpus", "4")]);
    let local = LocalNode {
        host: 0,
        cluster: "lab".into(),
        node: NodeId::ZERO,
        names: vec!["a".into(), "b".into()],
        instance: 1,
        epoch: Epoch::FIRST,
        limits: Limits { max_payload: 65536 },
        settings,
    };
    let mut handshake = Handshake::accept(Arc::new(local));
    let (mut stream, mut out) = (BytesMut::from(bytes), Vec::new());
    while let Ok(Some(frame)) = Frame::decode(&mut stream, HANDSHAKE_LIMITS) {
        if let Ok(hello) = Hello::decode(&frame) {
            let stamp = frame.stamp;
            assert_eq!(
                Frame {
                    stamp,
                    ..hello.encode()
                },
                frame
            );
        }
        if let Ok(settings) = Settings::decode(&frame.payload) {
            assert_eq!(settings.encode(), frame.payload);
        }
        if handshake
            .on_frame(&frame, &mut |_| false, &mut out)
            .is_err()
        {
            break;
        }
    }
    // At most a hello and a verdict, or the refusal that ends it.
    assert!(out.len() <= 3, "{out:?}");
});
