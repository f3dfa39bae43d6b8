//! One node of each protocol, given what bytes say: faults, time-outs, evictions and a peer's lies.
#![no_main]

mod adversary;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    adversary::assault(bytes);
});
