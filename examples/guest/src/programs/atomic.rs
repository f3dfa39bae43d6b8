//! A counter that all vCPUs add to by locked instructions.

use core::sync::atomic::Ordering::SeqCst;

use super::Context;
use super::outcome::{Check, Failure, Values, values};
use crate::machine::Machine;

pub(super) fn run<M: Machine>(
    context: &Context<'_, M>,
    &[additions, ..]: &[u64; 4],
) -> Result<Values, Failure> {
    let counter = context.hot(0);
    if context.vcpu() == 0 {
        counter.store(0, SeqCst);
    }
    context.barrier()?;
    let mut disorder = Ok(());
    let mut least = 0;
    for _ in 0..additions {
        let seen = counter.fetch_add(1, SeqCst);
        if seen < least {
            disorder = Failure::check(Check::Order, least, seen);
        }
        least = seen + 1;
    }
    context.barrier()?;
    let found = counter.load(SeqCst);
    disorder?;
    Failure::check(
        Check::Counter,
        additions * u64::from(context.vcpus()),
        found,
    )?;
    Ok(values(&[found]))
}
