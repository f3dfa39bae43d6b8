//! A complete aggregated hypervisor: one virtual machine over several node processes.
//!
//! `main` decides which role this process has; [`launch`] starts and watches the processes of one
//! host, [`join`] finds the other nodes, [`node`] runs one node from then to its end.

mod cli;
mod console;
mod devices;
mod exit;
mod guest;
mod host;
mod inbox;
mod join;
mod launch;
mod lifecycle;
mod litmus;
mod memory;
mod node;
#[path = "../protocol.rs"]
mod protocol;
mod report;
mod signals;
mod threads;
mod timekeeper;
mod tsc;
mod vcpus;
mod verdict;
mod wiring;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Role};
use crate::exit::{Exit, Fatal, OrExit};
use crate::report::RunReport;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let code = run(&cli).unwrap_or_else(|Fatal { exit, error }| {
        eprintln!("aggregate: {error:#}");
        exit.code()
    });
    // vCPUs of a lost machine may wait for ever for pages that will not come: end them with all.
    std::process::exit(i32::from(code));
}

fn run(cli: &Cli) -> Result<u8, Fatal> {
    match cli.role()? {
        Role::Parent(task) => {
            host::check(&task)?;
            launch::processes(cli)
        }
        Role::AllNodes(task) => {
            host::check(&task)?;
            let reports = join::in_process(&task)?;
            conclude(cli, reports)
        }
        Role::OneNode { task, node } => {
            if cli.member.is_some() {
                signals::end_with_parent().or_exit(Exit::Host)?;
            }
            host::check(&task)?;
            let interrupted = signals::watch().or_exit(Exit::Host)?;
            let transport = join::by_tcp(&task, node)?;
            conclude(cli, node::run(&task, transport, interrupted)?)
        }
    }
}

/// Shows the report, if this process has it, and turns it into the exit status.
fn conclude(cli: &Cli, report: Option<RunReport>) -> Result<u8, Fatal> {
    let Some(report) = report else {
        return Ok(Exit::Verified.code());
    };
    println!("{}", report.to_text());
    if let Some(path) = &cli.json {
        let json = serde_json::to_string_pretty(&report).or_exit(Exit::Wrong)?;
        match path.to_str() {
            Some("-") => println!("{json}"),
            _ => std::fs::write(path, json)
                .with_context(|| format!("cannot write {}", path.display()))
                .or_exit(Exit::Usage)?,
        }
    }
    if report.verified {
        println!("every result is right");
        Ok(Exit::Verified.code())
    } else {
        println!("NOT every result is right: {}", report.outcome);
        Ok(Exit::Wrong.code())
    }
}
