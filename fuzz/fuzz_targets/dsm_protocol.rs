//! Messages from one hostile peer into a node of the default coherence protocol.
#![no_main]

mod hostile_peer;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    hostile_peer::feed(bytes);
});
