//! Carrying it out: affinities.

use std::collections::BTreeMap;

use giantvm_core::NodeId;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::cpus::Cpus;

/// A thread was not moved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error("it may not use any processor of node {0}")]
    Forbidden(NodeId),
    #[error("there is no such thread any more, or it is another user's")]
    System(#[from] rustix::io::Errno),
}

/// What was changed, so that it can be given back.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// The processors that each moved thread was allowed before.
    before: BTreeMap<u32, CpuSet>,
}

impl Places {
    /// Lets a thread run on a node's processors only, of those that it was allowed at first.
    pub(crate) fn place(
        &mut self,
        thread: u32,
        node: NodeId,
        cpus: &Cpus,
    ) -> Result<(), PlaceError> {
        let pid = pid(thread)?;
        let allowed = match self.before.get(&thread) {
            Some(allowed) => *allowed,
            None => sched_getaffinity(Some(pid))?,
        };
        let mut set = CpuSet::new();
        for cpu in cpus.of(node).filter(|cpu| *cpu < CpuSet::MAX_CPU) {
            if allowed.is_set(cpu) {
                set.set(cpu);
            }
        }
        if set.count() == 0 {
            return Err(PlaceError::Forbidden(node));
        }
        sched_setaffinity(Some(pid), &set)?;
        self.before.insert(thread, allowed);
        Ok(())
    }

    /// Forgets threads that are gone: their numbers may be others' one day.
    pub(crate) fn retain(&mut self, is_there: impl Fn(u32) -> bool) {
        self.before.retain(|thread, _| is_there(*thread));
    }

    /// Gives threads back what they were allowed. Returns how many.
    pub(crate) fn give_back(&mut self) -> usize {
        let before = std::mem::take(&mut self.before);
        let given = before.iter().filter(|(thread, allowed)| {
            pid(**thread).is_ok_and(|pid| sched_setaffinity(Some(pid), allowed).is_ok())
        });
        given.count()
    }
}

fn pid(thread: u32) -> Result<Pid, rustix::io::Errno> {
    let number = i32::try_from(thread).ok();
    number
        .and_then(Pid::from_raw)
        .ok_or(rustix::io::Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use giantvm_sched::schedule::Machine;

    use super::*;

    fn node(number: u8) -> NodeId {
        NodeId::new(number).unwrap()
    }

    /// In a thread of its own, whose affinity is no one else's.
    fn in_a_thread(test: impl FnOnce(u32) + Send) {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                test(
                    rustix::thread::gettid()
                        .as_raw_nonzero()
                        .get()
                        .unsigned_abs(),
                );
            });
            thread.join().unwrap();
        });
    }

    #[test]
    fn a_thread_goes_to_its_node_and_gets_back_what_it_had() {
        in_a_thread(|thread| {
            let before = sched_getaffinity(None).unwrap();
            let usable = (0..CpuSet::MAX_CPU)
                .find(|cpu| before.is_set(*cpu))
                .unwrap();
            if usable > 0 {
                // The first vCPU is not ours.
                return;
            }
            let cpus = Cpus::new("", &Machine::new(&[1, 1]).unwrap());
            let mut places = Places::default();
            places.place(thread, node(0), &cpus).unwrap();
            let placed = sched_getaffinity(None).unwrap();
            assert!(placed.count() == 1 && placed.is_set(0));
            assert_eq!(rustix::thread::sched_getcpu(), 0);
            assert_eq!(places.give_back(), 1);
            assert!(sched_getaffinity(None).unwrap() == before);
            assert_eq!(places.give_back(), 0);
        });
    }

    #[test]
    fn processors_that_were_not_allowed_are_not_given() {
        in_a_thread(|thread| {
            let machine = Machine::new(&[1, 0, 1]).unwrap();
            let cpus = Cpus::new("", &machine);
            let mut places = Places::default();
            let error = places.place(thread, node(1), &cpus).unwrap_err();
            assert!(matches!(error, PlaceError::Forbidden(_)), "{error}");
            assert_eq!(places.give_back(), 0);
        });
    }

    #[test]
    fn a_thread_that_is_gone_is_an_error_and_nothing_else() {
        let cpus = Cpus::new("", &Machine::new(&[1]).unwrap());
        let mut places = Places::default();
        for thread in [0, u32::MAX, 0x7fff_ffff] {
            let error = places.place(thread, node(0), &cpus).unwrap_err();
            assert!(matches!(error, PlaceError::System(_)), "{error}");
        }
    }
}
