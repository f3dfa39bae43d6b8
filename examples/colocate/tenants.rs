//! The services that hosts are there for: how many processors they need, as time goes on.

use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::noise::{Wander, normal};
use crate::published as of;

/// What a tenant uses at least and at most, as a share of its host.
const RANGE: (f64, f64) = (0.02, 0.95);

/// One host's tenant.
#[derive(Debug)]
struct Tenant {
    mean: f64,
    slow: Wander,
    fast: Wander,
}

/// All hosts' tenants.
#[derive(Debug)]
pub(crate) struct Tenants {
    rng: SmallRng,
    step: f64,
    seconds: f64,
    /// What all hosts have in common: waves that pass in minutes, and in hours.
    waves: [Wander; 2],
    hosts: Vec<Tenant>,
}

impl Tenants {
    /// Looked at every `step` seconds. How much hosts differ from one another is `apart` times what is
    /// assumed.
    pub(crate) fn new(hosts: usize, step: f64, apart: f64, seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        // What is left of the deviation when day and waves are taken out of it.
        let hours = of::DEVIATION.powi(2) - of::DAY.powi(2) / 2.0 - of::WAVES.powi(2);
        let waves = [
            (of::WAVES, of::WAVE_SECONDS),
            (hours.max(0.0).sqrt(), of::SLOW_SECONDS),
        ];
        let waves =
            waves.map(|(deviation, seconds)| Wander::new(&mut rng, deviation, seconds, step));
        let host = |rng: &mut SmallRng| Tenant {
            mean: of::MEAN + apart * of::BETWEEN_MACHINES * normal(rng),
            slow: Wander::new(rng, apart * of::OWN_SLOW, of::SLOW_SECONDS, step),
            fast: Wander::new(rng, apart * of::OWN_FAST, of::FAST_SECONDS, step),
        };
        let hosts = (0..hosts).map(|_| host(&mut rng)).collect();
        Self {
            rng,
            step,
            seconds: 0.0,
            waves,
            hosts,
        }
    }

    /// What each uses on average, in processors.
    pub(crate) fn means(&self) -> impl Iterator<Item = f64> + '_ {
        self.hosts.iter().map(|host| share(host.mean))
    }

    /// What each would use from now on, in processors.
    pub(crate) fn next(&mut self, loads: &mut Vec<f64>) {
        let turn = self.seconds / 86_400.0;
        self.seconds += self.step;
        let waves: f64 = self
            .waves
            .iter_mut()
            .map(|wave| wave.next(&mut self.rng))
            .sum();
        let common = waves + of::DAY * (std::f64::consts::TAU * turn).cos();
        loads.clear();
        for host in &mut self.hosts {
            let own = host.slow.next(&mut self.rng) + host.fast.next(&mut self.rng);
            loads.push(share(host.mean + common + own));
        }
    }
}

fn share(of_host: f64) -> f64 {
    of_host.clamp(RANGE.0, RANGE.1) * f64::from(of::CORES)
}
