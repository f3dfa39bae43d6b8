//! A complete aggregated hypervisor: one virtual machine over several node processes.
//!
//! `main` decides which role this process has; [`launch`] starts and watches the processes of one
//! host, [`join`] finds the other nodes, [`node`] runs one node from then to its end.

mod address_map;
mod channel;
mod cli;
mod console;
mod control;
mod counts;
mod departures;
mod devices;
mod echoes;
mod exit;
mod guest;
mod host;
mod hot;
mod inbox;
mod join;
mod launch;
mod lifecycle;
mod lines;
mod link_meter;
mod linux;
mod litmus;
mod looks;
mod memory;
mod move_order;
mod moves;
mod node;
#[path = "../protocol.rs"]
mod protocol;
mod rates;
mod report;
mod scheduling;
mod screen;
mod signals;
mod stalls;
mod task;
mod threads;
mod timekeeper;
mod top;
mod tsc;
mod vcpus;
mod verdict;
mod view;
mod wiring;
mod work;

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Role};
use crate::exit::{Exit, Fatal, OrExit};
use crate::lines::Line;
use crate::linux::keyboard::RawTerminal;
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
    if cli.restarts_after(code) {
        // From nothing, like a machine that is switched on: all nodes ended for the same reason, so
        // they find one another again.
        let error = restart();
        eprintln!("aggregate: the machine was not started again: {error}");
    }
    // vCPUs of a lost machine may wait for ever for pages that will not come: end them with all.
    std::process::exit(i32::from(code));
}

/// Becomes what this process was when it started; says why if it cannot.
fn restart() -> std::io::Error {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    match std::env::current_exe() {
        Ok(path) => Command::new(path).arg0(name).args(arguments).exec(),
        Err(error) => error,
    }
}

fn run(cli: &Cli) -> Result<u8, Fatal> {
    // Of the processes on one host the one that started them has the terminal.
    let typed = cli.kernel.is_some() && cli.member.is_none();
    let _terminal = typed.then(RawTerminal::new);
    match cli.role()? {
        Role::Client { control, request } => {
            let said = control::client::ask(&control, &request).or_exit(Exit::Wrong)?;
            println!("{said}");
            Ok(Exit::Verified.code())
        }
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
    // What is for people stays out of the way of lines that are for programs.
    let say = |text: &str| match cli.show() {
        Some(show) if show.is_json_only() => eprintln!("{text}"),
        Some(_) | None => println!("{text}"),
    };
    say(&report.to_text());
    if let Some(path) = &cli.json {
        write_json(cli, &report, path)?;
    }
    if report.verified {
        say(match report.programs.is_empty() {
            true => &report.outcome,
            false => "every result is right",
        });
        Ok(Exit::Verified.code())
    } else {
        say(&format!("NOT every result is right: {}", report.outcome));
        Ok(Exit::Wrong.code())
    }
}

/// Writes the report where the command line says: as the last line of a live view if there is one.
fn write_json(cli: &Cli, report: &RunReport, path: &Path) -> Result<(), Fatal> {
    let json = match cli.top {
        true => Line::Report(report).to_text(),
        false => serde_json::to_string_pretty(report).map(|json| json + "\n"),
    };
    let json = json.or_exit(Exit::Wrong)?;
    if path == Path::new("-") {
        print!("{json}");
        return Ok(());
    }
    let mut options = File::options();
    // The view wrote to it before.
    let options = options
        .create(true)
        .write(true)
        .append(cli.top)
        .truncate(!cli.top);
    options
        .open(path)
        .and_then(|mut file| file.write_all(json.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
        .or_exit(Exit::Usage)
}
