//! A whole machine goes to the other host by pre-copy.

use std::time::{Duration, Instant};

use giantvm_dsm::engine::Priority;
use giantvm_sched::precopy::Terms;

use crate::cgroup::Host;
use crate::seat::Seat;
use crate::sender::Sender;
use crate::side::Side;

/// Sends the machine's memory from a host to the other while it runs, stops it, sends the rest, and
/// lets it go on there; says how long it stood still. What sends is a part of the
/// host that is left, and runs before others there, as what serves distributed memory does.
pub(crate) fn migrate(
    host: &Host,
    sides: &[Side; 2],
    seats: &[Seat],
    [from, to]: [usize; 2],
    terms: Terms,
) -> anyhow::Result<Duration> {
    host.enter()?;
    Priority::Raised.apply();
    let mut sender = Sender::new(&sides[from]);
    let sent = sender.rounds(terms).and_then(|_| {
        let start = Instant::now();
        seats.iter().for_each(Seat::halt);
        sender.serve_until(|| seats.iter().all(Seat::is_halted))?;
        sender.round()?;
        Ok(start)
    });
    // Whatever became of it, the machine must not wait for ever.
    let goes_on = if sent.is_ok() { to } else { from };
    seats.iter().for_each(|seat| seat.go(goes_on));
    let still = sent.map(|start| start.elapsed());
    sender.end()?;
    still
}
