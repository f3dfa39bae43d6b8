//! The same work on every processor at once.

use std::fs;
use std::thread;

use anyhow::{Context as _, anyhow};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Runs `work` on every processor that can be used, each time in a thread that stays there. It gets the
/// number of its thread and the number of threads.
pub(crate) fn everywhere<T: Send>(
    work: impl Fn(usize, usize) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let cpus = usable()?;
    let (work, count) = (&work, cpus.len());
    thread::scope(|scope| {
        let threads = cpus.iter().enumerate().map(|(number, &cpu)| {
            scope.spawn(move || {
                stay_on(cpu)?;
                work(number, count)
            })
        });
        let threads: Vec<_> = threads.collect();
        let join = |thread: thread::ScopedJoinHandle<'_, anyhow::Result<T>>| {
            thread.join().map_err(|_| anyhow!("a thread panicked"))?
        };
        threads.into_iter().map(join).collect()
    })
}

/// The processors that are online and that this process may use, which in a guest are the same.
pub(crate) fn usable() -> anyhow::Result<Vec<usize>> {
    let allowed = sched_getaffinity(None)?;
    let online = online()?.into_iter();
    Ok(online.filter(|cpu| allowed.is_set(*cpu)).collect())
}

/// The processors that are online.
pub(crate) fn online() -> anyhow::Result<Vec<usize>> {
    let text = fs::read_to_string("/sys/devices/system/cpu/online")?;
    parse(text.trim()).with_context(|| format!("processors online: {text}"))
}

/// A list such as `0-3,6`.
fn parse(list: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(first.parse().ok()?..=last.parse::<usize>().ok()?);
    }
    Some(cpus)
}

/// Keeps this thread on a processor.
pub(crate) fn stay_on(cpu: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on processor {cpu}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_have_ranges_and_single_ones() {
        assert_eq!(parse("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parse("0"), Some(vec![0]));
        assert_eq!(parse(""), None);
    }

    #[test]
    fn every_thread_is_on_a_processor_of_its_own() {
        let mut seen = everywhere(|number, all| {
            assert!(number < all);
            Ok(rustix::thread::sched_getcpu())
        });
        let seen = seen.as_mut().unwrap();
        seen.sort_unstable();
        assert_eq!(*seen, usable().unwrap());
    }
}
