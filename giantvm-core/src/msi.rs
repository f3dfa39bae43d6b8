//! Message-signalled interrupts: the writes by which interrupts reach local APICs.

use crate::VcpuId;

/// The lowest vector of an interrupt; the architecture reserves those below.
pub const LOWEST_VECTOR: u8 = 16;

const WINDOW: u64 = 0xfee0_0000;
/// Where a destination's low 8 bits are in the address; the upper 24 are at the same bits of the
/// upper half as in the destination itself.
const DESTINATION_SHIFT: u32 = 12;
const LOGICAL: u64 = 1 << 2;
const REDIRECTION_HINT: u64 = 1 << 3;
const LEVEL_TRIGGERED: u8 = 0x80;

/// A message-signalled interrupt: the 64-bit address and the data that a device writes.
///
/// Destinations have 32 bits: bits 0 to 7 at address bits 12 to 19, the others in the upper half
/// of the address, as KVM's 32-bit x2APIC interface has them. An 8-bit destination is the same in
/// both forms.
///
/// ```
/// use giantvm_core::{DeliveryMode, Msi, VcpuId};
///
/// let msi = Msi { address: 0xfee0_3000, data: 0x0041 };
/// let target = msi.decode()?;
/// assert_eq!((target.destination, target.vector), (3, 0x41));
/// assert_eq!(target.mode, DeliveryMode::Fixed);
/// assert_eq!(Msi::to(VcpuId::new(3)?, DeliveryMode::Fixed, 0x41), msi);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Msi {
    /// The address written to.
    pub address: u64,
    /// The data written.
    pub data: u32,
}

/// What a message-signalled interrupt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MsiTarget {
    /// An APIC ID, or a set of APICs if `logical`. All ones are all APICs: 255 for APICs in xAPIC
    /// mode, 0xffffffff in x2APIC mode.
    pub destination: u32,
    /// Whether the destination is a logical one.
    pub logical: bool,
    /// Whether only the one of lowest priority among the destinations takes it.
    pub redirection_hint: bool,
    /// The vector; a page for [`DeliveryMode::StartUp`], without meaning for the other modes but
    /// fixed and lowest-priority.
    pub vector: u8,
    /// How it is delivered.
    pub mode: DeliveryMode,
    /// Whether it is level-triggered.
    pub level_triggered: bool,
}

/// How an interrupt is delivered. The values are those of the message's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DeliveryMode {
    /// To all destinations, with the vector.
    Fixed = 0,
    /// To the destination of lowest priority, with the vector.
    LowestPriority = 1,
    /// System management interrupt.
    Smi = 2,
    /// Non-maskable interrupt.
    Nmi = 4,
    /// INIT.
    Init = 5,
    /// Start-up, with a page. Processors send it between each other only; the message is KVM's.
    StartUp = 6,
    /// From an external controller, which has the vector.
    ExtInt = 7,
}

/// A write that is no interrupt message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MsiError {
    /// The address is not 0xfee..... with a destination: the guest has not set the device's
    /// interrupt up.
    #[error(
        "address {0:#x} is not an interrupt message's, 0xfee00000 to 0xfeefffff \
         with bits 8 to 31 of the destination in bits 40 to 63"
    )]
    Address(u64),
    /// The delivery mode is reserved.
    #[error("delivery mode {0} is reserved")]
    Mode(u8),
    /// Vectors below [`LOWEST_VECTOR`] are the processor's own.
    #[error("vector {0} is below {LOWEST_VECTOR}")]
    Vector(u8),
}

impl Msi {
    /// The edge-triggered message to one vCPU, by physical destination.
    #[must_use]
    pub const fn to(target: VcpuId, mode: DeliveryMode, vector: u8) -> Self {
        Self {
            address: WINDOW | (target.get() as u64) << DESTINATION_SHIFT,
            data: (mode as u32) << 8 | vector as u32,
        }
    }

    /// Takes the message apart, as the Intel SDM's volume 3, section 11.11 ("Message Signalled
    /// Interrupts") lays it out.
    ///
    /// # Errors
    /// [`MsiError`] for a write that no APIC would take.
    pub fn decode(self) -> Result<MsiTarget, MsiError> {
        // Address bits 32 to 39 belong to no destination.
        if self.address >> 20 & 0xf_ffff != WINDOW >> 20 {
            return Err(MsiError::Address(self.address));
        }
        let [vector, high, ..] = self.data.to_le_bytes();
        let mode = DeliveryMode::of(high & 7).ok_or(MsiError::Mode(high & 7))?;
        let has_vector = matches!(mode, DeliveryMode::Fixed | DeliveryMode::LowestPriority);
        if has_vector && vector < LOWEST_VECTOR {
            return Err(MsiError::Vector(vector));
        }
        let [first, ..] = (self.address >> DESTINATION_SHIFT).to_le_bytes();
        let [.., second, third, fourth] = self.address.to_le_bytes();
        Ok(MsiTarget {
            destination: u32::from_le_bytes([first, second, third, fourth]),
            logical: self.address & LOGICAL != 0,
            redirection_hint: self.address & REDIRECTION_HINT != 0,
            vector,
            mode,
            level_triggered: high & LEVEL_TRIGGERED != 0,
        })
    }
}

impl DeliveryMode {
    const fn of(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::Fixed),
            1 => Some(Self::LowestPriority),
            2 => Some(Self::Smi),
            4 => Some(Self::Nmi),
            5 => Some(Self::Init),
            6 => Some(Self::StartUp),
            7 => Some(Self::ExtInt),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(address: u64, data: u32) -> Result<MsiTarget, MsiError> {
        Msi { address, data }.decode()
    }

    #[test]
    fn every_field_is_taken_from_its_bits() {
        let target = MsiTarget {
            destination: 0xa5,
            logical: true,
            redirection_hint: true,
            vector: 0x51,
            mode: DeliveryMode::LowestPriority,
            level_triggered: true,
        };
        assert_eq!(decode(0xfeea_500c, 0x8151), Ok(target));
        let wide = MsiTarget {
            destination: 0x1234_56a5,
            ..target
        };
        assert_eq!(decode(0x1234_5600_feea_500c, 0x8151), Ok(wide));
    }

    #[test]
    fn what_no_apic_takes_is_refused() {
        for address in [0xfed0_0000, 0xfef0_0000, 1 << 32 | WINDOW, 1 << 39 | WINDOW] {
            assert_eq!(decode(address, 0x41), Err(MsiError::Address(address)));
        }
        assert_eq!(decode(WINDOW, 0x341), Err(MsiError::Mode(3)));
        assert_eq!(decode(WINDOW, 15), Err(MsiError::Vector(15)));
        assert_eq!(decode(WINDOW, 0x10f), Err(MsiError::Vector(15)));
        assert!(decode(WINDOW, 0x400).is_ok(), "an NMI has no vector");
    }

    #[test]
    fn a_message_to_a_vcpu_says_what_it_was_made_of() {
        for mode in (0..8).filter_map(DeliveryMode::of) {
            for vcpu in VcpuId::first(crate::MAX_VCPUS) {
                let target = MsiTarget {
                    destination: vcpu.get().into(),
                    logical: false,
                    redirection_hint: false,
                    vector: 0x31,
                    mode,
                    level_triggered: false,
                };
                assert_eq!(Msi::to(vcpu, mode, 0x31).decode(), Ok(target));
            }
        }
    }
}
