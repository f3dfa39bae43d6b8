//! Which node is home to which page.

use giantvm_core::{NodeId, PageIndex, PageRange};

/// A map of homes does not cover the memory exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("page {page} of the home map is not covered exactly once")]
pub struct HomeError {
    /// The first page with no home or two.
    pub page: PageIndex,
}

/// Which node is home to which page: contiguous runs that cover the memory exactly once.
///
/// ```
/// use giantvm_core::{NodeId, PageIndex, PageRange};
/// use giantvm_dsm::protocol::HomeMap;
///
/// let homes = HomeMap::even(10, NodeId::first(2));
/// assert_eq!(homes.home(PageIndex(4)), NodeId::new(0).ok());
/// assert_eq!(homes.home(PageIndex(5)), NodeId::new(1).ok());
/// assert_eq!(homes.home(PageIndex(10)), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HomeMap {
    /// `(first page after the run, home)`, ascending.
    pub(super) runs: Vec<(u64, NodeId)>,
    pub(super) moving: bool,
}

impl HomeMap {
    /// A map from runs in ascending order, which must cover pages from 0 without gap or overlap.
    ///
    /// # Errors
    /// [`HomeError`] names the first page that is not covered exactly once.
    pub fn new(runs: impl IntoIterator<Item = (PageRange, NodeId)>) -> Result<Self, HomeError> {
        let mut covered = 0;
        let mut ends = Vec::new();
        for (run, home) in runs {
            if run.start.0 != covered || run.end.0 < covered {
                let page = PageIndex(covered.min(run.start.0));
                return Err(HomeError { page });
            }
            covered = run.end.0;
            if !run.is_empty() {
                ends.push((covered, home));
            }
        }
        Ok(Self {
            runs: ends,
            moving: true,
        })
    }

    /// `pages` pages in equal contiguous runs over `nodes`; the first ones get the odd pages.
    ///
    /// Without nodes the map is empty.
    pub fn even(pages: u64, nodes: impl IntoIterator<Item = NodeId>) -> Self {
        let nodes: Vec<_> = nodes.into_iter().collect();
        let count = nodes.len() as u64;
        let mut end = 0;
        let runs = nodes.into_iter().zip(0_u64..).map(|(home, position)| {
            end += pages / count + u64::from(position < pages % count);
            (end, home)
        });
        Self {
            runs: runs.collect(),
            moving: true,
        }
    }

    /// The same homes, of pages whose home never moves to the node that uses them most. All nodes have
    /// to say the same, which [`Dsm::start`](crate::engine::Dsm::start) sees to.
    #[must_use]
    pub fn staying(mut self) -> Self {
        self.moving = false;
        self
    }

    /// Whether a protocol may move a page's home to the node that uses it most, as it may unless told
    /// otherwise. [`Directory`](super::Directory) does, others may not know how.
    #[must_use]
    pub const fn is_moving(&self) -> bool {
        self.moving
    }

    /// The home of `page`; `None` past the end of the memory.
    #[must_use]
    pub fn home(&self, page: PageIndex) -> Option<NodeId> {
        let at = self.runs.partition_point(|&(end, _)| end <= page.0);
        self.runs.get(at).map(|&(_, home)| home)
    }

    /// The runs in ascending order, none of them empty.
    pub fn runs(&self) -> impl Iterator<Item = (PageRange, NodeId)> {
        let starts = std::iter::once(0).chain(self.runs.iter().map(|&(end, _)| end));
        starts.zip(&self.runs).filter_map(|(start, &(end, home))| {
            let run = PageRange {
                start: PageIndex(start),
                end: PageIndex(end),
            };
            (!run.is_empty()).then_some((run, home))
        })
    }

    /// The runs of pages that `node` is home to, ascending.
    pub fn of(&self, node: NodeId) -> impl Iterator<Item = PageRange> {
        let runs = self.runs().filter(move |&(_, home)| home == node);
        runs.map(|(run, _)| run)
    }

    /// How many pages the map covers.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.runs.last().map_or(0, |&(end, _)| end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_overlaps_are_refused_by_page() {
        let run = |start, end, node| {
            let range = PageRange {
                start: PageIndex(start),
                end: PageIndex(end),
            };
            (range, NodeId::new(node).unwrap())
        };
        assert!(HomeMap::new([run(0, 4, 0), run(4, 9, 1)]).is_ok());
        let gap = HomeMap::new([run(0, 4, 0), run(5, 9, 1)]);
        assert_eq!(gap, Err(HomeError { page: PageIndex(4) }));
        let overlap = HomeMap::new([run(0, 4, 0), run(3, 9, 1)]);
        assert_eq!(overlap, Err(HomeError { page: PageIndex(3) }));
    }

    #[test]
    fn an_even_map_gives_the_odd_pages_to_the_first_nodes() {
        let homes = HomeMap::even(7, NodeId::first(3));
        let counts = NodeId::first(3).map(|node| {
            (0..7)
                .filter(|&p| homes.home(PageIndex(p)) == Some(node))
                .count()
        });
        assert_eq!(counts.collect::<Vec<_>>(), [3, 2, 2]);
        assert_eq!(HomeMap::even(7, []).pages(), 0);
        let ends: Vec<_> = homes.runs().map(|(run, _)| run.end.0).collect();
        assert_eq!(ends, [3, 5, 7]);
        assert_eq!(HomeMap::even(1, NodeId::first(2)).runs().count(), 1);
    }
}
