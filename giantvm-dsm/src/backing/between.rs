//! Which scattered pages are better taken together with what lies between them.
//!
//! A system call can name many scattered pages. Of a file's pages the kernel still interrupts the
//! other processors once for each run that it names, as it does not let go of a written page before
//! no one can write to it any more. Giving mappings interrupts no one. So where little lies between
//! pages, all of it is taken at once, and what was in between given back: a thread that touches it
//! meanwhile waits for a moment.

use std::ops::Range;

/// Bytes that one page table maps: the kernel takes no more at once.
const TABLE: usize = 2 << 20;

/// What to take: runs of pages that cover `pages`, which are in ascending order. `mapped` says of a page
/// that is not among them whether it is mapped; `None` if it must not be touched.
pub(super) fn runs(
    pages: &[usize],
    page_size: usize,
    mapped: impl Fn(usize) -> Option<bool>,
) -> Vec<Range<usize>> {
    let per_table = (TABLE / page_size).max(1);
    let mut runs = Vec::new();
    for group in pages.chunk_by(|one, next| one / per_table == next / per_table) {
        let (Some(&first), Some(&last)) = (group.first(), group.last()) else {
            continue;
        };
        let between = (first..last).filter(|page| group.binary_search(page).is_err());
        let count = between.map(&mapped).try_fold(0, |count, mapped| {
            let more = count + usize::from(mapped?);
            // Each that is given back costs less than an interrupt, and may be waited for.
            (more <= group.len()).then_some(more)
        });
        match count {
            Some(_) => runs.push(first..last + 1),
            None => runs.extend(group.iter().map(|&page| page..page + 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use proptest::prelude::*;

    use super::*;

    const PAGE: usize = 4096;

    #[test]
    fn pages_with_little_between_them_go_together() {
        let none = |_| Some(false);
        assert_eq!(runs(&[3, 10, 17], PAGE, none), from_ref(&(3..18)));
        assert_eq!(runs(&[3, 4, 5], PAGE, none), from_ref(&(3..6)));
        assert_eq!(runs(&[], PAGE, none), []);
        // Two page tables.
        assert_eq!(
            runs(&[510, 511, 512, 600], PAGE, none),
            [510..512, 512..601]
        );
    }

    #[test]
    fn pages_with_much_between_them_go_alone() {
        let all = |_| Some(true);
        assert_eq!(runs(&[3, 5], PAGE, all), from_ref(&(3..6)));
        assert_eq!(runs(&[3, 10], PAGE, all), [3..4, 10..11]);
    }

    #[test]
    fn what_must_not_be_touched_is_not() {
        let lost = |page| (page != 5).then_some(false);
        assert_eq!(runs(&[3, 6], PAGE, lost), [3..4, 6..7]);
        assert_eq!(runs(&[6, 8], PAGE, lost), from_ref(&(6..9)));
    }

    proptest! {
        #[test]
        fn all_pages_are_covered_once_and_nothing_forbidden(
            pages in prop::collection::btree_set(0..2000_usize, 0..64),
            forbidden in prop::collection::btree_set(0..2000_usize, 0..8),
        ) {
            let forbidden = &forbidden - &pages;
            let sorted: Vec<_> = pages.iter().copied().collect();
            let may = |page: usize| (!forbidden.contains(&page)).then_some(page.is_multiple_of(3));
            let runs = runs(&sorted, PAGE, may);
            let covered: Vec<_> = runs.into_iter().flatten().collect();
            prop_assert!(covered.is_sorted_by(|one, next| one < next));
            prop_assert!(pages.iter().all(|page| covered.binary_search(page).is_ok()));
            prop_assert!(!covered.iter().any(|page| forbidden.contains(page)));
        }
    }
}
