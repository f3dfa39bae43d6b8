//! Nothing at all, for a while: what is seen then is the machine's own doing.

use crate::options::Options;
use crate::proc;

/// Sleeps.
pub(crate) fn idle(options: &Options) -> anyhow::Result<String> {
    let total = || -> anyhow::Result<u64> {
        let rows = proc::interrupts()?;
        Ok(rows.iter().flat_map(|(_, counts)| counts).sum())
    };
    println!("LAB idle begins");
    let before = total()?;
    std::thread::sleep(options.time);
    let interrupts = total()? - before;
    println!("LAB idle is over");
    Ok(format!("{interrupts} interrupts"))
}
