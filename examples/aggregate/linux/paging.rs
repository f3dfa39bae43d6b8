//! The page tables that a kernel's 64-bit entry wants: addresses as they are.

/// Tables of the lowest level; each maps 1 GiB.
const DIRECTORIES: u64 = 4;
const PAGE: u64 = 4096;
const LARGE_PAGE: u64 = 2 << 20;
const ENTRIES: u64 = 512;
const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const LARGE: u64 = 1 << 7;

/// The tables' bytes, the root first, if they are at `base`: the first 4 GiB, at their own
/// addresses, in pages of 2 MiB.
pub(super) fn identity(base: u64) -> Vec<u8> {
    let table = |number: u64| (base + number * PAGE) | PRESENT | WRITABLE;
    let rest = |filled| std::iter::repeat_n(0, usize::try_from(ENTRIES - filled).unwrap_or(0));
    let root = std::iter::once(table(1)).chain(rest(1));
    let pointers = (0..DIRECTORIES).map(|number| table(2 + number));
    let pages = (0..DIRECTORIES * ENTRIES).map(|page| page * LARGE_PAGE);
    root.chain(pointers)
        .chain(rest(DIRECTORIES))
        .chain(pages.map(|page| page | PRESENT | WRITABLE | LARGE))
        .flat_map(u64::to_le_bytes)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: u64 = 4 << 30;

    /// What the processor finds for `address`.
    fn walk(bytes: &[u8], base: u64, address: u64) -> Option<u64> {
        let word = |table: u64, shift: u32| {
            let at = table - base + (address >> shift & 511) * 8;
            let at = usize::try_from(at).unwrap();
            let word = u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().unwrap());
            (word & PRESENT != 0).then_some(word)
        };
        let pointers = word(base, 39)? & !0xfff;
        let directory = word(pointers, 30)? & !0xfff;
        let page = word(directory, 21)?;
        assert_ne!(page & LARGE, 0);
        Some((page & !(LARGE_PAGE - 1)) + address % LARGE_PAGE)
    }

    #[test]
    fn every_address_below_4_gib_is_itself_and_no_other_is_mapped() {
        let bytes = identity(0x9000);
        for address in [0, 0x1f_ffff, 0x20_0000, 0x3fff_ffff, 0x4000_0000, END - 1] {
            assert_eq!(walk(&bytes, 0x9000, address), Some(address));
        }
        assert_eq!(walk(&bytes, 0x9000, END), None);
    }
}
