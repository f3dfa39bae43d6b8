use proptest::prelude::*;

use super::*;

/// Pins and vectors are few, so that vectors are shared now and then.
const USED: u8 = 3;
const VECTORS: std::ops::Range<u8> = 0x30..0x33;

const LEVEL: u32 = 1 << 15;
const MASKED: u32 = 1 << 16;
const REMOTE_IRR: u32 = 1 << 14;

#[derive(Debug, Clone, Copy)]
enum Input {
    Set(u8, bool),
    Pulse(u8),
    End(u8),
    /// The lower half of an entry.
    Program(u8, u32),
    Reset,
}

fn inputs() -> impl Strategy<Value = Input> {
    let pin = || 0..USED;
    // A vector that no APIC takes now and then, and an NMI.
    let vector = prop_oneof![8 => VECTORS.prop_map(u32::from), 1 => Just(3), 1 => Just(0x430)];
    prop_oneof![
        6 => (pin(), any::<bool>()).prop_map(|(pin, asserted)| Input::Set(pin, asserted)),
        2 => pin().prop_map(Input::Pulse),
        4 => VECTORS.prop_map(Input::End),
        4 => (pin(), vector, any::<bool>(), any::<bool>()).prop_map(|(pin, vector, level, masked)| {
            let level = if level { LEVEL } else { 0 };
            let masked = if masked { MASKED } else { 0 };
            Input::Program(pin, vector | level | masked)
        }),
        1 => Just(Input::Reset),
    ]
}

fn program(ioapic: &mut IoApic, pin: u8, low: u32) -> Vec<Effect> {
    ioapic.write(SELECT, (TABLE + 2 * pin).into());
    ioapic.write(DATA, low)
}

fn low_half(ioapic: &mut IoApic, pin: u8) -> u32 {
    ioapic.write(SELECT, (TABLE + 2 * pin).into());
    ioapic.read(DATA)
}

fn feed(ioapic: &mut IoApic, input: Input) -> Vec<Effect> {
    let pin = |number| Pin::new(number).unwrap();
    match input {
        Input::Set(number, asserted) => ioapic.set_line(pin(number), asserted),
        Input::Pulse(number) => ioapic.pulse(pin(number)),
        Input::End(vector) => ioapic.end_of_interrupt(vector),
        Input::Program(number, low) => program(ioapic, number, low),
        Input::Reset => ioapic.reset(),
    }
}

/// What the data sheet says of one pin, put down as questions about it.
#[derive(Debug, Clone, Copy)]
struct Model {
    low: u32,
    asserted: bool,
    served: bool,
}

impl Model {
    const RESET: Self = Self {
        low: MASKED,
        asserted: false,
        served: false,
    };

    fn is_nmi(self) -> bool {
        self.low & 0x700 == 0x400
    }

    fn is_level(self) -> bool {
        self.low & LEVEL != 0 && !self.is_nmi()
    }

    fn can_deliver(self) -> bool {
        self.low & MASKED == 0 && (self.is_nmi() || self.low & 0xff >= 16)
    }

    fn data(self) -> u32 {
        self.low & 0x7ff | if self.is_level() { 0xc000 } else { 0 }
    }

    /// Whether the pin delivers something now, if `edge` says that its line has just risen.
    fn step(&mut self, edge: bool) -> Option<u32> {
        let due = if self.is_level() {
            self.asserted && !self.served
        } else {
            edge
        };
        if !(due && self.can_deliver()) {
            return None;
        }
        self.served |= self.is_level();
        Some(self.data())
    }

    /// What the input makes the pin with this number deliver.
    fn feed(&mut self, number: u8, input: Input) -> Option<u32> {
        match input {
            Input::Set(pin, asserted) if pin == number => {
                let edge = asserted && !self.asserted;
                self.asserted = asserted;
                self.step(edge)
            }
            Input::Pulse(pin) if pin == number => {
                let edge = !self.asserted;
                self.asserted = true;
                let delivered = self.step(edge);
                self.asserted = false;
                delivered
            }
            Input::End(vector) if self.served && self.low & 0xff == u32::from(vector) => {
                self.served = false;
                self.step(false)
            }
            Input::Program(pin, low) if pin == number => {
                self.low = low;
                self.served &= self.is_level();
                self.step(false)
            }
            Input::Reset => {
                let asserted = self.asserted;
                *self = Self {
                    asserted,
                    ..Self::RESET
                };
                None
            }
            Input::Set(..) | Input::Pulse(_) | Input::End(_) | Input::Program(..) => None,
        }
    }
}

proptest! {
    #[test]
    fn delivers_what_the_model_does(inputs in prop::collection::vec(inputs(), 1..80)) {
        let mut ioapic = IoApic::default();
        let mut models = [Model::RESET; USED as usize];
        let mut routes = ioapic.routes();
        for input in inputs {
            let mut delivered = Vec::new();
            for effect in feed(&mut ioapic, input) {
                match effect {
                    Effect::Route(pin, msi) => {
                        prop_assert!(delivered.is_empty(), "a route after a delivery");
                        prop_assert_ne!(routes[pin.index()], msi, "a route that did not change");
                        routes[pin.index()] = msi;
                    }
                    Effect::Deliver(msi) => delivered.push(msi.data),
                }
            }
            prop_assert_eq!(routes, ioapic.routes(), "changes are told");
            let models = models.iter_mut().zip(0..);
            let expected: Vec<_> = models
                .filter_map(|(model, number)| model.feed(number, input))
                .collect();
            prop_assert_eq!(delivered, expected, "{:?}", input);
        }
        for (number, model) in (0..).zip(models) {
            let low = low_half(&mut ioapic, number);
            prop_assert_eq!(low & REMOTE_IRR != 0, model.served);
            prop_assert_eq!(low & !REMOTE_IRR, model.low);
        }
    }

    /// The laws, without a model: nothing masked comes, and a level that is asserted is being served.
    #[test]
    fn no_level_is_lost_and_nothing_masked_comes(
        inputs in prop::collection::vec(inputs(), 1..80),
    ) {
        let mut ioapic = IoApic::default();
        let mut asserted = [false; USED as usize];
        for input in inputs {
            let effects = feed(&mut ioapic, input);
            if let Input::Set(pin, level) = input {
                asserted[usize::from(pin)] = level;
            } else if let Input::Pulse(pin) = input {
                asserted[usize::from(pin)] = false;
            }
            let entries: Vec<_> = (0..USED).map(|pin| low_half(&mut ioapic, pin)).collect();
            for effect in effects {
                if let Effect::Deliver(msi) = effect {
                    let sent = |low: &u32| low & MASKED == 0 && low & 0x7ff == msi.data & 0x7ff;
                    prop_assert!(entries.iter().any(sent), "{:?} of no open pin", msi);
                }
            }
            for (low, asserted) in entries.into_iter().zip(asserted) {
                let open = low & (LEVEL | MASKED | 0x700) == LEVEL && low & 0xff >= 16;
                if open && asserted {
                    prop_assert_ne!(low & REMOTE_IRR, 0, "lost: {:#x} after {:?}", low, input);
                }
            }
        }
    }

    #[test]
    fn any_access_is_taken(accesses in prop::collection::vec((any::<u64>(), any::<u32>()), 0..60)) {
        let mut ioapic = IoApic::default();
        for (offset, value) in accesses {
            let effects = ioapic.write(offset & 0x7f, value);
            prop_assert!(effects.len() <= PINS);
            let _ = ioapic.read(offset & 0x7f);
        }
    }
}

#[test]
fn the_fixed_registers_are_those_of_version_0x20() {
    let mut ioapic = IoApic::default();
    let mut register = |select: u8, value| {
        ioapic.write(SELECT, select.into());
        assert_eq!(ioapic.read(SELECT), u32::from(select));
        ioapic.write(DATA, value);
        ioapic.read(DATA)
    };
    assert_eq!(register(VERSION, 0), 0x0017_0020);
    assert_eq!(register(ID, u32::MAX), 0x0f00_0000);
    assert_eq!(register(ARBITRATION, 0), 0x0f00_0000);
    assert_eq!(
        register(0x3f, u32::MAX),
        0xff00_0000,
        "the last pin's upper half"
    );
    assert_eq!(register(0x40, u32::MAX), 0, "there is no pin 24");
    assert_eq!(register(0x0f, u32::MAX), 0);
}

#[test]
fn the_eoi_register_ends_an_interrupt_by_its_vector() {
    let mut ioapic = IoApic::default();
    let pin = Pin::new(9).unwrap();
    program(&mut ioapic, 9, LEVEL | 0x51);
    let delivered = ioapic.set_line(pin, true);
    assert_eq!(delivered.len(), 1);
    assert_eq!(ioapic.write(END, 0x52), []);
    assert_eq!(ioapic.write(END, 0x51), delivered);
}

#[test]
fn an_interrupt_that_is_masked_while_it_is_served_keeps_its_route() {
    let mut ioapic = IoApic::default();
    let pin = Pin::new(9).unwrap();
    program(&mut ioapic, 9, LEVEL | 0x51);
    let delivered = ioapic.set_line(pin, true);
    assert_eq!(
        program(&mut ioapic, 9, MASKED | LEVEL | 0x51),
        [],
        "no route changes"
    );
    assert!(ioapic.routes()[9].is_some());
    assert_eq!(ioapic.end_of_interrupt(0x51), []);
    assert_eq!(
        program(&mut ioapic, 9, LEVEL | 0x51),
        delivered,
        "asserted still"
    );
}

#[test]
fn an_entry_that_becomes_edge_triggered_loses_its_remote_irr() {
    let mut ioapic = IoApic::default();
    program(&mut ioapic, 9, LEVEL | 0x51);
    ioapic.set_line(Pin::new(9).unwrap(), true);
    assert_eq!(low_half(&mut ioapic, 9), LEVEL | REMOTE_IRR | 0x51);
    program(&mut ioapic, 9, MASKED | 0x51);
    assert_eq!(low_half(&mut ioapic, 9), MASKED | 0x51);
}

#[test]
fn an_edge_on_a_masked_pin_is_lost() {
    let mut ioapic = IoApic::default();
    let pin = Pin::new(4).unwrap();
    program(&mut ioapic, 4, MASKED | 0x41);
    assert_eq!(ioapic.pulse(pin), []);
    assert_eq!(ioapic.set_line(pin, true), []);
    assert_eq!(program(&mut ioapic, 4, 0x41), []);
    assert_eq!(ioapic.set_line(pin, false), []);
    assert_eq!(ioapic.set_line(pin, true).len(), 1);
}
