//! What devices and vCPUs do to an IOAPIC.
#![no_main]

mod pins;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    pins::delivered(bytes);
});
