//! Which lines of a page differ from a base.

use super::{DELTA_HEAD, Digest, LINES};

/// The lines of a page that differ from a base: bit i for line i.
pub(super) fn changed(page: &[u8], base: &[u8]) -> u64 {
    let line = page.len() / LINES;
    let pairs = page.chunks_exact(line).zip(base.chunks_exact(line));
    let bits = pairs.enumerate().take(LINES);
    bits.fold(0, |mask, (at, (new, old))| {
        mask | u64::from(new != old) << at
    })
}

/// Bytes of the lines in `mask`.
pub(super) const fn length(mask: u64, size: usize) -> usize {
    mask.count_ones() as usize * (size / LINES)
}

/// Appends digest and mask to `out`.
pub(super) fn put_head(base: Digest, mask: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&base.to_bytes());
    out.extend_from_slice(&mask.to_le_bytes());
}

/// Appends the lines in `mask` of `page` to `out`.
pub(super) fn put_lines(page: &[u8], mask: u64, out: &mut Vec<u8>) {
    let lines = page.chunks_exact(page.len() / LINES).enumerate();
    for (at, line) in lines {
        if mask >> at & 1 != 0 {
            out.extend_from_slice(line);
        }
    }
}

/// Takes digest and mask off a delta.
pub(super) fn split(delta: &[u8]) -> Option<(Digest, u64, &[u8])> {
    let (head, lines) = delta.split_first_chunk::<DELTA_HEAD>()?;
    let (digest, mask) = head.split_first_chunk()?;
    let mask = u64::from_le_bytes(mask.try_into().ok()?);
    Some((Digest::from_bytes(*digest), mask, lines))
}

/// Puts the lines in `mask` into `page`. There are as many as the mask says.
pub(super) fn apply(page: &mut [u8], mask: u64, lines: &[u8]) {
    let line = page.len() / LINES;
    let mut new = lines.chunks_exact(line);
    for (at, old) in page.chunks_exact_mut(line).enumerate() {
        if mask >> at & 1 != 0
            && let Some(new) = new.next()
        {
            old.copy_from_slice(new);
        }
    }
}
