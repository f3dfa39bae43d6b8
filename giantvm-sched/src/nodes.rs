//! The node sections of a cluster file, and their shares of vCPUs and memory.

use giantvm_core::PageSize;

use crate::document::{Field, Section, excerpt};
use crate::parse::{checked_name, checked_vcpus, whole_pages};
use crate::split::{Misfit, split};
use crate::{ClusterError, NodeAddress, NodeSpec, Problem};

const NODE_KEYS: &[&str] = &["name", "address", "vcpus", "memory"];

/// The nodes as they are written, with memory in pages.
#[derive(Default)]
pub(crate) struct Nodes {
    identities: Vec<(String, NodeAddress)>,
    vcpus: Vec<Option<u64>>,
    pages: Vec<Option<u64>>,
    page_bytes: u64,
}

impl Nodes {
    pub(crate) fn read(
        sections: Vec<Section<'_>>,
        page_size: PageSize,
    ) -> Result<Self, ClusterError> {
        let mut nodes = Self {
            page_bytes: page_size.bytes() as u64,
            ..Self::default()
        };
        for section in sections {
            nodes.add(section, page_size)?;
        }
        Ok(nodes)
    }

    fn add(&mut self, section: Section<'_>, page_size: PageSize) -> Result<(), ClusterError> {
        section.only(NODE_KEYS)?;
        let name = section.required_text("name", "a name, as in name = \"a\"")?;
        let name = name.check(|name| {
            let name = checked_name(name)?;
            self.unique(&name, |(taken, _)| *taken == name)?;
            Ok(name)
        })?;
        let section = section.renamed(format!("node `{}`", name.value));
        let example = "where it listens, as in address = \"192.0.2.1:7000\"";
        let address = section.required_text("address", example)?.check(|text| {
            let address = text.parse().map_err(|error| Problem::Address {
                text: excerpt(text),
                error,
            })?;
            self.unique(text, |(_, taken)| *taken == address)?;
            Ok(address)
        })?;
        let vcpus = section.count("vcpus")?.map(|field| {
            field.check(|&count| match count {
                0 => Ok(0),
                _ => checked_vcpus(count),
            })
        });
        let pages = section
            .size("memory")?
            .map(|field| field.check(|&bytes| whole_pages(bytes, page_size)));
        self.vcpus.push(vcpus.transpose()?.map(|field| field.value));
        self.pages.push(pages.transpose()?.map(|field| field.value));
        self.identities.push((name.value, address.value));
        Ok(())
    }

    fn unique(
        &self,
        value: &str,
        taken: impl Fn(&&(String, NodeAddress)) -> bool,
    ) -> Result<(), Problem> {
        let other = self.identities.iter().find(taken);
        other.map_or(Ok(()), |(by, _)| {
            Err(Problem::Duplicate {
                value: excerpt(value),
                by: by.clone(),
            })
        })
    }

    /// How many vCPUs each node runs, given the cluster's total if it says one.
    pub(crate) fn vcpus(
        &self,
        cluster: &Section<'_>,
        total: Option<Field<'_, u64>>,
    ) -> Result<Vec<u64>, ClusterError> {
        if let Some(total) = total {
            return split(total.value, &self.vcpus).map_err(|Misfit(got)| {
                let total_vcpus = total.value;
                total.fail(Problem::VcpuSum {
                    got,
                    total: total_vcpus,
                })
            });
        }
        let mut shares = Vec::new();
        for (share, (name, _)) in self.vcpus.iter().zip(&self.identities) {
            let missing = || cluster.fail("vcpus", Problem::VcpuTotal(name.clone()));
            shares.push(share.ok_or_else(missing)?);
        }
        // Each share is at most 254 and there are at most 64: no overflow.
        checked_vcpus(shares.iter().sum()).map_err(|problem| cluster.fail("vcpus", problem))?;
        Ok(shares)
    }

    /// How many pages each node is home to.
    pub(crate) fn pages(&self, total: &Field<'_, u64>) -> Result<Vec<u64>, ClusterError> {
        split(total.value, &self.pages).map_err(|Misfit(got)| {
            total.fail(Problem::MemorySum {
                got: got.saturating_mul(self.page_bytes),
                total: total.value.saturating_mul(self.page_bytes),
            })
        })
    }

    pub(crate) fn finish(self, vcpus: &[u64], pages: &[u64]) -> Vec<NodeSpec> {
        let shares = vcpus.iter().zip(pages);
        let nodes = self.identities.into_iter().zip(shares);
        let node = |((name, address), (&vcpus, &pages))| NodeSpec {
            name,
            address,
            // A share is at most the total, which was checked.
            vcpus: u8::try_from(vcpus).unwrap_or(u8::MAX),
            memory: pages * self.page_bytes,
        };
        nodes.map(node).collect()
    }
}
