#![expect(
    unsafe_code,
    reason = "lends the shared memory to vCPUs, which outlive no borrow"
)]
//! The guest: how it gets into the distributed memory, onto vCPUs, and what became of it.

use std::sync::{Arc, OnceLock};

use giantvm_core::{GuestAddress, VcpuId};
use giantvm_dsm::backing::Mapping;
use giantvm_dsm::engine::Dsm;
use giantvm_dsm::view::DsmMemory;
use giantvm_guest::programs::Values;
use giantvm_guest::{Config, Memory, Program, Verdict, abi};
use giantvm_sched::Topology;
use giantvm_vcpu::clock::GuestClock;
use giantvm_vcpu::kvm::KvmHost;
use giantvm_vcpu::{InterruptSink, Layout, StartState, Vcpu, VcpuHost};
use vm_memory::Bytes as _;

use crate::address_map::AddressMap;
use crate::cli::VcpuKind;
use crate::linux::{self, Surroundings};
use crate::litmus;
use crate::protocol::ProtocolKind;
use crate::report::ProgramReport;
use crate::scheduling::{Desk, SchedulerKind};
use crate::threads;
use crate::work::Work;

/// What to run, and on what.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) work: Work,
    pub(crate) vcpu: VcpuKind,
    pub(crate) protocol: ProtocolKind,
    pub(crate) transport: &'static str,
    /// Who schedules the guest's threads, if it has any.
    pub(crate) scheduler: SchedulerKind,
}

/// The guest on one node.
#[derive(Debug)]
pub(crate) struct Guest {
    plan: Plan,
    mapping: Arc<Mapping>,
    map: AddressMap,
    memory: DsmMemory,
    /// How the boot vCPU starts, once the guest is loaded.
    start: OnceLock<StartState>,
    /// The frequency of time-stamp counters, if it is known.
    tsc_khz: OnceLock<u32>,
}

impl Guest {
    pub(crate) fn new(plan: &Plan, dsm: &Dsm) -> anyhow::Result<Self> {
        let mapping = dsm.mapping().clone();
        let map = plan.work.address_map(mapping.page_size(), mapping.pages());
        let memory = DsmMemory::new(&mapping, map.regions())?;
        Ok(Self {
            plan: plan.clone(),
            mapping,
            map,
            memory,
            start: OnceLock::new(),
            tsc_khz: OnceLock::new(),
        })
    }

    /// Its memory, as devices see it.
    pub(crate) const fn memory(&self) -> &DsmMemory {
        &self.memory
    }

    /// Where its memory is.
    pub(crate) fn map(&self) -> &AddressMap {
        &self.map
    }

    /// The node's vCPU host, with the distributed memory as the guest's.
    pub(crate) fn host(
        &self,
        layout: Layout,
        sink: Arc<dyn InterruptSink>,
        clock: Arc<GuestClock>,
        desk: Option<Arc<Desk>>,
    ) -> anyhow::Result<Arc<dyn VcpuHost>> {
        match self.plan.vcpu {
            VcpuKind::Kvm => {
                let times = self.plan.work.slow_motion();
                let host = KvmHost::in_slow_motion(layout, sink, times)?;
                // The machine ends with its process, and so does its memory.
                std::mem::forget(Arc::clone(&self.mapping));
                for (address, pages) in self.map.regions() {
                    let (base, len) = self.mapping.span(pages);
                    // SAFETY: the mapping is never dropped, as of the line above. It hands out raw
                    // pointers and volatile or atomic views only, so nothing relies on its bytes.
                    unsafe { host.map_memory(address, base, len) }?;
                }
                if let Some(khz) = host.tsc_khz() {
                    self.tsc_khz.set(khz).ok();
                }
                Ok(Arc::new(host))
            }
            VcpuKind::Thread => Ok(threads::host(layout, sink, clock, self.lend(), desk)),
        }
    }

    /// The whole guest memory, for threads that stand for vCPUs.
    fn lend(&self) -> Memory<'static> {
        std::mem::forget(Arc::clone(&self.mapping));
        // SAFETY: the mapping is never dropped, as of the line above; it is aligned to pages, and
        // whoever else reaches it does so atomically.
        unsafe { Memory::new(self.mapping.base().as_ptr(), self.mapping.len() as u64) }
    }

    /// Gives a vCPU of this node its start state: the boot vCPU starts at the guest's entry, all
    /// others wait for it to call them.
    pub(crate) fn prepare(&self, vcpu: &mut dyn Vcpu) -> anyhow::Result<()> {
        let boot = vcpu.id() == VcpuId::BOOT;
        let start = self.start.get().filter(|_| boot);
        Ok(vcpu.set_start(start.unwrap_or(&StartState::WaitForSipi))?)
    }

    /// Writes the guest into the distributed memory, on the boot vCPU's node.
    pub(crate) fn load(&self, topology: &Topology) -> anyhow::Result<()> {
        let start = match &self.plan.work {
            Work::Programs(config) => self.load_programs(config)?,
            Work::Linux(options) => {
                let around = Surroundings {
                    map: &self.map,
                    topology,
                    tsc_khz: self.tsc_khz.get().copied(),
                };
                linux::load(options, &self.memory, &around)?
            }
        };
        self.start.set(start).ok();
        Ok(())
    }

    fn load_programs(&self, config: &Config) -> anyhow::Result<StartState> {
        let image = config.boot_image()?;
        for segment in image.segments {
            self.memory
                .write_slice(&segment.bytes, GuestAddress(segment.address))?;
        }
        let state = image.state;
        Ok(StartState::LongMode {
            rip: state.rip,
            rsp: state.rsp,
            cr3: GuestAddress(state.cr3),
            rdi: 0,
            rsi: 0,
        })
    }

    /// The guest's threads; none if its vCPUs run the programs.
    pub(crate) fn threads(plan: &Plan) -> u32 {
        match &plan.work {
            Work::Programs(config) => config.threads,
            Work::Linux(_) => 0,
        }
    }

    /// What became of each program: the guest's own word, checked against what the host computes.
    pub(crate) fn verify(&self) -> anyhow::Result<Vec<ProgramReport>> {
        let Work::Programs(config) = &self.plan.work else {
            return Ok(Vec::new());
        };
        let results = self.read(abi::RESULTS, abi::PAGE)?;
        let tables = self.read(abi::LITMUS, config.litmus_tables())?;
        let verdicts = giantvm_guest::verify(config, &results, &tables);
        let describe = |verdict| describe(verdict, &tables);
        Ok(verdicts.iter().map(describe).collect())
    }

    fn read(&self, address: u64, count: u64) -> anyhow::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(count)?];
        self.memory.read_slice(&mut bytes, GuestAddress(address))?;
        Ok(bytes)
    }
}

fn describe(verdict: &Verdict, tables: &[u8]) -> ProgramReport {
    ProgramReport {
        name: verdict.run.program.name().to_owned(),
        verified: verdict.result.is_ok(),
        micros: verdict.result.as_ref().map_or(0, |report| report.micros),
        detail: match &verdict.result {
            Ok(report) => format!(
                "{:>8.1} ms  {}",
                report.micros as f64 / 1e3,
                checked(verdict.run.program, &report.values)
            ),
            Err(fault) => fault.to_string(),
        },
        litmus: match verdict.run.program {
            Program::Litmus => litmus::report(tables),
            _ => Vec::new(),
        },
    }
}

/// What was right, with the figures that show it.
fn checked(program: Program, values: &Values) -> String {
    let [first, second, third, ..] = *values;
    match program {
        Program::Ticket => format!("{first} increments under a ticket lock of {second} tickets"),
        Program::Atomic => format!("{first} atomic increments"),
        Program::Sum => format!("sum {first:#x} of {} MiB that one vCPU wrote", second >> 20),
        Program::Ep => {
            let (x, y) = (f64::from_bits(first), f64::from_bits(second));
            format!("sums {x:.9e} and {y:.9e}, as NPB publishes them")
        }
        Program::Is => format!("{second} keys in order, {first} ranks as expected"),
        Program::Ipi => format!(
            "{} interrupts received, none lost or doubled",
            values.iter().sum::<u64>()
        ),
        Program::Io => format!("{first} accesses, each seen once by the one device"),
        Program::Clock => format!("{first} readings passed on, none ran backwards"),
        Program::Idle => format!("slept {} ms, then {second} vCPUs woke", first / 1000),
        Program::Litmus => format!(
            "{first} rounds, none as x86-TSO forbids; {second} outcomes, {third} rounds weak"
        ),
        Program::Cg => format!(
            "eigenvalue {:.12}, as NPB publishes it",
            f64::from_bits(first)
        ),
        Program::Mg => format!(
            "norm {:.12e} of the residual, as NPB publishes it",
            f64::from_bits(first)
        ),
        Program::Ft => {
            let (re, im) = (f64::from_bits(first), f64::from_bits(second));
            format!("first checksum {re:.9} and {im:.9}, all six as NPB publishes them")
        }
    }
}
