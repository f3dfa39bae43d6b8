//! Which host has the most room.

use std::collections::BTreeSet;

use super::fleet::Fleet;
use super::ids::HostId;

/// Hosts by what is free on them, in thousandths of a processor; less than nothing where too much is.
#[derive(Debug)]
pub(super) struct Rooms {
    by_room: BTreeSet<(i64, HostId)>,
    /// In thousandths of a host's capacity.
    reserve: u32,
}

impl Rooms {
    pub(super) fn of(fleet: &Fleet, reserve: u32) -> Self {
        let mut rooms = Self {
            by_room: BTreeSet::new(),
            reserve: reserve.min(1000),
        };
        rooms.by_room = fleet
            .hosts()
            .map(|host| (rooms.left(fleet, host), host))
            .collect();
        rooms
    }

    /// What a host is to be filled to.
    pub(super) fn fill(&self, fleet: &Fleet, host: HostId) -> u64 {
        fleet.capacity(host) * u64::from(1000 - self.reserve) / 1000
    }

    /// What a host may be given.
    pub(super) fn room(&self, fleet: &Fleet, host: HostId) -> u64 {
        self.fill(fleet, host).saturating_sub(fleet.load(host))
    }

    /// What is free on a host, or what it has too much.
    fn left(&self, fleet: &Fleet, host: HostId) -> i64 {
        let [fill, load] = [self.fill(fleet, host), fleet.load(host)];
        fill.cast_signed().saturating_sub_unsigned(load)
    }

    /// The host with the most room, the last of equals: if none has any, the one that lacks least.
    pub(super) fn roomiest(&self) -> Option<HostId> {
        self.by_room.last().map(|&(_, host)| host)
    }

    /// Has `change` change what is on these hosts.
    pub(super) fn during(
        &mut self,
        fleet: &mut Fleet,
        hosts: [HostId; 2],
        change: impl FnOnce(&mut Fleet),
    ) {
        for host in hosts {
            self.by_room.remove(&(self.left(fleet, host), host));
        }
        change(fleet);
        for host in hosts {
            self.by_room.insert((self.left(fleet, host), host));
        }
    }
}
