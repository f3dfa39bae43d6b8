//! A machine made of std's parts: plain threads of one process stand for vCPUs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use giantvm_guest::programs::{Context, run};
use giantvm_guest::{Config, Destination, Machine, Memory, Run, Vector, Verdict, abi, verify};

use crate::support::Scratch;

/// Says what a vCPU reads at an offset among the registers of threads.
pub(crate) type Carry = Box<dyn Fn(u32, u64) -> u64 + Send + Sync>;

/// What all threads share.
pub(crate) struct Host {
    pub(crate) words: Vec<AtomicU64>,
    counters: Vec<[AtomicU64; 256]>,
    scratch: Mutex<Scratch>,
    pub(crate) serial: Mutex<Vec<u8>>,
    pub(crate) status: OnceLock<u32>,
    /// Which thread each vCPU runs, if there are threads.
    pub(crate) carry: Option<Carry>,
    start: Instant,
    /// A machine whose interrupts all get lost.
    pub(crate) deaf: AtomicBool,
    /// A machine whose vCPU 0 has a timer that never goes off.
    pub(crate) late: AtomicBool,
}

/// A thread that stands for a vCPU.
struct Thread<'h> {
    host: &'h Host,
    vcpu: u32,
    timer: Mutex<Option<Instant>>,
}

impl Host {
    pub(crate) fn new(config: &Config) -> Self {
        let words: Vec<_> = (0..config.memory / 8).map(|_| AtomicU64::new(0)).collect();
        let table = config.table().unwrap();
        for (index, bytes) in (table.address / 8..).zip(table.bytes.chunks_exact(8)) {
            let word = u64::from_le_bytes(bytes.try_into().unwrap());
            words[usize::try_from(index).unwrap()].store(word, SeqCst);
        }
        let counters = config
            .nodes
            .iter()
            .map(|_| [const { AtomicU64::new(0) }; 256]);
        Self {
            words,
            counters: counters.collect(),
            scratch: Mutex::default(),
            serial: Mutex::default(),
            status: OnceLock::new(),
            carry: None,
            start: Instant::now(),
            deaf: AtomicBool::new(false),
            late: AtomicBool::new(false),
        }
    }

    pub(crate) fn run(&self) {
        thread::scope(|scope| {
            for vcpu in (0..).take(self.counters.len()) {
                scope.spawn(move || {
                    let machine = Thread {
                        host: self,
                        vcpu,
                        timer: Mutex::new(None),
                    };
                    run(&Context::new(&machine).expect("the table is good"));
                });
            }
        });
    }

    /// Runs everything, all of which is right.
    pub(crate) fn assert_passes(&self, config: &Config) {
        self.run();
        let verdicts = self.verdicts(config);
        assert_eq!(verdicts.len(), config.runs.len());
        for verdict in verdicts {
            assert!(verdict.result.is_ok(), "{verdict:?}");
        }
        assert_eq!(self.status.get(), Some(&abi::status::PASSED));
    }

    pub(crate) fn verdicts(&self, config: &Config) -> Vec<Verdict> {
        let results = self.bytes(abi::RESULTS, abi::PAGE);
        let tables = self.bytes(abi::LITMUS, config.litmus_tables());
        verify(config, &results, &tables)
    }

    pub(crate) fn bytes(&self, address: u64, count: u64) -> Vec<u8> {
        let words = Memory::of(&self.words).words(address, count / 8);
        words
            .iter()
            .flat_map(|word| word.load(SeqCst).to_le_bytes())
            .collect()
    }

    fn interrupt(&self, vcpu: u32, vector: Vector) {
        if !self.deaf.load(SeqCst) {
            self.counters[vcpu as usize][usize::from(vector.number())].fetch_add(1, SeqCst);
        }
    }

    fn nanos(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap()
    }
}

impl Machine for Thread<'_> {
    fn vcpu(&self) -> u32 {
        self.vcpu
    }

    fn memory(&self) -> Memory<'_> {
        Memory::of(&self.host.words)
    }

    fn port_out8(&self, port: u16, value: u8) {
        assert_eq!(port, abi::PORT_SERIAL);
        self.host.serial.lock().unwrap().push(value);
    }

    fn port_out32(&self, port: u16, value: u32) {
        if port == abi::PORT_POWER {
            self.host.status.set(value).expect("the machine ends once");
        } else {
            self.host
                .scratch
                .lock()
                .unwrap()
                .port_write(port - abi::PORT_SCRATCH, value);
        }
    }

    fn port_in32(&self, port: u16) -> u32 {
        self.host
            .scratch
            .lock()
            .unwrap()
            .port_read(port - abi::PORT_SCRATCH)
    }

    fn mmio_write(&self, address: u64, value: u64) {
        self.host
            .scratch
            .lock()
            .unwrap()
            .mmio_write(address - abi::MMIO_SCRATCH, value);
    }

    fn mmio_read(&self, address: u64) -> u64 {
        if address == abi::MMIO_CLOCK {
            return self.host.nanos();
        }
        if let Some(offset) = address.checked_sub(abi::MMIO_THREADS) {
            let carry = self.host.carry.as_ref().expect("there are threads");
            return carry(self.vcpu, offset);
        }
        self.host
            .scratch
            .lock()
            .unwrap()
            .mmio_read(address - abi::MMIO_SCRATCH)
    }

    fn cycles(&self) -> u64 {
        self.host.nanos()
    }

    fn ipi(&self, to: Destination, vector: Vector) {
        let all = (0..).take(self.host.counters.len());
        match to {
            Destination::Physical(vcpu) | Destination::Logical(vcpu) => {
                self.host.interrupt(vcpu, vector);
            }
            Destination::AllButSelf => all
                .filter(|vcpu| *vcpu != self.vcpu)
                .for_each(|vcpu| self.host.interrupt(vcpu, vector)),
            Destination::AllWithSelf => all.for_each(|vcpu| self.host.interrupt(vcpu, vector)),
            Destination::Own => self.host.interrupt(self.vcpu, vector),
        }
    }

    fn nmi(&self, to: u32) {
        self.host.interrupt(to, Vector::Nmi);
    }

    fn received(&self, vector: Vector) -> u64 {
        self.host.counters[self.vcpu as usize][usize::from(vector.number())].load(SeqCst)
    }

    fn relax(&self) {
        thread::yield_now();
    }

    fn arm_timer(&self, nanos: u64) {
        let never = self.vcpu == 0 && self.host.late.load(SeqCst);
        let due = (nanos > 0 && !never).then(|| Instant::now() + Duration::from_nanos(nanos));
        *self.timer.lock().unwrap() = due;
    }

    fn halt_while(&self, vector: Vector, seen: u64) {
        while self.received(vector) == seen {
            let due = *self.timer.lock().unwrap();
            if due.is_some_and(|due| due <= Instant::now()) {
                self.arm_timer(0);
                self.host.interrupt(self.vcpu, Vector::Timer);
                return;
            }
            thread::sleep(Duration::from_micros(200));
        }
    }
}

pub(crate) fn config(vcpus: usize, runs: Vec<Run>) -> Config {
    Config {
        nodes: vec![0; vcpus],
        runs,
        ..Config::default()
    }
}

pub(crate) fn assert_passes(config: &Config) {
    Host::new(config).assert_passes(config);
}
