//! Mappings that go away while other processors use others of the same process.

use std::time::Instant;

use anyhow::ensure;

use crate::everywhere::everywhere;
use crate::options::Options;
use crate::proc;

/// Bytes of a mapping: enough for the allocator to ask the kernel each time.
const BYTES: usize = 1 << 18;

/// Every processor maps memory, fills it, reads it and gives it back, in one process.
pub(crate) fn shoot(options: &Options) -> anyhow::Result<String> {
    let before = shootdowns()?;
    let turns = everywhere(|number, _| {
        let (start, mut turns) = (Instant::now(), 0_u64);
        while start.elapsed() < options.time / 2 {
            let mut pages = vec![0_u64; BYTES / 8];
            ensure!(
                pages.iter().all(|word| *word == 0),
                "new memory is not empty"
            );
            let tag = ((number as u64) << 32) | turns;
            for word in pages.iter_mut().step_by(64) {
                *word = tag;
            }
            let wrong = pages.iter().step_by(64).find(|word| **word != tag);
            ensure!(wrong.is_none(), "a word is {wrong:?}, not {tag:#x}");
            turns += 1;
        }
        Ok(turns)
    })?;
    let turns = turns.iter().sum::<u64>();
    Ok(format!(
        "{turns} mappings, {} shootdowns",
        shootdowns()? - before
    ))
}

/// How often processors were told to forget translations.
fn shootdowns() -> anyhow::Result<u64> {
    let rows = proc::interrupts()?;
    let row = rows.iter().find(|(name, _)| name == "TLB");
    Ok(row.map_or(0, |(_, counts)| counts.iter().sum()))
}
