//! The smaller examples, run as a user runs them, and the tests of their parts, which Cargo does
//! not run where they are.

mod built;
mod doctor;
mod dsm_bench;
mod embed_dsm;

#[path = "../../doctor/finding.rs"]
mod finding;
#[path = "../../doctor/host.rs"]
mod host;
#[path = "../../doctor/kvm.rs"]
mod kvm;
#[path = "../../dsm_bench/sample.rs"]
mod sample;
