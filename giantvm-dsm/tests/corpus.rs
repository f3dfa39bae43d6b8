//! Replays the seeds of the fuzz target `dsm_message`: each file is the bytes of one raw frame.
//!
//! Files named `good_*` are messages, files named `bad_*` are refused on the way; any other file
//! (a find of the fuzzer) may be either.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::BytesMut;
use giantvm_core::wire::{Frame, Limits};
use giantvm_core::{NodeId, NodeSet, PageSize};
use giantvm_dsm::protocol::directory::Message;
use giantvm_dsm::protocol::{
    Access, CoherenceProtocol, Contents, Directory, HomeMap, Input, PageMessage, Setup, Tick,
};

const PAGES: u64 = 8;

/// The message of a raw frame, if it is one.
fn decode(bytes: &[u8]) -> Option<(Frame, Message)> {
    let limits = Limits::for_pages(PageSize::K4);
    let frame = Frame::decode(&mut BytesMut::from(bytes), limits).ok()??;
    let message = Message::decode(&frame).ok()?;
    assert_eq!(
        message.encode(),
        (frame.kind, frame.body),
        "one wire form a message"
    );
    Some((frame, message))
}

/// A node with a request under way for every page that is homed elsewhere.
fn busy_node() -> Directory {
    let nodes = NodeSet::first(3);
    let setup = Setup {
        local: NodeId::ZERO,
        nodes,
        pages: PAGES,
        homes: HomeMap::even(PAGES, nodes),
    };
    let mut node = Directory::new(setup);
    for page in giantvm_core::PageRange::first(PAGES).iter() {
        let access = Access::Write;
        let fault = Input::Fault { page, access };
        node.handle(Tick(0), fault, &mut Vec::new()).unwrap();
    }
    node
}

#[test]
fn every_seed_is_a_message_or_refused_as_its_name_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/dsm_message");
    let mut kinds = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let decoded = decode(&std::fs::read(&path).unwrap());
        assert!(!name.starts_with("good_") || decoded.is_some(), "{name}");
        assert!(!name.starts_with("bad_") || decoded.is_none(), "{name}");
        let Some((frame, message)) = decoded else {
            continue;
        };
        kinds.insert(frame.kind);
        let mut node = busy_node();
        let (before, mut commands) = (node.clone(), Vec::new());
        let payload = match frame.payload.len() {
            0 => Contents::Nothing,
            _ => Contents::Page,
        };
        let input = Input::Message {
            from: frame.from,
            message,
            payload,
        };
        if node.handle(Tick(0), input, &mut commands).is_err() {
            assert_eq!((node, commands), (before, vec![]), "{name}");
        }
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
}
