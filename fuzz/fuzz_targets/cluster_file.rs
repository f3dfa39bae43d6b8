//! A cluster file that a person wrote, or did not.
#![no_main]

use giantvm_sched::{ClusterSpec, Placement};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(spec) = ClusterSpec::parse(&String::from_utf8_lossy(bytes), "cluster.toml") {
        let placement = Placement::plan(&spec);
        assert_eq!(placement.topology().nodes().len(), spec.nodes().len());
    }
});
