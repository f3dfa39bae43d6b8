//! Replays the seeds of the fuzz target `ioapic`: each is what happens to one IOAPIC.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/fuzz_targets/pins/mod.rs"]
mod pins;

#[test]
fn every_seed_interrupts_or_not_as_its_name_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/ioapic");
    let mut seeds = 0;
    for entry in fs::read_dir(&folder).expect("the seed corpus is part of the project") {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let delivered = pins::delivered(&fs::read(&path).unwrap());
        // What a fuzzer finds and adds has a hash for a name and promises nothing but to end.
        if let Some(("some" | "none", _)) = name.split_once('_') {
            assert_eq!(delivered > 0, name.starts_with("some"), "{name}");
        }
        seeds += 1;
    }
    assert!(seeds >= 6, "only {seeds} seeds in {}", folder.display());
}
