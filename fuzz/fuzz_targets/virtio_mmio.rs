//! The registers of a disk, read and written in any order.
#![no_main]

mod virtio_accesses;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    virtio_accesses::feed(bytes);
});
