//! What all nodes must agree on, key by key.

use std::collections::BTreeMap;

use giantvm_core::NodeId;

use crate::{ClusterSpec, DeviceKind};

impl ClusterSpec {
    /// Everything on which all nodes must agree, as flat keys and canonical values.
    ///
    /// Two nodes whose settings are equal come to the same placement; where they are not, the first
    /// key that differs tells people what to look at. The deadline is each node's own affair and
    /// not among them.
    ///
    /// ```
    /// use giantvm_sched::ClusterSpec;
    ///
    /// let settings = ClusterSpec::local(2, 4, 256 << 20)?.settings();
    /// assert_eq!(settings["cluster.memory"], "268435456");
    /// assert_eq!(settings["node.n1.vcpus"], "2");
    /// # Ok::<(), giantvm_sched::ClusterError>(())
    /// ```
    #[must_use]
    pub fn settings(&self) -> BTreeMap<String, String> {
        let mut settings = BTreeMap::new();
        let mut set = |key: String, value: String| settings.insert(key, value);
        let names: Vec<_> = self.nodes().iter().map(|node| node.name.as_str()).collect();
        set("cluster.name".into(), self.name().into());
        set("cluster.memory".into(), self.memory().to_string());
        set(
            "cluster.page-size".into(),
            self.page_size().bytes().to_string(),
        );
        set("cluster.vcpus".into(), self.vcpus().to_string());
        // The order decides every node's number.
        set("cluster.nodes".into(), names.join(","));
        for node in self.nodes() {
            let name = &node.name;
            set(format!("node.{name}.address"), node.address.to_string());
            set(format!("node.{name}.vcpus"), node.vcpus.to_string());
            set(format!("node.{name}.memory"), node.memory.to_string());
        }
        for kind in DeviceKind::ALL {
            if let Some(node) = self.node(self.device_node(kind)) {
                set(format!("device.{kind}.node"), node.name.clone());
            }
        }
        let name = |node: NodeId| self.node(node).map_or("", |node| &node.name).to_owned();
        for (number, disk) in self.disks().iter().enumerate() {
            set(format!("disk.{number}.node"), name(disk.node));
            set(format!("disk.{number}.file"), disk.file.clone());
            set(
                format!("disk.{number}.read-only"),
                disk.read_only.to_string(),
            );
        }
        for (number, net) in self.nets().iter().enumerate() {
            set(format!("net.{number}.node"), name(net.node));
            set(format!("net.{number}.tap"), net.tap.clone());
            set(format!("net.{number}.mac"), net.mac.to_string());
        }
        for (number, console) in self.consoles().iter().enumerate() {
            set(format!("console.{number}.node"), name(console.node));
            set(format!("console.{number}.link"), console.link.clone());
        }
        for ((one, other), link) in self.links().iter() {
            let key = format!("link.{}.{}", name(one), name(other));
            if let Some(round_trip) = link.round_trip {
                let micros = round_trip.as_micros().to_string();
                set(format!("{key}.round-trip-us"), micros);
            }
            if let Some(bandwidth) = link.bandwidth {
                set(format!("{key}.bandwidth"), bandwidth.to_string());
            }
        }
        settings
    }
}
