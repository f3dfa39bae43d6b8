//! Interrupts from devices to vCPUs.

use giantvm_core::VcpuId;

/// A message-signalled interrupt: the write that a device makes to raise it.
///
/// ```
/// use giantvm_io::{DeliveryMode, Msi};
///
/// let msi = Msi { address: 0xfee0_3000, data: 0x0041 };
/// let target = msi.decode()?;
/// assert_eq!((target.destination, target.vector), (3, 0x41));
/// assert_eq!(target.mode, DeliveryMode::Fixed);
/// # Ok::<(), giantvm_io::MsiError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Msi {
    /// Where it writes.
    pub address: u64,
    /// What it writes.
    pub data: u32,
}

/// What a message-signalled interrupt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MsiTarget {
    /// An APIC ID, or a set of APICs if `logical`; 255 is all of them.
    pub destination: u8,
    /// Whether the destination is a logical one.
    pub logical: bool,
    /// Whether only the one of lowest priority among the destinations takes it.
    pub redirection_hint: bool,
    /// The vector; without meaning but for fixed and lowest-priority delivery.
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
    /// From an external controller, which has the vector.
    ExtInt = 7,
}

/// A write that is no interrupt message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MsiError {
    /// The address is not 0xfee.....: the guest has not set the device's interrupt up.
    #[error("address {0:#x} is not an interrupt message's, 0xfee00000 to 0xfeefffff")]
    Address(u64),
    /// The delivery mode is reserved.
    #[error("delivery mode {0} is reserved")]
    Mode(u8),
    /// Vectors below 16 are the processor's own.
    #[error("vector {0} is below 16")]
    Vector(u8),
}

impl Msi {
    /// Takes the message apart, as the Intel SDM's volume 3, section 11.11 ("Message Signalled
    /// Interrupts") lays it out.
    ///
    /// # Errors
    /// [`MsiError`] for a write that no APIC would take.
    pub fn decode(self) -> Result<MsiTarget, MsiError> {
        if self.address >> 20 != 0xfee {
            return Err(MsiError::Address(self.address));
        }
        let [vector, high, ..] = self.data.to_le_bytes();
        let mode = match high & 7 {
            0 => DeliveryMode::Fixed,
            1 => DeliveryMode::LowestPriority,
            2 => DeliveryMode::Smi,
            4 => DeliveryMode::Nmi,
            5 => DeliveryMode::Init,
            7 => DeliveryMode::ExtInt,
            reserved => return Err(MsiError::Mode(reserved)),
        };
        let has_vector = matches!(mode, DeliveryMode::Fixed | DeliveryMode::LowestPriority);
        if has_vector && vector < 16 {
            return Err(MsiError::Vector(vector));
        }
        let [destination, ..] = (self.address >> 12).to_le_bytes();
        Ok(MsiTarget {
            destination,
            logical: self.address & 1 << 2 != 0,
            redirection_hint: self.address & 1 << 3 != 0,
            vector,
            mode,
            level_triggered: high & 0x80 != 0,
        })
    }
}

/// An interrupt that a device raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceInterrupt {
    /// As the guest programmed it.
    Msi(Msi),
    /// A vector at one vCPU.
    Vector {
        /// The vCPU.
        vcpu: VcpuId,
        /// The vector, 16 to 255.
        vector: u8,
    },
}

/// Takes interrupts from devices to where their vCPUs are.
///
/// Called with the device's lock held: must not block, and must not access the same device.
pub trait InterruptSink: Send + Sync {
    /// Raises an interrupt.
    fn raise(&self, interrupt: DeviceInterrupt);
}

impl<F: Fn(DeviceInterrupt) + Send + Sync> InterruptSink for F {
    fn raise(&self, interrupt: DeviceInterrupt) {
        self(interrupt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_taken_from_its_bits() {
        let msi = Msi {
            address: 0xfeea_500c,
            data: 0x8151,
        };
        let target = MsiTarget {
            destination: 0xa5,
            logical: true,
            redirection_hint: true,
            vector: 0x51,
            mode: DeliveryMode::LowestPriority,
            level_triggered: true,
        };
        assert_eq!(msi.decode(), Ok(target));
    }

    #[test]
    fn what_no_apic_takes_is_refused() {
        let decode = |address, data| Msi { address, data }.decode();
        assert_eq!(
            decode(0xfed0_0000, 0x41),
            Err(MsiError::Address(0xfed0_0000))
        );
        assert!(decode(1 << 40 | 0xfee0_0000, 0x41).is_err());
        assert_eq!(decode(0xfee0_0000, 0x341), Err(MsiError::Mode(3)));
        assert_eq!(decode(0xfee0_0000, 15), Err(MsiError::Vector(15)));
        assert!(decode(0xfee0_0000, 0x400).is_ok(), "an NMI has no vector");
    }
}
