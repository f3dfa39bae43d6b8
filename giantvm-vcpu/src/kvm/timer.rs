//! The one thing that KVM does not tell of a vCPU: whether a timer that has run out was noticed.
//!
//! A one-shot timer of a local APIC that stands at zero has run out. Either its interrupt was requested, long
//! ago perhaps, or KVM will request it when the vCPU enters the guest next. The registers are the same; and
//! who loads them is taken to want the interrupt. So a vCPU that moves would have a tick once more. And the
//! tick of a periodic timer that KVM has not noticed yet would be lost.
//!
//! Entering the guest settles it. So a vCPU that is about to leave enters once more, not its own guest but the
//! pages of its proxy, with interrupts off, and comes back at once: then every tick from before that is
//! requested, and none is taken.

use kvm_bindings::kvm_lapic_state;

/// Where in an APIC's registers these are; the requested interrupts are eight words, 16 bytes apart.
pub(super) const REQUESTED: usize = 0x200;
const LOCAL_VECTOR: usize = 0x320;
const INITIAL: usize = 0x380;
const CURRENT: usize = 0x390;
/// In the local vector's register: one-shot, periodic, or by deadlines.
const MODE: u32 = 0b11 << 17;
const ONE_SHOT: u32 = 0;
const PERIODIC: u32 = 0b01 << 17;

fn register(apic: &kvm_lapic_state, at: usize) -> u32 {
    let mut bytes = [0; 4];
    for (byte, register) in bytes.iter_mut().zip(&apic.regs[at..]) {
        *byte = register.cast_unsigned();
    }
    u32::from_le_bytes(bytes)
}

/// Whether an interrupt is requested.
pub(super) fn requested(apic: &kvm_lapic_state, vector: u8) -> bool {
    let word = register(apic, REQUESTED + usize::from(vector / 32) * 16);
    word & 1 << (vector % 32) != 0
}

/// Makes of an APIC what it is to be elsewhere: `before` was read before the vCPU entered its proxy's pages,
/// `after` since. `None` if that has to be done once more.
pub(super) fn settled(
    before: &kvm_lapic_state,
    mut after: kvm_lapic_state,
) -> Option<kvm_lapic_state> {
    let [vector, ..] = register(&after, LOCAL_VECTOR).to_le_bytes();
    let stands = |apic| register(apic, INITIAL) != 0 && register(apic, CURRENT) == 0;
    match register(&after, LOCAL_VECTOR) & MODE {
        // It stood at zero, and that was noticed then at the latest; or it has run out since, and that was.
        ONE_SHOT if stands(before) || stands(&after) && requested(&after, vector) => {
            after.regs[INITIAL..INITIAL + 4].fill(0);
            Some(after)
        }
        // It began anew, perhaps after it was looked at.
        PERIODIC if register(&after, CURRENT) > register(before, CURRENT) => None,
        _ => Some(after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: [(usize, u32); 3] = [(LOCAL_VECTOR, 0xe1), (INITIAL, 500), (CURRENT, 20)];
    const ZERO: [(usize, u32); 2] = [(LOCAL_VECTOR, 0xe1), (INITIAL, 500)];

    fn apic(registers: &[(usize, u32)]) -> kvm_lapic_state {
        let mut apic = kvm_lapic_state::default();
        for (at, value) in registers {
            for (byte, new) in apic.regs[*at..].iter_mut().zip(value.to_le_bytes()) {
                *byte = new.cast_signed();
            }
        }
        apic
    }

    /// What a timer counts from after all; zero is one that is off.
    fn initial(before: &[(usize, u32)], after: &[(usize, u32)]) -> Option<u32> {
        let settled = settled(&apic(before), apic(after))?;
        Some(register(&settled, INITIAL))
    }

    #[test]
    fn a_one_shot_timer_ticks_again_only_if_its_tick_was_not_noticed() {
        let noticed = [ZERO[0], ZERO[1], (REQUESTED + 0x70, 1 << 1)];
        let other = [ZERO[0], ZERO[1], (REQUESTED + 0x70, 1 << 2)];
        assert_eq!(initial(&RUNS, &RUNS), Some(500));
        assert_eq!(initial(&ZERO, &ZERO), Some(0), "it was noticed by entering");
        assert_eq!(initial(&RUNS, &noticed), Some(0));
        assert_eq!(initial(&RUNS, &ZERO), Some(500), "just now");
        assert_eq!(initial(&RUNS, &other), Some(500));
    }

    #[test]
    fn a_periodic_timer_is_looked_at_again_if_it_began_anew() {
        let at = |current| {
            [
                (LOCAL_VECTOR, PERIODIC | 0xe1),
                (INITIAL, 500),
                (CURRENT, current),
            ]
        };
        assert_eq!(initial(&at(300), &at(290)), Some(500));
        assert_eq!(initial(&at(3), &at(490)), None);
    }

    #[test]
    fn deadlines_are_left_alone() {
        let deadline = [(LOCAL_VECTOR, 0b10 << 17 | 0xe1), (INITIAL, 7)];
        assert_eq!(initial(&deadline, &deadline), Some(7));
    }
}
