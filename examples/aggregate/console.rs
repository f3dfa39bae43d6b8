//! The serial console: every line with the node and the vCPU it comes from.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use giantvm_io::Origin;
use giantvm_sched::ClusterSpec;

/// Lines that a [`Tail`] keeps: more than fit on a screen beside anything else.
const KEPT: usize = 100;

/// Where the guest's lines go.
#[derive(Debug, Clone)]
pub(crate) enum ConsoleTo {
    Stdout,
    /// As standard output is for something else.
    Stderr,
    /// Whoever draws the screen shows them.
    Tail(Arc<Tail>),
}

/// The last lines of a console.
#[derive(Debug, Default)]
pub(crate) struct Tail(Mutex<VecDeque<String>>);

impl Tail {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// The lines, the oldest first.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }
}

/// Prints the guest's lines.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    names: Vec<String>,
    to: ConsoleTo,
}

impl Console {
    pub(crate) fn new(spec: &ClusterSpec, to: ConsoleTo) -> Self {
        Self {
            names: spec.nodes().iter().map(|node| node.name.clone()).collect(),
            to,
        }
    }

    /// Where the lines go.
    pub(crate) const fn to(&self) -> &ConsoleTo {
        &self.to
    }

    /// Prints one line; unprintable bytes come out escaped, so that a guest cannot command the
    /// terminal.
    pub(crate) fn line(&self, origin: Origin, line: &[u8]) {
        let name = self
            .names
            .get(origin.node.index())
            .map_or("?", String::as_str);
        let text = line.escape_ascii();
        let line = format!("[{name} vcpu{}] {text}", origin.vcpu);
        // A closed standard output ends the showing, not the machine.
        match &self.to {
            ConsoleTo::Stdout => drop(writeln!(std::io::stdout(), "{line}")),
            ConsoleTo::Stderr => drop(writeln!(std::io::stderr(), "{line}")),
            ConsoleTo::Tail(tail) => tail.push(line),
        }
    }
}
