//! What a host asks of the guest, and the memory that tells it.

use core::mem::offset_of;
use std::time::Duration;

use crate::abi::{self, RunEntry, Table};
use crate::boot::{self, BootState};
use crate::elf::{ElfError, Segment, load};
use crate::programs::{cg, ft, is, mg};
use crate::threads::{ARENA, MAX_THREADS};
use crate::{IMAGE, Program};

/// One entry of the list of programs to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The program.
    pub program: Program,
    /// Its parameters.
    pub parameters: [u64; abi::PARAMETERS],
}

impl From<Program> for Run {
    fn from(program: Program) -> Self {
        Self {
            program,
            parameters: program.defaults(),
        }
    }
}

/// What a host asks of the guest.
///
/// ```
/// use giantvm_guest::{Config, Program};
///
/// let config = Config { nodes: vec![0, 0, 1], ..Config::default() };
/// let boot = config.boot_image()?;
/// assert!(boot.segments.iter().all(|segment| segment.address + segment.memory_size <= config.memory));
/// # Ok::<(), giantvm_guest::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Node of each vCPU; as many entries as vCPUs.
    pub nodes: Vec<u8>,
    /// Threads that run the programs, on all vCPUs by turns; 0 if the vCPUs run them. Where there are
    /// any, the host has to [say](crate::threads) which thread a vCPU runs.
    pub threads: u32,
    /// Bytes of memory from address 0; a multiple of 2 MiB.
    pub memory: u64,
    /// Cycles of the vCPUs' time stamp counter in a millisecond (its frequency in kHz).
    pub cycles_per_ms: u64,
    /// Most that any single wait of the guest may take.
    pub deadline: Duration,
    /// Programs to run, in order.
    pub runs: Vec<Run>,
}

/// The guest cannot be started like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Too few or too many vCPUs.
    #[error("{0} vCPUs; the guest runs on 1 to {max}", max = abi::MAX_VCPUS)]
    Vcpus(usize),
    /// Too little or too much memory, or not in whole large pages.
    #[error(
        "{0} bytes of memory; the guest needs a multiple of 2 MiB from {min} to {max}",
        min = abi::MEMORY_MIN,
        max = abi::MEMORY_MAX
    )]
    Memory(u64),
    /// More programs than the table has entries for.
    #[error("{0} programs; the guest takes {max} in one run", max = abi::MAX_RUNS)]
    Runs(usize),
    /// The list has a program twice whose outcomes have one place in memory.
    #[error("{program} can be in the list once", program = .0.name())]
    Twice(Program),
    /// A program's parameters ask for more memory than there is.
    #[error("{program} needs {needed} bytes of memory; the machine has {available}",
        program = program.name())]
    ProgramMemory {
        /// The program.
        program: Program,
        /// Bytes of memory the machine would need.
        needed: u64,
        /// Bytes it has.
        available: u64,
    },
    /// Too many threads.
    #[error("{0} threads; the guest has at most {MAX_THREADS}")]
    Threads(u32),
    /// A program that is about vCPUs cannot run on threads.
    #[error("{program} is about vCPUs and cannot run on threads", program = .0.name())]
    OnThreads(Program),
    /// The frequency of the counter or the deadline is zero or beyond measure.
    #[error(
        "the counter's frequency and the deadline must not be zero; the deadline is at most an hour"
    )]
    Time,
    /// The image is damaged.
    #[error("the guest image cannot be loaded")]
    Image(#[from] ElfError),
}

impl Default for Config {
    /// 4 vCPUs on node 0, 128 MiB, a counter of 1 GHz, 30 s, all programs that do not run on
    /// request only.
    fn default() -> Self {
        let programs = Program::ALL
            .into_iter()
            .filter(|program| !program.on_request());
        Self {
            nodes: vec![0; 4],
            threads: 0,
            memory: 128 << 20,
            cycles_per_ms: 1_000_000,
            deadline: Duration::from_secs(30),
            runs: programs.map(Run::from).collect(),
        }
    }
}

/// What to load and where to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootImage {
    /// What to write into the zeroed memory before the start. They do not overlap.
    pub segments: Vec<Segment>,
    /// State of the boot vCPU.
    pub state: BootState,
}

impl Config {
    /// Number of vCPUs.
    ///
    /// # Errors
    /// [`ConfigError::Vcpus`] if the guest cannot run on so many.
    pub fn vcpus(&self) -> Result<u32, ConfigError> {
        let count = self.nodes.len();
        let fits = |vcpus: &u32| (1..=abi::MAX_VCPUS).contains(vcpus);
        u32::try_from(count)
            .ok()
            .filter(fits)
            .ok_or(ConfigError::Vcpus(count))
    }

    /// How many share the work: the threads, or the vCPUs if there are none.
    ///
    /// # Errors
    /// As [`Config::vcpus`], and [`ConfigError::Threads`].
    pub fn workers(&self) -> Result<u32, ConfigError> {
        match self.threads {
            0 => self.vcpus(),
            threads if threads <= MAX_THREADS => Ok(threads),
            threads => Err(ConfigError::Threads(threads)),
        }
    }

    /// Image, page tables, descriptor tables and table of programs.
    ///
    /// # Errors
    /// [`ConfigError`], naming the field that is out of its range.
    pub fn boot_image(&self) -> Result<BootImage, ConfigError> {
        let table = self.table()?;
        let image = load(IMAGE)?;
        let mut segments = image.segments;
        segments.push(boot::page_tables(self.memory));
        segments.push(table);
        segments.extend((0..self.vcpus()?).map(boot::vcpu_tables));
        Ok(BootImage {
            segments,
            state: BootState::at(image.entry),
        })
    }

    /// The table of programs alone: all that threads need which stand for vCPUs.
    ///
    /// # Errors
    /// As [`Config::boot_image`].
    pub fn table(&self) -> Result<Segment, ConfigError> {
        let vcpus = self.vcpus()?;
        let whole = self.memory.is_multiple_of(2 << 20);
        if !whole || !(abi::MEMORY_MIN..=abi::MEMORY_MAX).contains(&self.memory) {
            return Err(ConfigError::Memory(self.memory));
        }
        if self.runs.len() > abi::MAX_RUNS {
            return Err(ConfigError::Runs(self.runs.len()));
        }
        let litmus = |run: &&Run| run.program == Program::Litmus;
        if self.runs.iter().filter(litmus).count() > 1 {
            return Err(ConfigError::Twice(Program::Litmus));
        }
        let workers = self.workers()?;
        for run in &self.runs {
            if self.threads > 0 && !run.program.on_threads() {
                return Err(ConfigError::OnThreads(run.program));
            }
            let arenas = u64::from(self.threads) * ARENA;
            let (needed, available) = (run.memory(workers) + arenas, self.memory);
            if needed > available {
                return Err(ConfigError::ProgramMemory {
                    program: run.program,
                    needed,
                    available,
                });
            }
        }
        let deadline = u32::try_from(self.deadline.as_millis()).map_err(|_| ConfigError::Time)?;
        if self.cycles_per_ms == 0 || !(1..=3_600_000).contains(&deadline) {
            return Err(ConfigError::Time);
        }
        let run_count = u32::try_from(self.runs.len()).unwrap_or(u32::MAX);
        let mut bytes = vec![0; size_of::<Table>()];
        put(
            &mut bytes,
            offset_of!(Table, magic),
            &abi::MAGIC.to_le_bytes(),
        );
        put(
            &mut bytes,
            offset_of!(Table, version),
            &abi::VERSION.to_le_bytes(),
        );
        put(&mut bytes, offset_of!(Table, vcpus), &vcpus.to_le_bytes());
        put(
            &mut bytes,
            offset_of!(Table, memory),
            &self.memory.to_le_bytes(),
        );
        put(
            &mut bytes,
            offset_of!(Table, cycles_per_ms),
            &self.cycles_per_ms.to_le_bytes(),
        );
        put(
            &mut bytes,
            offset_of!(Table, deadline_ms),
            &deadline.to_le_bytes(),
        );
        put(
            &mut bytes,
            offset_of!(Table, run_count),
            &run_count.to_le_bytes(),
        );
        let threads = self.threads.to_le_bytes();
        put(&mut bytes, offset_of!(Table, threads), &threads);
        put(&mut bytes, offset_of!(Table, nodes), &self.nodes);
        for (index, run) in self.runs.iter().enumerate() {
            let entry = offset_of!(Table, runs) + index * size_of::<RunEntry>();
            let number = (run.program as u32).to_le_bytes();
            put(&mut bytes, entry + offset_of!(RunEntry, program), &number);
            for (place, value) in run.parameters.iter().enumerate() {
                let at = entry + offset_of!(RunEntry, parameters) + 8 * place;
                put(&mut bytes, at, &value.to_le_bytes());
            }
        }
        Ok(Segment {
            address: abi::TABLE,
            memory_size: bytes.len() as u64,
            bytes,
        })
    }
}

impl Run {
    /// Bytes of memory a machine needs for this run, without threads' stacks.
    #[must_use]
    pub fn memory(&self, vcpus: u32) -> u64 {
        let data = match self.program {
            Program::Sum => self.parameters[0],
            Program::Is => is::memory(self.parameters[0], vcpus),
            Program::Cg => cg::memory(self.parameters[0], vcpus),
            Program::Mg => mg::memory(self.parameters[0]),
            Program::Ft => ft::memory(self.parameters[0]),
            _ => 0,
        };
        abi::DATA.saturating_add(data)
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guest_cannot_run_on_is_refused() {
        let with = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.boot_image().unwrap_err()
        };
        assert_eq!(with(|c| c.nodes.clear()), ConfigError::Vcpus(0));
        assert_eq!(with(|c| c.nodes = vec![0; 255]), ConfigError::Vcpus(255));
        assert_eq!(
            with(|c| c.memory = 128 << 20 | 4096),
            ConfigError::Memory(128 << 20 | 4096)
        );
        assert_eq!(
            with(|c| c.runs = vec![Program::Io.into(); 17]),
            ConfigError::Runs(17)
        );
        assert_eq!(
            with(|c| c.runs = vec![Program::Litmus.into(); 2]),
            ConfigError::Twice(Program::Litmus)
        );
        assert_eq!(with(|c| c.deadline = Duration::ZERO), ConfigError::Time);
        let needed = abi::DATA + (64 << 20);
        let available = 64 << 20;
        assert_eq!(
            with(|c| c.memory = 64 << 20),
            ConfigError::ProgramMemory {
                program: Program::Sum,
                needed,
                available
            }
        );
    }

    #[test]
    fn segments_do_not_overlap() {
        let config = Config {
            nodes: vec![0; 254],
            ..Config::default()
        };
        let mut spans: Vec<_> = config
            .boot_image()
            .unwrap()
            .segments
            .iter()
            .map(|segment| (segment.address, segment.address + segment.memory_size))
            .collect();
        spans.sort_unstable();
        assert!(
            spans.windows(2).all(|two| two[0].1 <= two[1].0),
            "{spans:x?}"
        );
    }
}
