//! An entry of the redirection table.

use giantvm_core::{DeliveryMode, Msi};

const VECTOR: u64 = 0xff;
const MODE_SHIFT: u32 = 8;
const LOGICAL: u64 = 1 << 11;
const REMOTE_IRR: u64 = 1 << 14;
const LEVEL: u64 = 1 << 15;
const MASKED: u64 = 1 << 16;
const EXTENDED_SHIFT: u32 = 49;
const EXTENDED: u64 = 0x7f << EXTENDED_SHIFT;
const DESTINATION_SHIFT: u32 = 56;

/// Vector, mode, destination mode, polarity, trigger mode, mask and destination. Delivery status and
/// remote IRR are the IOAPIC's own.
const WRITABLE: u64 = 0xff << DESTINATION_SHIFT | MASKED | LEVEL | 1 << 13 | 0xfff;

/// In a message's data: the trigger mode is level, and the level is high.
const LEVEL_DATA: u32 = 1 << 15 | 1 << 14;
/// In a message's address: the destination is a logical one.
const LOGICAL_ADDRESS: u64 = 1 << 2;

/// An entry of the redirection table, as the guest wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry(u64);

impl Entry {
    /// After power-on: masked.
    pub(super) const RESET: Self = Self(MASKED);

    /// The entry with one half, the lower or the upper, as the guest writes it. What is reserved
    /// stays zero, and bits 49 to 55 are reserved unless `extended`.
    pub(super) const fn with(self, upper: bool, value: u32, extended: bool) -> Self {
        let (kept, value) = match upper {
            false => (self.0 & !0xffff_ffff, value as u64),
            true => (self.0 & 0xffff_ffff, (value as u64) << 32),
        };
        let writable = if extended {
            WRITABLE | EXTENDED
        } else {
            WRITABLE
        };
        Self(kept | value & writable)
    }

    /// What the guest reads of one half.
    pub(super) const fn read(self, upper: bool, remote_irr: bool) -> u32 {
        let bits = if remote_irr {
            self.0 | REMOTE_IRR
        } else {
            self.0
        };
        let half = if upper {
            bits >> 32
        } else {
            bits & 0xffff_ffff
        };
        #[expect(clippy::cast_possible_truncation, reason = "half of 64 bits")]
        let half = half as u32;
        half
    }

    pub(super) const fn is_masked(self) -> bool {
        self.0 & MASKED != 0
    }

    /// Whether the pin's interrupts end with an EOI. Only those with a vector do: the others are
    /// edge-triggered whatever the trigger mode says.
    pub(super) const fn is_level(self) -> bool {
        self.0 & LEVEL != 0 && matches!(self.mode(), 0 | 1)
    }

    pub(super) const fn vector(self) -> u8 {
        let [vector, ..] = self.0.to_le_bytes();
        vector
    }

    const fn mode(self) -> u8 {
        let [_, mode, ..] = self.0.to_le_bytes();
        mode & 7
    }

    /// The message that the entry makes of an interrupt, masked or not; `None` if no APIC would take
    /// it, as for an entry that the guest has not set up. Polarity is without meaning: a line here is
    /// asserted or not.
    pub(super) fn message(self) -> Option<Msi> {
        let destination = self.0 >> DESTINATION_SHIFT;
        let extended = (self.0 & EXTENDED) >> EXTENDED_SHIFT;
        let logical = if self.0 & LOGICAL != 0 {
            LOGICAL_ADDRESS
        } else {
            0
        };
        let level = if self.is_level() { LEVEL_DATA } else { 0 };
        let msi = Msi {
            address: extended << 40 | 0xfee0_0000 | destination << 12 | logical,
            data: level | u32::from(self.mode()) << MODE_SHIFT | (self.0 & VECTOR) as u32,
        };
        // Start-up is a message between processors; there is no external controller to ask.
        let is_takable = |mode| !matches!(mode, DeliveryMode::StartUp | DeliveryMode::ExtInt);
        let target = msi.decode().ok()?;
        is_takable(target.mode).then_some(msi)
    }

    /// The message of a level-triggered entry: what the node of each vCPU has to know to see its EOI.
    /// The mask is no matter, for an interrupt can be masked while it is served.
    pub(super) fn route(self) -> Option<Msi> {
        self.is_level().then(|| self.message()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bits: u64, extended: bool) -> Entry {
        let [a, b, c, d, e, f, g, h] = bits.to_le_bytes();
        let (low, high) = (
            u32::from_le_bytes([a, b, c, d]),
            u32::from_le_bytes([e, f, g, h]),
        );
        Entry::RESET
            .with(false, low, extended)
            .with(true, high, extended)
    }

    #[test]
    fn a_message_has_all_that_the_entry_says() {
        let message = |bits| entry(bits, true).message();
        let (address, data) = (0xfee0_3000, 0x41);
        assert_eq!(message(0x0300_0000_0000_0041), Some(Msi { address, data }));
        let (address, data) = (0xfee0_3004, 0xc141);
        assert_eq!(message(0x0300_0000_0001_8941), Some(Msi { address, data }));
        // 15 bits of destination: bits 8 to 14 are in the message's upper half.
        let (address, data) = (0x7f00_feef_f000, 0x41);
        assert_eq!(message(0xfffe_0000_0000_0041), Some(Msi { address, data }));
        let far = Msi { address, data }.decode().unwrap();
        assert_eq!(far.destination, 0x7fff);
    }

    #[test]
    fn what_no_apic_takes_is_no_message() {
        for bits in [0, 0x0f, 0x341, 0x641, 0x741] {
            assert_eq!(entry(bits, false).message(), None, "{bits:#x}");
        }
        let nmi = entry(0x8400, false);
        assert_eq!(nmi.message().unwrap().data, 0x400, "an NMI has no level");
        assert_eq!(nmi.route(), None);
    }

    #[test]
    fn reserved_bits_read_as_zero() {
        let all = entry(u64::MAX, false);
        assert_eq!(
            [all.read(false, false), all.read(true, false)],
            [0x1_afff, 0xff00_0000]
        );
        assert_eq!(all.read(false, true), 0x1_efff);
        assert_eq!(entry(u64::MAX, true).read(true, false), 0xfffe_0000);
    }
}
