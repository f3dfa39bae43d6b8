//! The serial console: every line with the node and the vCPU it comes from.

use std::io::Write;

use giantvm_io::Origin;
use giantvm_sched::ClusterSpec;

/// Prints the guest's lines.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    names: Vec<String>,
}

impl Console {
    pub(crate) fn new(spec: &ClusterSpec) -> Self {
        Self {
            names: spec.nodes().iter().map(|node| node.name.clone()).collect(),
        }
    }

    /// Prints one line; unprintable bytes come out escaped, so that a guest cannot command the
    /// terminal.
    pub(crate) fn line(&self, origin: Origin, line: &[u8]) {
        let name = self
            .names
            .get(origin.node.index())
            .map_or("?", String::as_str);
        let text = line.escape_ascii();
        // A closed standard output ends the showing, not the machine.
        writeln!(std::io::stdout(), "[{name} vcpu{}] {text}", origin.vcpu).ok();
    }
}
