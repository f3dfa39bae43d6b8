//! Pre-copy live migration: when to send another round, and when to stop the machine.
//!
//! The usual way to move a virtual machine, and what moving threads or vCPUs is compared with. While
//! the machine runs its memory is sent, then what was stored to meanwhile, and so on, until what is
//! left can be sent within the time that the machine may stand still (Clark and others, "Live
//! Migration of Virtual Machines", NSDI 2005). The rules are here, as a value without a clock and
//! without a network; `examples/migrate` drives it over real memory and a real transport, and
//! [`estimate()`] computes what it would do.
//!
//! # Rules
//!
//! After each round, with `d` bytes stored to while it was sent:
//!
//! 1. `d` fits into the allowed downtime at the speed of the link: stop, send the rest.
//! 2. So many rounds were sent: stop. A machine that stores faster than the link sends would
//!    otherwise never be moved.
//! 3. More than so many times the memory was sent: stop, for the same reason.
//! 4. Else send another round.
//!
//! The first is QEMU's, with its downtime of 300 ms. QEMU alone has no second rule and goes on until
//! someone stops it; the second and third are Xen's, with its 30 rounds and three times the memory.
//! The speed of the link is the best seen of a round: a pause of the sender is not the link's.

mod estimate;

pub use estimate::{Dirtying, Estimate, estimate};

use crate::schedule::Nanos;

/// When a migration stops the machine. Values of zero count as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long the machine may stand still while the rest is sent: 300 ms, as QEMU has it.
    pub downtime: Nanos,
    /// Rounds at most while it runs: 30, as Xen has it.
    pub rounds: u32,
    /// How many times the memory may be sent while it runs: 3, as Xen has it.
    pub times: u32,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            downtime: Nanos(300_000_000),
            rounds: 30,
            times: 3,
        }
    }
}

/// What one round was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Bytes that were sent, headers included.
    pub sent: u64,
    /// How long that took.
    pub took: Nanos,
    /// Bytes that were stored to meanwhile and have to be sent again.
    pub dirty: u64,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send what was stored to, while the machine runs.
    Again,
    /// Stop the machine, send the rest, and let it run on the other side.
    Stop(Because),
}

/// Why the machine is stopped now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// The rest fits into the downtime.
    Fits,
    /// All rounds were sent; it may stand still for longer.
    Rounds,
    /// The memory was sent too often; it may stand still for longer.
    Times,
}

/// A migration under way.
///
/// ```
/// use giantvm_sched::precopy::{Because, Next, Precopy, Round, Terms};
/// use giantvm_sched::schedule::Nanos;
///
/// let mut migration = Precopy::new(Terms::default(), 1 << 30);
/// let second = Nanos(1_000_000_000);
/// // A GiB in a second, and half of it was stored to: half a second is too long to stand still.
/// let first = Round { sent: 1 << 30, took: second, dirty: 1 << 29 };
/// assert_eq!(migration.after(first), Next::Again);
/// let second = Round { sent: 1 << 29, took: Nanos(second.0 / 2), dirty: 1 << 28 };
/// assert_eq!(migration.after(second), Next::Stop(Because::Fits));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precopy {
    terms: Terms,
    memory: u64,
    rounds: u32,
    sent: u64,
    /// Bytes a second; nothing is known before the first round.
    speed: u64,
    ended: Option<Because>,
}

impl Precopy {
    /// A machine with so many bytes of memory is about to be sent.
    #[must_use]
    pub const fn new(terms: Terms, memory: u64) -> Self {
        Self {
            terms,
            memory,
            rounds: 0,
            sent: 0,
            speed: 0,
            ended: None,
        }
    }

    /// A round was sent. Once this said to stop it stays with that.
    pub fn after(&mut self, round: Round) -> Next {
        if let Some(because) = self.ended {
            return Next::Stop(because);
        }
        self.rounds = self.rounds.saturating_add(1);
        self.sent = self.sent.saturating_add(round.sent);
        self.speed = self.speed.max(speed(round));
        let because = if self.downtime(round.dirty) <= self.terms.downtime.0.max(1) {
            Because::Fits
        } else if self.rounds >= self.terms.rounds.max(1) {
            Because::Rounds
        } else if self.sent > self.memory.saturating_mul(self.terms.times.max(1).into()) {
            Because::Times
        } else {
            return Next::Again;
        };
        self.ended = Some(because);
        Next::Stop(because)
    }

    /// Rounds so far, without the last one that is sent while the machine stands still.
    #[must_use]
    pub const fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Bytes sent in them.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// How long so many bytes would take, in ns.
    fn downtime(&self, bytes: u64) -> u64 {
        if bytes == 0 {
            return 0;
        }
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.speed.max(1));
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

/// Bytes a second.
fn speed(round: Round) -> u64 {
    let speed = u128::from(round.sent) * 1_000_000_000 / u128::from(round.took.0.max(1));
    u64::try_from(speed).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
