//! Bytes of pages that are not mapped, for a backing that has no other place for them.

use std::collections::{HashMap, VecDeque};

use super::KEPT_AT_ONCE;

/// Most pages that can be stored and wait to be mapped. A node has at most one page in transit
/// for each thread that waits, so this is far above what a protocol needs.
pub(super) const MAX_STORED: usize = 4096;

/// Three sets of page buffers: those that came and must not be lost, those of pages that were mapped
/// and may be again, which no node has more of than pages, and those that may be lost.
#[derive(Debug, Default)]
pub(super) struct SideBuffers {
    stored: HashMap<usize, Box<[u8]>>,
    retained: HashMap<usize, Box<[u8]>>,
    kept: VecDeque<(usize, Box<[u8]>)>,
}

impl SideBuffers {
    /// Takes in bytes that arrived for a page; `false` if there is no room.
    #[must_use]
    pub(super) fn store(&mut self, index: usize, data: &[u8]) -> bool {
        if self.stored.len() >= MAX_STORED && !self.stored.contains_key(&index) {
            return false;
        }
        self.forget(index);
        self.stored.insert(index, data.into());
        true
    }

    /// Keeps the last bytes of a page until they are mapped again or forgotten.
    pub(super) fn retain(&mut self, index: usize, data: Box<[u8]>) {
        self.forget(index);
        self.retained.insert(index, data);
    }

    /// Keeps the last bytes of a page; the oldest kept page makes room.
    pub(super) fn keep(&mut self, index: usize, data: &[u8]) {
        self.forget(index);
        let reused = (self.kept.len() >= KEPT_AT_ONCE).then(|| self.kept.pop_front());
        let mut buffer = match reused.flatten() {
            Some((_, buffer)) => buffer,
            None => vec![0; data.len()].into(),
        };
        buffer.copy_from_slice(data);
        self.kept.push_back((index, buffer));
    }

    /// The bytes of a page, if they are here.
    pub(super) fn get(&self, index: usize) -> Option<&[u8]> {
        let kept = || self.kept.iter().find(|(kept, _)| *kept == index);
        let stored = self.stored.get(&index);
        let stored = stored.or_else(|| self.retained.get(&index));
        stored
            .or_else(|| kept().map(|(_, data)| data))
            .map(|data| &**data)
    }

    /// Drops the bytes of a page.
    pub(super) fn forget(&mut self, index: usize) {
        self.stored.remove(&index);
        self.retained.remove(&index);
        self.kept.retain(|(kept, _)| *kept != index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_pages_make_room_oldest_first() {
        let mut side = SideBuffers::default();
        for index in 0..=KEPT_AT_ONCE {
            side.keep(index, &index.to_le_bytes());
        }
        assert_eq!(side.get(0), None);
        assert_eq!(side.get(1), Some(&1_usize.to_le_bytes()[..]));
        assert_eq!(
            side.get(KEPT_AT_ONCE),
            Some(&KEPT_AT_ONCE.to_le_bytes()[..])
        );
    }

    #[test]
    fn stored_pages_are_refused_rather_than_lost() {
        let mut side = SideBuffers::default();
        for index in 0..MAX_STORED {
            assert!(side.store(index, &[1]));
        }
        assert!(!side.store(MAX_STORED, &[1]));
        assert!(side.store(0, &[2]), "a page that is here may be replaced");
        side.forget(1);
        assert!(side.store(MAX_STORED, &[1]));
        assert_eq!(side.get(0), Some(&[2][..]));
    }

    #[test]
    fn retained_pages_stay_whatever_else_comes() {
        let mut side = SideBuffers::default();
        for index in 0..2 * MAX_STORED {
            side.retain(index, Box::new([index.to_le_bytes()[0]]));
        }
        for index in 0..=KEPT_AT_ONCE {
            side.keep(MAX_STORED + index, &[1]);
        }
        assert!(side.store(3 * MAX_STORED, &[1]));
        assert_eq!(side.get(7), Some(&[7][..]));
    }

    #[test]
    fn the_last_bytes_win() {
        let mut side = SideBuffers::default();
        side.keep(7, &[1]);
        assert!(side.store(7, &[2]));
        assert_eq!(side.get(7), Some(&[2][..]));
        side.keep(7, &[3]);
        assert_eq!(side.get(7), Some(&[3][..]));
        side.forget(7);
        assert_eq!(side.get(7), None);
    }
}
