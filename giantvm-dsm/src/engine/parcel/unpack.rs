//! From a parcel to a page.

use bytes::Bytes;
use giantvm_core::PageSize;

use super::delta;
use super::error::BadParcel;
use super::pack::Base;
use super::packing::Packing;
use crate::mutants::mutant;

/// What a page of zeroes is lent from.
static ZEROES: [u8; PageSize::MAX.bytes()] = [0; PageSize::MAX.bytes()];

/// The page in a parcel; `base` is what this node said that it holds.
///
/// Total: any payload gives a page or an error. Allocates a page at most.
///
/// # Errors
/// [`BadParcel`] if no correct peer sends it.
pub fn unpack(
    packing: Packing,
    payload: &Bytes,
    size: PageSize,
    base: Option<Base<'_>>,
) -> Result<Bytes, BadParcel> {
    let size = size.bytes();
    let bad = BadParcel::Length {
        packing,
        got: payload.len(),
    };
    match packing {
        Packing::Whole if payload.len() == size => Ok(payload.clone()),
        Packing::Zero if payload.is_empty() => Ok(Bytes::from_static(&ZEROES[..size])),
        Packing::Whole | Packing::Zero => Err(bad),
        Packing::Lz4 => inflate(packing, payload, size).map(Bytes::from),
        Packing::Delta | Packing::Lz4Delta => {
            let (digest, mask, lines) = delta::split(payload).ok_or(bad)?;
            let known = |base: &Base<'_>| base.digest == digest || mutant!(TrustsAnyBase);
            let base = base.filter(|base| base.bytes.len() == size && known(base));
            let base = base.ok_or(BadParcel::UnknownBase(digest))?;
            let expected = delta::length(mask, size);
            let inflated;
            let lines = match packing {
                Packing::Lz4Delta => {
                    inflated = inflate(packing, lines, expected)?;
                    &inflated
                }
                _ if lines.len() == expected => lines,
                _ => return Err(bad),
            };
            let mut page = base.bytes.to_vec();
            delta::apply(&mut page, mask, lines);
            Ok(Bytes::from(page))
        }
    }
}

/// What `bytes` are compressed from, which has to be `length` bytes.
fn inflate(packing: Packing, bytes: &[u8], length: usize) -> Result<Vec<u8>, BadParcel> {
    let mut out = vec![0; length];
    match lz4_flex::block::decompress_into(bytes, &mut out) {
        Ok(got) if got == length => Ok(out),
        Ok(_) | Err(_) => Err(BadParcel::Compressed(packing)),
    }
}
