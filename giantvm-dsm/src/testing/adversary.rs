//! A hostile node that knows the protocol's messages: what it sends is near enough to real ones to
//! be believed at times.
//!
//! The messages of an undisturbed run are its templates; bytes from a fuzzer or a random source
//! choose one and change some of it. So this works for any protocol, with no knowledge of its
//! messages.

use std::collections::{BTreeMap, BTreeSet};

use giantvm_core::wire::{Body, Frame, Service};
use giantvm_core::{Epoch, NodeId, NodeSet, PageIndex, Stamp};

use super::cluster::Cluster;
use super::config::Config;
use super::failure::Failure;
use super::model::Checkable;
use crate::protocol::{Access, Contents, HomeMap, Input, PageMessage, Setup, Tick};

const NODES: usize = 4;
const PAGES_BYTE: u8 = 8;
const PAGES: u64 = PAGES_BYTE as u64;
/// The hostile node: the last one, home to the last pages.
const HOSTILE: usize = NODES - 1;
/// Most inputs that one run takes from its bytes.
const INPUTS: usize = 400;
/// Most templates of a kind that are kept.
const OF_A_KIND: usize = 32;
/// Nanoseconds of the virtual clock between two hostile messages, at most.
const PAUSE: u64 = 1 << 12;

/// A message's body, and what came with it.
type Template = (Vec<u8>, Contents);

/// What is sent as a rule, for lies to be made of.
#[derive(Debug, Clone)]
pub struct Adversary {
    /// Bodies of each kind of message, and what came with them.
    templates: Vec<(u8, Vec<Template>)>,
}

impl Adversary {
    /// Learns the messages of a protocol from undisturbed runs.
    ///
    /// # Errors
    /// [`Failure`] of such a run.
    pub fn learn<P: Checkable>() -> Result<Self, Failure> {
        let mut seen = BTreeMap::<u8, BTreeSet<Template>>::new();
        for seed in 0..4_usize {
            let config = Config {
                nodes: NODES,
                pages: PAGES,
                seed: seed as u64,
                ..Config::default()
            };
            let mut cluster = Cluster::<P>::new(config);
            cluster.plan_random(20);
            for page in 0..PAGES {
                let node = node_of(seed % NODES);
                let page = PageIndex(page);
                cluster.disturb(Tick(200_000), super::Chaos::Evict { node, page });
            }
            let (leaver, heir) = (node_of(seed % NODES), node_of((seed + 1) % NODES));
            let leave = super::Chaos::Leave {
                node: leaver,
                heir,
                then: super::Afterwards::Return,
            };
            cluster.disturb(Tick(300_000), leave);
            cluster.run()?;
            for (message, contents) in cluster.sent() {
                let (kind, body) = message.encode();
                let template = (body.as_slice().to_vec(), *contents);
                seen.entry(kind).or_default().insert(template);
            }
        }
        let some = |(kind, bodies): (u8, BTreeSet<Template>)| {
            let step = bodies.len().div_ceil(OF_A_KIND).max(1);
            (kind, bodies.into_iter().step_by(step).collect())
        };
        let templates = seen.into_iter().map(some).collect();
        Ok(Self { templates })
    }

    /// How many templates there are.
    #[must_use]
    pub fn templates(&self) -> usize {
        self.templates.iter().map(|(_, bodies)| bodies.len()).sum()
    }

    /// Feeds one node what `bytes` say: local faults, time-outs, evictions, and messages of the
    /// hostile node. Returns how many messages it believed.
    ///
    /// # Errors
    /// The law that was broken: what a node refuses changes nothing, and what it remembers is
    /// bounded.
    pub fn assault<P: Checkable>(&self, bytes: &[u8]) -> Result<usize, String> {
        let mut node = P::new(setup(NodeId::ZERO));
        let (mut believed, mut bytes) = (0, Source(bytes));
        for now in 0..INPUTS as u64 {
            let Some(first) = bytes.next() else { break };
            let page = PageIndex(u64::from(bytes.byte()) % (PAGES + 1));
            let input = match first % 8 {
                0 => Input::Fault {
                    page: PageIndex(page.0.min(PAGES - 1)),
                    access: access(bytes.byte()),
                },
                1 => Input::Timeout,
                2 => Input::Evict { page },
                3 => Input::Heard {
                    stamp: Stamp(bytes.byte().into()),
                },
                _ => match self.lie::<P>(&mut bytes) {
                    Some((message, payload)) => Input::Message {
                        from: node_of(HOSTILE),
                        message,
                        payload,
                    },
                    None => continue,
                },
            };
            let is_message = matches!(input, Input::Message { .. });
            let (before, mut commands) = (node.clone(), Vec::new());
            match node.handle(Tick(now), input, &mut commands) {
                Ok(()) => believed += usize::from(is_message),
                Err(_) if node == before && commands.is_empty() => {}
                Err(violation) => return Err(format!("totality: changed by {violation}")),
            }
            if node.in_flight() as u64 > 2 * PAGES {
                return Err(format!("bounds: {} in flight", node.in_flight()));
            }
        }
        Ok(believed)
    }

    /// Lets a whole cluster work while one node lies as `bytes` say. Returns how often it was
    /// believed about a page.
    ///
    /// # Errors
    /// [`Failure`]: a correct node panicked not, but broke a law about a page that no lie was about
    /// which has to be believed, or did not come to an end.
    pub fn besiege<P: Checkable>(&self, seed: u64, bytes: &[u8]) -> Result<usize, Failure> {
        let mut bytes = Source(bytes);
        let config = Config {
            nodes: NODES,
            pages: PAGES,
            seed,
            hostile: Some(node_of(HOSTILE)),
            sever: bytes.byte() & 1 == 0,
            step_limit: STEPS,
            ..Config::default()
        };
        let mut cluster = Cluster::<P>::new(config);
        cluster.plan_random(10);
        let homes = setup(NodeId::ZERO).homes;
        let (mut now, mut believed) = (0, BTreeSet::new());
        // Even without a word from it, what it is home to is never served.
        believed.extend(
            (0..PAGES)
                .map(PageIndex)
                .filter(|&page| homes.home(page) == Some(node_of(HOSTILE))),
        );
        for _ in 0..INPUTS {
            let Some(first) = bytes.next() else { break };
            now += u64::from(first) * PAUSE / 256;
            let to = node_of(usize::from(bytes.byte()) % HOSTILE);
            let Some((message, contents)) = self.lie::<P>(&mut bytes) else {
                continue;
            };
            if P::believes(node_of(HOSTILE), &message, &homes) {
                believed.insert(message.page());
            }
            cluster.inject(Tick(now), to, message, contents);
        }
        let count = believed.len();
        believed.into_iter().for_each(|page| cluster.distrust(page));
        cluster.run().map(|_| count)
    }

    /// The next lie; `None` if the changed bytes are no message.
    fn lie<P: Checkable>(&self, bytes: &mut Source<'_>) -> Option<(P::Message, Contents)> {
        let (kind, bodies) = bytes.choose(&self.templates)?;
        let (body, contents) = bytes.choose(bodies)?;
        let mut body = body.clone();
        let changes = bytes.byte();
        for _ in 0..changes % 4 {
            let (at, value) = (usize::from(bytes.byte()), bytes.byte());
            if let Some(place) = body.get_mut(at % HOT_BYTES) {
                *place = value;
            }
        }
        // Most bodies begin with the page, low byte first.
        if let Some(page) = body.first_mut().filter(|_| changes & 0x40 == 0) {
            *page = bytes.byte() % (PAGES_BYTE + 1);
        }
        // A set top bit takes the payload away, or adds one.
        let contents = match (contents, changes & 0x80 == 0) {
            (contents, true) => *contents,
            (Contents::Page, false) => Contents::Nothing,
            (Contents::Nothing, false) => Contents::Page,
        };
        let frame = Frame {
            service: Service::Dsm,
            kind: *kind,
            from: node_of(HOSTILE),
            epoch: Epoch::FIRST,
            stamp: Stamp::ZERO,
            body: Body::new(&body).ok()?,
            payload: bytes::Bytes::new(),
        };
        let message = P::Message::decode(&frame).ok()?;
        Some((message, contents))
    }
}

/// Steps within which a besieged cluster has to come to its end.
const STEPS: u64 = 200_000;

/// Bytes of a body that are worth changing: all of the longest.
const HOT_BYTES: usize = 40;

fn node_of(number: usize) -> NodeId {
    NodeId::try_from(number).unwrap_or(NodeId::ZERO)
}

fn setup(local: NodeId) -> Setup {
    let nodes = NodeSet::first(NODES);
    Setup {
        local,
        nodes,
        pages: PAGES,
        homes: HomeMap::even(PAGES, nodes),
    }
}

const fn access(byte: u8) -> Access {
    if byte & 1 == 0 {
        Access::Read
    } else {
        Access::Write
    }
}

/// Bytes to be read off; what is missing at the end is zero.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    fn choose<'t, T>(&mut self, of: &'t [T]) -> Option<&'t T> {
        of.get(usize::from(self.byte()).checked_rem(of.len())?)
    }
}
