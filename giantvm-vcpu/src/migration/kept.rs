//! Interrupts that wait for the vCPU they are for, which is between two nodes.

use crate::interrupt::Interrupt;
use crate::pending::Pending;

/// What came, as far as it still means something: of bounded size, as in an APIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Kept {
    init: bool,
    sipi: Option<u8>,
    pending: Pending,
}

impl Kept {
    pub(super) fn keep(&mut self, interrupt: Interrupt) {
        match interrupt {
            // A reset vCPU has no interrupt pending.
            Interrupt::Init => {
                *self = Self {
                    init: true,
                    ..Self::default()
                }
            }
            // A vCPU that one SIPI has started ignores the next.
            Interrupt::Sipi { vector } => self.sipi = self.sipi.or(Some(vector)),
            Interrupt::Nmi => self.pending.nmi(),
            Interrupt::Fixed { vector } => self.pending.fixed(vector),
        }
    }

    /// All that was kept, in an order that has the effect of the order in which it came.
    pub(super) fn into_interrupts(mut self) -> Vec<Interrupt> {
        let init = self.init.then_some(Interrupt::Init);
        let sipi = self.sipi.map(|vector| Interrupt::Sipi { vector });
        let rest = std::iter::from_fn(|| self.pending.take());
        init.into_iter().chain(sipi).chain(rest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(interrupts: &[Interrupt]) -> Vec<Interrupt> {
        let mut kept = Kept::default();
        interrupts.iter().for_each(|one| kept.keep(*one));
        kept.into_interrupts()
    }

    const fn fixed(vector: u8) -> Interrupt {
        Interrupt::Fixed { vector }
    }

    #[test]
    fn what_waits_comes_out_once_and_an_init_is_its_beginning() {
        let sipi = Interrupt::Sipi { vector: 8 };
        let other = Interrupt::Sipi { vector: 9 };
        assert_eq!(
            kept(&[fixed(0x30), Interrupt::Nmi, fixed(0x41), fixed(0x30)]),
            [Interrupt::Nmi, fixed(0x41), fixed(0x30)]
        );
        assert_eq!(
            kept(&[fixed(0x30), Interrupt::Init, sipi, fixed(0x31), other]),
            [Interrupt::Init, sipi, fixed(0x31)]
        );
        assert_eq!(kept(&[sipi, Interrupt::Init]), [Interrupt::Init]);
        assert_eq!(kept(&[sipi]), [sipi], "its INIT came before it was kept");
    }
}
