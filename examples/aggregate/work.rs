//! What the machine is for: the guest that ships with the project, or an operating system.

use std::collections::BTreeMap;
use std::num::NonZeroU8;

use giantvm_core::{NodeId, PageSize};
use giantvm_guest::Config;
use giantvm_io::machine::Cause;

use crate::address_map::AddressMap;
use crate::linux;

/// The guest.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// Runs programs, whose results are checked.
    Programs(Config),
    /// Does what its users want until they switch it off.
    Linux(linux::Options),
}

impl Work {
    /// Where its memory is.
    pub(crate) const fn address_map(&self, page_size: PageSize, pages: u64) -> AddressMap {
        match self {
            Self::Programs(_) => AddressMap::flat(page_size, pages),
            Self::Linux(_) => AddressMap::with_hole(page_size, pages),
        }
    }

    /// What all nodes have to agree on. A kernel's files are read by the boot vCPU's node only.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let (guest, programs, channel) = match self {
            Self::Programs(config) => {
                let programs = config.runs.iter().map(|run| run.program.name());
                let programs = programs.collect::<Vec<_>>().join(",");
                let programs = format!("{programs} on {} threads", config.threads);
                ("programs", programs, true)
            }
            Self::Linux(options) => ("linux", String::new(), options.channel().is_some()),
        };
        let settings = [
            ("run.guest", guest.to_owned()),
            ("run.programs", programs),
            ("run.slow-motion", self.slow_motion().to_string()),
            ("run.channel", channel.to_string()),
        ];
        settings.map(|(key, value)| (key.to_owned(), value)).into()
    }

    /// Whether the guest's channel is on this node: programs have one on each.
    pub(crate) fn has_channel(&self, node: NodeId) -> bool {
        match self {
            Self::Programs(_) => true,
            Self::Linux(options) => options.channel() == Some(node),
        }
    }

    /// How many times slower the guest's time passes.
    pub(crate) const fn slow_motion(&self) -> NonZeroU8 {
        match self {
            Self::Programs(_) => NonZeroU8::MIN,
            Self::Linux(options) => options.slow_motion,
        }
    }

    /// Whether the guest itself ended the machine so that there is something to report.
    pub(crate) const fn is_its_own_end(&self, cause: Cause) -> bool {
        match self {
            Self::Programs(_) => matches!(cause, Cause::Exit(_)),
            Self::Linux(_) => matches!(cause, Cause::Shutdown),
        }
    }

    /// Whether that end is a good one.
    pub(crate) const fn is_good_end(&self, cause: Cause) -> bool {
        match self {
            Self::Programs(_) => matches!(cause, Cause::Exit(0)),
            Self::Linux(_) => matches!(cause, Cause::Shutdown),
        }
    }
}
