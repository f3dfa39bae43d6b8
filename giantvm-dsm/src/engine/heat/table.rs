//! Whatever has the most events, pages for one, in a table of fixed size.
//!
//! The algorithm is that of Misra and Gries ("Finding repeated elements", 1982), in the variant of
//! Anderson and others ("A high-performance algorithm for identifying frequent items in data
//! streams", 2017): when the table is full, the median of all weights is taken off every weight, and
//! what is without weight leaves. That frees half of the table at once, so an event costs a constant
//! time on average. As each such cut takes as much from half of the table as from any one key, no
//! key loses more than all events together divided by half of the table's size.

use giantvm_core::PageIndex;

/// No entry.
const EMPTY: u16 = u16::MAX;
/// The most entries that a table may have.
const LARGEST: usize = 1 << 15;

/// What events are counted by.
pub(super) trait Key: Copy + Eq {
    /// Another number for each.
    fn number(self) -> u64;
}

impl Key for PageIndex {
    fn number(self) -> u64 {
        self.0
    }
}

/// What is known of one page, or whatever else is a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<V, K = PageIndex> {
    pub(super) key: K,
    /// Its events, less what cuts took; never more than there were.
    pub(super) weight: u32,
    pub(super) value: V,
}

/// At most a fixed number of keys, each with a value. It allocates when it is made, and never again.
#[derive(Debug)]
pub(super) struct Table<V, K = PageIndex> {
    /// Places of a hash table: each names an entry.
    places: Vec<u16>,
    entries: Vec<Entry<V, K>>,
    /// Kept so that a cut does not allocate.
    weights: Vec<u32>,
    most: usize,
}

impl<V: Copy + Default, K: Key> Table<V, K> {
    /// A table of up to `most` keys, 2 to 32768. One with more than one in `most / 2` of all
    /// events is in it.
    pub(super) fn new(most: usize) -> Self {
        let most = most.clamp(2, LARGEST);
        Self {
            places: vec![EMPTY; (2 * most).next_power_of_two()],
            entries: Vec::with_capacity(most),
            weights: Vec::with_capacity(most),
            most,
        }
    }

    /// Counts an event of `key`, and gives its value: a new one if it was not here.
    pub(super) fn count(&mut self, key: K) -> &mut V {
        let found = match self.find(key) {
            Ok(entry) => entry,
            Err(_) if self.entries.len() == self.most => {
                self.cut();
                self.enter(key)
            }
            Err(place) => self.enter_at(place, key),
        };
        let entry = &mut self.entries[found];
        entry.weight = entry.weight.saturating_add(1);
        &mut entry.value
    }

    /// The value of `key`, if it is here.
    pub(super) fn get(&mut self, key: K) -> Option<&mut V> {
        let entry = self.find(key).ok()?;
        Some(&mut self.entries[entry].value)
    }

    /// Halves all weights `times`, and lets `fade` do the same to the values.
    pub(super) fn halve(&mut self, times: u32, mut fade: impl FnMut(&mut V)) {
        self.entries.retain_mut(|entry| {
            entry.weight = entry.weight.checked_shr(times).unwrap_or(0);
            fade(&mut entry.value);
            entry.weight > 0
        });
        self.place_all();
    }

    /// All that are known, in no order.
    pub(super) fn entries(&self) -> &[Entry<V, K>] {
        &self.entries
    }

    /// Takes the median weight off all.
    fn cut(&mut self) {
        let weights = self.entries.iter().map(|entry| entry.weight);
        self.weights.clear();
        self.weights.extend(weights);
        let middle = self.weights.len() / 2;
        let (_, &mut median, _) = self.weights.select_nth_unstable(middle);
        self.entries.retain_mut(|entry| {
            entry.weight = entry.weight.saturating_sub(median);
            entry.weight > 0
        });
        self.place_all();
    }

    /// Finds every entry its place again.
    fn place_all(&mut self) {
        self.places.fill(EMPTY);
        for (entry, number) in self.entries.iter().zip(0..) {
            let mut place = home(entry.key, self.places.len());
            while self.places[place] != EMPTY {
                place = next(place, self.places.len());
            }
            self.places[place] = number;
        }
    }

    fn enter(&mut self, key: K) -> usize {
        match self.find(key) {
            Ok(entry) => entry,
            Err(place) => self.enter_at(place, key),
        }
    }

    fn enter_at(&mut self, place: usize, key: K) -> usize {
        let number = self.entries.len();
        self.places[place] = u16::try_from(number).unwrap_or(EMPTY);
        self.entries.push(Entry {
            key,
            weight: 0,
            value: V::default(),
        });
        number
    }

    /// The entry of `key`, or the place where it would be named. Half of the places are free, so
    /// there is always one.
    fn find(&self, key: K) -> Result<usize, usize> {
        let mut place = home(key, self.places.len());
        loop {
            let entry = usize::from(self.places[place]);
            match self.entries.get(entry) {
                None => return Err(place),
                Some(entry) if entry.key != key => place = next(place, self.places.len()),
                Some(_) => return Ok(entry),
            }
        }
    }
}

/// Where to look for a key first. Neighbours are spread by the golden ratio.
fn home(key: impl Key, places: usize) -> usize {
    let spread = key.number().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let bits = places.trailing_zeros();
    usize::try_from(spread >> (u64::BITS - bits)).unwrap_or(0)
}

const fn next(place: usize, places: usize) -> usize {
    (place + 1) % places
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn weight(table: &Table<()>, page: u64) -> u32 {
        let entry = table.entries().iter().find(|entry| entry.key.0 == page);
        entry.map_or(0, |entry| entry.weight)
    }

    /// Pages of which some come up far more often than others.
    fn events() -> impl Strategy<Value = Vec<u64>> {
        let page = prop_oneof![0..4_u64, 0..40_u64, any::<u64>()];
        prop::collection::vec(page, 0..600)
    }

    proptest! {
        #[test]
        fn a_page_with_more_than_its_share_of_events_is_in_the_table(
            pages in events(),
            most in 2..24_usize,
        ) {
            let mut table = Table::<()>::new(most);
            let mut exact = BTreeMap::<u64, u32>::new();
            for &page in &pages {
                table.count(PageIndex(page));
                *exact.entry(page).or_default() += 1;
                prop_assert!(table.entries().len() <= most, "bounded");
            }
            let lost = pages.len() / (most / 2);
            for (page, count) in exact {
                let seen = weight(&table, page);
                prop_assert!(seen <= count, "page {page} had {count} events, not {seen}");
                prop_assert!(count as usize <= seen as usize + lost, "page {page}: {seen} of {count}");
            }
        }

        #[test]
        fn halving_keeps_the_order_and_never_adds(pages in events(), times in 0..40_u32) {
            let mut table = Table::<()>::new(16);
            for &page in &pages {
                table.count(PageIndex(page));
            }
            let before = table.entries().to_vec();
            table.halve(times, |()| {});
            for one in &before {
                prop_assert_eq!(table.get(one.key).is_some(), weight(&table, one.key.0) > 0);
                let faded = weight(&table, one.key.0);
                prop_assert!(faded <= one.weight);
                prop_assert_eq!(faded, one.weight.checked_shr(times).unwrap_or(0));
                for other in before.iter().filter(|other| other.weight <= one.weight) {
                    prop_assert!(weight(&table, other.key.0) <= faded);
                }
            }
        }

        #[test]
        fn a_table_never_allocates_again(pages in events()) {
            let mut table = Table::<()>::new(8);
            let room = |table: &Table<()>| {
                (table.places.capacity(), table.entries.capacity(), table.weights.capacity())
            };
            let before = room(&table);
            for &page in &pages {
                table.count(PageIndex(page));
            }
            table.halve(1, |()| {});
            prop_assert_eq!(room(&table), before);
        }
    }

    #[test]
    fn values_stay_with_their_pages_through_cuts() {
        let mut table = Table::<u64>::new(8);
        for round in 0..100_u64 {
            for page in [7, 1000 + round, 8, 2000 + round] {
                *table.count(PageIndex(page)) = page;
            }
        }
        assert_eq!(table.get(PageIndex(7)), Some(&mut 7));
        assert_eq!(table.get(PageIndex(8)), Some(&mut 8));
        assert!(
            table
                .entries()
                .iter()
                .all(|entry| entry.value == entry.key.0)
        );
    }
}
