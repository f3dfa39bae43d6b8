//! The one thing that KVM does not tell of a vCPU: whether a one-shot timer that has run out was noticed.
//!
//! A local APIC's one-shot timer that stands at zero has run out. Either its interrupt was requested, long ago
//! perhaps, or KVM will request it when the vCPU enters the guest next. The registers are the same; and who
//! loads them is taken to want the interrupt. So a vCPU that leaves would take a tick with it that it had.
//!
//! But entering the guest settles it. A timer that stood at zero before the vCPU ran on, and stands at zero
//! now, was noticed meanwhile; unless the guest started it again and it ran out again, which takes its time.
//! Timers with a deadline have no such question: KVM clears the deadline when it requests the interrupt.
//! Of a periodic one the tick may be lost that falls due between leaving the guest and the reading of the APIC.

use std::time::{Duration, Instant};

use kvm_bindings::{kvm_lapic_state, kvm_regs};
use zerocopy::{FromBytes, IntoBytes};

use crate::state::{ArchState, Section};

/// Where in an APIC's registers these are; the requested interrupts are eight words, 16 bytes apart.
pub(super) const REQUESTED: usize = 0x200;
const LOCAL_VECTOR: usize = 0x320;
const INITIAL: usize = 0x380;
const CURRENT: usize = 0x390;
const DIVISOR: usize = 0x3e0;
/// In the local vector's register: periodic, or by deadlines.
const MODE: u32 = 0b11 << 17;
/// How often a vCPU runs on for this at most. A timer that is always started anew and runs out within the
/// time that this takes, or that no one starts while the guest does nothing at all, may tick once too often.
const MOST_LOOKS: u32 = 30;

fn register(apic: &kvm_lapic_state, at: usize) -> u32 {
    let mut bytes = [0; 4];
    for (byte, register) in bytes.iter_mut().zip(&apic.regs[at..]) {
        *byte = register.cast_unsigned();
    }
    u32::from_le_bytes(bytes)
}

/// Whether the timer's interrupt is requested: then another request would be the same one.
fn requested(apic: &kvm_lapic_state) -> bool {
    let vector = register(apic, LOCAL_VECTOR) & 0xff;
    let word = REQUESTED + 16 * (vector / 32) as usize;
    register(apic, word) & 1 << (vector % 32) != 0
}

/// How long a one-shot timer ran that has run out. KVM's APICs count nanoseconds.
fn run_out(apic: &kvm_lapic_state) -> Option<Duration> {
    let register = |at| register(apic, at);
    let one_shot = register(LOCAL_VECTOR) & MODE == 0;
    let (initial, current) = (register(INITIAL), register(CURRENT));
    if !one_shot || initial == 0 || current != 0 {
        return None;
    }
    // Intel SDM volume 3, "APIC Timer": bits 0, 1 and 3, from 2 on, and 7 is 1.
    let divisor = register(DIVISOR);
    let shift = ((divisor & 0b11 | divisor >> 1 & 0b100) + 1) & 0b111;
    Some(Duration::from_nanos(u64::from(initial) << shift))
}

/// What is known of a vCPU's timer.
#[derive(Debug, Default)]
pub(super) struct Timer {
    /// When it was last seen to stand at zero, and what the vCPU was about.
    zero: Option<(Instant, kvm_regs)>,
    looks: u32,
}

/// What to make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tick {
    /// What the registers say is right.
    AsTold,
    /// It has run out, and its interrupt is on its way.
    Had,
    /// That is not known: the vCPU has to run on for a moment.
    Unknown,
}

impl Timer {
    /// Looks at the timer of a vCPU that is outside of the guest. `apic` and `general` were read after
    /// `now`, and before this.
    pub(super) fn look(
        &mut self,
        apic: &kvm_lapic_state,
        general: &kvm_regs,
        now: Instant,
    ) -> Tick {
        let Some(ran) = run_out(apic).filter(|_| !requested(apic)) else {
            return Tick::AsTold;
        };
        // Registers that have changed say that it was in the guest.
        let before = self.zero.replace((now, *general));
        if before.is_some_and(|(since, was)| was != *general && since.elapsed() < ran) {
            return Tick::Had;
        }
        self.looks += 1;
        match self.looks {
            ..MOST_LOOKS => Tick::Unknown,
            _ => {
                eprintln!("DBG fallback");
                Tick::AsTold
            }
        }
    }
}

/// Has the timer not run out again where the state is loaded, if it has, and that was noticed.
pub(super) fn settle(state: &mut ArchState, tick: Tick) {
    let apic = state.section(Section::LocalApic);
    let Some(Ok(mut apic)) = apic.map(kvm_lapic_state::read_from_bytes) else {
        return;
    };
    if run_out(&apic).is_some() && (tick == Tick::Had || requested(&apic)) {
        apic.regs[INITIAL..INITIAL + 4].fill(0);
        state.set_section(Section::LocalApic, apic.as_bytes().to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apic(registers: &[(usize, u32)]) -> kvm_lapic_state {
        let mut apic = kvm_lapic_state::default();
        for (at, value) in registers {
            for (byte, new) in apic.regs[*at..].iter_mut().zip(value.to_le_bytes()) {
                *byte = new.cast_signed();
            }
        }
        apic
    }

    fn zero(initial: u32) -> kvm_lapic_state {
        apic(&[(INITIAL, initial), (DIVISOR, 0b1011)])
    }

    #[test]
    fn only_a_one_shot_timer_that_was_started_runs_out() {
        assert_eq!(run_out(&zero(500)), Some(Duration::from_nanos(500)));
        assert_eq!(run_out(&zero(0)), None);
        let half = apic(&[(INITIAL, 500), (CURRENT, 250)]);
        assert_eq!(run_out(&half), None);
        for mode in [1, 2] {
            let other = apic(&[(INITIAL, 500), (LOCAL_VECTOR, mode << 17)]);
            assert_eq!(run_out(&other), None);
        }
        for (divisor, by) in [(0b0000, 2), (0b0011, 16), (0b1000, 32), (0b1010, 128)] {
            let slow = apic(&[(INITIAL, 5), (DIVISOR, divisor)]);
            assert_eq!(run_out(&slow), Some(Duration::from_nanos(5 * by)));
        }
    }

    /// The registers of a vCPU that has executed so much.
    fn after(rip: u64) -> kvm_regs {
        kvm_regs {
            rip,
            ..kvm_regs::default()
        }
    }

    #[test]
    fn a_timer_at_zero_is_known_when_the_vcpu_has_run_on_for_less_than_it_runs() {
        let (now, minute) = (Instant::now(), 468_750_000);
        let slow = apic(&[(INITIAL, minute), (DIVISOR, 0b1010)]);
        let mut timer = Timer::default();
        assert_eq!(timer.look(&slow, &after(0), now), Tick::Unknown);
        assert_eq!(
            timer.look(&slow, &after(0), now),
            Tick::Unknown,
            "it did not run"
        );
        assert_eq!(timer.look(&slow, &after(1), now), Tick::Had);
        let mut timer = Timer::default();
        let earlier = now.checked_sub(Duration::from_secs(60)).unwrap();
        assert_eq!(timer.look(&slow, &after(0), earlier), Tick::Unknown);
        assert_eq!(
            timer.look(&slow, &after(1), now),
            Tick::Unknown,
            "it may have been started again"
        );
        assert_eq!(timer.look(&slow, &after(2), now), Tick::Had);
        let running = apic(&[(INITIAL, minute), (CURRENT, 1)]);
        assert_eq!(timer.look(&running, &after(3), now), Tick::AsTold);
    }

    #[test]
    fn a_timer_that_always_runs_out_again_is_left_as_it_is() {
        let (mut timer, now) = (Timer::default(), Instant::now());
        for look in 1..MOST_LOOKS {
            let tick = timer.look(&zero(1), &after(look.into()), now);
            assert_eq!(tick, Tick::Unknown);
        }
        assert_eq!(timer.look(&zero(1), &after(0), now), Tick::AsTold);
    }

    #[test]
    fn a_timer_does_not_run_out_again_if_its_interrupt_is_on_its_way() {
        let settled = |registers, tick| {
            let mut state = ArchState::new();
            state.set_section(Section::LocalApic, apic(registers).as_bytes().to_vec());
            settle(&mut state, tick);
            let apic = state.section(Section::LocalApic).unwrap();
            run_out(&kvm_lapic_state::read_from_bytes(apic).unwrap()).is_none()
        };
        let zero = [(INITIAL, 500), (LOCAL_VECTOR, 0xe1)];
        assert!(settled(&zero, Tick::Had));
        assert!(!settled(&zero, Tick::AsTold));
        let requested = [
            (INITIAL, 500),
            (LOCAL_VECTOR, 0xe1),
            (REQUESTED + 0x70, 1 << 1),
        ];
        assert!(settled(&requested, Tick::AsTold));
        let other = [
            (INITIAL, 500),
            (LOCAL_VECTOR, 0xe1),
            (REQUESTED + 0x70, 1 << 2),
        ];
        assert!(!settled(&other, Tick::AsTold));
    }
}
