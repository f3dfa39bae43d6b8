//! The agent places threads by what a host tells it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use giantvm_core::{NodeId, VcpuId};
use giantvm_sched::channel::{HotGroup, Message, Sharer, Snapshot, Stream};
use giantvm_sched::schedule::{Machine, Nanos, PageGroup};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::built;

/// How long anything may take, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(60);
/// Names of the threads that work.
const WORKERS: [&str; 2] = ["worker-0", "worker-1"];

/// A host of two nodes with a vCPU each, both of which wait for the same pages all the time. Answers
/// whoever connects, one after the other.
fn host(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        let started = Instant::now();
        for guest in listener.incoming() {
            // An agent that ends is no concern of the host.
            answer(guest.unwrap(), started).ok();
        }
    });
}

fn answer(mut guest: UnixStream, started: Instant) -> std::io::Result<()> {
    let (mut stream, mut piece) = (Stream::default(), [0; 4096]);
    loop {
        let read = guest.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        stream.feed(&piece[..read]);
        while let Some(message) = stream.next_message() {
            if let Message::Ask(id) = message {
                let snapshot = snapshot(id, started.elapsed());
                guest.write_all(&Message::from(snapshot).encode())?;
            }
        }
    }
}

fn snapshot(id: u64, time: Duration) -> Snapshot {
    let mut snapshot = Snapshot::new(Machine::new(&[1, 1]).unwrap());
    let mut group = HotGroup::new(PageGroup(7), NodeId::ZERO);
    for vcpu in VcpuId::first(2) {
        group.add(Sharer {
            vcpu,
            reads: 0,
            writes: time.as_millis().try_into().unwrap(),
            // More than there is time: on a busy machine workers have only a part of it.
            stall: Nanos::from(time * 50),
        });
    }
    (snapshot.id, snapshot.time) = (id, time.into());
    assert!(snapshot.push_group(group));
    snapshot
}

/// Not a test of its own: the process whose threads the other one places.
#[test]
#[ignore = "it works until it is killed"]
fn works_until_it_is_killed() {
    let workers = WORKERS.iter().zip(0..).map(|(name, cpu)| {
        let work = move || {
            // They begin apart, and may go where they like.
            let both = sched_getaffinity(None).unwrap();
            let mut one = CpuSet::new();
            one.set(cpu);
            sched_setaffinity(None, &one).unwrap();
            sched_setaffinity(None, &both).unwrap();
            loop {
                std::hint::black_box((0..100_000_u64).sum::<u64>());
            }
        };
        thread::Builder::new()
            .name((*name).into())
            .spawn(work)
            .unwrap()
    });
    for worker in workers.collect::<Vec<thread::JoinHandle<()>>>() {
        worker.join().unwrap();
    }
}

/// Kills it however the test ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn work() -> Killed {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "agent::works_until_it_is_killed"]);
    Killed(command.stdout(Stdio::null()).spawn().unwrap())
}

/// Where the workers of a process may run.
fn affinities(process: u32) -> BTreeMap<String, CpuSet> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let found = tasks.filter_map(|task| {
        let task = task.ok()?;
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        let number = task.file_name().to_str()?.parse().ok()?;
        let set = sched_getaffinity(Pid::from_raw(number)).ok()?;
        let name = name.trim_end().to_owned();
        WORKERS.contains(&name.as_str()).then_some((name, set))
    });
    found.collect()
}

/// Waits until the workers' affinities are as they should be.
fn wait(process: u32, what: &str, are_so: impl Fn(&[CpuSet]) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let sets: Vec<_> = affinities(process).into_values().collect();
        if sets.len() == WORKERS.len() && are_so(&sets) {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {sets:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn threads_that_share_come_together_and_are_free_when_the_agent_ends() {
    let before = sched_getaffinity(None).unwrap();
    if !(before.is_set(0) && before.is_set(1)) {
        giantvm_core::testing::skip(
            "threads_that_share_come_together",
            "it needs processors 0 and 1",
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let channel = folder.path().join("channel");
    host(&channel);
    let workers = work();
    let process = workers.0.id();
    wait(process, "they do not begin", |sets| {
        sets.iter().all(|set| *set == before)
    });
    let arguments = |more: &[&str]| {
        let (channel, process) = (channel.display().to_string(), process.to_string());
        let own = ["--channel".to_owned(), channel, "--pid".to_owned(), process];
        let more = more.iter().map(|word| (*word).to_owned());
        own.into_iter().chain(more).collect::<Vec<_>>()
    };
    // Says it, and does nothing.
    let words = arguments(&["--dry-run", "--interval", "50", "--looks", "40"]);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let said = built::run("agent", &words);
    assert!(said.status.success(), "{}", said.stderr);
    assert!(said.stdout.contains("would move thread"), "{}", said.stdout);
    assert!(affinities(process).values().all(|set| *set == before));
    // Does it.
    let mut agent = Command::new(built::path("agent"));
    agent
        .args(arguments(&["--interval", "100"]))
        .stdout(Stdio::null());
    let mut agent = Killed(agent.spawn().unwrap());
    wait(process, "they stay apart", |sets| {
        sets[0] == sets[1] && sets[0].count() == 1
    });
    let pid = Pid::from_child(&agent.0);
    kill_process(pid, Signal::TERM).unwrap();
    assert!(agent.0.wait().unwrap().success());
    wait(process, "they are not free again", |sets| {
        sets.iter().all(|set| *set == before)
    });
}

#[test]
fn it_ends_well_with_the_process_whose_threads_it_places() {
    let folder = tempfile::tempdir().unwrap();
    let channel = folder.path().join("channel");
    host(&channel);
    let mut workers = work();
    let process = workers.0.id().to_string();
    let channel = channel.to_str().unwrap();
    let mut agent = Command::new(built::path("agent"));
    agent.args(["--channel", channel, "--pid", &process, "--interval", "50"]);
    let mut agent = Killed(agent.stdout(Stdio::piped()).spawn().unwrap());
    let mut said = agent.0.stdout.take().unwrap();
    // What it says first, once it looks.
    said.read_exact(&mut [0; 1]).unwrap();
    workers.0.kill().unwrap();
    workers.0.wait().unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(agent.0.wait().unwrap().success(), "{rest}");
    assert!(
        rest.contains(&format!("no process {process} any more")),
        "{rest}"
    );
}

#[test]
fn what_the_host_tells_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let channel = folder.path().join("channel");
    host(&channel);
    let run = built::run("agent", &["--once", "--channel", channel.to_str().unwrap()]);
    assert!(run.status.success(), "{}", run.stderr);
    assert!(
        run.stdout.contains("of 2 vCPUs on 2 nodes"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.contains("pages 0x7 of node 0: vCPU 0 0r"),
        "{}",
        run.stdout
    );
}

#[test]
fn without_a_channel_it_says_what_is_missing() {
    for (arguments, missing) in [
        (&["--once"][..], "aggregate --channel"),
        (
            &["--channel", "/nowhere/channel"],
            "cannot open the channel /nowhere/channel",
        ),
    ] {
        let run = built::run("agent", arguments);
        assert_eq!(run.status.code(), Some(1));
        assert!(run.stderr.contains(missing), "{}", run.stderr);
        assert_eq!(run.stdout, "");
    }
}
