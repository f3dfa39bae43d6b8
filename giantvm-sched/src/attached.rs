//! The disks, network cards and consoles of a machine, of which there can be several.

use giantvm_core::{Mac, NodeId};

use crate::document::{Section, excerpt};
use crate::parse::node_of;
use crate::{ClusterError, ClusterSpec, NodeSpec, Problem};

/// Most disks of a machine, most network cards, and most consoles beside the serial one.
pub const MAX_ATTACHED: usize = 16;
/// Most bytes of a file name. All nodes compare them when they meet, and sixteen are to be short.
pub(crate) const MAX_PATH: usize = 1023;
/// Most characters of a network interface's name, on Linux.
pub(crate) const MAX_TAP: usize = 15;

const DISK_KEYS: &[&str] = &["node", "file", "read-only"];
const NET_KEYS: &[&str] = &["node", "tap", "mac"];
const CONSOLE_KEYS: &[&str] = &["node", "link"];

/// A disk of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSpec {
    /// The node that has it.
    pub node: NodeId,
    /// The file on that node whose bytes are the disk's.
    pub file: String,
    /// Whether the guest may only read it.
    pub read_only: bool,
}

/// A network card of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetSpec {
    /// The node that has it.
    pub node: NodeId,
    /// The tap interface of that node that the card is at.
    pub tap: String,
    /// The card's address.
    pub mac: Mac,
}

/// A console of the machine, beside the serial one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleSpec {
    /// The node that has it.
    pub node: NodeId,
    /// The link on that node that leads to the console's terminal while the machine runs.
    pub link: String,
}

/// What is attached to a machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Attached {
    disks: Vec<DiskSpec>,
    nets: Vec<NetSpec>,
    consoles: Vec<ConsoleSpec>,
}

impl Attached {
    pub(crate) fn read(
        disks: Vec<Section<'_>>,
        nets: Vec<Section<'_>>,
        consoles: Vec<Section<'_>>,
        nodes: &[NodeSpec],
    ) -> Result<Self, ClusterError> {
        let mut attached = Self::default();
        for section in disks {
            attached.disk(&section, nodes)?;
        }
        for section in nets {
            attached.net(&section, nodes)?;
        }
        for section in consoles {
            attached.console(&section, nodes)?;
        }
        Ok(attached)
    }

    fn disk(&mut self, section: &Section<'_>, nodes: &[NodeSpec]) -> Result<(), ClusterError> {
        section.only(DISK_KEYS)?;
        let node = node_of(section, nodes)?;
        let read_only = section.flag("read-only")?.is_some_and(|flag| flag.value);
        let file = section.required_text("file", "a file, as in file = \"/srv/guest.img\"")?;
        let taken = |file: &str| {
            self.disks.iter().any(|disk| {
                // Any number of disks may show what none of them writes.
                (disk.node, disk.file.as_str()) == (node, file) && !(disk.read_only && read_only)
            })
        };
        let file = file.check(|file| match checked_path(file)? {
            file if taken(&file) => Err(Problem::InUse(excerpt(&file))),
            file => Ok(file),
        })?;
        room(self.disks.len()).map_err(|problem| section.fail("file", problem))?;
        self.disks.push(DiskSpec {
            node,
            file: file.value,
            read_only,
        });
        Ok(())
    }

    fn net(&mut self, section: &Section<'_>, nodes: &[NodeSpec]) -> Result<(), ClusterError> {
        section.only(NET_KEYS)?;
        let node = node_of(section, nodes)?;
        let tap = section.required_text("tap", "an interface, as in tap = \"tap0\"")?;
        let tap = tap.check(|tap| {
            let tap = checked_tap(tap)?;
            let taken = |net: &NetSpec| (net.node, &net.tap) == (node, &tap);
            match self.nets.iter().any(taken) {
                true => Err(Problem::InUse(tap)),
                false => Ok(tap),
            }
        })?;
        let example = "the card's address, as in mac = \"52:54:00:12:34:56\"";
        let mac = section.required_text("mac", example)?.check(|text| {
            let mac: Mac = text.parse().map_err(|error| Problem::Mac {
                text: excerpt(text),
                error,
            })?;
            match self.nets.iter().any(|net| net.mac == mac) {
                true => Err(Problem::InUse(mac.to_string())),
                false => Ok(mac),
            }
        })?;
        room(self.nets.len()).map_err(|problem| section.fail("tap", problem))?;
        self.nets.push(NetSpec {
            node,
            tap: tap.value,
            mac: mac.value,
        });
        Ok(())
    }

    fn console(&mut self, section: &Section<'_>, nodes: &[NodeSpec]) -> Result<(), ClusterError> {
        section.only(CONSOLE_KEYS)?;
        let node = node_of(section, nodes)?;
        let link = section.required_text("link", "a name, as in link = \"/run/guest-hvc0\"")?;
        let taken = |link: &str| {
            let same = |one: &ConsoleSpec| (one.node, one.link.as_str()) == (node, link);
            self.consoles.iter().any(same)
        };
        let link = link.check(|link| match checked_path(link)? {
            link if taken(&link) => Err(Problem::InUse(excerpt(&link))),
            link => Ok(link),
        })?;
        room(self.consoles.len()).map_err(|problem| section.fail("link", problem))?;
        self.consoles.push(ConsoleSpec {
            node,
            link: link.value,
        });
        Ok(())
    }
}

impl ClusterSpec {
    /// The disks, in the order of the file, in which the guest sees them.
    #[must_use]
    pub fn disks(&self) -> &[DiskSpec] {
        &self.attached.disks
    }

    /// The network cards, in the order of the file, in which the guest sees them.
    #[must_use]
    pub fn nets(&self) -> &[NetSpec] {
        &self.attached.nets
    }

    /// The consoles beside the serial one, in the order of the file, in which the guest sees them.
    #[must_use]
    pub fn consoles(&self) -> &[ConsoleSpec] {
        &self.attached.consoles
    }

    /// The same cluster with these disks, cards and consoles instead of its own: for whoever is told
    /// of them otherwise than by a file. Those of nodes that there are not are left out.
    #[must_use]
    pub fn with_attached(
        mut self,
        disks: Vec<DiskSpec>,
        nets: Vec<NetSpec>,
        consoles: Vec<ConsoleSpec>,
    ) -> Self {
        let count = self.nodes.len();
        self.attached = Attached {
            disks,
            nets,
            consoles,
        };
        let attached = &mut self.attached;
        attached.disks.retain(|disk| disk.node.index() < count);
        attached.nets.retain(|net| net.node.index() < count);
        attached.consoles.retain(|one| one.node.index() < count);
        self
    }
}

fn room(have: usize) -> Result<(), Problem> {
    match have {
        0..MAX_ATTACHED => Ok(()),
        _ => Err(Problem::TooMany(have)),
    }
}

fn checked_path(path: &str) -> Result<String, Problem> {
    let legal = (1..=MAX_PATH).contains(&path.len()) && !path.chars().any(char::is_control);
    match legal {
        true => Ok(path.to_owned()),
        false => Err(Problem::Path(excerpt(path))),
    }
}

/// A name that is an interface's, not a pattern that the kernel makes one of.
fn checked_tap(tap: &str) -> Result<String, Problem> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let length = (1..=MAX_TAP).contains(&tap.len());
    match length && tap.bytes().all(legal) && !matches!(tap, "." | "..") {
        true => Ok(tap.to_owned()),
        false => Err(Problem::Tap(excerpt(tap))),
    }
}
