//! The algorithms of the lock and the barrier, in every order that memory and threads allow.

mod primitives {
    pub(crate) use loom::sync::atomic::{AtomicU32, Ordering};

    /// Lets the others run: a model has no time to wait for.
    #[derive(Debug, Default)]
    pub(crate) struct Backoff {
        pauses: u32,
    }

    impl Backoff {
        pub(crate) fn pause(&mut self) {
            self.pauses += 1;
            loom::thread::yield_now();
        }
    }
}

#[path = "../src/sync/rendezvous.rs"]
mod rendezvous;
#[path = "../src/sync/ticket.rs"]
mod ticket;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use primitives::AtomicU32;

/// A value behind a ticket lock. Loom's cell fails the test if two threads use it at once, or one
/// without seeing what the other did.
struct Guarded {
    next: AtomicU32,
    serving: AtomicU32,
    value: UnsafeCell<u32>,
}

#[expect(unsafe_code, reason = "what the lock is to make safe")]
// SAFETY: loom checks it.
unsafe impl Sync for Guarded {}

impl Guarded {
    fn new(first: u32) -> Arc<Self> {
        Arc::new(Self {
            next: AtomicU32::new(first),
            serving: AtomicU32::new(first),
            value: UnsafeCell::new(0),
        })
    }

    #[expect(unsafe_code, reason = "what the lock is to make safe")]
    fn increment(&self) {
        // SAFETY: loom checks it.
        self.value.with_mut(|value| unsafe { *value += 1 });
    }

    fn locked(&self) {
        let ticket = ticket::acquire(&self.next, &self.serving);
        self.increment();
        ticket::release(&self.serving, ticket);
    }

    fn tried(&self) -> u32 {
        let Some(ticket) = ticket::try_acquire(&self.next, &self.serving) else {
            return 0;
        };
        self.increment();
        ticket::release(&self.serving, ticket);
        1
    }

    #[expect(unsafe_code, reason = "what the lock is to make safe")]
    fn total(&self) -> u32 {
        let ticket = ticket::acquire(&self.next, &self.serving);
        // SAFETY: loom checks it.
        let total = self.value.with(|value| unsafe { *value });
        ticket::release(&self.serving, ticket);
        total
    }
}

#[test]
fn a_ticket_lock_lets_one_in_at_a_time() {
    loom::model(|| {
        let guarded = Guarded::new(u32::MAX);
        let other = guarded.clone();
        let thread = thread::spawn(move || {
            other.locked();
            other.locked();
        });
        guarded.locked();
        assert!((1..=3).contains(&guarded.total()));
        thread.join().unwrap();
        assert_eq!(guarded.total(), 3);
    });
}

#[test]
fn trying_never_gets_in_beside_a_holder() {
    loom::model(|| {
        let guarded = Guarded::new(0);
        let other = guarded.clone();
        let thread = thread::spawn(move || {
            other.locked();
            other.tried()
        });
        let entered = guarded.tried();
        let entered = entered + thread.join().unwrap();
        assert_eq!(guarded.total(), entered + 1);
    });
}

/// Two parties that each write one cell and read the other's, in rounds.
struct Meeting {
    arrived: AtomicU32,
    round: AtomicU32,
    cells: [UnsafeCell<u32>; 2],
}

#[expect(unsafe_code, reason = "what the barrier is to make safe")]
// SAFETY: loom checks it.
unsafe impl Sync for Meeting {}

impl Meeting {
    #[expect(unsafe_code, reason = "what the barrier is to make safe")]
    fn attend(&self, party: usize) -> u32 {
        let mut led = 0;
        for round in 1..=2 {
            // SAFETY: loom checks it.
            self.cells[party].with_mut(|cell| unsafe { *cell = round });
            led += u32::from(rendezvous::meet(&self.arrived, &self.round, 2));
            // SAFETY: loom checks it.
            let theirs = self.cells[1 - party].with(|cell| unsafe { *cell });
            assert_eq!(theirs, round);
            led += u32::from(rendezvous::meet(&self.arrived, &self.round, 2));
        }
        led
    }
}

#[test]
fn a_barrier_shows_each_party_what_the_others_did_and_has_one_leader() {
    let mut model = loom::model::Builder::new();
    // Four meetings of two: unbounded, this takes minutes.
    model.preemption_bound = Some(3);
    model.check(|| {
        let meeting = Arc::new(Meeting {
            arrived: AtomicU32::new(0),
            round: AtomicU32::new(u32::MAX),
            cells: [UnsafeCell::new(0), UnsafeCell::new(0)],
        });
        let other = meeting.clone();
        let thread = thread::spawn(move || other.attend(1));
        let led = meeting.attend(0);
        assert_eq!(led + thread.join().unwrap(), 4);
    });
}
