//! A cluster of each protocol at work while one of its nodes lies as bytes say.
#![no_main]

mod adversary;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    adversary::besiege(bytes);
});
