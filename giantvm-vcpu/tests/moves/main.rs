//! vCPUs move between hosts of one process, of both kinds, while they are interrupted.

#[path = "../machine/mod.rs"]
mod machine;

mod kvm_flood;
mod nodes;
mod thread_moves;
