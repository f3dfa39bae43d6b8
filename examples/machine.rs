//! What figures were measured on.

use std::fs;

/// Processor and system, as far as they say.
#[must_use]
pub fn this_machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |line: &str| Some(line.split_once(':')?.1.trim().to_owned());
    let mut models = info.lines().filter(|line| line.starts_with("model name"));
    let model = models.next().and_then(value).unwrap_or_default();
    let system = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let count = info
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count()
        .max(count);
    format!("{count} processors of {model}, Linux {}", system.trim())
}
