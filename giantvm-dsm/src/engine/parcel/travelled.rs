//! Which pages crossed a link before: those that come but once are not worth a copy.

use giantvm_core::PageIndex;

/// Places in the table: a power of two, in which pages share places.
const PLACES: usize = 4096;

/// The pages that travelled of late.
#[derive(Debug, Default)]
pub(super) struct Travelled(Vec<Option<PageIndex>>);

impl Travelled {
    /// Notes that a page crosses a link. Whether it did before.
    pub(super) fn again(&mut self, page: PageIndex) -> bool {
        self.0.resize(PLACES, None);
        let at = usize::try_from(page.0 % PLACES as u64).unwrap_or(0);
        let before = self.0.get_mut(at).and_then(|place| place.replace(page));
        before == Some(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_known_from_the_second_time_on_until_another_takes_its_place() {
        let (mut travelled, page) = (Travelled::default(), PageIndex(0));
        assert!(!travelled.again(page) && travelled.again(page));
        assert!(!travelled.again(PageIndex(PLACES as u64)) && !travelled.again(page));
    }
}
