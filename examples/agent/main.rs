//! The agent in a Linux guest: it places threads near those that they share memory with.
//!
//! A guest's kernel places threads by load alone, and cannot know which of them wait for pages of
//! another host. The host tells: [`port`] asks it by the [channel](giantvm_sched::channel), [`watch`]
//! looks which threads ran where, [`blame`] says whose faults a vCPU's were, [`decide`] has DaS make
//! a plan, and [`place`] carries it out by affinities. One program without libraries (built with
//! `-C target-feature=+crt-static`), a file to open and a user's own threads are all that it needs.

mod agent;
mod blame;
mod cgroup;
mod cli;
mod cpus;
mod decide;
mod place;
mod port;
mod show;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;

fn main() -> ExitCode {
    match agent::run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}
