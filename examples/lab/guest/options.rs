//! What the kernel's command line asks for.

use std::time::Duration;

/// What to check, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// `lab=a,b`: names of checks, in their order.
    pub(crate) checks: Vec<String>,
    /// `lab.cpus=N`: processors that must be there.
    pub(crate) cpus: Option<usize>,
    /// `lab.nodes=N`: NUMA nodes that must be there.
    pub(crate) nodes: Option<usize>,
    /// `lab.seconds=N`: how long checks run that have no end of their own.
    pub(crate) time: Duration,
    /// `lab.memory=N`: per cent of the available memory that is written and read.
    pub(crate) memory: u64,
    /// `lab.rounds=N`: how often things are done that are done by the number.
    pub(crate) rounds: u64,
    /// `lab.disk=SUM`: the SHA-256 of the first disk.
    pub(crate) disk: Option<String>,
    /// `lab.net=SUM`: the same of the file that the host gives away.
    pub(crate) net: Option<String>,
}

impl Options {
    /// Reads them; what is not understood is another program's.
    pub(crate) fn parse(line: &str) -> Self {
        let value = |name: &str| {
            let mut words = line.split_whitespace();
            words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        let number = |name: &str| value(name).and_then(|value| value.parse::<u64>().ok());
        let count = |name: &str| value(name).and_then(|value| value.parse().ok());
        Self {
            checks: value("lab")
                .map(|names| names.split(',').map(str::to_owned).collect())
                .unwrap_or_default(),
            cpus: count("lab.cpus"),
            nodes: count("lab.nodes"),
            time: Duration::from_secs(number("lab.seconds").unwrap_or(2)),
            memory: number("lab.memory").unwrap_or(60).min(95),
            rounds: number("lab.rounds").unwrap_or(100),
            disk: value("lab.disk").map(str::to_owned),
            net: value("lab.net").map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lab_s_words_are_found_among_others() {
        let options = Options::parse("console=ttyS0 lab=cpus,clock lab.cpus=4 quiet lab.seconds=9");
        assert_eq!(options.checks, ["cpus", "clock"]);
        assert_eq!(options.cpus, Some(4));
        assert_eq!(options.time, Duration::from_secs(9));
        assert_eq!(options.nodes, None);
    }

    #[test]
    fn nothing_is_checked_unless_it_is_asked_for() {
        assert!(Options::parse("root=/dev/vda").checks.is_empty());
    }
}
