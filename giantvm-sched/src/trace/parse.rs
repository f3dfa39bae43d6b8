//! Traces from text that anyone may have written.

use std::str::{FromStr, SplitAsciiWhitespace};

use giantvm_core::{NodeId, VcpuId};

use super::{MAX_EVENTS, MAX_LINE, Trace, VERSION};
use crate::schedule::{Capacity, Event, Faults, Machine, MachineError, Nanos, PageGroup, ThreadId};

/// A text that is no trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct TraceError {
    /// Where, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: TraceProblem,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceProblem {
    /// The first line is another.
    #[error("not `giantvm-sched-trace {VERSION}`: no trace, or one of another version")]
    Header,
    /// The second line is no machine.
    #[error("not `machine` and the vCPUs of each node")]
    Machine,
    /// There is no such machine.
    #[error(transparent)]
    Impossible(#[from] MachineError),
    /// The line is too long.
    #[error("longer than {MAX_LINE} bytes")]
    Long,
    /// Too many events.
    #[error("more than {MAX_EVENTS} events")]
    Many,
    /// No such event.
    #[error("no event has this name")]
    Name,
    /// A number is missing.
    #[error("the {0} is missing")]
    Missing(&'static str),
    /// A number is none, or out of its range.
    #[error("this is no {0}")]
    Number(&'static str),
    /// There is more than the event's numbers.
    #[error("there is more than the event has")]
    More,
    /// The time is less than on the line before.
    #[error("the time is before that of the last event")]
    Order,
}

impl Trace {
    /// Reads a trace.
    ///
    /// # Errors
    /// [`TraceError`] with the first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        let mut lines = text.lines().zip(1..);
        let mut header = |missing| lines.next().ok_or((missing, 1));
        let at = |(problem, line)| TraceError { line, problem };
        let (first, line) = header(TraceProblem::Header).map_err(at)?;
        if first != format!("giantvm-sched-trace {VERSION}") {
            return Err(at((TraceProblem::Header, line)));
        }
        let (second, line) = header(TraceProblem::Machine).map_err(at)?;
        let machine = machine(second).map_err(|problem| at((problem, line)))?;
        let mut trace = Self {
            machine,
            events: Vec::new(),
        };
        for (text, line) in lines {
            let (now, event) = event(text).map_err(|problem| at((problem, line)))?;
            if !trace.push(now, event) {
                let is_full = trace.events.len() >= MAX_EVENTS;
                let problem = if is_full {
                    TraceProblem::Many
                } else {
                    TraceProblem::Order
                };
                return Err(at((problem, line)));
            }
        }
        Ok(trace)
    }
}

fn machine(line: &str) -> Result<Machine, TraceProblem> {
    let mut words = words(line)?;
    if words.next() != Some("machine") {
        return Err(TraceProblem::Machine);
    }
    let counts: Result<Vec<usize>, _> = words.map(str::parse).collect();
    let counts = counts.map_err(|_| TraceProblem::Machine)?;
    Ok(Machine::new(&counts)?)
}

fn event(line: &str) -> Result<(Nanos, Event), TraceProblem> {
    let mut words = Words(words(line)?);
    let now = Nanos(words.number("time")?);
    let name = words.0.next().ok_or(TraceProblem::Missing("event"))?;
    let event = match name {
        "spawn" => Event::Spawn {
            thread: words.thread()?,
            by: words.vcpu()?,
        },
        "wake" => Event::Wake {
            thread: words.thread()?,
            by: words.waker()?,
        },
        "block" => Event::Block {
            thread: words.thread()?,
        },
        "exit" => Event::Exit {
            thread: words.thread()?,
        },
        "tick" => Event::Tick {
            vcpu: words.vcpu()?,
        },
        "idle" => Event::Idle {
            vcpu: words.vcpu()?,
        },
        "ran" => Event::Ran {
            vcpu: words.vcpu()?,
            cpu: Nanos(words.number("processor time")?),
        },
        "faults" => Event::Faults(Faults {
            thread: words.thread()?,
            group: words.group()?,
            reads: words.number("number of reads")?,
            writes: words.number("number of writes")?,
            stall: Nanos(words.number("stall")?),
            home: words.node()?,
        }),
        "link" => Event::Link {
            a: words.node()?,
            b: words.node()?,
            cost: Nanos(words.number("cost")?),
        },
        "capacity" => Event::Capacity {
            node: words.node()?,
            capacity: Capacity {
                millicpus: words.number("share of processors")?,
                threads: words.number("number of threads")?,
                groups: words.number("number of groups")?,
            },
        },
        _ => return Err(TraceProblem::Name),
    };
    match words.0.next() {
        Some(_) => Err(TraceProblem::More),
        None => Ok((now, event)),
    }
}

fn words(line: &str) -> Result<SplitAsciiWhitespace<'_>, TraceProblem> {
    let fits = line.len() <= MAX_LINE;
    fits.then(|| line.split_ascii_whitespace())
        .ok_or(TraceProblem::Long)
}

struct Words<'a>(SplitAsciiWhitespace<'a>);

impl Words<'_> {
    fn number<T: FromStr>(&mut self, what: &'static str) -> Result<T, TraceProblem> {
        let word = self.0.next().ok_or(TraceProblem::Missing(what))?;
        // Signs are no part of the format, though Rust reads them.
        let digits = word.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| word.parse().ok()).flatten();
        number.ok_or(TraceProblem::Number(what))
    }

    fn thread(&mut self) -> Result<ThreadId, TraceProblem> {
        self.number("thread").map(ThreadId)
    }

    fn vcpu(&mut self) -> Result<VcpuId, TraceProblem> {
        let number = self.number("vCPU")?;
        VcpuId::new(number).map_err(|_| TraceProblem::Number("vCPU"))
    }

    fn waker(&mut self) -> Result<Option<VcpuId>, TraceProblem> {
        if self.0.clone().next() == Some("-") {
            self.0.next();
            return Ok(None);
        }
        self.vcpu().map(Some)
    }

    fn node(&mut self) -> Result<NodeId, TraceProblem> {
        let number = self.number("node")?;
        NodeId::new(number).map_err(|_| TraceProblem::Number("node"))
    }

    fn group(&mut self) -> Result<PageGroup, TraceProblem> {
        let word = self.0.next().ok_or(TraceProblem::Missing("page group"))?;
        let digits = word.strip_prefix("0x");
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number
            .map(PageGroup)
            .ok_or(TraceProblem::Number("page group"))
    }
}
