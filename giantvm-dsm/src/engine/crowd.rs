//! Whether more threads want to run than there are processors.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

/// How long an answer of the system is good for.
const FRESH: Duration = Duration::from_millis(1);
/// What one answer of "too many" adds to the score; any other takes one off. A thread that is just
/// passing on its processor is counted together with the one that it woke, so one answer says little.
const TOO_MANY: u32 = 2;
/// The score that makes a crowd, and the highest: how long a crowd is remembered.
const CROWD: u32 = 4;
const HIGHEST: u32 = 20;

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
                (self.score + TOO_MANY).min(HIGHEST)
            } else {
                self.score.saturating_sub(1)
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
    fn one_answer_makes_no_crowd() {
        let mut crowd = Crowd::new();
        crowd.processors = 0; // This thread alone is more than that.
        let at = Duration::from_millis;
        assert!(!crowd.is_there(at(0)));
        assert!(!crowd.is_there(at(0)), "the answer is still good");
        let there = crowd.source.is_some();
        assert_eq!(crowd.is_there(at(2)), there);
        crowd.processors = u32::MAX;
        assert!(!crowd.is_there(at(4)), "it is gone");
    }
}
