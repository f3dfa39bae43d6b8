//! Two of the NAS parallel benchmarks, on all processors, with their published results.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, ensure};
use giantvm_guest::programs::{self, Context};
use giantvm_guest::{Config, Memory, Program, Run, abi, verify};

use crate::everywhere::{everywhere, usable};
use crate::native::{Native, Shared};
use crate::options::Options;

/// Bytes of memory the programs share.
const MEMORY: u64 = 32 << 20;

/// EP of class S.
pub(crate) fn ep(_options: &Options) -> anyhow::Result<String> {
    run(Program::Ep)
}

/// IS of class S.
pub(crate) fn is(_options: &Options) -> anyhow::Result<String> {
    run(Program::Is)
}

/// Runs one of the programs that bare metal runs as well, by threads, and judges it the same way.
fn run(program: Program) -> anyhow::Result<String> {
    let words: Vec<_> = (0..MEMORY / 8).map(|_| AtomicU64::new(0)).collect();
    let memory = Memory::of(&words);
    let config = Config {
        nodes: vec![0; usable()?.len()],
        memory: MEMORY,
        runs: vec![Run::from(program)],
        ..Config::default()
    };
    let table = config.table()?;
    for (place, bytes) in (table.address..).step_by(8).zip(table.bytes.chunks(8)) {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        memory
            .word(place)
            .store(u64::from_le_bytes(word), Ordering::SeqCst);
    }
    let shared = Shared::new(memory);
    everywhere(|number, _| {
        let native = Native::new(&shared, u32::try_from(number)?);
        let context = Context::new(&native).ok().context("the table is wrong")?;
        programs::run(&context);
        Ok(())
    })?;
    let status = shared.status();
    ensure!(
        status == abi::status::PASSED,
        "{} ended with {status}",
        program.name()
    );
    let results = memory.words(abi::RESULTS, abi::PAGE / 8).iter();
    let results: Vec<u8> = results
        .flat_map(|word| word.load(Ordering::SeqCst).to_le_bytes())
        .collect();
    for verdict in verify(&config, &results, &[]) {
        verdict.result?;
    }
    Ok("class S, as published".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integer_sort_is_right_here() {
        is(&Options::parse("")).unwrap();
    }
}
