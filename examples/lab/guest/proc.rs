//! What the kernel tells of itself in files.

use std::fs;

use anyhow::Context as _;

/// A line of /proc/interrupts: its name, and a count for each processor.
pub(crate) type Row = (String, Vec<u64>);

/// The counts of interrupts by their names.
pub(crate) fn interrupts() -> anyhow::Result<Vec<Row>> {
    Ok(rows(&fs::read_to_string("/proc/interrupts")?))
}

/// Lines of counts; those that have one count for all processors are left out.
fn rows(text: &str) -> Vec<Row> {
    let mut lines = text.lines();
    let cpus = lines.next().unwrap_or_default().split_whitespace().count();
    let row = |line: &str| {
        let (name, rest) = line.split_once(':')?;
        let counts = rest.split_whitespace().map_while(|word| word.parse().ok());
        let counts: Vec<_> = counts.take(cpus).collect();
        (counts.len() == cpus).then(|| (name.trim().to_owned(), counts))
    };
    lines.filter_map(row).collect()
}

/// Bytes of memory that can be had without trouble.
pub(crate) fn available() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.context("the kernel does not tell of available memory")? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_a_count_for_every_processor() {
        let text = "           CPU0       CPU1\n  4:   10   0  IO-APIC 4 ttyS0\nTLB:  3  5  shootdowns\n\
                    ERR:          0\n";
        let expected = [("4", [10, 0]), ("TLB", [3, 5])];
        let expected = expected.map(|(name, counts)| (name.to_owned(), counts.to_vec()));
        assert_eq!(rows(text), expected);
    }
}
