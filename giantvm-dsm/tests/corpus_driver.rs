//! Replays the seeds of the fuzz target `driver_frames`: each is what happens to one driver.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/fuzz_targets/driver/mod.rs"]
mod driver;

#[test]
fn every_seed_is_believed_or_refused_as_its_name_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/driver_frames");
    let (mut seeds, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(&folder).expect("the seed corpus is part of the project") {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let believed = driver::feed(&fs::read(&path).unwrap());
        // What a fuzzer finds and adds has a hash for a name and promises nothing but to end.
        let (good, bad) = (name.starts_with("good"), name.starts_with("bad"));
        if (good || bad) && good != (believed > 0) {
            wrong.push((name, believed));
        }
        seeds += 1;
    }
    assert_eq!(wrong, []);
    assert!(seeds >= 40, "only {seeds} seeds in {}", folder.display());
}
