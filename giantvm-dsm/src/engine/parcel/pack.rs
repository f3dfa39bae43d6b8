//! From a page to a parcel.

use giantvm_core::PageSize;

use super::delta;
use super::digest::Digest;
use super::packing::Packing;
use crate::mutants::mutant;

/// Bytes that both ends hold, and their name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base<'a> {
    /// The name.
    pub digest: Digest,
    /// The bytes: a page.
    pub bytes: &'a [u8],
}

/// Whether every byte of a page is zero.
pub(super) fn is_zero(page: &[u8]) -> bool {
    if mutant!(SeesZeroesTooSoon) {
        return page.iter().take(8).all(|&byte| byte == 0);
    }
    // Blocks that the compiler can compare wide, small enough to end early.
    let (blocks, rest) = page.as_chunks::<64>();
    let zero = |block: &[u8; 64]| block.iter().fold(0, |all, &byte| all | byte) == 0;
    blocks.iter().all(zero) && rest.iter().all(|&byte| byte == 0)
}

/// Packs a page that is not zero, against `base` if there is one, and compressed if `squeeze`: what
/// is not shorter by an eighth at least stays as it is. The payload of any other packing than
/// [`Packing::Whole`] is put into `out`.
///
/// ```
/// use bytes::Bytes;
/// use giantvm_core::PageSize;
/// use giantvm_dsm::engine::parcel::{Base, Digest, Packing, pack, unpack};
///
/// let old = [7; 4096];
/// let mut page = old;
/// page[100] = 1;
/// let base = Base { digest: Digest::of(&old), bytes: &old };
/// let mut payload = Vec::new();
/// assert_eq!(pack(&page, Some(base), false, &mut payload), Packing::Delta);
/// assert_eq!(payload.len(), 16 + 8 + 64);
///
/// let payload = Bytes::from(payload);
/// let again = unpack(Packing::Delta, &payload, PageSize::K4, Some(base))?;
/// assert_eq!(again[..], page[..]);
/// # Ok::<(), giantvm_dsm::engine::parcel::BadParcel>(())
/// ```
pub fn pack(page: &[u8], base: Option<Base<'_>>, squeeze: bool, out: &mut Vec<u8>) -> Packing {
    out.clear();
    let limit = page.len() - page.len() / 8;
    if page.len() < PageSize::MIN.bytes() {
        return Packing::Whole;
    }
    let against = base.filter(|base| base.bytes.len() == page.len());
    let against = against.map(|base| (base.digest, delta::changed(page, base.bytes)));
    if let Some((digest, mask)) = against
        && super::DELTA_HEAD + delta::length(mask, page.len()) <= limit
    {
        delta::put_head(digest, mask, out);
        let head = out.len();
        delta::put_lines(page, mask, out);
        if !squeeze || !shrink(out, head) {
            return Packing::Delta;
        }
        return Packing::Lz4Delta;
    }
    if squeeze {
        let packed = lz4_flex::block::compress(page);
        if packed.len() <= limit {
            *out = packed;
            return Packing::Lz4;
        }
    }
    Packing::Whole
}

/// Compresses what is behind the first `head` bytes, if that makes it shorter by an eighth.
fn shrink(out: &mut Vec<u8>, head: usize) -> bool {
    let lines = out.get(head..).unwrap_or_default();
    let packed = lz4_flex::block::compress(lines);
    let fits = packed.len() <= lines.len() - lines.len() / 8 && !lines.is_empty();
    if fits {
        out.truncate(head);
        out.extend_from_slice(&packed);
    }
    fits
}
