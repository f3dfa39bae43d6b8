//! Bytes as what devices and vCPUs do to an IOAPIC, six for each step.

use giantvm_io::ioapic::{Effect, IoApic, PINS, Pin};

const LEVEL: u32 = 1 << 15;
const MASKED: u32 = 1 << 16;
const REMOTE_IRR: u32 = 1 << 14;

/// How many interrupts are delivered.
///
/// # Panics
/// If one is masked, or a level that is asserted is not being served.
pub(crate) fn delivered(bytes: &[u8]) -> usize {
    let mut ioapic = IoApic::default();
    let mut asserted = [false; PINS];
    let mut routes = ioapic.routes();
    let mut delivered = 0;
    for step in bytes.chunks_exact(6) {
        let [what, place, value @ ..] = step else {
            break;
        };
        let Some(pin) = Pin::all().nth(usize::from(*place) % PINS) else {
            break;
        };
        let line = &mut asserted[usize::from(pin.get())];
        let effects = match what % 5 {
            0 => {
                *line = value[0] & 1 != 0;
                ioapic.set_line(pin, *line)
            }
            1 => {
                *line = false;
                ioapic.pulse(pin)
            }
            2 => ioapic.end_of_interrupt(*place),
            3 => {
                let value = [value[0], value[1], value[2], value[3]];
                ioapic.write((*place).into(), u32::from_le_bytes(value))
            }
            _ => ioapic.reset(),
        };
        let entries = Pin::all().map(|pin| low_half(&ioapic, pin));
        let entries: Vec<_> = entries.collect();
        assert!(effects.len() <= PINS);
        for effect in effects {
            match effect {
                Effect::Route(pin, msi) => routes[usize::from(pin.get())] = msi,
                Effect::Deliver(msi) => {
                    delivered += 1;
                    msi.decode().expect("an APIC takes it");
                    let sent = |low: &u32| low & MASKED == 0 && low & 0x7ff == msi.data & 0x7ff;
                    assert!(entries.iter().any(sent), "{msi:?} of no open pin");
                }
            }
        }
        assert_eq!(routes, ioapic.routes());
        for (low, asserted) in entries.into_iter().zip(asserted) {
            let open = low & (LEVEL | MASKED | 0x600) == LEVEL && low & 0xff >= 16;
            assert!(
                !(open && asserted) || low & REMOTE_IRR != 0,
                "lost: {low:#x}"
            );
        }
    }
    delivered
}

fn low_half(ioapic: &IoApic, pin: Pin) -> u32 {
    let mut ioapic = ioapic.clone();
    ioapic.write(0, 0x10 + 2 * u32::from(pin.get()));
    ioapic.read(0x10)
}
