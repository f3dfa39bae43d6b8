//! What a guest is told of the links between nodes.

use std::time::Duration;

use giantvm_core::NodeId;
use giantvm_sched::{ClusterSpec, Link, Links, Placement, Topology};
use proptest::prelude::*;

fn node(number: usize) -> NodeId {
    NodeId::try_from(number).unwrap()
}

/// The topology of nodes whose links have these round trips in nanoseconds, row by row of the triangle.
fn topology(nodes: usize, trips: &[Option<u64>]) -> Topology {
    let pairs = (0..nodes).flat_map(|one| (0..one).map(move |other| (one, other)));
    let mut links = Links::default();
    for ((one, other), trip) in pairs.zip(trips) {
        if let Some(trip) = trip {
            links.measured(node(one), node(other), Duration::from_nanos(*trip));
        }
    }
    let spec = ClusterSpec::local(nodes, nodes, 64 << 20).unwrap();
    let mut topology = Placement::plan(&spec).topology();
    topology.set_links(&links);
    topology
}

#[test]
fn doublings_of_the_nearest_round_trip_are_steps() {
    let micros = [40, 80, 130, 400, 41, 4_000_000_000].map(|micros| Some(micros * 1000));
    let topology = topology(4, &micros);
    assert_eq!(
        topology.distances(),
        [
            [10, 20, 30, 50],
            [20, 10, 40, 20],
            [30, 40, 10, 250],
            [50, 20, 250, 10]
        ]
    );
    assert_eq!(topology.latencies()[0], [100, 40_000, 80_000, 400_000]);
    assert_eq!(topology.latencies()[2][3], u32::MAX);
}

#[test]
fn what_is_not_known_is_not_told() {
    let topology = topology(3, &[Some(40), None, Some(90)]);
    assert_eq!(topology.distances()[0], [10, 20, 20]);
    assert!(topology.latencies().is_empty() && topology.bandwidths().is_empty());
    let alone = ClusterSpec::local(1, 1, 4096).unwrap();
    let mut alone = Placement::plan(&alone).topology();
    alone.set_links(&Links::default());
    assert!(alone.latencies().is_empty() && alone.bandwidths().is_empty());
}

#[test]
fn what_the_file_says_counts_before_what_is_measured() {
    let text = r#"
        cluster = { name = "u", memory = "8M", vcpus = 2 }
        node = [{ name = "a", address = "h:1" }, { name = "b", address = "h:2" }]
        [[link]]
        from = "b"
        to = "a"
        bandwidth = "1G"
    "#;
    let (a, b) = (node(0), node(1));
    let mut measured = Links::default();
    measured.measured(a, b, Duration::from_micros(30));
    let spec = ClusterSpec::parse(text, "c").unwrap();
    let links = spec.links().clone().or(&measured);
    let both = Link {
        round_trip: Some(Duration::from_micros(30)),
        bandwidth: Some(1 << 30),
    };
    assert_eq!((links.between(a, b), links.between(b, a)), (both, both));
    let mut topology = Placement::plan(&spec).topology();
    topology.set_links(&links);
    assert_eq!(topology.bandwidths(), [[16384, 1024], [1024, 16384]]);

    let said = text.replace("bandwidth", "round-trip-us = 70\nbandwidth");
    let spec = ClusterSpec::parse(&said, "c").unwrap();
    let links = spec.links().clone().or(&measured);
    let round_trip = links.between(a, b).round_trip;
    assert_eq!(round_trip, Some(Duration::from_micros(70)));
    assert_eq!(spec.settings()["link.a.b.round-trip-us"], "70");
    assert_eq!(spec.settings()["link.a.b.bandwidth"], "1073741824");
}

#[test]
fn mistakes_in_links_are_named() {
    let text = r#"
        cluster = { name = "u", memory = "8M", vcpus = 2 }
        node = [{ name = "a", address = "h:1" }, { name = "b", address = "h:2" }]
    "#;
    let ab = "[[link]]\nfrom = \"a\"\nto = \"b\"\n";
    let twice = format!("{ab}bandwidth = \"1M\"\n{ab}bandwidth = \"1M\"");
    let with = |line: &str| format!("{ab}{line}");
    for (section, said) in [
        (
            "[[link]]".to_owned(),
            "link 1.from: missing: add the name of a node",
        ),
        ("[[link]]\nfrom = \"a\"".to_owned(), "link 1.to: missing"),
        (
            "[[link]]\nfrom = \"a\"\nto = \"c\"".to_owned(),
            "link 1.to: no node is named \"c\"",
        ),
        (
            "[[link]]\nfrom = \"a\"\nto = \"a\"".to_owned(),
            "link 1.to: node \"a\" needs no link",
        ),
        (
            ab.to_owned(),
            "link 1.round-trip-us: missing: add what the link is like",
        ),
        (
            with("round-trip-us = 0"),
            "link 1.round-trip-us: 0 us are no round trip",
        ),
        (
            with("round-trip-us = 10000001"),
            "link 1.round-trip-us: 10000001 us",
        ),
        (
            with("bandwidth = \"0\""),
            "link 1.bandwidth: a link that carries nothing",
        ),
        (with("distance = 30"), "link 1.distance: unknown key"),
        (twice, "link 2.to: \"a - b\" is in use"),
    ] {
        let error = ClusterSpec::parse(&format!("{text}{section}"), "c").unwrap_err();
        assert!(error.to_string().contains(said), "{section}\n {error}");
    }
}

proptest! {
    /// Distances are ACPI's, grow with round trips and do not depend on their unit.
    #[test]
    fn distances_are_bounded_monotone_and_the_same_both_ways(
        trips in prop::collection::vec(prop::option::of(1..u64::MAX >> 16), 15),
        times in 1..1_u64 << 10,
    ) {
        const NODES: usize = 6;
        let told = topology(NODES, &trips);
        let distances = told.distances();
        let pairs = (0..NODES).flat_map(|one| (0..one).map(move |other| (one, other)));
        let mut seen = Vec::new();
        for ((one, other), trip) in pairs.zip(&trips) {
            let distance = distances[one][other];
            prop_assert_eq!(distance, distances[other][one]);
            prop_assert!((20..=250).contains(&distance) && distance.is_multiple_of(10));
            seen.extend(trip.map(|trip| (trip, distance)));
        }
        prop_assert!((0..NODES).all(|own| distances[own][own] == 10));
        seen.sort_unstable();
        prop_assert!(seen.is_sorted_by_key(|&(_, distance)| distance));
        prop_assert!(seen.first().is_none_or(|&(_, distance)| distance == 20));
        // Beyond the longest time that is told apart nothing scales.
        let small: Vec<_> = trips.iter().map(|trip| trip.map(|trip| trip >> 18)).collect();
        let scaled: Vec<_> = small.iter().map(|trip| trip.map(|trip| trip.max(1) * times)).collect();
        let small: Vec<_> = small.iter().map(|trip| trip.map(|trip| trip.max(1))).collect();
        let (one, other) = (topology(NODES, &small), topology(NODES, &scaled));
        prop_assert_eq!(one.distances(), other.distances());
    }

    /// Measurements of like links, within 40 per cent of one another, make no difference.
    #[test]
    fn like_links_are_alike(
        shortest in 100..1_u64 << 40,
        more in prop::collection::vec(0..40_u64, 10),
    ) {
        let trips: Vec<_> = more.iter().map(|more| Some(shortest + shortest / 100 * more)).collect();
        let told = topology(5, &trips);
        let others = told.distances().iter().flatten().filter(|&&distance| distance != 10);
        prop_assert!(others.copied().all(|distance| distance == 20));
        prop_assert_eq!(told.latencies().len(), 5);
        prop_assert!(told.latencies().iter().flatten().all(|&nanos| nanos > 0));
    }
}
