//! The tables' bytes and where they are.

use acpi_tables::Aml;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;
use giantvm_core::GuestAddress;

use super::{AcpiError, Platform, dsdt, fadt, hmat, madt, numa};

const OEM: [u8; 6] = *b"GIANTV";
const OEM_TABLE: [u8; 8] = *b"GIANTVM ";
const OEM_REVISION: u32 = 1;
/// Bytes of the header that all tables begin with.
const HEADER: u32 = 36;
/// Tables begin at multiples of this; the root pointer has to at multiples of 16.
const ALIGNMENT: usize = 64;

/// ACPI tables, ready to be written to guest memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// Where the bytes belong, and where the root pointer (RSDP) is.
    pub address: GuestAddress,
    /// The root pointer and all tables.
    pub bytes: Vec<u8>,
}

impl Platform {
    /// Makes the tables, for `room` bytes at `base`.
    ///
    /// The guest finds them where its boot protocol says that the root pointer is, or at any multiple
    /// of 16 from 0xe0000 to 0xfffff. They have to stay out of memory that the guest may use.
    ///
    /// # Errors
    /// [`AcpiError`] if the platform makes no sense or the tables do not fit.
    pub fn tables(&self, base: GuestAddress, room: u64) -> Result<Tables, AcpiError> {
        self.check()?;
        if !base.0.is_multiple_of(16) {
            return Err(AcpiError::Base(base.0));
        }
        let mut layout = Layout {
            base: base.0,
            bytes: vec![0; Rsdp::len()],
        };
        let dsdt = layout.place(&dsdt::table(&self.devices));
        let mut listed = vec![
            layout.place(&fadt::table(&self.devices, dsdt)),
            layout.place(&madt::table(self)),
        ];
        if self.domains() > 0 {
            listed.push(layout.place(&numa::affinity(self)));
        }
        if !self.distances.is_empty() {
            listed.push(layout.place(&numa::distances(&self.distances)));
        }
        if let Some(performance) = &self.performance {
            listed.push(layout.place(&hmat::table(self, performance)));
        }
        let mut root = XSDT::new(OEM, OEM_TABLE, OEM_REVISION);
        listed.into_iter().for_each(|table| root.add_entry(table));
        let root = layout.place(&root);
        layout.bytes[..Rsdp::len()].copy_from_slice(&bytes(&Rsdp::new(OEM, root)));

        let needed = layout.bytes.len() as u64;
        if needed > room || base.0.checked_add(room).is_none() {
            return Err(AcpiError::Room { needed, room });
        }
        let (address, bytes) = (base, layout.bytes);
        Ok(Tables { address, bytes })
    }
}

struct Layout {
    base: u64,
    bytes: Vec<u8>,
}

impl Layout {
    /// Adds a table and tells its address.
    fn place(&mut self, table: &dyn Aml) -> u64 {
        let offset = self.bytes.len().next_multiple_of(ALIGNMENT);
        self.bytes.resize(offset, 0);
        table.to_aml_bytes(&mut self.bytes);
        self.base.wrapping_add(offset as u64)
    }
}

/// A table of these contents behind the header that all have.
pub(super) fn table(signature: [u8; 4], revision: u8, contents: &[u8]) -> Sdt {
    let mut table = Sdt::new(signature, HEADER, revision, OEM, OEM_TABLE, OEM_REVISION);
    table.append_slice(contents);
    table
}

/// A FADT with nothing in it.
pub(super) fn blank_fadt() -> acpi_tables::fadt::FADTBuilder {
    acpi_tables::fadt::FADTBuilder::new(OEM, OEM_TABLE, OEM_REVISION)
}

pub(super) fn bytes(item: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    item.to_aml_bytes(&mut bytes);
    bytes
}
