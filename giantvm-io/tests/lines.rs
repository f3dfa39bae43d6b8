//! Interrupt lines between nodes, over links that are slow and keep nothing but their own order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use giantvm_core::{AccessSize, Msi, NodeId, NodeSet, VcpuId};
use giantvm_io::ioapic::{IoApic, LineMessage, LineViolation, Lines, LinesOutput, PINS, Pin};
use giantvm_io::{Device, InterruptLine, Origin};
use proptest::prelude::*;

const NODES: usize = 3;
/// The IOAPIC's node; the vCPU that is interrupted is on the node before, the device on that after.
const HOME: usize = 1;
const CPU: usize = 0;
const DEVICE: usize = 2;
const VECTOR: u8 = 0x51;
const PIN: u8 = 9;

#[derive(Debug, Clone, Copy)]
enum Letter {
    Line(LineMessage),
    Msi(Msi),
}

/// What is under way, by sender and receiver, and each node's routes.
#[derive(Debug, Default)]
struct Links {
    letters: BTreeMap<(usize, usize), VecDeque<Letter>>,
    routes: [[Option<Msi>; PINS]; NODES],
}

struct Output {
    node: usize,
    links: Arc<Mutex<Links>>,
}

impl Output {
    fn post(&self, to: usize, letter: Letter) {
        let mut links = self.links.lock().unwrap();
        links
            .letters
            .entry((self.node, to))
            .or_default()
            .push_back(letter);
    }
}

impl LinesOutput for Output {
    fn deliver(&self, msi: Msi) {
        self.post(CPU, Letter::Msi(msi));
    }

    fn route(&self, pin: Pin, msi: Option<Msi>) {
        self.links.lock().unwrap().routes[self.node][usize::from(pin.get())] = msi;
    }

    fn send(&self, to: NodeId, message: LineMessage) {
        self.post(to.index(), Letter::Line(message));
    }
}

fn node(index: usize) -> NodeId {
    NodeId::new(index.try_into().unwrap()).unwrap()
}

/// Three nodes, a device that wants attention now and then, and a driver that gives it.
struct Machine {
    nodes: Vec<Arc<Lines>>,
    line: Arc<dyn InterruptLine>,
    links: Arc<Mutex<Links>>,
    /// The device wants attention.
    wants: bool,
    /// The local APIC holds an interrupt for the driver.
    pending: bool,
}

impl Machine {
    fn new() -> Self {
        let links = Arc::<Mutex<Links>>::default();
        let pin = Pin::new(PIN).unwrap();
        let lines = |index| {
            let links = links.clone();
            let (all, owners) = (NodeSet::first(NODES), [(pin, node(DEVICE))]);
            let output = Output { node: index, links };
            Lines::new(
                node(index),
                node(HOME),
                all,
                &owners,
                IoApic::default(),
                output,
            )
        };
        let nodes: Vec<_> = (0..NODES).map(lines).collect();
        let line = nodes[DEVICE].line(pin).expect("it is the device's");
        Self {
            nodes,
            line,
            links,
            wants: false,
            pending: false,
        }
    }

    /// The guest writes the entry of the device's pin.
    fn program(&self, low: u32) {
        let mut ioapic = self.nodes[HOME].device().expect("it is here");
        let origin = Origin {
            node: node(CPU),
            vcpu: VcpuId::BOOT,
        };
        for (offset, value) in [(0, 0x10 + 2 * u32::from(PIN)), (0x10, low)] {
            let value = value.into();
            ioapic
                .write(origin, offset, AccessSize::Dword, value)
                .unwrap();
        }
    }

    fn want(&mut self) {
        self.wants = true;
        self.line.set(true);
    }

    /// The driver's handler, if the local APIC calls it.
    fn handle(&mut self) {
        if std::mem::take(&mut self.pending) {
            self.wants = false;
            self.line.set(false);
            self.nodes[CPU].end_of_interrupt(VECTOR);
        }
    }

    /// The first letter of a link that has one arrives. Whether there was one.
    fn arrive(&mut self, link: usize) -> bool {
        let letter = {
            let mut links = self.links.lock().unwrap();
            let mut full: Vec<_> = links
                .letters
                .iter_mut()
                .filter(|link| !link.1.is_empty())
                .collect();
            let count = full.len().max(1);
            let link = full.get_mut(link % count);
            link.and_then(|(ends, letters)| Some((**ends, letters.pop_front()?)))
        };
        match letter {
            Some(((from, to), Letter::Line(message))) => {
                self.nodes[to].receive(node(from), message).unwrap();
            }
            Some(((_, to), Letter::Msi(msi))) => {
                let routes = self.links.lock().unwrap().routes[to];
                assert!(routes.contains(&Some(msi)), "its EOI would not be seen");
                self.pending = true;
            }
            None => return false,
        }
        true
    }
}

proptest! {
    #[test]
    fn no_interrupt_is_lost_between_nodes(steps in prop::collection::vec((0..8_u8, 0..9_usize), 0..120)) {
        const LEVEL: u32 = 1 << 15 | VECTOR as u32;
        const MASKED: u32 = 1 << 16;
        let mut machine = Machine::new();
        machine.program(LEVEL);
        for (step, link) in steps {
            match step {
                0 => machine.want(),
                1 | 2 => machine.handle(),
                3 => machine.program(MASKED | LEVEL),
                4 => machine.program(LEVEL),
                _ => {
                    machine.arrive(link);
                }
            }
        }
        machine.program(LEVEL);
        // Links in turn: one that is never served would let the interrupt come again and again.
        for turn in 0.. {
            if !machine.arrive(turn) && !machine.pending {
                break;
            }
            machine.handle();
        }
        prop_assert!(!machine.wants, "the device waits for ever");
        let routes = machine.links.lock().unwrap().routes;
        prop_assert_eq!(routes[CPU], routes[HOME]);
        prop_assert_eq!(routes[DEVICE], routes[HOME]);
    }
}

#[test]
fn what_no_sound_node_sends_is_a_violation() {
    let machine = Machine::new();
    let pin = Pin::new(PIN).unwrap();
    let level = LineMessage::Level {
        pin,
        asserted: true,
    };
    let route = LineMessage::Route { pin, msi: None };
    let receive = |at: usize, from, message| machine.nodes[at].receive(node(from), message);
    let foreign = LineViolation::Foreign {
        from: node(CPU),
        pin,
    };
    assert_eq!(receive(HOME, CPU, level), Err(foreign));
    assert_eq!(receive(HOME, CPU, LineMessage::Pulse(pin)), Err(foreign));
    let (from, home) = (node(DEVICE), node(HOME));
    assert_eq!(
        receive(CPU, DEVICE, level),
        Err(LineViolation::NotHere { from, home })
    );
    assert_eq!(
        receive(CPU, DEVICE, route),
        Err(LineViolation::NoRoutes { from, home })
    );
    assert_eq!(
        receive(HOME, DEVICE, route),
        Err(LineViolation::NoRoutes { from, home })
    );
    let end = LineMessage::End { vector: VECTOR };
    assert_eq!(
        receive(CPU, DEVICE, end),
        Err(LineViolation::NotHere { from, home })
    );
    assert!(
        machine.nodes[CPU].line(pin).is_none(),
        "it is another node's"
    );
}

#[test]
fn a_line_that_stays_as_it_was_sends_nothing() {
    let machine = Machine::new();
    let under_way = || {
        let links = machine.links.lock().unwrap();
        links.letters.values().map(VecDeque::len).sum::<usize>()
    };
    machine.line.set(false);
    assert_eq!(under_way(), 0);
    machine.line.set(true);
    machine.line.set(true);
    machine.line.pulse();
    assert_eq!(under_way(), 1);
    machine.line.set(false);
    machine.line.pulse();
    assert_eq!(under_way(), 3);
}
