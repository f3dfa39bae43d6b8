//! What the agent makes of threads that share memory and of threads that do not, beside the kernel's own
//! placement.
//!
//! The threads belong to a process of a user without rights, as does the agent, which is in the channel's
//! group. Each kind of work runs without the agent and with it. Nothing is asked of the figures but that
//! no addition was lost.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fmt, thread};

use anyhow::{Context as _, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::channel::{self, as_no_one};
use crate::everywhere::online;
use crate::options::Options;

/// What the program is called with for [`work`].
pub(crate) const WORK: &str = "team-work";
/// The agent looks as often as it can.
const INTERVAL: &str = "50";
/// Threads of a team that shares its pages.
const TEAM: usize = 2;
/// Pages of a team, or of a thread that works alone.
const PAGES: usize = 16;
/// Turns of a loop between two uses of the pages: some ten microseconds.
const ALONE: u64 = 5_000;

/// What threads do with one another's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The first and the second thread share pages, and so on.
    Shares,
    /// Each has its own.
    Apart,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Shares, Self::Apart];

    const fn name(self) -> &'static str {
        match self {
            Self::Shares => "shares",
            Self::Apart => "apart",
        }
    }

    /// Whose pages a thread uses.
    const fn owner(self, thread: usize) -> usize {
        match self {
            Self::Shares => thread / TEAM,
            Self::Apart => thread,
        }
    }
}

/// Uses of the pages a second, in the first half of the time and in the second.
#[derive(Debug, Clone, Copy)]
struct Rates([u128; 2]);

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.0;
        write!(f, "{first}, then {second}")
    }
}

#[repr(align(4096))]
struct Page(AtomicU64);

/// Both kinds of work, without the agent and with it; uses of pages a second.
pub(crate) fn agent(options: &Options) -> anyhow::Result<String> {
    channel::open_to_no_one()?;
    let mut told = Vec::new();
    for kind in Kind::ALL {
        let alone = run(kind, options.time, false)?;
        let placed = run(kind, options.time, true)?;
        told.push(format!(
            "{} {alone} a second without, {placed} with the agent",
            kind.name()
        ));
    }
    Ok(told.join("; "))
}

/// Runs one kind of work in a process of its own.
fn run(kind: Kind, time: Duration, with_agent: bool) -> anyhow::Result<Rates> {
    let mut command = Command::new(env::current_exe()?);
    command.args([WORK, kind.name(), &time.as_millis().to_string()]);
    let work = as_no_one(&mut command).stdout(Stdio::piped()).spawn()?;
    let agent = with_agent.then(|| watch(work.id())).transpose()?;
    let output = work.wait_with_output()?;
    if let Some(agent) = agent {
        end(agent)?;
    }
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}: {}", kind.name(), said.trim());
    let (first, second) = said
        .trim()
        .split_once(' ')
        .with_context(|| format!("{}: it said {said:?}", kind.name()))?;
    Ok(Rates([first.parse()?, second.parse()?]))
}

/// Has the agent place the threads of a process. What it says goes to the console.
fn watch(process: u32) -> anyhow::Result<Child> {
    let mut command = Command::new(channel::AGENT);
    command.args(["--pid", &process.to_string(), "--interval", INTERVAL]);
    Ok(as_no_one(&mut command).spawn()?)
}

fn end(mut agent: Child) -> anyhow::Result<()> {
    let number = i32::try_from(agent.id()).ok().and_then(Pid::from_raw);
    // It may have ended before, as its process did.
    kill_process(number.context("it has a number")?, Signal::TERM).ok();
    agent.wait()?;
    Ok(())
}

/// The work itself, of a process that was started for it.
pub(crate) fn work(arguments: &[String]) -> anyhow::Result<String> {
    let [kind, millis] = arguments else {
        bail!("it takes a kind of work and a time");
    };
    let kind = Kind::ALL.into_iter().find(|of| of.name() == kind);
    let kind = kind.context("there is no such kind of work")?;
    let time = Duration::from_millis(millis.parse()?);
    let [first, second] = measure(kind, online()?.len(), time)?;
    Ok(format!("{first} {second}"))
}

/// Uses of pages a second by so many threads, which the kernel places as it likes.
fn measure(kind: Kind, threads: usize, time: Duration) -> anyhow::Result<[u128; 2]> {
    let pages: Vec<Page> = (0..threads * PAGES)
        .map(|_| Page(AtomicU64::new(0)))
        .collect();
    let half = time / 2;
    let end = Instant::now() + time;
    let counts = thread::scope(|scope| {
        let threads = (0..threads).map(|number| {
            let start = kind.owner(number) * PAGES;
            let own = &pages[start..start + PAGES];
            scope.spawn(move || turns(own, number, end - half, end))
        });
        let threads: Vec<_> = threads.collect();
        let join = |thread: thread::ScopedJoinHandle<'_, [u64; 2]>| {
            thread.join().map_err(|_| anyhow!("a thread panicked"))
        };
        threads
            .into_iter()
            .map(join)
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    let sum = |half: usize| counts.iter().map(|count| count[half]).sum::<u64>();
    let stored: u64 = pages
        .iter()
        .map(|page| page.0.load(Ordering::Relaxed))
        .sum();
    ensure!(
        stored == sum(0) + sum(1),
        "{stored} additions are left of {}",
        sum(0) + sum(1)
    );
    let a_second = |count: u64| u128::from(count) * 1000 / half.as_millis().max(1);
    Ok([a_second(sum(0)), a_second(sum(1))])
}

/// Adds to one page after the other, with work of its own between. How often until `middle`, and then
/// until `end`.
fn turns(pages: &[Page], number: usize, middle: Instant, end: Instant) -> [u64; 2] {
    let mut counts = [0; 2];
    for page in pages.iter().cycle().skip(number) {
        let now = Instant::now();
        if now >= end {
            break;
        }
        page.0.fetch_add(1, Ordering::Relaxed);
        counts[usize::from(now >= middle)] += 1;
        for turn in 0..ALONE {
            std::hint::black_box(turn);
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_either_kind_work_and_no_addition_is_lost() {
        for kind in Kind::ALL {
            let [first, second] = measure(kind, 4, Duration::from_millis(40)).unwrap();
            assert!(first > 0 && second > 0, "{kind:?}");
        }
    }

    #[test]
    fn teams_share_pages_and_others_do_not() {
        let owners = |kind: Kind| [0, 1, 2, 3].map(|thread| kind.owner(thread));
        assert_eq!(owners(Kind::Shares), [0, 0, 1, 1]);
        assert_eq!(owners(Kind::Apart), [0, 1, 2, 3]);
    }

    #[test]
    fn a_kind_that_there_is_not_is_refused() {
        let words = |words: [&str; 2]| words.map(str::to_owned);
        assert!(work(&words(["other", "10"])).is_err());
        assert!(work(&words(["apart", "soon"])).is_err());
        assert!(work(&[]).is_err());
        work(&words(["apart", "10"])).unwrap();
    }
}
