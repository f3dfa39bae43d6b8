//! Replays the seeds of the fuzz targets `protocol_assault` and `protocol_siege`, each of which is
//! what one peer does.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/fuzz_targets/adversary.rs"]
mod adversary;

/// The seeds of a target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let files = fs::read_dir(folder).expect("the seed corpus is part of the project");
    files
        .map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect()
}

#[test]
fn lies_to_one_node_change_nothing_that_they_must_not() {
    let seeds = seeds("protocol_assault");
    let believed = seeds.iter().filter(|bytes| adversary::assault(bytes) > 0);
    assert!(
        believed.count() * 2 > seeds.len(),
        "most seeds are believed at times"
    );
}

#[test]
fn lies_in_a_working_cluster_make_no_two_writers_and_no_hang() {
    for bytes in seeds("protocol_siege") {
        adversary::besiege(&bytes);
    }
}
