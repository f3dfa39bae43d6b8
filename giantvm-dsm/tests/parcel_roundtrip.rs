//! Whatever a page and a base hold, what is packed is unpacked to the same page; and whatever bytes
//! come as a parcel, they are a page or refused.

use bytes::Bytes;
use giantvm_core::PageSize;
use giantvm_dsm::engine::parcel::{BadParcel, Base, Digest, Packing, pack, unpack};
use proptest::prelude::*;

const SIZE: PageSize = PageSize::K4;
const PAGE: usize = SIZE.bytes();

/// Pages that compress well, and pages that do not.
fn pages() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>(), PAGE);
    (bytes, 1_u8..=255).prop_map(|(mut page, mask)| {
        page.iter_mut().for_each(|byte| *byte &= mask);
        page
    })
}

fn base(bytes: &[u8]) -> Base<'_> {
    let digest = Digest::of(bytes);
    Base { digest, bytes }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_packed_is_unpacked_to_the_same_page(
        old in pages(),
        other in pages(),
        lines in any::<u64>(),
        few in any::<bool>(),
        squeeze in any::<bool>(),
        based in any::<bool>(),
    ) {
        // Few lines as often as many.
        let lines = if few { lines & lines.rotate_left(7) & lines.rotate_left(31) } else { lines };
        let mut page = old.clone();
        for line in (0..64).filter(|line| lines >> line & 1 != 0) {
            let place = line * 64..(line + 1) * 64;
            page[place.clone()].copy_from_slice(&other[place]);
        }
        let base = based.then(|| base(&old));
        let mut payload = vec![1, 2, 3];
        let packing = pack(&page, base, squeeze, &mut payload);
        prop_assert!(squeeze || !matches!(packing, Packing::Lz4 | Packing::Lz4Delta));
        prop_assert!(based || !matches!(packing, Packing::Delta | Packing::Lz4Delta));
        if packing == Packing::Whole {
            payload = page.clone();
        } else {
            prop_assert!(payload.len() <= PAGE - PAGE / 8);
        }
        let changed = (0..64).filter(|line| {
            let place = line * 64..(line + 1) * 64;
            page[place.clone()] != old[place]
        });
        if packing == Packing::Delta {
            prop_assert_eq!(payload.len(), 24 + 64 * changed.count());
        }
        let again = unpack(packing, &Bytes::from(payload), SIZE, base);
        prop_assert_eq!(again.as_deref(), Ok(&page[..]));
    }

    #[test]
    fn any_bytes_are_a_page_or_refused(
        packing in prop::sample::select(Packing::ALL.to_vec()),
        mut payload in prop::collection::vec(any::<u8>(), 0..200),
        known in any::<bool>(),
    ) {
        let old = [7; PAGE];
        let base = base(&old);
        if let Some(place) = payload.first_chunk_mut().filter(|_| known) {
            *place = base.digest.to_bytes();
        }
        if let Ok(page) = unpack(packing, &Bytes::from(payload), SIZE, Some(base)) {
            prop_assert_eq!(page.len(), PAGE);
        }
    }
}

#[test]
fn a_delta_against_unknown_bytes_names_what_is_unknown() {
    let (old, mut new) = (vec![7; PAGE], vec![7; PAGE]);
    new[0] = 1;
    let mut payload = Vec::new();
    assert_eq!(
        pack(&new, Some(base(&old)), false, &mut payload),
        Packing::Delta
    );
    let payload = Bytes::from(payload);
    let unknown = Err(BadParcel::UnknownBase(Digest::of(&old)));
    let short = &old[..64];
    for base in [
        None,
        Some(base(&new)),
        Some(Base {
            bytes: short,
            ..base(&old)
        }),
    ] {
        assert_eq!(unpack(Packing::Delta, &payload, SIZE, base), unknown);
    }
}

#[test]
fn the_smallest_and_the_largest_page_are_packed_by_64ths() {
    for size in [PageSize::MIN, PageSize::MAX] {
        let old = vec![7; size.bytes()];
        let mut new = old.clone();
        *new.last_mut().unwrap() = 1;
        let mut payload = Vec::new();
        assert_eq!(
            pack(&new, Some(base(&old)), false, &mut payload),
            Packing::Delta
        );
        assert_eq!(payload.len(), 24 + size.bytes() / 64);
        let again = unpack(
            Packing::Delta,
            &Bytes::from(payload),
            size,
            Some(base(&old)),
        );
        assert_eq!(again.as_deref(), Ok(&new[..]));
    }
}

#[test]
fn a_page_that_did_not_change_goes_as_a_delta_of_no_lines() {
    let page = vec![7; PAGE];
    for squeeze in [false, true] {
        let mut payload = Vec::new();
        assert_eq!(
            pack(&page, Some(base(&page)), squeeze, &mut payload),
            Packing::Delta
        );
        assert_eq!(payload.len(), 24);
    }
}
