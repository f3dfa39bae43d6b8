//! Replays the seeds of the fuzz target `guest_image`, each of which is one image.

use std::fs;
use std::path::Path;

#[test]
fn every_seed_is_an_image_or_an_error_as_its_name_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/guest_image");
    let mut seeds = 0;
    for entry in fs::read_dir(&folder).expect("the seed corpus is part of the project") {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let loaded = giantvm_guest::load(&fs::read(&path).unwrap());
        // What a fuzzer finds and adds has a hash for a name and promises nothing but to end.
        if name.starts_with("good") || name.starts_with("bad") {
            assert_eq!(
                loaded.is_ok(),
                name.starts_with("good"),
                "{name}: {loaded:?}"
            );
        }
        for segment in loaded.into_iter().flat_map(|loaded| loaded.segments) {
            assert!(segment.bytes.len() as u64 <= segment.memory_size, "{name}");
        }
        seeds += 1;
    }
    assert!(seeds >= 6, "only {seeds} seeds in {}", folder.display());
}
