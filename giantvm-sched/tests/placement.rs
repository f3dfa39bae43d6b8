//! What unequal nodes get, and what the guest is told about them.

use giantvm_core::{NodeId, VcpuId};
use giantvm_sched::{ClusterSpec, DeviceKind, DistanceError, NodeAddress, Placement, Topology};

const UNEQUAL: &str = r#"
cluster = { name = "u", memory = "8M", page-size = "2M", vcpus = 3 }
node = [
    { name = "diskless", address = "h:1", vcpus = 2, memory = "0" },
    { name = "store", address = "h:2", vcpus = 0, memory = "6M" },
    { name = "rest", address = "h:3" },
]
"#;

fn spec() -> ClusterSpec {
    ClusterSpec::parse(UNEQUAL, "u.toml").unwrap()
}

fn node(number: u8) -> NodeId {
    NodeId::new(number).unwrap()
}

fn topology() -> Topology {
    Placement::plan(&spec()).topology()
}

#[test]
fn nodes_without_memory_or_vcpus_are_domains_without_them() {
    let placement = Placement::plan(&spec());
    let runs: Vec<_> = placement
        .page_runs()
        .map(|(run, home)| (run.len(), home))
        .collect();
    assert_eq!(runs, [(3, node(1)), (1, node(2))]);
    let owners = VcpuId::first(4).map(|vcpu| placement.node_of_vcpu(vcpu));
    let owners: Vec<_> = owners.collect();
    assert_eq!(owners, [Some(node(0)), Some(node(0)), Some(node(2)), None]);
    let topology = placement.topology();
    let shapes = topology.nodes().iter().map(|domain| {
        let memory: Vec<_> = domain
            .memory
            .iter()
            .map(|&(start, bytes)| (start.0 >> 20, bytes >> 20))
            .collect();
        (domain.id.get(), domain.vcpus.len(), memory)
    });
    let expected = [(0, 2, vec![]), (1, 0, vec![(0, 6)]), (2, 1, vec![(6, 2)])];
    assert_eq!(shapes.collect::<Vec<_>>(), expected);
}

#[test]
fn a_difference_between_two_files_shows_in_the_key_it_is_in() {
    let differing = |find: &str, replace: &str| {
        let other = ClusterSpec::parse(&UNEQUAL.replacen(find, replace, 1), "u.toml").unwrap();
        let (ours, theirs) = (spec().settings(), other.settings());
        let keys = ours
            .iter()
            .filter(|(key, value)| theirs.get(*key) != Some(value));
        keys.map(|(key, _)| key.clone()).collect::<Vec<_>>()
    };
    assert_eq!(differing("h:2", "h:9"), ["node.store.address"]);
    assert_eq!(differing("\"u\"", "\"v\""), ["cluster.name"]);
    assert_eq!(
        differing("vcpus = 3", "vcpus = 4"),
        ["cluster.vcpus", "node.rest.vcpus"]
    );
    assert_eq!(
        differing("vcpus = 3", "vcpus = 3, deadline-seconds = 9"),
        Vec::<String>::new()
    );
    let moved = spec().with_device(DeviceKind::Clock, node(2)).settings();
    assert_eq!(
        (
            moved["device.clock.node"].as_str(),
            moved["device.power.node"].as_str()
        ),
        ("rest", "diskless")
    );
}

#[test]
fn distances_stay_what_acpi_can_say() {
    let mut topology = topology();
    assert_eq!(topology.set_distance(node(0), node(2), 254), Ok(()));
    assert_eq!(
        topology.distances(),
        [[10, 20, 254], [20, 10, 20], [20, 20, 10]]
    );
    for (from, to, distance, error) in [
        (0, 0, 20, DistanceError::Own),
        (0, 1, 10, DistanceError::Range(10)),
        (0, 1, 255, DistanceError::Range(255)),
        (0, 3, 20, DistanceError::Node(node(3))),
        (3, 0, 20, DistanceError::Node(node(3))),
    ] {
        assert_eq!(
            topology.set_distance(node(from), node(to), distance),
            Err(error)
        );
    }
}

#[test]
fn a_local_cluster_takes_the_addresses_it_is_given() {
    let spec = ClusterSpec::local(2, 2, 4096).unwrap();
    let spec = spec.with_addresses([7001, 7002, 7003].map(NodeAddress::loopback));
    let settings = spec.settings();
    assert_eq!(settings["node.n1.address"], "127.0.0.1:7002");
    assert_eq!(settings["node.n1.memory"], "0");
}
