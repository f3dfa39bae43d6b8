//! Starts the nodes of one host as processes, watches them, and leaves none behind.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli::{Cli, VcpuKind};
use crate::exit::{Exit, Fatal, OrExit};

/// How long the other nodes have to end by themselves once one has ended badly.
const GRACE: Duration = Duration::from_secs(3);
/// How often the nodes are looked at.
const PERIOD: Duration = Duration::from_millis(10);

/// Runs all nodes as processes joined by TCP on loopback; returns the machine's exit status.
pub(crate) fn processes(cli: &Cli) -> Result<u8, Fatal> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone()).or_exit(Exit::Host)?;
    }
    let listeners = listeners(usize::from(cli.nodes)).or_exit(Exit::Host)?;
    let ports = ports(&listeners).or_exit(Exit::Host)?;
    let mut family = Family {
        // Threads are carried from one to another with all that is on their stacks.
        at_same_addresses: cli.threads.is_some() && cli.vcpu == VcpuKind::Thread,
        running: Vec::new(),
    };
    // The first node has the console; the terminal is this process', which outlives it.
    let keyboard = Keyboard::new(cli).or_exit(Exit::Host)?;
    for (member, listener) in (0..cli.nodes).zip(listeners) {
        let typed = keyboard.as_ref().filter(|_| member == 0);
        family
            .spawn(member, listener, &ports, typed)
            .or_exit(Exit::Host)?;
    }
    Ok(family.wait(&interrupted))
}

/// A listening socket for each node, on a port that the system chose.
fn listeners(count: usize) -> io::Result<Vec<TcpListener>> {
    (0..count)
        .map(|_| TcpListener::bind(("127.0.0.1", 0)))
        .collect()
}

fn ports(listeners: &[TcpListener]) -> io::Result<Vec<u16>> {
    listeners
        .iter()
        .map(|listener| Ok(listener.local_addr()?.port()))
        .collect()
}

/// The standard input as a descriptor that processes started from this one have, too.
struct Keyboard(OwnedFd);

impl Keyboard {
    /// If the guest has a console that one can type on.
    fn new(cli: &Cli) -> io::Result<Option<Self>> {
        let wanted = cli.kernel.is_some();
        let duplicate = wanted.then(|| rustix::io::dup(io::stdin()));
        Ok(duplicate.transpose()?.map(Self))
    }
}

/// The node processes; dropping it ends those that still run.
#[derive(Debug, Default)]
struct Family {
    /// Whether all processes have to have their program at the same addresses.
    at_same_addresses: bool,
    running: Vec<(u8, Child)>,
}

impl Family {
    /// Starts a node, whose standard input is the socket it listens on: a port that was only
    /// looked up could be taken by someone else before the node binds it.
    fn spawn(
        &mut self,
        member: u8,
        listener: TcpListener,
        ports: &[u16],
        keyboard: Option<&Keyboard>,
    ) -> anyhow::Result<()> {
        let list = ports.iter().map(u16::to_string).collect::<Vec<_>>();
        let mut command = program(self.at_same_addresses)?;
        command
            .args(std::env::args_os().skip(1))
            .args(["--member", &member.to_string(), "--ports", &list.join(",")])
            .stdin(OwnedFd::from(listener));
        if let Some(keyboard) = keyboard {
            command.args(["--keyboard", &keyboard.0.as_raw_fd().to_string()]);
        }
        let child = command.spawn()?;
        self.running.push((member, child));
        Ok(())
    }

    /// Waits for all nodes. The first bad status is the machine's; after it, or after an
    /// interrupt, the others have [`GRACE`] to end.
    fn wait(&mut self, interrupted: &AtomicBool) -> u8 {
        let mut verdict = 0;
        // Whether a node was killed, and whether the first one ended well.
        let (mut killed, mut unbroken) = (false, false);
        let mut deadline: Option<Instant> = None;
        while !self.running.is_empty() {
            for (member, status) in self.reap() {
                let failed = failure(member, status);
                // Others go on without a node that had left, and end by themselves without any other.
                if failed == Some(Exit::Lost.code()) && status.code().is_none() && member > 0 {
                    killed = true;
                    continue;
                }
                unbroken |= member == 0 && failed.is_none();
                if let Some(code) = failed
                    && (verdict == 0 || verdict == Exit::Lost.code())
                {
                    verdict = code;
                    deadline.get_or_insert_with(|| Instant::now() + GRACE);
                }
            }
            if interrupted.swap(false, Ordering::Relaxed) && deadline.is_none() {
                verdict = Exit::Interrupted.code();
                deadline = Some(Instant::now() + GRACE);
                self.signal(Signal::TERM);
            }
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                self.signal(Signal::KILL);
            }
            std::thread::sleep(PERIOD);
        }
        if killed && !unbroken && verdict == 0 {
            verdict = Exit::Lost.code();
        }
        verdict
    }

    fn reap(&mut self) -> Vec<(u8, ExitStatus)> {
        let mut ended = Vec::new();
        self.running
            .retain_mut(|(member, child)| match child.try_wait() {
                Ok(Some(status)) => {
                    ended.push((*member, status));
                    false
                }
                Ok(None) => true,
                Err(error) => {
                    tracing::error!(%error, member, "a node process cannot be waited for");
                    false
                }
            });
        ended
    }

    fn signal(&self, signal: Signal) {
        for (_, child) in &self.running {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            // A process that has just ended is what we want.
            pid.map(|pid| kill_process(pid, signal));
        }
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        for (_, child) in &mut self.running {
            child.wait().ok();
        }
    }
}

/// This program, to be started once more.
fn program(at_same_addresses: bool) -> io::Result<Command> {
    let path = std::env::current_exe()?;
    if !at_same_addresses {
        return Ok(Command::new(path));
    }
    // It becomes what it starts, and so keeps the process's number.
    let mut command = Command::new("setarch");
    command.arg("-R").arg(path);
    Ok(command)
}

/// The machine's exit status if a node that ended with `status` failed.
fn failure(member: u8, status: ExitStatus) -> Option<u8> {
    match status.code() {
        Some(0) => None,
        Some(code) => Some(u8::try_from(code).unwrap_or(Exit::Wrong.code())),
        None => {
            eprintln!("aggregate: the process of node number {member} was killed: {status}");
            Some(Exit::Lost.code())
        }
    }
}
