//! Interrupts as one vCPU sends them to another, and the messages that carry them.

use giantvm_core::{DeliveryMode, Msi, VcpuId};

/// What one vCPU, or a device, does to a vCPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interrupt {
    /// A maskable interrupt.
    Fixed {
        /// Its vector, at least [`LOWEST_VECTOR`](giantvm_core::LOWEST_VECTOR).
        vector: u8,
    },
    /// A non-maskable interrupt.
    Nmi,
    /// Resets the vCPU; unless it is the boot vCPU it then waits for a [`Sipi`](Self::Sipi).
    Init,
    /// Starts a vCPU that waits after [`Init`](Self::Init); any other ignores it.
    Sipi {
        /// The page, counted from 0, where it starts in real mode.
        vector: u8,
    },
}

impl Interrupt {
    /// The message that does this to `target`, by physical destination.
    ///
    /// ```
    /// use giantvm_core::VcpuId;
    /// use giantvm_vcpu::Interrupt;
    ///
    /// let msi = Interrupt::Fixed { vector: 0x41 }.to_msi(VcpuId::new(3)?);
    /// assert_eq!((msi.address, msi.data), (0xfee0_3000, 0x41));
    /// # Ok::<(), giantvm_core::IdError>(())
    /// ```
    #[must_use]
    pub const fn to_msi(self, target: VcpuId) -> Msi {
        let (mode, vector) = match self {
            Self::Fixed { vector } => (DeliveryMode::Fixed, vector),
            Self::Nmi => (DeliveryMode::Nmi, 0),
            Self::Init => (DeliveryMode::Init, 0),
            Self::Sipi { vector } => (DeliveryMode::StartUp, vector),
        };
        Msi::to(target, mode, vector)
    }

    /// The one vCPU that `msi` is for and what it does there; `None` if the message is to a
    /// logical destination, to one that is no vCPU, or asks for what is no [`Interrupt`].
    #[must_use]
    pub fn from_msi(msi: Msi) -> Option<(VcpuId, Self)> {
        let message = msi.decode().ok().filter(|message| !message.logical)?;
        let target = u8::try_from(message.destination).ok()?;
        let vector = message.vector;
        let interrupt = match message.mode {
            // Lowest priority among one candidate is fixed delivery.
            DeliveryMode::Fixed | DeliveryMode::LowestPriority => Self::Fixed { vector },
            DeliveryMode::Nmi => Self::Nmi,
            DeliveryMode::Init => Self::Init,
            DeliveryMode::StartUp => Self::Sipi { vector },
            DeliveryMode::Smi | DeliveryMode::ExtInt => return None,
        };
        Some((VcpuId::new(target).ok()?, interrupt))
    }
}

#[cfg(test)]
mod tests {
    use giantvm_core::LOWEST_VECTOR;

    use super::*;

    #[test]
    fn every_interrupt_survives_its_msi() {
        let fixed = (LOWEST_VECTOR..=255).map(|vector| Interrupt::Fixed { vector });
        let sipi = (0..=255).map(|vector| Interrupt::Sipi { vector });
        for interrupt in fixed.chain(sipi).chain([Interrupt::Nmi, Interrupt::Init]) {
            for target in VcpuId::first(giantvm_core::MAX_VCPUS) {
                let msi = interrupt.to_msi(target);
                assert_eq!(Interrupt::from_msi(msi), Some((target, interrupt)));
            }
        }
    }

    #[test]
    fn messages_without_one_target_or_meaning_are_no_interrupts() {
        let good = Interrupt::Fixed { vector: 0x30 }.to_msi(VcpuId::BOOT);
        let with = |address, data| Interrupt::from_msi(Msi { address, data });
        assert!(with(good.address, good.data).is_some());
        assert_eq!(with(good.address | 1 << 2, good.data), None, "logical");
        assert_eq!(with(0xfeef_f000, good.data), None, "broadcast");
        assert_eq!(with(good.address | 1 << 40, good.data), None, "no such id");
        assert_eq!(with(good.address | 1 << 32, good.data), None, "no message");
        assert_eq!(with(0xfed0_0000, good.data), None, "not the window");
        assert_eq!(with(good.address, 15), None, "reserved vector");
        assert_eq!(with(good.address, 0x200), None, "SMI");
        assert_eq!(with(good.address, 0x700), None, "external");
    }
}
