//! Replays the seeds of the fuzz target `dsm_protocol`, each of which is what one peer does.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/fuzz_targets/hostile_peer.rs"]
mod hostile_peer;

#[test]
fn every_seed_is_believed_or_refused_as_its_name_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/dsm_protocol");
    let mut seeds = 0;
    for entry in fs::read_dir(&folder).expect("the seed corpus is part of the project") {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let believed = hostile_peer::feed(&fs::read(&path).unwrap());
        // What a fuzzer finds and adds has a hash for a name and promises nothing but to end.
        if name.starts_with("good") || name.starts_with("bad") {
            assert_eq!(believed > 0, name.starts_with("good"), "{name}: {believed}");
        }
        seeds += 1;
    }
    assert!(seeds >= 6, "only {seeds} seeds in {}", folder.display());
}
