//! What nodes say to one another when one wants another to move a vCPU.

use giantvm_core::wire::DecodeError;
use giantvm_core::{NodeId, VcpuId};
use giantvm_vcpu::migration::Outcome;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Move this vCPU there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) vcpu: VcpuId,
    pub(crate) to: NodeId,
}

/// What became of an [`Order`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) vcpu: VcpuId,
    pub(crate) end: End,
}

/// How an [`Order`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It was tried.
    Tried(Outcome),
    /// It could not begin: the vCPU is elsewhere, or moving, or there already.
    Unbegun,
}

impl End {
    const ALL: [Self; 5] = [
        Self::Tried(Outcome::Moved),
        Self::Tried(Outcome::NotFrozen),
        Self::Tried(Outcome::Refused),
        Self::Tried(Outcome::Lost),
        Self::Unbegun,
    ];
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct WireOrder {
    vcpu: u8,
    to: u8,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct WireReport {
    vcpu: u8,
    end: u8,
}

fn bad(field: &'static str, value: u8) -> DecodeError {
    let value = value.into();
    DecodeError::BadField { field, value }
}

impl Order {
    pub(crate) fn to_wire(self) -> WireOrder {
        let (vcpu, to) = (self.vcpu.get(), self.to.get());
        WireOrder { vcpu, to }
    }

    pub(crate) fn of_wire(wire: &WireOrder) -> Result<Self, DecodeError> {
        Ok(Self {
            vcpu: VcpuId::new(wire.vcpu).map_err(|_| bad("vcpu", wire.vcpu))?,
            to: NodeId::new(wire.to).map_err(|_| bad("node", wire.to))?,
        })
    }
}

impl Report {
    pub(crate) fn to_wire(self) -> WireReport {
        let end = End::ALL
            .into_iter()
            .zip(0..)
            .find(|(end, _)| *end == self.end);
        WireReport {
            vcpu: self.vcpu.get(),
            end: end.map_or(0, |(_, number)| number),
        }
    }

    pub(crate) fn of_wire(wire: &WireReport) -> Result<Self, DecodeError> {
        let end = End::ALL.get(usize::from(wire.end)).copied();
        Ok(Self {
            vcpu: VcpuId::new(wire.vcpu).map_err(|_| bad("vcpu", wire.vcpu))?,
            end: end.ok_or_else(|| bad("end", wire.end))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_reports_survive_their_wire_forms_and_others_are_refused() {
        let (vcpu, to) = (VcpuId::new(3).unwrap(), NodeId::new(7).unwrap());
        let order = Order { vcpu, to };
        assert_eq!(Order::of_wire(&order.to_wire()).unwrap(), order);
        for end in End::ALL {
            let report = Report { vcpu, end };
            assert_eq!(Report::of_wire(&report.to_wire()).unwrap(), report);
        }
        assert!(Order::of_wire(&WireOrder { vcpu: 255, to: 0 }).is_err());
        assert!(Order::of_wire(&WireOrder { vcpu: 0, to: 64 }).is_err());
        assert!(Report::of_wire(&WireReport { vcpu: 0, end: 5 }).is_err());
    }
}
