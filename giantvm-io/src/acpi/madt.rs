//! MADT: the interrupt controllers.

use acpi_tables::sdt::Sdt;
use acpi_tables::{Aml, madt};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{Immutable, IntoBytes};

use super::{Platform, tables};

const LOCAL_APIC: u32 = 0xfee0_0000;
/// APIC IDs from here on are told by x2APIC structures, and only they: ACPI says so, and Linux ignores
/// x2APIC structures of smaller IDs where there are others.
pub(super) const FIRST_X2APIC: u32 = 0xff;

const ENABLED: u32 = 1;
/// The non-maskable interrupt's pin of each local APIC.
const NMI_PIN: u8 = 1;

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct X2Apic {
    kind: u8,
    len: u8,
    reserved: U16,
    id: U32,
    flags: U32,
    uid: U32,
}

/// The first eight bits of a small APIC ID.
pub(super) fn small(id: u32) -> Option<u8> {
    u8::try_from(id)
        .ok()
        .filter(|&id| u32::from(id) < FIRST_X2APIC)
}

/// The table. A vCPU's UID is its APIC ID.
///
/// There is no 8259 and so no flag for it, and no override: a device's interrupt is the pin that the
/// DSDT says, with polarity and trigger from there.
pub(super) fn table(platform: &Platform) -> Sdt {
    let mut contents = Vec::new();
    contents.extend(LOCAL_APIC.to_le_bytes());
    contents.extend([0; 4]);
    let (mut has_small, mut has_large) = (false, false);
    for processor in &platform.processors {
        if let Some(id) = small(processor.apic_id) {
            has_small = true;
            let enabled = madt::EnabledStatus::Enabled;
            madt::ProcessorLocalApic::new(id, id, enabled).to_aml_bytes(&mut contents);
        } else {
            has_large = true;
            let id = processor.apic_id.into();
            let x2apic = X2Apic {
                kind: 9,
                len: 16,
                reserved: 0.into(),
                id,
                flags: ENABLED.into(),
                uid: id,
            };
            contents.extend(x2apic.as_bytes());
        }
    }
    madt::IoApic::new(0, platform.devices.ioapic, 0).to_aml_bytes(&mut contents);
    if has_small {
        contents.extend([4, 6, 0xff, 0, 0, NMI_PIN]);
    }
    if has_large {
        contents.extend([10, 12, 0, 0, 0xff, 0xff, 0xff, 0xff, NMI_PIN, 0, 0, 0]);
    }
    tables::table(*b"APIC", 5, &contents)
}
