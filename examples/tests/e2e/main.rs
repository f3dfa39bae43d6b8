//! The examples, run as a user runs them, and the tests of their parts, which Cargo does
//! not run where they are.

mod aggregate_bad_days;
mod aggregate_runs;
mod built;
mod doctor;
mod dsm_bench;
mod embed_dsm;
mod litmus;
mod machine;
mod rust_vmm;

#[path = "../../doctor/finding.rs"]
mod finding;
#[path = "../../doctor/host.rs"]
mod host;
#[path = "../../doctor/kvm.rs"]
mod kvm;
#[path = "../../dsm_bench/steps/path.rs"]
mod path;
#[path = "../../dsm_bench/sample.rs"]
mod sample;
