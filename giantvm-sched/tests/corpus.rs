//! Replays the seeds of the fuzz target `cluster_file`, each of which is one cluster file.

use std::fs;
use std::path::Path;

use giantvm_sched::{ClusterSpec, Placement};

#[test]
fn every_seed_is_a_cluster_or_an_error_as_its_name_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/cluster_file");
    let mut seeds = 0;
    for entry in fs::read_dir(&folder).expect("the seed corpus is part of the project") {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = String::from_utf8_lossy(&bytes);
        let parsed = ClusterSpec::parse(&text, &name);
        if let Ok(spec) = &parsed {
            assert_eq!(
                Placement::plan(spec).topology().nodes().len(),
                spec.nodes().len()
            );
        }
        // What a fuzzer finds and adds has a hash for a name and promises nothing but to end.
        if name.starts_with("good") || name.starts_with("bad") {
            assert_eq!(
                parsed.is_ok(),
                name.starts_with("good"),
                "{name}: {parsed:?}"
            );
        }
        seeds += 1;
    }
    assert!(seeds >= 6, "only {seeds} seeds in {}", folder.display());
}
