//! Messages to bytes.

use super::layout::{ASK, HEADER, MAGIC, REPORT, SNAPSHOT, VERSION};
use super::{Advice, HotGroup, Message, Report, Snapshot, Subject};
use crate::schedule::Machine;

impl Message {
    /// The message as bytes: at most [`MAX_MESSAGE`](super::layout::MAX_MESSAGE), as what it is made
    /// of has limits.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Bytes(Vec::with_capacity(1024));
        let kind = match self {
            Self::Ask(_) => ASK,
            Self::Snapshot(_) => SNAPSHOT,
            Self::Report(_) => REPORT,
        };
        out.put(MAGIC.to_le_bytes());
        out.put(VERSION.to_le_bytes());
        out.put(kind.to_le_bytes());
        out.zero(HEADER - 8);
        match self {
            Self::Ask(id) => out.put(id.to_le_bytes()),
            Self::Snapshot(snapshot) => out.snapshot(snapshot),
            Self::Report(report) => out.report(report),
        }
        let length = length32(out.0.len());
        out.0[8..12].copy_from_slice(&length);
        out.0
    }
}

struct Bytes(Vec<u8>);

impl Bytes {
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.0.extend_from_slice(&bytes);
    }

    fn zero(&mut self, count: usize) {
        self.0.resize(self.0.len() + count, 0);
    }

    fn snapshot(&mut self, of: &Snapshot) {
        let machine = of.machine();
        for word in [of.id, of.generation, of.time.0] {
            self.put(word.to_le_bytes());
        }
        self.put(of.features.bits().to_le_bytes());
        self.put(length16(of.group_size.pages()));
        self.put([length8(machine.node_count()), 0]);
        for count in [
            machine.vcpu_count(),
            of.groups().len(),
            of.advice().len(),
            0,
        ] {
            self.put(length16(count));
        }
        for (vcpu, counters) in machine.vcpus().zip(of.counters()) {
            for word in [counters.reads, counters.writes, counters.stall.0] {
                self.put(word.to_le_bytes());
            }
            self.put([machine.node_of(vcpu).map_or(0, |node| node.get())]);
            self.zero(7);
        }
        self.links(machine);
        of.groups().iter().for_each(|group| self.group(group));
        of.advice().iter().for_each(|advice| self.advice(advice));
    }

    fn links(&mut self, machine: &Machine) {
        for a in machine.nodes() {
            for b in machine.nodes().filter(|b| *b < a) {
                self.put(length32(machine.link(a, b).0));
            }
        }
    }

    fn group(&mut self, of: &HotGroup) {
        self.put(of.group.0.to_le_bytes());
        self.put([of.home.get(), length8(of.sharers().len())]);
        self.zero(6);
        for sharer in of.sharers() {
            self.put(sharer.stall.0.to_le_bytes());
            self.put(sharer.reads.to_le_bytes());
            self.put(sharer.writes.to_le_bytes());
            self.put([sharer.vcpu.get()]);
            self.zero(7);
        }
    }

    fn advice(&mut self, of: &Advice) {
        self.put(of.gain.to_le_bytes());
        self.put([of.node.get(), length8(of.subjects().len())]);
        self.zero(6);
        for subject in of.subjects() {
            let (kind, number) = match subject {
                Subject::Vcpu(vcpu) => (0, vcpu.get().into()),
                Subject::Thread(thread) => (1, thread.0),
            };
            self.put([kind, 0, 0, 0]);
            self.put(number.to_le_bytes());
        }
    }

    fn report(&mut self, of: &Report) {
        self.put(length32(of.events().len()));
        self.put(of.lost.to_le_bytes());
        for event in of.events() {
            self.put(event.word().to_le_bytes());
        }
    }
}

// What is counted here is bounded by the limits of its type, far below those of these widths.

fn length8(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

fn length16(count: impl TryInto<u16>) -> [u8; 2] {
    count.try_into().unwrap_or(u16::MAX).to_le_bytes()
}

fn length32(count: impl TryInto<u32>) -> [u8; 4] {
    count.try_into().unwrap_or(u32::MAX).to_le_bytes()
}
