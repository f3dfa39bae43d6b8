//! A driver over simulated memory, given raw frames of its peers while its own threads work.
#![no_main]

mod driver;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    driver::feed(bytes);
});
