//! Replays the seeds of the fuzz target `parcel`: each is what a peer sends for a page.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/fuzz_targets/parcels/mod.rs"]
mod parcels;

#[test]
fn every_seed_is_a_page_or_refused_as_its_name_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/parcel");
    let mut seeds = 0;
    for entry in fs::read_dir(&folder).expect("the seed corpus is part of the project") {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let unpacks = parcels::unpacks(&fs::read(&path).unwrap());
        assert!(!name.starts_with("good") || unpacks, "{name}");
        assert!(!name.starts_with("bad") || !unpacks, "{name}");
        seeds += 1;
    }
    assert!(seeds >= 16, "only {seeds} seeds in {}", folder.display());
}
