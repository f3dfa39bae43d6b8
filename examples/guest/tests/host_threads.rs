//! The guest's programs on plain threads of one process, with a machine made of std's parts.

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use giantvm_guest::programs::{Context, Failure, Site, run_all};
use giantvm_guest::{
    Config, Destination, Fault, Machine, Memory, Program, Run, Vector, Verdict, abi, verify,
};
use support::Scratch;

/// What all threads share.
struct Host {
    words: Vec<AtomicU64>,
    counters: Vec<[AtomicU64; 256]>,
    scratch: Mutex<Scratch>,
    serial: Mutex<Vec<u8>>,
    status: OnceLock<u32>,
    start: Instant,
    /// A machine whose interrupts all get lost.
    deaf: AtomicBool,
    /// A machine whose vCPU 0 has a timer that never goes off.
    late: AtomicBool,
}

/// A thread that stands for a vCPU.
struct Thread<'h> {
    host: &'h Host,
    vcpu: u32,
    timer: Mutex<Option<Instant>>,
}

impl Host {
    fn new(config: &Config) -> Self {
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
            start: Instant::now(),
            deaf: AtomicBool::new(false),
            late: AtomicBool::new(false),
        }
    }

    fn run(&self) {
        thread::scope(|scope| {
            for vcpu in (0..).take(self.counters.len()) {
                scope.spawn(move || {
                    let machine = Thread {
                        host: self,
                        vcpu,
                        timer: Mutex::new(None),
                    };
                    run_all(&Context::new(&machine).expect("the table is good"));
                });
            }
        });
    }

    fn verdicts(&self, config: &Config) -> Vec<Verdict> {
        let results = self.bytes(abi::RESULTS, abi::PAGE);
        let tables = self.bytes(abi::LITMUS, config.litmus_tables());
        verify(config, &results, &tables)
    }

    fn bytes(&self, address: u64, count: u64) -> Vec<u8> {
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

fn config(vcpus: usize, runs: Vec<Run>) -> Config {
    Config {
        nodes: vec![0; vcpus],
        runs,
        ..Config::default()
    }
}

fn assert_passes(config: &Config) {
    let host = Host::new(config);
    host.run();
    let verdicts = host.verdicts(config);
    assert_eq!(verdicts.len(), config.runs.len());
    for verdict in verdicts {
        assert!(verdict.result.is_ok(), "{verdict:?}");
    }
    assert_eq!(host.status.get(), Some(&abi::status::PASSED));
}

fn quick() -> Vec<Run> {
    let run = |program, parameters| Run {
        program,
        parameters,
    };
    vec![
        run(Program::Ticket, [50, 8, 0, 0]),
        run(Program::Atomic, [1000, 0, 0, 0]),
        run(Program::Sum, [4 << 20, 7, 0, 0]),
        run(Program::Is, [16, 3, 0, 0]),
        run(Program::Ipi, [2, 0, 0, 0]),
        run(Program::Io, [20, 0, 0, 0]),
        run(Program::Clock, [50, 0, 0, 0]),
        run(Program::Idle, [20, 0, 0, 0]),
    ]
}

#[test]
fn every_program_passes_on_one_to_seven_threads() {
    for vcpus in [1, 2, 3, 7] {
        assert_passes(&config(vcpus, quick()));
    }
}

#[test]
fn every_program_passes_twice_in_one_run() {
    let runs = quick().into_iter().chain(quick()).collect();
    assert_passes(&config(4, runs));
}

#[test]
fn ep_class_s_gives_the_published_sums() {
    assert_passes(&config(4, vec![Program::Ep.into()]));
}

#[test]
fn is_sorts_every_class_that_fits() {
    for logarithm in [16, 20] {
        let run = Run {
            program: Program::Is,
            parameters: [logarithm, 10, 0, 0],
        };
        assert_passes(&config(3, vec![run]));
    }
}

#[test]
fn lines_are_whole_and_short() {
    let host = Host::new(&config(6, quick()));
    host.run();
    let serial = String::from_utf8(host.serial.into_inner().unwrap()).unwrap();
    for line in serial.lines() {
        assert!(line.starts_with("vcpu ") && line.len() <= 100, "{line:?}");
    }
    assert_eq!(
        serial
            .lines()
            .filter(|line| line.contains(": up, one of 6 vCPUs"))
            .count(),
        6
    );
    assert_eq!(
        serial.lines().last(),
        Some("vcpu 0 node 0: all programs passed")
    );
}

#[test]
fn lost_interrupts_end_in_a_failure_that_names_them() {
    let mut config = config(2, vec![Program::Atomic.into(), Program::Ipi.into()]);
    config.deadline = Duration::from_secs(3);
    let host = Host::new(&config);
    host.deaf.store(true, SeqCst);
    host.run();
    let verdicts = host.verdicts(&config);
    assert!(verdicts[0].result.is_ok());
    let failure = Failure::TimedOut(Site::Interrupt);
    assert!(
        matches!(verdicts[1].result, Err(Fault::Guest { failure: found, .. }) if found == failure),
        "{:?}",
        verdicts[1]
    );
    assert_eq!(host.status.get(), Some(&abi::status::TIMED_OUT));
}

#[test]
fn a_timer_that_never_goes_off_ends_in_a_failure() {
    let idle = Run {
        program: Program::Idle,
        parameters: [10, 0, 0, 0],
    };
    let mut config = config(3, vec![idle]);
    config.deadline = Duration::from_millis(500);
    let host = Host::new(&config);
    host.late.store(true, SeqCst);
    host.run();
    let failure = Failure::TimedOut(Site::Interrupt);
    let result = host.verdicts(&config)[0].result;
    assert!(
        matches!(result, Err(Fault::Guest { vcpu: 1 | 2, failure: found }) if found == failure),
        "{result:?}"
    );
    assert_eq!(host.status.get(), Some(&abi::status::TIMED_OUT));
}

#[test]
fn a_forged_result_is_found() {
    let config = config(2, vec![Program::Atomic.into()]);
    let host = Host::new(&config);
    host.run();
    let memory = Memory::of(&host.words);
    let value = memory.word(abi::result_block(0) + 32);
    value.fetch_add(1, SeqCst);
    let verdicts = host.verdicts(&config);
    assert!(matches!(
        verdicts[0].result,
        Err(Fault::Differs {
            expected: 1000,
            found: 1001,
            ..
        })
    ));
    memory.word(abi::result_block(0)).store(99, SeqCst);
    assert_eq!(host.verdicts(&config)[0].result, Err(Fault::Unknown(99)));
}

#[test]
fn parameters_that_no_program_takes_fail_and_the_next_program_runs() {
    let ep = Run {
        program: Program::Ep,
        parameters: [23, 0, 0, 0],
    };
    let config = config(2, vec![ep, Program::Atomic.into()]);
    let host = Host::new(&config);
    host.run();
    let verdicts = host.verdicts(&config);
    let failure = Failure::Parameter {
        index: 0,
        value: 23,
    };
    assert_eq!(verdicts[0].result, Err(Fault::Guest { vcpu: 0, failure }));
    assert!(verdicts[1].result.is_ok());
    assert_eq!(host.status.get(), Some(&abi::status::FAILED));
}
