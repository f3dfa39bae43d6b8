//! What the local APICs know of the I/O APIC, which is not KVM's.

use std::sync::Mutex;

use giantvm_core::{Msi, VcpuId};
use kvm_bindings::{KVM_IRQ_ROUTING_MSI, KvmIrqRouting, kvm_irq_routing_entry};
use kvm_ioctls::VmFd;

use super::errno;
use crate::error::VcpuError;
use crate::host::IO_APIC_PINS;

/// In a message's data: level-triggered, and asserted.
const LEVEL: u32 = 1 << 15 | 1 << 14;

/// The messages that the I/O APIC's pins send.
#[derive(Debug, Default)]
pub(super) struct Pins(Mutex<[Option<Msi>; IO_APIC_PINS]>);

impl Pins {
    /// Changes one, for KVM too.
    pub(super) fn set(&self, vm: &VmFd, pin: usize, msi: Option<Msi>) -> Result<(), VcpuError> {
        // Held to the end: of two calls the later one's message is KVM's too.
        let mut known = self.0.lock().expect("no panic under this lock");
        let mut changed = *known;
        let entry = changed.get_mut(pin).ok_or(VcpuError::Unsupported {
            host: "a host on KVM",
            what: "have an I/O APIC of more pins",
        })?;
        if std::mem::replace(entry, msi) == msi {
            return Ok(());
        }
        let routes: Vec<_> = (0..).zip(&changed).filter_map(route).collect();
        let routes = KvmIrqRouting::from_entries(&routes)
            .map_err(|_| VcpuError::HostLacks("memory for a list of pins"))?;
        vm.set_gsi_routing(&routes)
            .map_err(errno("telling KVM of the I/O APIC's pins"))?;
        *known = changed;
        Ok(())
    }

    /// An interrupt to `target` as the pin sent it that it came from, if it came from one: what
    /// travels between nodes does not say whether it is level-triggered, and guests look.
    pub(super) fn as_sent(&self, target: VcpuId, mut msi: Msi) -> Msi {
        let known = self.0.lock().expect("no panic under this lock");
        let Ok(sent) = msi.decode() else { return msi };
        let level = known.iter().flatten().any(|pin| {
            pin.decode().is_ok_and(|pin| {
                let own = pin.logical || pin.destination == u32::from(target.get());
                pin.level_triggered && pin.vector == sent.vector && own
            })
        });
        if level {
            msi.data |= LEVEL;
        }
        msi
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the address is given in two halves"
)]
fn route((gsi, pin): (u32, &Option<Msi>)) -> Option<kvm_irq_routing_entry> {
    let msi = (*pin)?;
    let mut entry = kvm_irq_routing_entry {
        gsi,
        type_: KVM_IRQ_ROUTING_MSI,
        ..kvm_irq_routing_entry::default()
    };
    entry.u.msi.address_lo = msi.address as u32;
    entry.u.msi.address_hi = (msi.address >> 32) as u32;
    entry.u.msi.data = msi.data;
    Some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::Interrupt;

    #[test]
    fn an_interrupt_of_a_level_triggered_pin_stays_one_on_the_way() {
        let [one, two] = [1, 2].map(|id| VcpuId::new(id).unwrap());
        let sent = |target, vector| Interrupt::Fixed { vector }.to_msi(target);
        let mut level = sent(two, 0x41);
        level.data |= LEVEL;
        let mut pins = [None; IO_APIC_PINS];
        (pins[4], pins[5]) = (Some(sent(two, 0x40)), Some(level));
        let pins = Pins(Mutex::new(pins));
        assert_eq!(pins.as_sent(two, sent(two, 0x41)), level);
        assert_eq!(pins.as_sent(two, sent(two, 0x40)), sent(two, 0x40));
        let elsewhere = pins.as_sent(one, sent(one, 0x41));
        assert_eq!(elsewhere, sent(one, 0x41), "vectors are each vCPU's own");
    }
}
