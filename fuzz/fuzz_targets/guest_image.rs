//! A guest image of unknown origin.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(loaded) = giantvm_guest::load(bytes) {
        for segment in loaded.segments {
            assert!(segment.bytes.len() as u64 <= segment.memory_size);
            assert!(segment.address.checked_add(segment.memory_size).is_some());
        }
    }
});
