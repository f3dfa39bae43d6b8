//! Most of the memory, written by one processor and read by another one.

use anyhow::ensure;

use crate::everywhere::{everywhere, usable};
use crate::options::Options;
use crate::proc;

/// What a word shows: no two the same, and not the same in two rounds.
fn pattern(writer: usize, place: usize, round: u64) -> u64 {
    let seed = (writer as u64) << 48 ^ place as u64 ^ round << 40;
    let mixed = (seed ^ seed >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 29
}

/// Every processor fills its share; the next one reads it, overwrites it, and so on.
pub(crate) fn memory(options: &Options) -> anyhow::Result<String> {
    let bytes = proc::available()? * options.memory / 100;
    let cpus = usable()?.len();
    let words = usize::try_from(bytes / 8)? / cpus;
    let mut shares = everywhere(|writer, _| {
        let fill = (0..words).map(|place| pattern(writer, place, 0));
        Ok(fill.collect::<Vec<_>>())
    })?;
    for round in 0..2 {
        shares.rotate_left(1);
        let turn = usize::try_from(round)? + 1;
        let shares: Vec<_> = shares.iter_mut().map(std::sync::Mutex::new).collect();
        everywhere(|reader, all| {
            let mut share = shares[reader]
                .lock()
                .map_err(|_| anyhow::anyhow!("poisoned"))?;
            let writer = (reader + turn) % all;
            for (place, word) in share.iter_mut().enumerate() {
                let (found, expected) = (*word, pattern(writer, place, round));
                ensure!(
                    found == expected,
                    "word {place} of share {writer} is {found:#x}, not {expected:#x}"
                );
                *word = pattern(writer, place, round + 1);
            }
            Ok(())
        })?;
    }
    Ok(format!(
        "{} MiB, read and written by {cpus} twice",
        bytes >> 20
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_differ_by_writer_place_and_round() {
        let words = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 1)];
        let words = words.map(|(writer, place, round)| pattern(writer, place, round));
        let different = std::collections::BTreeSet::from(words);
        assert_eq!(different.len(), words.len());
    }

    #[test]
    fn a_little_memory_passes() {
        memory(&Options {
            memory: 0,
            ..Options::parse("")
        })
        .unwrap();
    }
}
