//! Whether more threads want to run than there are processors.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

/// How long an answer of the system is good for.
const FRESH: Duration = Duration::from_millis(1);
/// What an answer of "no more than there are" takes off the score; one of "too many" adds one. A
/// thread that is just passing on its processor is counted together with the one that it woke, and
/// threads that fault do so a third of the time: only where nearly all answers are alike is a crowd.
const RELIEF: u32 = 3;
/// The score that makes a crowd, and the highest: how long a crowd is remembered.
const CROWD: u32 = 4;
const HIGHEST: u32 = 10;

/// Asks the system, at most once in a while, how many threads run or wait to run.
#[derive(Debug)]
pub(super) struct Crowd {
    /// `None` where the system does not say: then there is no crowd.
    source: Option<File>,
    processors: u32,
    asked: Option<Duration>,
    score: u32,
}

impl Crowd {
    pub(super) fn new() -> Self {
        let online = std::fs::read_to_string("/sys/devices/system/cpu/online");
        let processors = online.ok().and_then(|list| count(&list));
        let source = File::open("/proc/loadavg").ok();
        Self {
            source: source.filter(|_| processors.is_some()),
            processors: processors.unwrap_or(u32::MAX),
            asked: None,
            score: 0,
        }
    }

    /// Whether threads wait for a processor, as far as is known at `now`.
    pub(super) fn is_there(&mut self, now: Duration) -> bool {
        if self.asked.is_none_or(|asked| now >= asked + FRESH) {
            self.asked = Some(now);
            let runnable = self.source.as_ref().and_then(|file| {
                let mut text = [0; 64];
                let len = file.read_at(&mut text, 0).ok()?;
                runnable(std::str::from_utf8(&text[..len]).ok()?)
            });
            let more = runnable.is_some_and(|runnable| runnable > self.processors);
            self.score = if more {
                (self.score + 1).min(HIGHEST)
            } else {
                self.score.saturating_sub(RELIEF)
            };
        }
        self.score >= CROWD
    }
}

/// How many processors a list such as `0-3,8` names.
fn count(list: &str) -> Option<u32> {
    let each = list.trim().split(',').map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        (last.checked_sub(first)?).checked_add(1)
    });
    each.sum()
}

/// The number of runnable threads in a line such as `0.20 0.18 0.12 2/80 11206`.
fn runnable(line: &str) -> Option<u32> {
    let (runnable, _) = line.split_whitespace().nth(3)?.split_once('/')?;
    runnable.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted_as_the_system_lists_them() {
        assert_eq!(count("0\n"), Some(1));
        assert_eq!(count("0-3,8,10-11\n"), Some(7));
        for not_a_list in ["", "a", "3-1", "0-"] {
            assert_eq!(count(not_a_list), None, "{not_a_list}");
        }
    }

    #[test]
    fn the_fourth_field_says_how_many_threads_run() {
        assert_eq!(runnable("0.20 0.18 0.12 2/80 11206\n"), Some(2));
        assert_eq!(runnable("0.20 0.18 0.12"), None);
        assert_eq!(runnable(""), None);
    }

    #[test]
    fn only_answers_that_are_nearly_all_alike_make_a_crowd() {
        let mut crowd = Crowd::new();
        let mut time = 0;
        let mut ask = |crowd: &mut Crowd, more| {
            // This thread alone is more than none.
            crowd.processors = if more { 0 } else { u32::MAX };
            time += 2;
            crowd.is_there(Duration::from_millis(time))
        };
        for more in [true, true, false, true, true, true, false] {
            assert!(!ask(&mut crowd, more));
        }
        let there = crowd.source.is_some();
        let asked = [true; 9].map(|more| ask(&mut crowd, more));
        assert_eq!(asked.contains(&true), there);
        let asked = [false; 3].map(|more| ask(&mut crowd, more));
        assert!(!asked[2], "it is gone");
    }

    #[test]
    fn an_answer_is_good_for_a_while() {
        let mut crowd = Crowd::new();
        crowd.processors = 0;
        for _ in 0..2 * CROWD {
            assert!(!crowd.is_there(Duration::from_micros(10)));
        }
    }
}
