//! NAS EP: pairs of Gaussian deviates and their counts, checked against published sums.

use core::sync::atomic::Ordering::SeqCst;

use super::Context;
use super::float::{ln, sqrt};
use super::outcome::{Check, Failure, Values, values};
use super::random::Nas;
use crate::machine::Machine;

/// Logarithm of the pairs in a batch.
const BATCH: u64 = 16;
/// Pairs that are a piece of work.
const PIECE: u64 = 1 << 12;
/// The generator's first number.
const SEED: u64 = 271_828_183;
/// Counts by the size of the larger deviate.
const COUNTS: usize = 10;
/// How far a sum may be from the published one, relative to it.
pub const TOLERANCE: f64 = 1e-8;

/// Published sums of X and Y of a class, given as the logarithm of its pairs.
#[must_use]
pub const fn published(class: u64) -> Option<(f64, f64)> {
    match class {
        24 => Some((-3.247_834_652_034_74e3, -6.958_407_078_382_297e3)),
        25 => Some((-2.863_319_731_645_753e3, -6.320_053_679_109_499e3)),
        28 => Some((-4.295_875_165_629_892e3, -1.580_732_573_678_431e4)),
        _ => None,
    }
}

#[derive(Debug, Default)]
struct Tally {
    x: f64,
    y: f64,
    counts: [u64; COUNTS],
}

impl Tally {
    /// Counts a batch. Calls `worked` after each [`PIECE`].
    fn batch(&mut self, batch: u64, worked: impl Fn()) {
        let pairs = 1u64 << BATCH;
        let mut random = Nas::after(SEED, 2 * pairs * batch);
        for pair in 0..pairs {
            if pair % PIECE == 0 {
                worked();
            }
            let x = 2.0 * random.next_fraction() - 1.0;
            let y = 2.0 * random.next_fraction() - 1.0;
            let t = x * x + y * y;
            if t <= 1.0 {
                let factor = sqrt(-2.0 * ln(t) / t);
                let (x, y) = (x * factor, y * factor);
                let place = x.abs().max(y.abs()) as usize;
                if let Some(count) = self.counts.get_mut(place) {
                    *count += 1;
                }
                self.x += x;
                self.y += y;
            }
        }
    }
}

pub(super) fn run<M: Machine>(
    context: &Context<'_, M>,
    &[class, ..]: &[u64; 4],
) -> Result<Values, Failure> {
    let Some((published_x, published_y)) = published(class) else {
        return Err(Failure::Parameter {
            index: 0,
            value: class,
        });
    };
    let mut tally = Tally::default();
    let step = context.vcpus() as usize;
    for batch in (u64::from(context.vcpu())..1 << (class - BATCH)).step_by(step) {
        tally.batch(batch, || context.worked());
    }
    let own = [tally.x.to_bits(), tally.y.to_bits()]
        .into_iter()
        .chain(tally.counts);
    for (word, value) in (0..).zip(own) {
        context.mail(context.vcpu(), word).store(value, SeqCst);
    }
    context.barrier()?;
    if context.vcpu() != 0 {
        return Ok(values(&[]));
    }
    let mut all = Tally::default();
    for vcpu in 0..context.vcpus() {
        let word = |word| context.mail(vcpu, word).load(SeqCst);
        all.x += f64::from_bits(word(0));
        all.y += f64::from_bits(word(1));
        for (count, at) in all.counts.iter_mut().zip(2..) {
            *count += word(at);
        }
    }
    Failure::check_near(Check::EpX, published_x, all.x, TOLERANCE)?;
    Failure::check_near(Check::EpY, published_y, all.y, TOLERANCE)?;
    let mut report = [0; 3 + COUNTS];
    report[..3].copy_from_slice(&[all.x.to_bits(), all.y.to_bits(), all.counts.iter().sum()]);
    report[3..].copy_from_slice(&all.counts);
    Ok(values(&report))
}
