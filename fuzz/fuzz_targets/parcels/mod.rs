//! Bytes as a parcel: the first chooses the packing, the second the base.

use bytes::Bytes;
use giantvm_core::PageSize;
use giantvm_dsm::engine::parcel::{Base, Digest, Packing, pack, unpack};

/// Whether the bytes are a page.
///
/// # Panics
/// If what they are unpacked to is no page, or is another one when it is packed again.
pub(crate) fn unpacks(bytes: &[u8]) -> bool {
    let [packing, kind, payload @ ..] = bytes else {
        return false;
    };
    let packing = Packing::ALL[usize::from(*packing) % Packing::ALL.len()];
    let mut payload = payload.to_vec();
    let held = [*kind; PageSize::K4.bytes()];
    let digest = Digest::of(&held);
    let base = Base {
        digest,
        bytes: &held,
    };
    // No fuzzer guesses a digest: one is put in its place, but for one base in four.
    let against = matches!(packing, Packing::Delta | Packing::Lz4Delta);
    if let Some(place) = payload
        .first_chunk_mut()
        .filter(|_| against && kind % 4 != 0)
    {
        *place = digest.to_bytes();
    }
    let payload = Bytes::from(payload);
    let base = (kind % 8 != 1).then_some(base);
    let Ok(page) = unpack(packing, &payload, PageSize::K4, base) else {
        return false;
    };
    assert_eq!(page.len(), PageSize::K4.bytes());
    for squeeze in [false, true] {
        let mut payload = Vec::new();
        let packing = pack(&page, base, squeeze, &mut payload);
        if packing == Packing::Whole {
            continue;
        }
        assert!(payload.len() <= page.len() - page.len() / 8);
        let again = unpack(packing, &Bytes::from(payload), PageSize::K4, base);
        assert_eq!(again.as_ref(), Ok(&page), "{packing:?}");
    }
    true
}
