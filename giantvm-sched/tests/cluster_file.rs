//! What a cluster file may say, and what is said of one that is wrong.

use std::fmt::Write as _;

use giantvm_core::{MAX_NODES, MAX_VCPUS, NodeId};
use giantvm_sched::{ClusterSpec, ConsoleSpec, DeviceKind, MAX_FILE, Placement};
use proptest::prelude::*;

const SAMPLE: &str = include_str!("../../examples/cluster.toml");

/// A cluster of two nodes, `vcpus = 4` and 1 MiB, with changes.
fn error_of(find: &str, replace: &str) -> String {
    const GOOD: &str = r#"[cluster]
name = "lab"
memory = "1M"
vcpus = 4
deadline-seconds = 5

[[node]]
name = "a"
address = "192.0.2.1:7000"
vcpus = 1

[[node]]
name = "b"
address = "[fd00::1]:7000"
memory = "256K"

[[device]]
kind = "serial"
node = "b"
"#;
    ClusterSpec::parse(GOOD, "c.toml").expect("the file without the change is right");
    assert!(GOOD.contains(find), "{find}");
    let text = GOOD.replacen(find, replace, 1);
    ClusterSpec::parse(&text, "c.toml").unwrap_err().to_string()
}

#[test]
fn the_sample_describes_three_unequal_nodes() {
    let spec = ClusterSpec::parse(SAMPLE, "cluster.toml").unwrap();
    let shares: Vec<_> = spec
        .nodes()
        .iter()
        .map(|node| (node.name.as_str(), node.vcpus, node.memory >> 20))
        .collect();
    assert_eq!(
        shares,
        [("big", 5, 1024), ("small", 3, 512), ("attic", 0, 512)]
    );
    assert_eq!(spec.device_node(DeviceKind::Serial).get(), 2);
    assert_eq!(spec.device_node(DeviceKind::Clock), NodeId::ZERO);
    let disks: Vec<_> = spec.disks().iter().map(|disk| disk.node.get()).collect();
    assert_eq!(disks, [0, 2]);
    assert_eq!(spec.nets()[0].mac.to_string(), "52:54:00:12:34:56");
    assert_eq!(spec.consoles()[0].link, "/run/guest-hvc0");
}

#[test]
fn the_file_of_the_page_about_two_hosts_is_a_cluster() {
    let page = include_str!("../../examples/docs/linux-on-two-hosts.md");
    let start = page.find("```toml\n").unwrap() + "```toml\n".len();
    let text = &page[start..start + page[start..].find("```").unwrap()];
    let spec = ClusterSpec::parse(text, "page").unwrap();
    assert_eq!((spec.nodes().len(), spec.vcpus()), (2, 4));
    assert_eq!((spec.disks().len(), spec.nets().len()), (1, 1));
    assert_eq!(spec.consoles()[0].node.get(), 1);
}

#[test]
fn randomness_is_on_the_first_node_unless_a_section_says_otherwise() {
    let spec = ClusterSpec::parse(SAMPLE, "c").unwrap();
    assert_eq!(spec.device_node(DeviceKind::Rng), NodeId::ZERO);
    let moved = format!("{SAMPLE}\n[[device]]\nkind = \"rng\"\nnode = \"attic\"");
    let spec = ClusterSpec::parse(&moved, "c").unwrap();
    assert_eq!(spec.device_node(DeviceKind::Rng).get(), 2);
    assert_eq!(spec.settings()["device.rng.node"], "attic");
}

#[test]
fn what_is_attached_is_in_the_order_of_the_file_and_all_nodes_agree_on_it() {
    let spec = ClusterSpec::parse(SAMPLE, "cluster.toml").unwrap();
    let settings = spec.settings();
    let of = |key: &str| settings[key].as_str();
    assert_eq!(
        (of("disk.0.node"), of("disk.0.read-only")),
        ("big", "false")
    );
    assert_eq!(
        (of("disk.1.node"), of("disk.1.read-only")),
        ("attic", "true")
    );
    assert_eq!((of("net.0.node"), of("net.0.tap")), ("big", "tap0"));
    assert_eq!(
        (of("console.0.node"), of("console.0.link")),
        ("big", "/run/guest-hvc0")
    );
    for (one, other) in [("tap0", "tap1"), ("guest-hvc0", "guest-hvc1")] {
        let changed = ClusterSpec::parse(&SAMPLE.replace(one, other), "c").unwrap();
        assert_ne!(changed.settings(), settings);
    }
    let (disks, nets) = (spec.disks().to_vec(), spec.nets().to_vec());
    let mut consoles = spec.consoles().to_vec();
    consoles.push(ConsoleSpec {
        node: NodeId::new(2).unwrap(),
        link: "far".to_owned(),
    });
    let local = ClusterSpec::local(2, 2, 64 << 20).unwrap();
    let local = local.with_attached(disks, nets, consoles);
    assert_eq!(
        (
            local.disks().len(),
            local.nets().len(),
            local.consoles().len()
        ),
        (1, 1, 1),
        "no node 2"
    );
}

#[test]
fn mistakes_in_what_is_attached_are_named() {
    for (section, said) in [
        ("[[disk]]", "disk 1.file: missing: add a file"),
        ("[[disk]]\nfile = \"\"", "disk 1.file: \"\" is no file"),
        (
            "[[disk]]\nfile = \"a\\nb\"",
            "disk 1.file: \"a\\nb\" is no file",
        ),
        (
            "[[disk]]\nfile = \"a\"\nread-only = 1",
            "disk 1.read-only: is a TOML integer: write true or false",
        ),
        (
            "[[disk]]\nfile = \"a\"\nnode = \"z\"",
            "disk 1.node: no node is named \"z\"",
        ),
        (
            "[[disk]]\nfile = \"a\"\n[[disk]]\nfile = \"a\"\nread-only = true",
            "disk 2.file: \"a\" is in use",
        ),
        (
            "[[disk]]\nfile = \"a\"\nsize = 1",
            "disk 1.size: unknown key",
        ),
        ("[[console]]", "console 1.link: missing: add a name"),
        (
            "[[console]]\nlink = \"a\\u0007\"",
            "console 1.link: \"a\\u{7}\" is no file",
        ),
        (
            "[[console]]\nlink = \"a\"\n[[console]]\nlink = \"a\"",
            "console 2.link: \"a\" is in use",
        ),
        (
            "[[console]]\nlink = \"a\"\nnode = \"z\"",
            "console 1.node: no node is named \"z\"",
        ),
        ("[[console]]\nfile = \"a\"", "console 1.file: unknown key"),
        ("[[net]]", "net 1.tap: missing: add an interface"),
        (
            "[[net]]\ntap = \"tap%d\"",
            "net 1.tap: \"tap%d\" is no interface",
        ),
        (
            "[[net]]\ntap = \"sixteen-letters.\"",
            "net 1.tap: \"sixteen-letters.\" is no interface",
        ),
        (
            "[[net]]\ntap = \"t\"",
            "net 1.mac: missing: add the card's address",
        ),
        (
            "[[net]]\ntap = \"t\"\nmac = \"01:00:00:00:00:00\"",
            "net 1.mac: \"01:00:00:00:00:00\" is no network card",
        ),
        (
            "[[net]]\ntap = \"t\"\nmac = \"02:00:00:00:00:00\"\n[[net]]\ntap = \"t\"\nmac = \"02:00:00:00:00:01\"",
            "net 2.tap: \"t\" is in use",
        ),
        (
            "[[net]]\ntap = \"t\"\nmac = \"02:00:00:00:00:00\"\n[[net]]\nnode = \"b\"\ntap = \"t\"\nmac = \"02:00:00:00:00:00\"",
            "net 2.mac: \"02:00:00:00:00:00\" is in use",
        ),
    ] {
        let error = error_of("[[device]]", &format!("{section}\n[[device]]"));
        assert!(error.contains(said), "{section}\n {error}");
    }
    let many: String = (0..17)
        .map(|at| format!("[[disk]]\nfile = \"{at}\"\n"))
        .collect();
    let error = error_of("[[device]]", &format!("{many}[[device]]"));
    assert!(
        error.contains("disk 17.file: there are 16 of them already"),
        "{error}"
    );
    let apart = "[[console]]\nlink = \"a\"\n[[console]]\nlink = \"a\"\nnode = \"attic\"";
    let text = format!("{SAMPLE}\n{apart}");
    assert_eq!(ClusterSpec::parse(&text, "c").unwrap().consoles().len(), 3);
    let shared = "[[disk]]\nfile = \"a\"\nread-only = true\n".repeat(2);
    let text = format!("{SAMPLE}\n{shared}");
    assert_eq!(ClusterSpec::parse(&text, "c").unwrap().disks().len(), 4);
}

#[test]
fn every_mistake_is_named_with_line_column_key_and_mend() {
    for (find, replace, said) in [
        ("[cluster]", "[cluster", "c.toml:1:9: not valid TOML: "),
        (
            "[cluster]",
            "[clutser]",
            "c.toml:1:2: clutser: unknown key: remove it, or write one of cluster, node, device, disk, net, console, link",
        ),
        (
            "name = \"lab\"",
            "",
            "c.toml:1:1: cluster.name: missing: add a name",
        ),
        (
            "\"lab\"",
            "\"Lab\"",
            "c.toml:2:8: cluster.name: \"Lab\" is no name: use 1 to 32 of a-z",
        ),
        (
            "\"lab\"",
            "7",
            "c.toml:2:8: cluster.name: is a TOML integer: write text in quotes",
        ),
        (
            "\"1M\"",
            "\"1MB\"",
            "c.toml:3:10: cluster.memory: \"1MB\" is not a size: write digits",
        ),
        (
            "\"1M\"",
            "1048576",
            "c.toml:3:10: cluster.memory: is a TOML integer: write a size in quotes",
        ),
        (
            "\"1M\"",
            "\"0\"",
            "c.toml:3:10: cluster.memory: 0 of memory cannot be",
        ),
        (
            "\"1M\"",
            "\"65T\"",
            "c.toml:3:10: cluster.memory: 65T of memory cannot be",
        ),
        (
            "\"1M\"",
            "\"1025\"",
            "c.toml:3:10: cluster.memory: 1025 is not a multiple of the page size: make it a multiple of 4K",
        ),
        (
            "\"1M\"",
            "\"16K\"",
            "c.toml:3:10: cluster.memory: the nodes home 256K of 16K",
        ),
        (
            "memory = \"1M\"\n",
            "",
            "c.toml:1:1: cluster.memory: missing: add guest memory",
        ),
        (
            "vcpus = 4",
            "page-size = \"5K\"",
            "c.toml:4:13: cluster.page-size: page size 5120 is not a power",
        ),
        (
            "vcpus = 4",
            "vcpus = 255",
            "c.toml:4:9: cluster.vcpus: 255 vCPUs cannot be",
        ),
        (
            "vcpus = 4",
            "vcpus = -1",
            "c.toml:4:9: cluster.vcpus: is a TOML integer: write a whole number that is not",
        ),
        (
            "vcpus = 4",
            "",
            "c.toml:1:1: cluster.vcpus: missing: add it, as node `b` does not say",
        ),
        (
            "vcpus = 4",
            "vcpu = 4",
            "c.toml:4:1: cluster.vcpu: unknown key",
        ),
        (
            "= 5",
            "= 0",
            "c.toml:5:20: cluster.deadline-seconds: 0 seconds cannot be waited for: write 1 to 86400",
        ),
        (
            "vcpus = 1",
            "vcpus = 9",
            "c.toml:4:9: cluster.vcpus: the nodes have 9 of 4 vCPUs: change",
        ),
        (
            "vcpus = 1",
            "memory = \"1K\"",
            "c.toml:10:10: node `a`.memory: 1K is not a multiple",
        ),
        ("name = \"a\"\n", "", "c.toml:7:1: node 1.name: missing"),
        (
            "\"a\"",
            "\"b\"",
            "c.toml:13:8: node 2.name: \"b\" is taken by node `b`: give each node its own",
        ),
        (
            "192.0.2.1",
            "[FD00::1]",
            "c.toml:14:11: node `b`.address: \"[fd00::1]:7000\" is taken by node `a`",
        ),
        (
            "192.0.2.1:7000",
            "192.0.2.1",
            "c.toml:9:11: node `a`.address: \"192.0.2.1\" has no port: write",
        ),
        (
            "\"serial\"",
            "\"disk\"",
            "c.toml:18:8: device 1.kind: \"disk\" is no device: write serial",
        ),
        (
            "node = \"b\"",
            "node = \"z\"",
            "c.toml:19:8: device `serial`.node: no node is named \"z\": write one of a, b",
        ),
        (
            "node = \"b\"",
            "[[device]]\nkind = \"serial\"",
            "c.toml:20:8: device 2.kind: device \"serial\" is placed already",
        ),
        (
            "node = \"b\"",
            "nodes = \"b\"",
            "c.toml:19:1: device 1.nodes: unknown key",
        ),
        (
            "[[device]]",
            "[device]",
            "c.toml:17:1: device: is a TOML table: write sections in double brackets",
        ),
    ] {
        let error = error_of(find, replace);
        assert!(
            error.starts_with(said),
            "{find} -> {replace}\n {error}\n {said}"
        );
        assert!(!error.contains('\n') && error.len() < 250, "{error}");
    }
}

#[test]
fn columns_count_characters_not_bytes() {
    let error = ClusterSpec::parse("# é\n[cluster]\n\"é\" = 1", "é.toml").unwrap_err();
    let position = error.position.unwrap();
    assert_eq!((position.line, position.column), (3, 1));
    let error = ClusterSpec::parse("cluster = { \"é\" = 1, memory = 2 }", "c").unwrap_err();
    assert_eq!(error.key, "cluster.é");
    let error = ClusterSpec::parse("cluster = { name = \"é\" }", "c").unwrap_err();
    assert_eq!(error.position.unwrap().column, 20);
}

#[test]
fn a_file_of_no_or_too_many_nodes_or_bytes_is_refused() {
    let cluster = "[cluster]\nname = \"lab\"\nmemory = \"1M\"\nvcpus = 1\n";
    let error = ClusterSpec::parse(cluster, "c").unwrap_err().to_string();
    assert_eq!(
        error,
        "c:1:1: node: a cluster of 0 nodes cannot be: give it 1 to 64"
    );

    let mut text = cluster.to_owned();
    for node in 0..=MAX_NODES {
        let port = 7000 + node;
        write!(
            text,
            "[[node]]\nname = \"n{node}\"\naddress = \"localhost:{port}\"\n"
        )
        .unwrap();
    }
    let error = ClusterSpec::parse(&text, "c").unwrap_err().to_string();
    assert!(
        error.starts_with("c:197:1: node: a cluster of 65 nodes cannot be"),
        "{error}"
    );

    let long = "#".repeat(MAX_FILE + 1);
    let error = ClusterSpec::parse(&long, "c").unwrap_err().to_string();
    assert!(error.contains("65537 bytes"), "{error}");
    let deep = "a = ".to_owned() + &"[".repeat(MAX_FILE - 10);
    ClusterSpec::parse(&deep, "c").unwrap_err();
}

/// All that a [`ClusterSpec`] and its [`Placement`] promise.
fn check_invariants(spec: &ClusterSpec) {
    assert!((1..=MAX_NODES).contains(&spec.nodes().len()));
    assert!((1..=MAX_VCPUS).contains(&spec.vcpus().into()));
    let page = spec.page_size().bytes() as u64;
    assert!(spec.memory() > 0 && spec.memory().is_multiple_of(page));
    let placement = Placement::plan(spec);
    let mut covered = 0;
    for (run, home) in placement.page_runs() {
        assert!(run.start.0 == covered && !run.is_empty() && spec.node(home).is_some());
        covered = run.end.0;
    }
    assert_eq!(
        (covered, covered),
        (placement.page_count(), spec.memory() / page)
    );
    let per_node = spec.ids().map(|node| placement.vcpus_of(node).count());
    assert_eq!(per_node.sum::<usize>(), usize::from(spec.vcpus()));
    for node in spec.ids() {
        assert!(
            placement
                .vcpus_of(node)
                .all(|vcpu| placement.node_of_vcpu(vcpu) == Some(node))
        );
    }
    let topology = placement.topology();
    let memory = topology.nodes().iter().flat_map(|node| &node.memory);
    assert_eq!(memory.map(|(_, bytes)| bytes).sum::<u64>(), spec.memory());
    assert_eq!(topology.distances().len(), spec.nodes().len());
    let all_known = DeviceKind::ALL.map(|kind| spec.node(placement.device_node(kind)).is_some());
    assert_eq!(all_known, [true; DeviceKind::ALL.len()]);
    assert_eq!(spec.settings()["cluster.memory"], spec.memory().to_string());
}

prop_compose! {
    /// Files of the right form with numbers that may or may not fit.
    fn files()(
        memory in prop::option::of(0..40_u64),
        page in prop::sample::select(vec!["4K", "8K", "2M", "3K"]),
        vcpus in prop::option::of(0..300_u64),
        nodes in prop::collection::vec((prop::option::of(0..5_u64), prop::option::of(0..5_u64)), 0..6),
        device in prop::option::of(0..7_usize),
    ) -> String {
        let mut text = format!("[cluster]\nname = \"x\"\npage-size = \"{page}\"\n");
        let pages = memory.map_or(64, |pages| pages) * 8;
        writeln!(text, "memory = \"{pages}K\"").unwrap();
        if let Some(vcpus) = vcpus {
            writeln!(text, "vcpus = {vcpus}").unwrap();
        }
        for (position, (vcpus, pages)) in nodes.iter().enumerate() {
            writeln!(text, "[[node]]\nname = \"n{position}\"\naddress = \"h:{}\"", position + 1).unwrap();
            vcpus.map(|vcpus| writeln!(text, "vcpus = {vcpus}"));
            pages.map(|pages| writeln!(text, "memory = \"{}K\"", pages * 8));
        }
        if let Some(device) = device {
            writeln!(text, "[[device]]\nkind = \"power\"\nnode = \"n{device}\"").unwrap();
        }
        text
    }
}

proptest! {
    #[test]
    fn a_file_of_the_right_form_is_a_sound_cluster_or_an_error_with_a_place(text in files()) {
        match ClusterSpec::parse(&text, "c") {
            Ok(spec) => check_invariants(&spec),
            Err(error) => prop_assert!(error.position.is_some()),
        }
    }

    #[test]
    fn any_text_is_a_cluster_or_an_error(text in "\\PC{0,200}|[\\[\\]a-z\"=.\\n 0-9{},#]{0,200}") {
        prop_assert!(ClusterSpec::parse(&text, "c").is_err_and(|error| error.position.is_some()));
    }

    #[test]
    fn a_damaged_sample_is_a_cluster_or_an_error(
        at in 0..SAMPLE.len(),
        cut in 0..40_usize,
        insert in "[\\PC\\n\"=\\[\\]]{0,6}",
    ) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, insert.bytes());
        if let Ok(text) = String::from_utf8(bytes)
            && let Ok(spec) = ClusterSpec::parse(&text, "c")
        {
            check_invariants(&spec);
        }
    }

    #[test]
    fn every_local_cluster_is_sound(nodes in 1..=MAX_NODES, vcpus in 1..=MAX_VCPUS, pages in 1..10_000_u64) {
        check_invariants(&ClusterSpec::local(nodes, vcpus, pages * 4096).unwrap());
    }
}
