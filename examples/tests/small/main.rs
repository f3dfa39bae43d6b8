//! The smaller examples, run as a user runs them.

mod built;
mod doctor;
mod dsm_bench;
mod embed_dsm;
