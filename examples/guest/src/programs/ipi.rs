//! Interrupts from every vCPU to every other, in every way, each counted.
//!
//! No two interrupts of one vector are ever on their way to one vCPU: it could not tell them
//! apart. So a sender waits until its receiver has published the count, and all wait for all
//! before the next exchange.

use core::cell::Cell;
use core::sync::atomic::Ordering::SeqCst;

use super::Context;
use super::outcome::{Check, Failure, Site, Values, values};
use crate::machine::{Destination, Machine, Vector};

/// The vectors in the order of the report.
pub const VECTORS: [Vector; 6] = [
    Vector::Physical,
    Vector::Logical,
    Vector::Nmi,
    Vector::AllButSelf,
    Vector::AllWithSelf,
    Vector::Own,
];

/// Interrupts of a vector that each vCPU receives.
#[must_use]
pub const fn expected(vector: Vector, vcpus: u64, rounds: u64) -> u64 {
    let each = match vector {
        Vector::Physical | Vector::Logical | Vector::Nmi | Vector::AllButSelf => vcpus - 1,
        Vector::AllWithSelf => vcpus,
        Vector::Own => 1,
        Vector::Wake | Vector::Timer => 0,
    };
    each * rounds
}

struct Counts<'c, 'm, M> {
    context: &'c Context<'m, M>,
    base: [u64; VECTORS.len()],
    /// Interrupts of each vector that have to have arrived here by now.
    due: [u64; VECTORS.len()],
    /// Counts as they stand in this vCPU's mailbox, whose page others read all the time.
    published: [Cell<u64>; VECTORS.len()],
}

impl<M: Machine> Counts<'_, '_, M> {
    fn received(&self, place: usize) -> u64 {
        self.context.machine().received(VECTORS[place]) - self.base[place]
    }

    /// Publishes the count of a vector.
    fn publish(&self, place: usize) -> u64 {
        let count = self.received(place);
        if self.published[place].replace(count) != count {
            let word = self.context.mail(self.context.vcpu(), place as u64);
            word.store(count, SeqCst);
        }
        count
    }

    /// One exchange: this vCPU perhaps sends, perhaps receives, and waits until every vCPU that
    /// `due` gives a count for has published as many.
    fn exchange(
        &mut self,
        place: usize,
        send: Option<Destination>,
        receives: bool,
        due: impl Fn(u32) -> Option<u64>,
    ) -> Result<(), Failure> {
        self.due[place] += u64::from(receives);
        match send {
            Some(Destination::Physical(to)) if VECTORS[place] == Vector::Nmi => {
                self.context.machine().nmi(to);
            }
            Some(to) => self.context.machine().ipi(to, VECTORS[place]),
            None => {}
        }
        self.context.wait(Site::Interrupt, || {
            let own = self.publish(place) >= self.due[place];
            let mail = |vcpu| self.context.mail(vcpu, place as u64).load(SeqCst);
            own && (0..self.context.vcpus()).all(|vcpu| due(vcpu).is_none_or(|n| mail(vcpu) >= n))
        })?;
        self.context.barrier()
    }

    /// Every vCPU sends to one other, each to a different one.
    fn pairs(&mut self, place: usize, distance: u32) -> Result<(), Failure> {
        let to = (self.context.vcpu() + distance) % self.context.vcpus();
        let destination = match VECTORS[place] {
            Vector::Logical => Destination::Logical(to),
            _ => Destination::Physical(to),
        };
        let due = self.due[place] + 1;
        self.exchange(place, Some(destination), true, |vcpu| {
            (vcpu == to).then_some(due)
        })
    }

    /// One vCPU sends to all others.
    fn send_others(&mut self, place: usize, sender: u32) -> Result<(), Failure> {
        let own = self.context.vcpu() == sender;
        let sent = own.then_some(Destination::AllButSelf);
        let before = self.due[place];
        // Those before the sender have not heard themselves either; those after it have heard all.
        let due = |vcpu: u32| (own && vcpu != sender).then(|| before + u64::from(vcpu > sender));
        self.exchange(place, sent, !own, due)
    }

    /// One vCPU sends to all, itself among them.
    fn send_all(&mut self, place: usize, sender: u32) -> Result<(), Failure> {
        let own = self.context.vcpu() == sender;
        let due = self.due[place] + 1;
        let sent = own.then_some(Destination::AllWithSelf);
        self.exchange(place, sent, true, |_| own.then_some(due))
    }

    fn verify(&self, rounds: u64) -> Result<(), Failure> {
        for (place, vector) in VECTORS.into_iter().enumerate() {
            let expected = expected(vector, u64::from(self.context.vcpus()), rounds);
            Failure::check(Check::Interrupts, expected, self.received(place))?;
        }
        Ok(())
    }
}

pub(super) fn run<M: Machine>(
    context: &Context<'_, M>,
    &[rounds, ..]: &[u64; 4],
) -> Result<Values, Failure> {
    let base = VECTORS.map(|vector| context.machine().received(vector));
    let mut counts = Counts {
        context,
        base,
        due: [0; VECTORS.len()],
        published: [const { Cell::new(0) }; VECTORS.len()],
    };
    for place in 0..VECTORS.len() {
        context.mail(context.vcpu(), place as u64).store(0, SeqCst);
    }
    context.barrier()?;
    for _ in 0..rounds {
        for distance in 1..context.vcpus() {
            for place in 0..3 {
                counts.pairs(place, distance)?;
            }
        }
        for sender in 0..context.vcpus() {
            counts.send_others(3, sender)?;
            counts.send_all(4, sender)?;
        }
        counts.exchange(5, Some(Destination::Own), true, |_| None)?;
    }
    let verified = counts.verify(rounds);
    for place in 0..VECTORS.len() {
        counts.publish(place);
    }
    context.barrier()?;
    // Once more, for one too many that came late.
    verified.and_then(|()| counts.verify(rounds))?;
    let total = |place| {
        (0..context.vcpus())
            .map(|v| context.mail(v, place).load(SeqCst))
            .sum()
    };
    Ok(values(&[0, 1, 2, 3, 4, 5].map(total)))
}
