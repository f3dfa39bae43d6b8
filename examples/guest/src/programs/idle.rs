//! All vCPUs sleep; vCPU 0's timer wakes it, and it wakes the others.
//!
//! Every other vCPU has a timer too, which goes off a deadline later: one that nobody woke wakes
//! vCPU 0 and gives up. A vCPU that is alone and whose timer never goes off sleeps for ever, which
//! is for the host to end.

use core::sync::atomic::Ordering::SeqCst;

use super::Context;
use super::outcome::{Check, Failure, Site, Values, values};
use crate::abi;
use crate::machine::{Destination, Machine, Vector};

const NANOS_PER_MS: u64 = 1_000_000;

pub(super) fn run<M: Machine>(
    context: &Context<'_, M>,
    &[ms, ..]: &[u64; 4],
) -> Result<Values, Failure> {
    let machine = context.machine();
    let base = [Vector::Wake, Vector::Timer].map(|vector| machine.received(vector));
    context.mail(context.vcpu(), 0).store(0, SeqCst);
    context.barrier()?;
    if context.vcpu() == 0 {
        let start = machine.mmio_read(abi::MMIO_CLOCK);
        machine.arm_timer(ms.saturating_mul(NANOS_PER_MS));
        while machine.received(Vector::Timer) == base[1] {
            machine.halt_while(Vector::Timer, base[1]);
        }
        let slept = machine.mmio_read(abi::MMIO_CLOCK).saturating_sub(start) / 1000;
        for vcpu in 1..context.vcpus() {
            machine.ipi(Destination::Physical(vcpu), Vector::Wake);
        }
        let awake = |vcpu: &u32| context.mail(*vcpu, 0).load(SeqCst) == 1;
        let all = context.vcpus() - 1;
        let awake_count = || (1..context.vcpus()).filter(awake).count() as u64;
        context.wait(Site::Interrupt, || awake_count() == u64::from(all))?;
        context.barrier()?;
        // The timer and the clock are different devices; nine tenths allow for that.
        if slept < ms.saturating_mul(900) {
            return Err(Failure::Wrong {
                check: Check::Slept,
                expected: ms,
                found: slept / 1000,
            });
        }
        return Ok(values(&[slept, awake_count()]));
    }
    // The timer here is only for the case that no wake-up comes, perhaps because vCPU 0's never
    // went off: then its sleep ends by the same vector, and it finds that others have given up.
    machine.arm_timer(
        ms.saturating_add(context.deadline_ms())
            .saturating_mul(NANOS_PER_MS),
    );
    let woken = || machine.received(Vector::Wake) != base[0];
    while !woken() && machine.received(Vector::Timer) == base[1] {
        machine.halt_while(Vector::Wake, base[0]);
    }
    machine.arm_timer(0);
    if !woken() {
        machine.ipi(Destination::Physical(0), Vector::Timer);
        return Err(Failure::TimedOut(Site::Interrupt));
    }
    context.mail(context.vcpu(), 0).store(1, SeqCst);
    context.barrier()?;
    Ok(values(&[]))
}
