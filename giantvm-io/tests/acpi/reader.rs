//! Follows the tables' pointers, and checks what every table has.

use giantvm_io::acpi::Tables;

pub(crate) struct Table {
    pub(crate) address: u64,
    pub(crate) bytes: Vec<u8>,
}

/// All tables that the root pointer leads to, each of them checked.
pub(crate) struct Reader(Vec<Table>);

impl Reader {
    pub(crate) fn new(tables: &Tables) -> Self {
        let root = &tables.bytes[..36];
        assert_eq!(&root[..8], b"RSD PTR ");
        assert_eq!((sum(&root[..20]), sum(root), root[15]), (0, 0, 2));
        let list = table_at(tables, u64_at(root, 24));
        assert_eq!(&list.bytes[..4], b"XSDT");
        let mut found: Vec<_> = list.bytes[36..]
            .chunks_exact(8)
            .map(|entry| table_at(tables, u64_at(entry, 0)))
            .collect();
        let fadt = found.iter().find(|table| &table.bytes[..4] == b"FACP");
        let dsdt = u64_at(&fadt.expect("there is a FADT").bytes, 140);
        found.insert(0, table_at(tables, dsdt));
        Self(found)
    }

    pub(crate) fn signatures(&self) -> impl Iterator<Item = &str> {
        let tables = self.0.iter();
        tables.map(|table| std::str::from_utf8(&table.bytes[..4]).unwrap())
    }

    pub(crate) fn table(&self, signature: &str) -> &Table {
        let mut tables = self.0.iter();
        let is_it = |table: &&Table| &table.bytes[..4] == signature.as_bytes();
        tables.find(is_it).expect("there is such a table")
    }
}

fn table_at(tables: &Tables, address: u64) -> Table {
    let at = usize::try_from(address - tables.address.0).unwrap();
    let len = usize::try_from(u32_at(&tables.bytes, at + 4)).unwrap();
    let bytes = tables.bytes[at..at + len].to_vec();
    assert_eq!(sum(&bytes), 0, "checksum of {:?}", &bytes[..4]);
    Table { address, bytes }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// The entries of a table, which have their kind and length in the first two bytes.
pub(crate) fn entries(table: &[u8], from: usize) -> Vec<&[u8]> {
    let (mut rest, mut entries) = (&table[from..], Vec::new());
    while let Some(&len) = rest.get(1) {
        let (entry, after) = rest.split_at(len.into());
        entries.push(entry);
        rest = after;
    }
    entries
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}
