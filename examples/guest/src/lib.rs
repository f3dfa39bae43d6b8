//! The guest that ships with GiantVM, and what a host needs to run it.
//!
//! [`IMAGE`] is a bare-metal x86-64 program: it starts its processors by INIT and SIPI, runs a
//! list of [`Program`]s on all of them at CPL3, checks every result, and powers off. The same
//! [`programs`] are compiled into this library, generic over [`Machine`], so that host threads can
//! run them over the same memory.
//!
//! This crate runs no virtual machine: it says what to load ([`BootImage`]), in which state to
//! start ([`BootState`]), which devices to provide ([`abi`]), and whether what came
//! out was right ([`verify()`]).

#![expect(
    clippy::cast_possible_truncation,
    reason = "guest and host are x86-64: an address fits a usize; values go through try_from"
)]

#[cfg(not(target_arch = "x86_64"))]
compile_error!("the guest is an x86-64 program, and its programs use x86-64 instructions");

pub mod abi;
mod boot;
mod config;
mod elf;
mod litmus;
mod machine;
mod memory;
pub mod programs;
pub mod threads;
mod verify;

pub use boot::BootState;
pub use config::{BootImage, Config, ConfigError, Run};
pub use elf::{ElfError, Loaded, Segment, load};
pub use litmus::{CaseReport, Judgement, Seen, litmus};
pub use machine::{Destination, Machine, Vector};
pub use memory::Memory;
pub use programs::Program;
pub use verify::{Fault, Report, Verdict, verify};

/// The guest, an ELF64 executable.
pub const IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guest.elf"));
