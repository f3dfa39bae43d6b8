//! The lab: unmodified Linux, and everything else that needs a processor's own virtualization, tried
//! on a machine that has none.
//!
//! An emulator stands for the host's hardware ([`emulators`]). [`fetch`] takes it, kernels and tools from
//! Debian's packages; [`image`] packs what an emulated host and the guest in it run; [`host`] boots
//! it; [`scenario`] says what runs there and what must be seen; [`run`] does one of them, and
//! [`verdict`] tells how it went.

mod apt;
mod binaries;
mod cache;
mod checks;
mod cli;
mod console;
mod cpio;
mod emulators;
mod fetch;
mod host;
mod hub;
mod image;
mod interrupt;
mod kernel;
mod packages;
mod progress;
mod quiet;
mod run;
mod scenario;
mod scenarios;
mod script;
mod sources;
mod tool;
#[path = "../aggregate/tsc.rs"]
mod tsc;
mod verdict;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::from(2)
        }
    }
}
