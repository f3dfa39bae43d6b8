//! Replays the seeds of the fuzz target `dsm_message`: each file is the bytes of one raw frame.
//!
//! A file named `ivy_good_*` is a message of that protocol, one named `ivy_bad_*` is refused by it,
//! one named `any_bad_*` by all of them. Any other file (a find of the fuzzer) may be either.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::BytesMut;
use giantvm_core::wire::{Frame, Limits};
use giantvm_core::{NodeId, NodeSet, PageRange, PageSize};
use giantvm_dsm::protocol::{
    Access, Contents, Directory, HomeMap, Input, Ivy, Lease, PageMessage, Setup, Tick,
};
use giantvm_dsm::testing::model::Checkable;

const PAGES: u64 = 8;

/// The message of a raw frame, if it is one.
fn decode<P: Checkable>(bytes: &[u8]) -> Option<(Frame, P::Message)> {
    let limits = Limits::for_pages(PageSize::K4);
    let frame = Frame::decode(&mut BytesMut::from(bytes), limits).ok()??;
    let message = P::Message::decode(&frame).ok()?;
    assert_eq!(
        message.encode(),
        (frame.kind, frame.body),
        "one wire form a message"
    );
    Some((frame, message))
}

/// A node with a request under way for every page that is homed elsewhere.
fn busy_node<P: Checkable>() -> P {
    let nodes = NodeSet::first(3);
    let mut node = P::new(Setup {
        local: NodeId::ZERO,
        nodes,
        pages: PAGES,
        homes: HomeMap::even(PAGES, nodes),
    });
    for page in PageRange::first(PAGES).iter() {
        let access = Access::Write;
        let fault = Input::Fault { page, access };
        node.handle(Tick(0), fault, &mut Vec::new()).unwrap();
    }
    node
}

/// Reads every seed as a message of one protocol. Returns the kinds that its good seeds have.
fn replay<P: Checkable>(seeds: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let (good, bad) = (format!("{}_good", P::NAME), format!("{}_bad", P::NAME));
    let mut kinds = BTreeSet::new();
    for (name, bytes) in seeds {
        let decoded = decode::<P>(bytes);
        assert!(!name.starts_with(&good) || decoded.is_some(), "{name}");
        let refused = name.starts_with(&bad) || name.starts_with("any_bad");
        assert!(!refused || decoded.is_none(), "{name}");
        let Some((frame, message)) = decoded else {
            continue;
        };
        if name.starts_with(&good) {
            kinds.insert(frame.kind);
        }
        let mut node = busy_node::<P>();
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
    kinds.into_iter().collect()
}

#[test]
fn every_seed_is_a_message_or_refused_as_its_name_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/dsm_message");
    let seeds = std::fs::read_dir(folder).unwrap().map(|file| {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read(&path).unwrap())
    });
    let seeds = seeds.collect();
    let kinds = |last: u8| (1..=last).collect::<Vec<_>>();
    assert_eq!(replay::<Directory>(&seeds), kinds(21));
    assert_eq!(replay::<Ivy>(&seeds), kinds(4));
    assert_eq!(replay::<Lease>(&seeds), kinds(5));
}
