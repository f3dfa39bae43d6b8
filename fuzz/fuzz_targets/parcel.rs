//! A parcel from a peer, unpacked to a page.
#![no_main]

mod parcels;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    parcels::unpacks(bytes);
});
