//! A page's bytes, as far as a law can tell them apart.

use giantvm_core::Stamp;

/// Which write a copy of a page shows. Which bytes they are makes no difference, only whether they
/// are the last ones written, so stores without number make no new states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Bytes {
    /// The logical time of the write.
    written: Stamp,
    /// Whether a later write replaced it at that very time, or at a time that all clocks show.
    old: bool,
}

/// The writes to a page that some node may still have to see.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Writes {
    stamps: Vec<Stamp>,
    /// Whether the page's first bytes, all zero, were replaced at logical time zero.
    touched: bool,
}

impl Writes {
    /// The bytes of a page that was never written.
    pub(super) const fn zeroes(&self) -> Bytes {
        Bytes {
            written: Stamp::ZERO,
            old: self.touched,
        }
    }

    /// Whether a node whose clock shows `at` may be shown `bytes`.
    pub(super) fn valid(&self, bytes: Bytes, at: Stamp) -> bool {
        let hides = |stamp: &&Stamp| **stamp > bytes.written && **stamp <= at;
        !bytes.old && !self.stamps.iter().any(|stamp| hides(&stamp))
    }

    /// A write at logical time `at`; no clock shows less than `oldest`. Gives its bytes.
    ///
    /// # Errors
    /// A later write that was there already.
    pub(super) fn write(&mut self, at: Stamp) -> Result<Bytes, String> {
        match self.stamps.last() {
            Some(last) if *last > at => return Err(format!("a write at {at} after one at {last}")),
            Some(last) if *last == at => {}
            Some(_) | None => self.stamps.push(at),
        }
        self.touched |= at == Stamp::ZERO;
        Ok(Bytes {
            written: at,
            old: false,
        })
    }

    /// What becomes of a copy when there is a write at `at`.
    pub(super) fn age(bytes: &mut Bytes, at: Stamp) {
        bytes.old |= bytes.written == at;
        bytes.forget();
    }

    /// Makes alike what no node can tell apart once all clocks show `oldest`.
    pub(super) fn settle(&self, bytes: &mut Bytes, oldest: Stamp) {
        bytes.old |= !self.valid(*bytes, oldest);
        bytes.forget();
    }

    /// Forgets the writes that every node sees replaced.
    pub(super) fn forget(&mut self, oldest: Stamp) {
        let seen = self.stamps.partition_point(|stamp| *stamp <= oldest);
        self.stamps.drain(..seen.saturating_sub(1));
    }
}

impl Bytes {
    fn forget(&mut self) {
        if self.old {
            self.written = Stamp::ZERO;
        }
    }
}
