//! Random numbers with a bell's shape, and what wanders and comes back.

use rand::Rng;
use rand::rngs::SmallRng;

/// A number around 0 with a deviation of 1, by Box and Muller.
pub(crate) fn normal(rng: &mut SmallRng) -> f64 {
    // Above 0, so that there is a logarithm.
    let [radius, angle]: [f64; 2] = [1.0 - rng.random::<f64>(), rng.random()];
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// A positive number with this median; its logarithm has the deviation.
pub(crate) fn lognormal(rng: &mut SmallRng, median: f64, deviation: f64) -> f64 {
    median * (deviation * normal(rng)).exp()
}

/// What wanders around 0 and comes back: an Ornstein-Uhlenbeck process at even times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wander {
    at: f64,
    keeps: f64,
    shakes: f64,
}

impl Wander {
    /// With this deviation, and a correlation that falls to 1/e in so many seconds, looked at every
    /// `step` seconds.
    pub(crate) fn new(rng: &mut SmallRng, deviation: f64, seconds: f64, step: f64) -> Self {
        let keeps = (-step / seconds).exp();
        Self {
            at: deviation * normal(rng),
            keeps,
            shakes: deviation * (1.0 - keeps * keeps).sqrt(),
        }
    }

    pub(crate) fn next(&mut self, rng: &mut SmallRng) -> f64 {
        self.at = self.at * self.keeps + self.shakes * normal(rng);
        self.at
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn what_wanders_has_its_deviation_and_its_correlation() {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut wander = Wander::new(&mut rng, 2.0, 100.0, 10.0);
        let series: Vec<_> = (0..200_000).map(|_| wander.next(&mut rng)).collect();
        let mean = |of: &dyn Fn(usize) -> f64| (0..190_000).map(of).sum::<f64>() / 190_000.0;
        let variance = mean(&|at| series[at] * series[at]);
        assert!((variance.sqrt() - 2.0).abs() < 0.1, "{variance}");
        // After 100 s.
        let correlation = mean(&|at| series[at] * series[at + 10]) / variance;
        assert!(
            (correlation - 1.0_f64.exp().recip()).abs() < 0.05,
            "{correlation}"
        );
    }
}
