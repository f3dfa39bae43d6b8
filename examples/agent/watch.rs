//! What threads did, as the kernel tells it.

use std::collections::BTreeMap;
use std::fs;

use crate::cgroup::Scope;

/// The unit of times in `stat`, in ns: a hundredth of a second, on every Linux of x86-64.
const TICK: u64 = 10_000_000;

/// One thread, as of one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thread {
    /// The processor that it runs on, or ran on last.
    pub(crate) cpu: usize,
    /// Processor time that it has used, in ns.
    pub(crate) used: u64,
}

/// All that is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Look {
    /// By their numbers.
    pub(crate) threads: BTreeMap<u32, Thread>,
    /// The time that each processor was not idle, in ns.
    pub(crate) busy: BTreeMap<usize, u64>,
}

impl Look {
    /// How it is now.
    pub(crate) fn take(scope: &Scope) -> anyhow::Result<Self> {
        let own = rustix::process::getpid()
            .as_raw_nonzero()
            .get()
            .unsigned_abs();
        let threads = scope.threads()?.into_iter().filter(|thread| *thread != own);
        let looked = threads.filter_map(|thread| {
            // One that ended meanwhile is none.
            let stat = fs::read_to_string(format!("/proc/{thread}/stat")).ok()?;
            let schedstat = fs::read_to_string(format!("/proc/{thread}/schedstat"));
            Some((thread, read(&stat, &schedstat.unwrap_or_default())?))
        });
        Ok(Self {
            threads: looked.collect(),
            busy: busy(&fs::read_to_string("/proc/stat")?),
        })
    }
}

/// A thread's name, for people.
pub(crate) fn name(thread: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{thread}/comm")).unwrap_or_default();
    name.trim_end()
        .chars()
        .filter(|letter| !letter.is_control())
        .collect()
}

/// A thread by its `stat`, and by its `schedstat` if the kernel has it, which is finer.
fn read(stat: &str, schedstat: &str) -> Option<Thread> {
    // The name is in parentheses, and may have any of them in it.
    let (_, rest) = stat.rsplit_once(')')?;
    let field = |number: usize| rest.split_whitespace().nth(number - 3);
    let ticks = field(14)?
        .parse::<u64>()
        .ok()?
        .checked_add(field(15)?.parse().ok()?)?;
    let exact = schedstat
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok());
    Some(Thread {
        cpu: field(39)?.parse().ok()?,
        used: exact.unwrap_or(ticks.saturating_mul(TICK)),
    })
}

/// How long each processor was busy, from `/proc/stat`.
fn busy(stat: &str) -> BTreeMap<usize, u64> {
    let row = |line: &str| {
        let mut words = line.strip_prefix("cpu")?.split_whitespace();
        let cpu = words.next()?.parse().ok()?;
        let ticks: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
        // All but idle and waiting for I/O, up to what a host took.
        let busy = [0, 1, 2, 5, 6].iter().filter_map(|at| ticks.get(*at));
        Some((cpu, busy.sum::<u64>().saturating_mul(TICK)))
    };
    stat.lines()
        .filter(|line| !line.starts_with("cpu "))
        .filter_map(row)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "77 (a) b (c) R 1 77 77 0 -1 4194304 100 0 0 0 25 5 0 0 20 0 3 0 1000 0 0 \
                        0 0 0 0 0 0 0 0 0 0 0 0 0 17 6 0 0 0 0 0";

    #[test]
    fn a_thread_is_where_it_ran_last_and_has_used_what_it_has() {
        let thread = Thread {
            cpu: 6,
            used: 300_000_000,
        };
        assert_eq!(read(STAT, ""), Some(thread));
        let exact = Thread {
            used: 312_345_678,
            ..thread
        };
        assert_eq!(read(STAT, "312345678 99 3\n"), Some(exact));
        assert_eq!(read("77 (a", ""), None);
        assert_eq!(read("77 (a) R 1 2", ""), None);
    }

    #[test]
    fn a_processor_is_busy_when_it_is_not_idle() {
        let text =
            "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 400 500 6 7 8 0 0\ncpu12 1 0 0 0\nintr 5\n";
        assert_eq!(busy(text), BTreeMap::from([(0, 19 * TICK), (12, TICK)]));
    }

    #[test]
    fn this_thread_is_seen_to_run() {
        let scope = Scope::Process(std::process::id());
        let this = rustix::thread::gettid()
            .as_raw_nonzero()
            .get()
            .unsigned_abs();
        let before = Look::take(&scope).unwrap().threads.get(&this).copied();
        loop {
            std::hint::black_box((0..1_000_000_u64).sum::<u64>());
            let now = Look::take(&scope).unwrap();
            if now.threads.get(&this).map(|of| of.used) > before.map(|of| of.used) {
                break;
            }
        }
    }
}
