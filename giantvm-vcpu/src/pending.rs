//! Interrupts that wait to be taken.

use crate::interrupt::Interrupt;

/// Maskable interrupts by vector, each once, and one NMI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Pending {
    vectors: [u64; 4],
    nmi: bool,
}

impl Pending {
    pub(crate) fn fixed(&mut self, vector: u8) {
        self.vectors[usize::from(vector / 64)] |= 1 << (vector % 64);
    }

    pub(crate) fn nmi(&mut self) {
        self.nmi = true;
    }

    /// By vector, 64 a word; and whether there is an NMI.
    pub(crate) const fn parts(self) -> ([u64; 4], bool) {
        (self.vectors, self.nmi)
    }

    pub(crate) const fn of_parts(vectors: [u64; 4], nmi: bool) -> Self {
        Self { vectors, nmi }
    }

    /// Takes the most urgent one: the NMI, else the highest vector.
    pub(crate) fn take(&mut self) -> Option<Interrupt> {
        if std::mem::take(&mut self.nmi) {
            return Some(Interrupt::Nmi);
        }
        let word = (0..4_u8)
            .rev()
            .find(|&i| self.vectors[usize::from(i)] != 0)?;
        let bits = &mut self.vectors[usize::from(word)];
        let bit = 63 - u8::try_from(bits.leading_zeros()).ok()?;
        *bits &= !(1 << bit);
        Some(Interrupt::Fixed {
            vector: word * 64 + bit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_urgent_is_taken_first_and_each_once() {
        let mut pending = Pending::default();
        for vector in [0x20, 0xff, 0x40, 0x20] {
            pending.fixed(vector);
        }
        pending.nmi();
        let order: Vec<_> = std::iter::from_fn(|| pending.take()).collect();
        let fixed = |vector| Interrupt::Fixed { vector };
        assert_eq!(
            order,
            [Interrupt::Nmi, fixed(0xff), fixed(0x40), fixed(0x20)]
        );
        assert_eq!(pending, Pending::default());
    }
}
