//! From the cluster file's text to a spec.

use std::collections::BTreeMap;
use std::time::Duration;

use giantvm_core::{MAX_NODES, MAX_VCPUS, NodeId, PageSize};
use toml::de::DeTable;

use crate::attached::Attached;
use crate::document::{Section, Source, excerpt};
use crate::nodes::Nodes;
use crate::spec::{DEFAULT_DEADLINE, MAX_FILE, MAX_MEMORY, MAX_NAME};
use crate::{ClusterError, ClusterSpec, DeviceKind, Links, NodeSpec, Problem};

const ROOT_KEYS: &[&str] = &[
    "cluster", "node", "device", "disk", "net", "console", "link",
];
const CLUSTER_KEYS: &[&str] = &["name", "memory", "page-size", "vcpus", "deadline-seconds"];
const DEVICE_KEYS: &[&str] = &["kind", "node"];

impl ClusterSpec {
    /// Reads a cluster file's text; `file_name` is what errors call it.
    ///
    /// # Errors
    /// [`ClusterError`] for the first mistake, with its line and column.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, ClusterError> {
        let source = Source {
            file: file_name,
            text,
        };
        if text.len() > MAX_FILE {
            return Err(source.error(0, String::new(), Problem::FileTooLong(text.len())));
        }
        let document = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(text.len(), |span| span.start);
            source.error(at, String::new(), Problem::Syntax(excerpt(error.message())))
        })?;
        let root = Section::root(source, &document);
        root.only(ROOT_KEYS)?;
        let cluster = root
            .section("cluster")?
            .ok_or_else(|| root.fail("cluster", Problem::Missing("a section [cluster]")))?;
        cluster.only(CLUSTER_KEYS)?;
        let name = cluster.required_text("name", "a name, as in name = \"lab\"")?;
        let name = name.check(|name| checked_name(name))?.value;
        let page_size = match cluster.size("page-size")? {
            Some(size) => size.check(|&bytes| Ok(PageSize::new(bytes)?))?.value,
            None => PageSize::K4,
        };
        let memory = cluster.size("memory")?.ok_or_else(|| {
            cluster.fail(
                "memory",
                Problem::Missing("guest memory, as in memory = \"1G\""),
            )
        })?;
        let memory = memory.check(|&bytes| checked_memory(bytes, page_size))?;
        let vcpus = cluster.count("vcpus")?;
        let vcpus = vcpus
            .map(|field| field.check(|&n| checked_vcpus(n)))
            .transpose()?;
        let deadline = match cluster.count("deadline-seconds")? {
            Some(seconds) => seconds.check(|&n| checked_deadline(n))?.value,
            None => DEFAULT_DEADLINE,
        };
        let sections = root.sections("node")?;
        if !(1..=MAX_NODES).contains(&sections.len()) {
            // Where there are too many, the first that is too many is the place to look at.
            let place = sections.get(MAX_NODES).unwrap_or(&root).clone();
            let place = place.renamed(String::new());
            return Err(place.fail("node", Problem::NodeCount(sections.len())));
        }
        let nodes = Nodes::read(sections, page_size)?;
        let vcpus = nodes.vcpus(&cluster, vcpus)?;
        let pages = nodes.pages(&memory)?;
        let nodes = nodes.finish(&vcpus, &pages);
        let devices = devices(root.sections("device")?, &nodes)?;
        let [disks, nets, consoles] = ["disk", "net", "console"].map(|name| root.sections(name));
        let attached = Attached::read(disks?, nets?, consoles?, &nodes)?;
        let links = Links::read(root.sections("link")?, &nodes)?;
        Ok(Self {
            name,
            page_size,
            deadline,
            nodes,
            devices,
            attached,
            links,
        })
    }
}

fn devices(
    sections: Vec<Section<'_>>,
    nodes: &[NodeSpec],
) -> Result<BTreeMap<DeviceKind, NodeId>, ClusterError> {
    let mut devices = BTreeMap::new();
    for section in sections {
        section.only(DEVICE_KEYS)?;
        let kind = section.required_text("kind", "what it is, as in kind = \"serial\"")?;
        let kind = kind.check(|name| match DeviceKind::named(name) {
            Some(kind) if devices.contains_key(&kind) => Err(Problem::DuplicateDevice(kind.name())),
            Some(kind) => Ok(kind),
            None => Err(Problem::UnknownDevice(excerpt(name))),
        })?;
        let section = section.renamed(format!("device `{}`", kind.value));
        devices.insert(kind.value, node_of(&section, nodes)?);
    }
    Ok(devices)
}

/// The node that a section names, the first one if it names none.
pub(crate) fn node_of(section: &Section<'_>, nodes: &[NodeSpec]) -> Result<NodeId, ClusterError> {
    match section.text("node")? {
        Some(name) => Ok(name.check(|name| node_named(name, nodes))?.value),
        None => Ok(NodeId::ZERO),
    }
}

/// The node that a section has to name by this key.
pub(crate) fn required_node(
    section: &Section<'_>,
    key: &str,
    nodes: &[NodeSpec],
) -> Result<NodeId, ClusterError> {
    let name = section.required_text(key, "the name of a node")?;
    Ok(name.check(|name| node_named(name, nodes))?.value)
}

fn node_named(name: &str, nodes: &[NodeSpec]) -> Result<NodeId, Problem> {
    let position = nodes.iter().position(|node| node.name == name);
    let node = position.and_then(|position| NodeId::try_from(position).ok());
    node.ok_or_else(|| {
        let known: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
        Problem::UnknownNode {
            name: excerpt(name),
            known: known.join(", "),
        }
    })
}

/// A name that needs no quoting anywhere: in files, on command lines, in host names.
pub(crate) fn checked_name(name: &str) -> Result<String, Problem> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let length = (1..=MAX_NAME).contains(&name.len());
    if length && name.bytes().all(legal) && !name.starts_with('-') && !name.ends_with('-') {
        Ok(name.to_owned())
    } else {
        Err(Problem::Name(excerpt(name)))
    }
}

pub(crate) fn checked_vcpus(count: u64) -> Result<u64, Problem> {
    if (1..=MAX_VCPUS as u64).contains(&count) {
        Ok(count)
    } else {
        Err(Problem::VcpuCount(count))
    }
}

/// The number of pages that `bytes` are.
pub(crate) fn whole_pages(bytes: u64, page_size: PageSize) -> Result<u64, Problem> {
    let page = page_size.bytes() as u64;
    if bytes.is_multiple_of(page) {
        Ok(bytes / page)
    } else {
        Err(Problem::PartialPage { bytes, page })
    }
}

fn checked_memory(bytes: u64, page_size: PageSize) -> Result<u64, Problem> {
    if (1..=MAX_MEMORY).contains(&bytes) {
        whole_pages(bytes, page_size)
    } else {
        Err(Problem::MemorySize(bytes))
    }
}

fn checked_deadline(seconds: u64) -> Result<Duration, Problem> {
    if (1..=86_400).contains(&seconds) {
        Ok(Duration::from_secs(seconds))
    } else {
        Err(Problem::Deadline(seconds))
    }
}
