//! What the machine does, in steps, each of which leaves the same in memory wherever it is done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::ensure;
use clap::ValueEnum;
use giantvm_guest::programs::{self, Context};
use giantvm_guest::{Config, Program, Run, abi};
use serde::Serialize;

use crate::machine::OneCpu;
use crate::vm::{Size, WORDS, noise};

/// The first word that work uses: where the guest's programs have their data.
const DATA: usize = (abi::DATA / 8) as usize;
/// Words of a MiB.
const MIB: usize = (1 << 20) / 8;

/// A workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    /// A timer tick every 2 ms.
    Idle,
    /// Loads anywhere in 32 MiB, most in a fifth of it, and a store for every hundred, to 2 MiB.
    ReadMostly,
    /// Loads and stores anywhere in 32 MiB.
    WriteHeavy,
    /// Loads and stores in order, through 40 MiB.
    Streaming,
    /// NAS CG, class W, a whole run at a time.
    Cg,
    /// NAS MG, class W.
    Mg,
    /// NAS IS, class W.
    Is,
}

impl Work {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::ReadMostly => "read-mostly",
            Self::WriteHeavy => "write-heavy",
            Self::Streaming => "streaming",
            Self::Cg => "cg",
            Self::Mg => "mg",
            Self::Is => "is",
        }
    }

    /// The benchmark, and its parameter for class W.
    const fn benchmark(self) -> Option<(Program, u64)> {
        match self {
            Self::Idle | Self::ReadMostly | Self::WriteHeavy | Self::Streaming => None,
            Self::Cg => Some((Program::Cg, 7000)),
            Self::Mg => Some((Program::Mg, 7)),
            Self::Is => Some((Program::Is, 20)),
        }
    }

    /// One step. What it does next is in memory, too.
    pub(crate) fn step(self, words: &[AtomicU64], size: Size) -> anyhow::Result<()> {
        let state = &words[DATA];
        let number = state.load(Ordering::Relaxed);
        let data = &words[DATA + WORDS..];
        match self {
            Self::Idle => {
                for page in 0..16 {
                    let word = &data[page * WORDS];
                    let old = word.load(Ordering::Relaxed);
                    if page % 4 == 0 {
                        word.store(old + 1, Ordering::Relaxed);
                    }
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            Self::ReadMostly => read_mostly(number, data),
            Self::WriteHeavy => {
                for at in 0..4000 {
                    let place = noise(number << 20 | at);
                    add(&data[within(place, 32 * MIB)], place);
                }
            }
            Self::Streaming => {
                let from = within_step(number, MIB / 2, 40 * MIB);
                for word in &data[from..from + MIB / 2] {
                    add(word, number);
                }
            }
            Self::Cg | Self::Mg | Self::Is => return self.run(words, size),
        }
        state.store(number + 1, Ordering::Relaxed);
        Ok(())
    }

    /// Leaves in memory what so many steps leave.
    pub(crate) fn steps(self, words: &[AtomicU64], size: Size, count: u64) -> anyhow::Result<()> {
        // A benchmark begins anew each time.
        let once = self.benchmark().is_some();
        (0..if once { count.min(1) } else { count }).try_for_each(|_| self.step(words, size))
    }

    /// A whole run of a benchmark, which checks its result.
    fn run(self, words: &[AtomicU64], size: Size) -> anyhow::Result<()> {
        let Some((program, class)) = self.benchmark() else {
            return Ok(());
        };
        let mut run = Run::from(program);
        run.parameters[0] = class;
        let config = Config {
            nodes: vec![0],
            memory: size.bytes(),
            runs: vec![run],
            ..Config::default()
        };
        let table = config.table()?;
        // Where vCPUs meet and say what became of them has to be zero.
        let pages = [
            (abi::HOT, abi::LITMUS),
            (abi::VCPU_AREAS, abi::VCPU_AREAS + abi::VCPU_AREA_SIZE),
        ];
        for (from, to) in pages {
            let words = &words[usize::try_from(from / 8)?..usize::try_from(to / 8)?];
            words
                .iter()
                .for_each(|word| word.store(0, Ordering::Relaxed));
        }
        let (bytes, _) = table.bytes.as_chunks::<8>();
        let start = usize::try_from(table.address / 8)?;
        for (word, bytes) in words[start..].iter().zip(bytes) {
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
        let machine = OneCpu::new(words);
        let context = Context::new(&machine);
        programs::run(&context.map_err(|_| anyhow::anyhow!("the table was not understood"))?);
        let status = machine.status.get();
        ensure!(
            status == Some(abi::status::PASSED),
            "{} ended with {status:?}",
            self.name()
        );
        // Beside the results is how long they took, which is never the same twice.
        let results = usize::try_from(abi::RESULTS / 8)?..usize::try_from(abi::LITMUS / 8)?;
        let told = words[results]
            .iter()
            .filter(|word| word.load(Ordering::Relaxed) != 0);
        told.for_each(|word| word.store(0, Ordering::Relaxed));
        Ok(())
    }
}

fn read_mostly(number: u64, data: &[AtomicU64]) {
    let mut sum = 0_u64;
    for at in 0..20_000 {
        let place = noise(number << 20 | at);
        let reach = if place.is_multiple_of(5) {
            32 * MIB
        } else {
            32 * MIB / 5
        };
        let word = &data[within(place >> 3, reach)];
        sum = sum.wrapping_add(word.load(Ordering::Relaxed));
        if at % 100 == 0 {
            add(&data[32 * MIB + within(place, 2 * MIB)], sum);
        }
    }
}

fn add(word: &AtomicU64, what: u64) {
    // One thread at a time does this.
    let old = word.load(Ordering::Relaxed);
    word.store(old.wrapping_add(what | 1), Ordering::Relaxed);
}

fn within(number: u64, words: usize) -> usize {
    usize::try_from(number % words as u64).unwrap_or(0)
}

fn within_step(number: u64, step: usize, words: usize) -> usize {
    within(number, words / step) * step
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;
    use crate::vm::{differs, plain};

    #[test]
    fn each_leaves_the_same_whenever_it_is_done() {
        let size = Size::M256;
        for &work in Work::value_variants() {
            let memory = [plain(size), plain(size)];
            for words in &memory {
                work.steps(words, size, 2).unwrap();
                // Once more for those that begin anew each time, when all is there already.
                if work.benchmark().is_some() && std::ptr::eq(words, &memory[1]) {
                    work.step(words, size).unwrap();
                }
            }
            assert_eq!(differs(&memory[0], &memory[1]), None, "{}", work.name());
        }
    }
}
