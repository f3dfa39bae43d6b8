//! What a vCPU does that carries threads.

use core::sync::atomic::Ordering::SeqCst;

use super::arena::Arena;
use super::thread::{Ask, start};
use super::{switch, word};
use crate::abi;
use crate::machine::Machine;
use crate::programs::Context;
use word::Kind;

/// How long a thread runs before its carrier says so: the slice of the host's schedulers.
const SLICE_NANOS: u64 = 3_000_000;

/// Carries threads until all are done; every vCPU of the machine calls it once.
///
/// vCPU 0 makes the threads. Each runs the list of programs, as vCPUs do where there are no threads.
/// Returns as well if the machine ends.
pub fn carry<M: Machine>(context: &Context<'_, M>) {
    let (machine, memory, threads) = (context.machine(), context.memory(), context.threads());
    let report = |kind, threads| {
        let threads = u8::try_from(threads).unwrap_or(0);
        machine.mmio_read(abi::MMIO_THREADS + word::encode(kind, threads))
    };
    let mut next = if context.vcpu() == 0 {
        for thread in 0..threads {
            Arena::make(memory, thread, threads, start);
        }
        report(Kind::Spawn, threads)
    } else {
        report(Kind::Idle, 0)
    };
    let slice = context.cycles_in(SLICE_NANOS);
    while let Some(thread) = u32::try_from(next).ok().filter(|next| *next < threads) {
        let arena = Arena::of(memory, thread, threads);
        let start = machine.cycles();
        let is_over = || machine.cycles().saturating_sub(start) >= slice;
        let kind = loop {
            switch::load(&arena);
            match Ask::from_number(arena.ask.load(SeqCst)) {
                Ask::Worked if is_over() => break Kind::Tick,
                Ask::Relax => break Kind::Tick,
                Ask::Meet => break Kind::Meet,
                Ask::Exit => break Kind::Exit,
                ask => arena.answer.store(serve(machine, ask, &arena), SeqCst),
            }
        };
        next = report(kind, 0);
    }
}

/// Does for a thread what only vCPUs can.
fn serve<M: Machine>(machine: &M, ask: Ask, arena: &Arena<'_>) -> u64 {
    let [first, second] = arena.arguments.map(|word| word.load(SeqCst));
    let port = first as u16;
    match ask {
        Ask::Out8 => machine.port_out8(port, second as u8),
        Ask::Out32 => machine.port_out32(port, second as u32),
        Ask::In32 => return machine.port_in32(port).into(),
        Ask::Write => machine.mmio_write(first, second),
        Ask::Read => return machine.mmio_read(first),
        Ask::Cycles => return machine.cycles(),
        Ask::Worked | Ask::Relax | Ask::Meet | Ask::Exit => {}
    }
    0
}
