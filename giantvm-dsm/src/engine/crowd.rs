//! Whether more threads want to run than there are processors.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

/// How much of the time threads wait for a processor in a crowd, in percent. Threads that fault and
/// pumps that answer wait for one another for a third of it, if that; with one thread too many it is
/// nearly all, while the pump looks on.
const WAITING: u32 = 60;

/// Asks the system, at most once in a while, whether threads wait for a processor.
#[derive(Debug)]
pub(super) struct Crowd {
    /// `None` where the system does not say: then there is no crowd.
    source: Option<Source>,
    asked: Option<Duration>,
    score: u32,
}

/// Who can be asked, and what was answered.
#[derive(Debug)]
enum Source {
    /// How long threads have waited, in microseconds since the system started; and when that was read.
    Pressure(File, Option<(Duration, u64)>),
    /// How many threads run or wait to run, at one moment.
    Load(File, u32),
}

/// What an answer is worth.
#[derive(Debug, Clone, Copy)]
struct Weights {
    /// How long it is good for.
    fresh: Duration,
    /// What one of "too many" adds to the score, and any other takes off.
    crowded: u32,
    other: u32,
    /// The score that makes a crowd, and the highest: how long a crowd is remembered.
    crowd: u32,
    highest: u32,
}

impl Source {
    fn find() -> Option<Self> {
        let pressure = File::open("/proc/pressure/cpu").ok();
        let pressure = pressure.filter(|file| read(file, total).is_some());
        if let Some(file) = pressure {
            return Some(Self::Pressure(file, None));
        }
        let online = std::fs::read_to_string("/sys/devices/system/cpu/online");
        let processors = online.ok().and_then(|list| count(&list))?;
        Some(Self::Load(File::open("/proc/loadavg").ok()?, processors))
    }

    const fn weights(&self) -> Weights {
        match self {
            // It is about all the time since it was asked last. A pump that does not look on leaves
            // others less to wait for, so a crowd is remembered.
            Self::Pressure(..) => Weights {
                fresh: Duration::from_millis(4),
                crowded: 3,
                other: 1,
                crowd: 3,
                highest: 10,
            },
            // A thread that is just passing on its processor is counted together with the one that
            // it woke: only where nearly all answers are alike is a crowd.
            Self::Load(..) => Weights {
                fresh: Duration::from_millis(1),
                crowded: 1,
                other: 3,
                crowd: 4,
                highest: 10,
            },
        }
    }

    /// Whether there are too many, as far as this answer says.
    fn ask(&mut self, now: Duration) -> bool {
        match self {
            Self::Pressure(file, last) => {
                let Some(total) = read(file, total) else {
                    return false;
                };
                let Some((then, before)) = last.replace((now, total)) else {
                    return false;
                };
                let waited = Duration::from_micros(total.saturating_sub(before));
                waited * 100 > now.saturating_sub(then) * WAITING
            }
            Self::Load(file, processors) => {
                read(file, runnable).is_some_and(|runnable| runnable > *processors)
            }
        }
    }
}

impl Crowd {
    pub(super) fn new() -> Self {
        Self::of(Source::find())
    }

    const fn of(source: Option<Source>) -> Self {
        Self {
            source,
            asked: None,
            score: 0,
        }
    }

    /// Whether threads wait for a processor, as far as is known at `now`.
    pub(super) fn is_there(&mut self, now: Duration) -> bool {
        let Some(source) = &mut self.source else {
            return false;
        };
        let weights = source.weights();
        if self.asked.is_none_or(|asked| now >= asked + weights.fresh) {
            self.asked = Some(now);
            self.score = if source.ask(now) {
                (self.score + weights.crowded).min(weights.highest)
            } else {
                self.score.saturating_sub(weights.other)
            };
        }
        self.score >= weights.crowd
    }
}

fn read<T>(file: &File, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let mut text = [0; 128];
    let len = file.read_at(&mut text, 0).ok()?;
    // What follows may be cut in the middle of a line, but not of a letter: all are ASCII.
    parse(std::str::from_utf8(text.get(..len)?).ok()?)
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

/// The microseconds in a line such as `some avg10=0.00 avg60=0.00 avg300=0.00 total=123`.
fn total(lines: &str) -> Option<u64> {
    let some = lines.lines().next()?.strip_prefix("some ")?;
    let total = some
        .split(' ')
        .find_map(|field| field.strip_prefix("total="));
    total?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

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
    fn the_first_line_says_how_long_threads_waited() {
        let lines = "some avg10=1.00 avg60=0.00 avg300=0.00 total=78\nfull avg10=0.00 total=9\n";
        assert_eq!(total(lines), Some(78));
        assert_eq!(total("full total=9\n"), None);
        assert_eq!(total(""), None);
    }

    /// A crowd that asks a file, and the way to say what it answers.
    fn asking(source: impl FnOnce(File) -> Source) -> (Crowd, impl FnMut(&str)) {
        let path = std::env::temp_dir().join(format!(
            "giantvm-crowd-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let mut answers = File::create_new(&path).unwrap();
        let crowd = Crowd::of(Some(source(File::open(&path).unwrap())));
        std::fs::remove_file(path).unwrap();
        let say = move |text: &str| {
            answers.set_len(0).unwrap();
            std::io::Seek::rewind(&mut answers).unwrap();
            answers.write_all(text.as_bytes()).unwrap();
        };
        (crowd, say)
    }

    #[test]
    fn threads_that_wait_most_of_the_time_are_a_crowd_for_a_while() {
        let (mut crowd, mut say) = asking(|file| Source::Pressure(file, None));
        let (mut now, mut waited) = (0, 0);
        let mut ask = |percent: u64| {
            now += 10_000;
            waited += 100 * percent;
            say(&format!("some avg10=0.00 total={waited}\n"));
            crowd.is_there(Duration::from_micros(now))
        };
        assert!(!ask(100), "there is nothing to compare with yet");
        assert!(!ask(50) && ask(80));
        assert_eq!([0; 4].map(|_| ask(10)), [false; 4]);
        assert!(ask(80) && ask(80) && ask(80) && ask(80));
        assert_eq!(
            [0; 9].map(|_| ask(10)).map(u32::from).iter().sum::<u32>(),
            7
        );
    }

    #[test]
    fn only_counts_that_are_nearly_all_alike_make_a_crowd() {
        let (mut crowd, mut say) = asking(|file| Source::Load(file, 2));
        let mut now = 0;
        let mut ask = |more| {
            now += 2;
            say(if more {
                "0 0 0 3/80 1\n"
            } else {
                "0 0 0 2/80 1\n"
            });
            crowd.is_there(Duration::from_millis(now))
        };
        for more in [true, true, false, true, true, true, false] {
            assert!(!ask(more));
        }
        assert!([true; 9].map(&mut ask)[8]);
        assert!(![false; 3].map(&mut ask)[2], "it is gone");
    }

    #[test]
    fn an_answer_is_good_for_a_while() {
        let (mut crowd, mut say) = asking(|file| Source::Load(file, 0));
        say("0 0 0 3/80 1\n");
        for _ in 0..10 {
            assert!(!crowd.is_there(Duration::from_micros(10)));
        }
    }

    #[test]
    fn the_real_system_can_be_asked() {
        let mut crowd = Crowd::new();
        crowd.is_there(Duration::ZERO);
        crowd.is_there(Duration::from_secs(1));
    }
}
