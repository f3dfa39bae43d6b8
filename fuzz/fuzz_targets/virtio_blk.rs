//! A disk whose driver puts anything at all into its ring.
#![no_main]

mod virtio_rings;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    virtio_rings::feed(bytes);
});
