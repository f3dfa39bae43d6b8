//! The IOAPIC as a state machine.

use giantvm_core::Msi;

use super::entry::Entry;
use super::{PINS, Pin};

/// IOREGSEL: which register IOWIN shows.
const SELECT: u64 = 0x00;
/// IOWIN.
const DATA: u64 = 0x10;
/// EOIR: the vector of an interrupt that ended.
const END: u64 = 0x40;

const ID: u8 = 0;
const VERSION: u8 = 1;
const ARBITRATION: u8 = 2;
const TABLE: u8 = 0x10;

/// The version with an EOI register, and the last pin's number.
const VERSION_VALUE: u32 = 0x20 | LAST_PIN << 16;
const LAST_PIN: u32 = 23;
const _: () = assert!(LAST_PIN as usize == PINS - 1);
const ID_MASK: u32 = 0x0f00_0000;

/// What an input to an [`IoApic`] brings about, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The pin's level-triggered message is another one now, or there is none. Every node has to
    /// know before it takes the next message: see [`IoApic::routes`].
    Route(Pin, Option<Msi>),
    /// An interrupt is to be delivered.
    Deliver(Msi),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PinState {
    entry: Entry,
    /// A level-triggered interrupt was delivered and has not ended.
    remote_irr: bool,
    asserted: bool,
}

/// An IOAPIC of version 0x20 with [`PINS`] pins, without I/O.
///
/// | offset | register |
/// |---|---|
/// | 0x00 | IOREGSEL |
/// | 0x10 | IOWIN: ID, version, arbitration ID, redirection table |
/// | 0x40 | EOI |
///
/// Rules that the data sheet leaves open, or that are easily got wrong:
///
/// * A line is asserted or not: the polarity bit is kept and means nothing, as with KVM and QEMU.
/// * An edge on a masked pin is lost, as the data sheet says and as with KVM's and QEMU's IOAPICs.
///   Linux relies on no other: it masks an edge-triggered pin only for good, or before it calls the
///   handlers, which look at their devices.
/// * A level-triggered interrupt is delivered once and sets remote IRR; the next follows its EOI if
///   the line is asserted still. Asserting it again before changes nothing. A line that was let go
///   while its pin was masked is forgotten.
/// * An EOI names a vector and ends all level-triggered interrupts that have it, whichever vCPU sent
///   it. One that another pin's interrupt did not wait for makes it come twice, never get lost.
/// * An entry that becomes edge-triggered loses its remote IRR: so drivers clear one that is stuck.
/// * Messages are sent at once, so the delivery status always reads idle.
///
/// ```
/// use giantvm_io::ioapic::{Effect, IoApic, Pin};
///
/// let (mut ioapic, pin) = (IoApic::default(), Pin::new(4)?);
/// // Entry 4: vector 0x34, level-triggered, to APIC 1.
/// for (register, value) in [(0x19, 0x0100_0000), (0x18, 0x8034)] {
///     ioapic.write(0x00, register);
///     ioapic.write(0x10, value);
/// }
/// let Some(msi) = ioapic.routes()[4] else { panic!("it is level-triggered") };
/// assert_eq!(ioapic.set_line(pin, true), [Effect::Deliver(msi)]);
/// assert_eq!(ioapic.set_line(pin, true), []);
/// assert_eq!(ioapic.end_of_interrupt(0x34), [Effect::Deliver(msi)], "asserted still");
/// assert_eq!(ioapic.set_line(pin, false), []);
/// assert_eq!(ioapic.end_of_interrupt(0x34), []);
/// # Ok::<(), giantvm_io::ioapic::NoPin>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IoApic {
    pins: [PinState; PINS],
    select: u8,
    id: u32,
    extended: bool,
}

impl Default for IoApic {
    fn default() -> Self {
        Self::new(false)
    }
}

impl IoApic {
    /// An IOAPIC after power-on. With `extended`, entries have 15 bits of destination, 8 to 14 of them
    /// at bits 49 to 55: only for a guest that CPUID's KVM_FEATURE_MSI_EXT_DEST_ID says so to.
    #[must_use]
    pub const fn new(extended: bool) -> Self {
        let pin = PinState {
            entry: Entry::RESET,
            remote_irr: false,
            asserted: false,
        };
        Self {
            pins: [pin; PINS],
            select: 0,
            id: 0,
            extended,
        }
    }

    /// A device asserts its line, or lets it go.
    pub fn set_line(&mut self, pin: Pin, asserted: bool) -> Vec<Effect> {
        let state = &mut self.pins[pin.index()];
        let rises = asserted && !state.asserted;
        state.asserted = asserted;
        let mut effects = Vec::new();
        if state.entry.is_level() {
            state.settle(&mut effects);
        } else if rises && !state.entry.is_masked() {
            effects.extend(state.entry.message().map(Effect::Deliver));
        }
        effects
    }

    /// A device asserts its line for a moment. On a level-triggered pin that is heard only if no
    /// interrupt of it is being served.
    pub fn pulse(&mut self, pin: Pin) -> Vec<Effect> {
        let mut effects = self.set_line(pin, true);
        effects.extend(self.set_line(pin, false));
        effects
    }

    /// A vCPU has ended a level-triggered interrupt.
    pub fn end_of_interrupt(&mut self, vector: u8) -> Vec<Effect> {
        let mut effects = Vec::new();
        for state in &mut self.pins {
            if state.remote_irr && state.entry.vector() == vector {
                state.remote_irr = false;
                state.settle(&mut effects);
            }
        }
        effects
    }

    /// The guest reads the register at `offset`; zero where there is none.
    #[must_use]
    pub fn read(&self, offset: u64) -> u32 {
        match (offset, self.select) {
            (SELECT, select) => select.into(),
            (DATA, ID | ARBITRATION) => self.id,
            (DATA, VERSION) => VERSION_VALUE,
            (DATA, select) => match half(select) {
                Some((index, upper)) => {
                    let PinState {
                        entry, remote_irr, ..
                    } = self.pins[index];
                    entry.read(upper, remote_irr)
                }
                None => 0,
            },
            _ => 0,
        }
    }

    /// The guest writes the register at `offset`; nothing happens where there is none.
    pub fn write(&mut self, offset: u64, value: u32) -> Vec<Effect> {
        let [byte, ..] = value.to_le_bytes();
        match (offset, self.select) {
            (SELECT, _) => self.select = byte,
            (DATA, ID) => self.id = value & ID_MASK,
            (DATA, select) => {
                if let Some((index, upper)) = half(select) {
                    return self.write_entry(index, upper, value);
                }
            }
            (END, _) => return self.end_of_interrupt(byte),
            _ => {}
        }
        Vec::new()
    }

    fn write_entry(&mut self, index: usize, upper: bool, value: u32) -> Vec<Effect> {
        let state = &mut self.pins[index];
        let entry = state.entry.with(upper, value, self.extended);
        let mut effects = Vec::new();
        if entry.route() != state.entry.route() {
            effects.push(Effect::Route(Pin::at(index), entry.route()));
        }
        state.entry = entry;
        state.remote_irr &= entry.is_level();
        if entry.is_level() {
            state.settle(&mut effects);
        }
        effects
    }

    /// Each pin's message if it is level-triggered, masked or not.
    ///
    /// A vCPU's EOI of a vector leaves the guest only where its hypervisor knows that the vector is
    /// level-triggered. So every node has to know these routes: KVM takes them as those of the
    /// reserved pins of a split interrupt controller.
    #[must_use]
    pub fn routes(&self) -> [Option<Msi>; PINS] {
        self.pins.each_ref().map(|state| state.entry.route())
    }

    /// Back to the state after power-on, but for the lines, which are the devices'.
    pub fn reset(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (index, state) in self.pins.iter_mut().enumerate() {
            if state.entry.route().is_some() {
                effects.push(Effect::Route(Pin::at(index), None));
            }
            state.entry = Entry::RESET;
            state.remote_irr = false;
        }
        (self.select, self.id) = (0, 0);
        effects
    }
}

impl PinState {
    /// Delivers what a level-triggered pin has to deliver.
    fn settle(&mut self, effects: &mut Vec<Effect>) {
        if self.asserted
            && !self.remote_irr
            && !self.entry.is_masked()
            && let Some(msi) = self.entry.message()
        {
            self.remote_irr = true;
            effects.push(Effect::Deliver(msi));
        }
    }
}

/// The entry that a register of the table is part of, and whether it is the upper half.
fn half(select: u8) -> Option<(usize, bool)> {
    let register = usize::from(select.checked_sub(TABLE)?);
    (register < 2 * PINS).then_some((register / 2, register % 2 == 1))
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
