//! Interrupts as one vCPU sends them to another, and the MSI writes that carry them.

use giantvm_core::VcpuId;

/// The lowest vector of a fixed interrupt; the architecture reserves those below.
pub const LOWEST_VECTOR: u8 = 16;

/// What one vCPU, or a device, does to a vCPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interrupt {
    /// A maskable interrupt.
    Fixed {
        /// Its vector, at least [`LOWEST_VECTOR`].
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
    /// The delivery mode that names this interrupt in an APIC message, and its vector field.
    ///
    /// Encoding: Intel SDM volume 3, "Message Data Register Format".
    const fn encoding(self) -> (u32, u8) {
        match self {
            Self::Fixed { vector } => (0b000, vector),
            Self::Nmi => (0b100, 0),
            Self::Init => (0b101, 0),
            Self::Sipi { vector } => (0b110, vector),
        }
    }

    const fn from_encoding(mode: u32, vector: u8) -> Option<Self> {
        match mode {
            // Lowest priority, 0b001, among one candidate is fixed delivery.
            0b000 | 0b001 if vector >= LOWEST_VECTOR => Some(Self::Fixed { vector }),
            0b100 => Some(Self::Nmi),
            0b101 => Some(Self::Init),
            0b110 => Some(Self::Sipi { vector }),
            _ => None,
        }
    }
}

/// A message-signalled interrupt: the 64-bit address and the data that a device writes.
///
/// Destinations have 32 bits: bits 0 to 7 at address bits 12 to 19, the others in the upper half
/// of the address, as KVM's 32-bit x2APIC interface has them.
///
/// ```
/// use giantvm_core::VcpuId;
/// use giantvm_vcpu::{Interrupt, Msi};
///
/// let msi = Msi::to(VcpuId::new(3)?, Interrupt::Fixed { vector: 0x41 });
/// assert_eq!((msi.address, msi.data), (0xfee0_3000, 0x41));
/// # Ok::<(), giantvm_core::IdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Msi {
    /// The address written to.
    pub address: u64,
    /// The data written.
    pub data: u32,
}

impl Msi {
    const WINDOW: u64 = 0xfee0_0000;
    const LOGICAL: u64 = 1 << 2;

    /// The message that does `interrupt` to `target`, by physical destination.
    #[must_use]
    pub const fn to(target: VcpuId, interrupt: Interrupt) -> Self {
        let (mode, vector) = interrupt.encoding();
        Self {
            address: Self::WINDOW | (target.get() as u64) << 12,
            data: mode << 8 | vector as u32,
        }
    }

    /// The one vCPU that the message is for and what it does there; `None` if the message is to a
    /// logical destination, to one that is no vCPU, or asks for what is no [`Interrupt`].
    #[must_use]
    pub fn decode(self) -> Option<(VcpuId, Interrupt)> {
        let window = self.address & 0xfff0_0000;
        if window != Self::WINDOW || self.address & Self::LOGICAL != 0 || self.address >> 40 != 0 {
            return None;
        }
        let [_, low, high, ..] = self.address.to_le_bytes();
        let target = VcpuId::new(low >> 4 | high << 4).ok()?;
        let interrupt =
            Interrupt::from_encoding(self.data >> 8 & 0b111, self.data.to_le_bytes()[0])?;
        Some((target, interrupt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interrupt_survives_its_msi() {
        let fixed = (LOWEST_VECTOR..=255).map(|vector| Interrupt::Fixed { vector });
        let sipi = (0..=255).map(|vector| Interrupt::Sipi { vector });
        for interrupt in fixed.chain(sipi).chain([Interrupt::Nmi, Interrupt::Init]) {
            for target in VcpuId::first(giantvm_core::MAX_VCPUS) {
                let msi = Msi::to(target, interrupt);
                assert_eq!(msi.decode(), Some((target, interrupt)));
            }
        }
    }

    #[test]
    fn messages_without_one_target_or_meaning_decode_to_none() {
        let good = Msi::to(VcpuId::BOOT, Interrupt::Fixed { vector: 0x30 });
        let with = |address, data| Msi { address, data }.decode();
        assert!(with(good.address, good.data).is_some());
        assert_eq!(with(good.address | Msi::LOGICAL, good.data), None);
        assert_eq!(with(0xfeff_f000, good.data), None, "broadcast");
        assert_eq!(with(good.address | 1 << 40, good.data), None, "no such id");
        assert_eq!(with(0xfed0_0000, good.data), None, "not the window");
        assert_eq!(with(good.address, 15), None, "reserved vector");
        assert_eq!(with(good.address, 0x200), None, "SMI");
    }
}
