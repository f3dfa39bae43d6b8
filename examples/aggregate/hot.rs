//! The hottest pages: what one node knows of them, and the cluster's by all that its nodes know.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use giantvm_core::PageSize;
use giantvm_dsm::engine::PageHeat;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Pages that are shown.
pub(crate) const SHOWN: usize = 20;

/// A guest physical address, in hexadecimal for people and in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address(pub(crate) u64);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").unwrap_or("");
        u64::from_str_radix(digits, 16)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

/// How one node used a page of late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HotPage {
    pub(crate) address: Address,
    pub(crate) reads: u32,
    pub(crate) writes: u32,
    /// How often it, or the right to write it, was taken away.
    pub(crate) taken: u32,
    /// How often it was asked for again right after that.
    pub(crate) turns: u32,
    pub(crate) ping_pong: bool,
    /// Numbers of the nodes that took it or sent it.
    pub(crate) peers: Vec<u8>,
}

impl HotPage {
    /// `None` for a page whose address is past all addresses, which no memory has.
    pub(crate) fn new(heat: &PageHeat, size: PageSize) -> Option<Self> {
        Some(Self {
            address: Address(size.offset_of(heat.page)?),
            reads: heat.reads,
            writes: heat.writes,
            taken: heat.taken,
            turns: heat.turns,
            ping_pong: heat.is_ping_pong(),
            peers: heat.peers.iter().map(|node| node.get()).collect(),
        })
    }

    fn heat(&self) -> u64 {
        u64::from(self.reads) + u64::from(self.writes) + u64::from(self.taken)
    }
}

/// A page that the cluster uses much, and who does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct HotSpot {
    pub(crate) address: Address,
    /// Faults on it, and times that it was taken away, on all nodes together.
    pub(crate) heat: u64,
    /// Whether it goes to and fro between its users.
    pub(crate) ping_pong: bool,
    /// In the order of the nodes.
    pub(crate) users: Vec<User>,
}

/// What one node does with a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct User {
    pub(crate) node: String,
    pub(crate) reads: u32,
    pub(crate) writes: u32,
    pub(crate) taken: u32,
    pub(crate) turns: u32,
}

/// The hottest pages of the cluster, the hottest first, from each node's name and pages.
pub(crate) fn spots<'a>(nodes: impl IntoIterator<Item = (&'a str, &'a [HotPage])>) -> Vec<HotSpot> {
    let mut spots = BTreeMap::<Address, HotSpot>::new();
    for (node, pages) in nodes {
        for page in pages {
            let spot = spots.entry(page.address).or_insert_with(|| HotSpot {
                address: page.address,
                heat: 0,
                ping_pong: false,
                users: Vec::new(),
            });
            spot.heat = spot.heat.saturating_add(page.heat());
            spot.ping_pong |= page.ping_pong;
            spot.users.push(User {
                node: node.to_owned(),
                reads: page.reads,
                writes: page.writes,
                taken: page.taken,
                turns: page.turns,
            });
        }
    }
    let mut spots: Vec<_> = spots.into_values().collect();
    spots.sort_by_key(|spot| Reverse(spot.heat));
    spots.truncate(SHOWN);
    spots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(address: u64, reads: u32, writes: u32) -> HotPage {
        HotPage {
            address: Address(address),
            reads,
            writes,
            taken: 1,
            turns: 0,
            ping_pong: address == 0x3000,
            peers: vec![1],
        }
    }

    #[test]
    fn pages_are_ordered_by_what_all_nodes_do_with_them() {
        let a = [page(0x1000, 10, 0), page(0x3000, 4, 4)];
        let b = [page(0x3000, 2, 3), page(0x2000, 1, 0)];
        let spots = spots([("a", &a[..]), ("b", &b[..])]);
        let heat: Vec<_> = spots
            .iter()
            .map(|spot| (spot.address.0, spot.heat))
            .collect();
        assert_eq!(heat, [(0x3000, 15), (0x1000, 11), (0x2000, 2)]);
        let users: Vec<_> = spots[0].users.iter().map(|user| &user.node).collect();
        assert_eq!(users, ["a", "b"]);
        assert!(spots[0].ping_pong && !spots[1].ping_pong);
    }

    #[test]
    fn no_more_are_told_than_are_shown() {
        let pages: Vec<_> = (0..100).map(|n| page(n << 12, 100, 0)).collect();
        assert_eq!(spots([("a", &pages[..])]).len(), SHOWN);
    }

    #[test]
    fn addresses_are_hexadecimal_and_nothing_else_is_one() {
        let json = serde_json::to_string(&page(0xfee0_1000, 1, 2)).unwrap();
        assert!(json.contains(r#""address":"0xfee01000""#), "{json}");
        assert_eq!(
            serde_json::from_str::<HotPage>(&json).unwrap().address.0,
            0xfee0_1000
        );
        for wrong in [
            r#""12""#,
            r#""0x""#,
            r#""0xg""#,
            r#""0x11111111111111111""#,
            "12",
        ] {
            assert!(serde_json::from_str::<Address>(wrong).is_err(), "{wrong}");
        }
    }
}
