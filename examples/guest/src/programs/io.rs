//! Device registers, written and read back by every vCPU through ports and through memory.
//!
//! What a register reads as depends on what was written to it last and on how often it was read,
//! so an access that is lost, made twice, or made to another device shows.

use core::sync::atomic::Ordering::SeqCst;

use super::Context;
use super::outcome::{Check, Failure, Values, values};
use super::random::mix;
use crate::abi;
use crate::machine::Machine;

/// A bank of registers of the scratch device.
#[derive(Clone, Copy)]
enum Bank {
    Memory,
    Port,
}

impl Bank {
    fn write<M: Machine>(self, machine: &M, register: u32, value: u64) {
        match self {
            Self::Memory => machine.mmio_write(abi::MMIO_SCRATCH + 8 * u64::from(register), value),
            Self::Port => machine.port_out32(port(register), low(value)),
        }
    }

    fn read<M: Machine>(self, machine: &M, register: u32) -> u64 {
        match self {
            Self::Memory => machine.mmio_read(abi::MMIO_SCRATCH + 8 * u64::from(register)),
            Self::Port => u64::from(machine.port_in32(port(register))),
        }
    }

    /// What a register reads as, `reads` counting this one.
    fn expected(self, value: u64, reads: u64) -> u64 {
        match self {
            Self::Memory => value.wrapping_mul(abi::SCRATCH_FACTOR).wrapping_add(reads),
            Self::Port => {
                let product = low(value).wrapping_mul(abi::SCRATCH_FACTOR_PORT);
                u64::from(product.wrapping_add(low(reads)))
            }
        }
    }
}

fn port(register: u32) -> u16 {
    abi::PORT_SCRATCH + 4 * (register & 0xff) as u16
}

fn low(value: u64) -> u32 {
    (value & 0xffff_ffff) as u32
}

/// What vCPU `vcpu` writes in a round.
fn written(vcpu: u32, round: u64) -> u64 {
    mix(u64::from(vcpu) << 32 | round)
}

/// Accesses of a run, as the device counts them.
#[must_use]
pub const fn accesses(vcpus: u64, rounds: u64) -> u64 {
    // Both banks: a write and a read to find the register's count, the rounds, a read by another.
    vcpus * 2 * (2 + 2 * rounds + 1)
}

pub(super) fn run<M: Machine>(
    context: &Context<'_, M>,
    &[rounds, ..]: &[u64; 4],
) -> Result<Values, Failure> {
    let machine = context.machine();
    let total = || machine.mmio_read(abi::MMIO_SCRATCH + 8 * abi::SCRATCH_TOTAL);
    let before = if context.vcpu() == 0 { total() } else { 0 };
    context.barrier()?;

    let own = context.vcpu();
    let mut result = Ok(());
    for bank in [Bank::Memory, Bank::Port] {
        bank.write(machine, own, 0);
        let reads = bank.read(machine, own);
        context.mail(own, bank as u64).store(reads, SeqCst);
        for round in 1..=rounds {
            bank.write(machine, own, written(own, round));
            let found = bank.read(machine, own);
            let expected = bank.expected(written(own, round), reads.wrapping_add(round));
            result = result.and_then(|()| Failure::check(Check::Register, expected, found));
        }
    }
    context.barrier()?;

    let other = (own + 1) % context.vcpus();
    for bank in [Bank::Memory, Bank::Port] {
        let last = if rounds == 0 {
            0
        } else {
            written(other, rounds)
        };
        let reads = context
            .mail(other, bank as u64)
            .load(SeqCst)
            .wrapping_add(rounds + 1);
        let (expected, found) = (bank.expected(last, reads), bank.read(machine, other));
        result = result.and_then(|()| Failure::check(Check::OtherRegister, expected, found));
    }
    context.barrier()?;
    result?;
    if own != 0 {
        return Ok(values(&[]));
    }
    let seen = total().wrapping_sub(before);
    Failure::check(
        Check::Accesses,
        accesses(u64::from(context.vcpus()), rounds),
        seen,
    )?;
    Ok(values(&[seen]))
}
