//! What the tenants turned out to be like, beside what is published.

use serde::Serialize;

use crate::outcome::Moment;
use crate::published as of;
use crate::run::STEP;

/// One figure of both.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Fit {
    pub(crate) figure: &'static str,
    pub(crate) published: f64,
    pub(crate) simulated: f64,
}

const HOUR: usize = (3600 / STEP) as usize;
const FIVE_MINUTES: usize = (300 / STEP) as usize;

/// Compares the simulated days.
pub(crate) fn compare(series: &[Moment]) -> Vec<Fit> {
    let cluster: Vec<_> = series.iter().map(|moment| moment.tenants).collect();
    let one: Vec<_> = series.iter().map(|moment| moment.one).collect();
    let smooth: Vec<_> = cluster.chunks(FIVE_MINUTES).map(mean).collect();
    let waves = waves(&cluster);
    let lag = |seconds: u64| correlation(&waves, usize::try_from(seconds / STEP).unwrap_or(0));
    let fit = |figure, published, simulated| Fit {
        figure,
        published,
        simulated,
    };
    vec![
        fit("mean utilisation", of::MEAN, mean(&cluster)),
        fit(
            "deviation of the cluster's mean, 300 s",
            of::DEVIATION,
            deviation(&smooth),
        ),
        fit("amplitude of the day", of::DAY, day(&cluster)),
        fit(
            "deviation from the hour's mean, 10 s",
            of::WAVES,
            deviation(&waves),
        ),
        fit("its correlation after 60 s", of::CORRELATION[0], lag(60)),
        fit("its correlation after 300 s", of::CORRELATION[1], lag(300)),
        fit(
            "deviation of one machine in time",
            of::MACHINE,
            deviation(&one),
        ),
    ]
}

fn mean(of: &[f64]) -> f64 {
    of.iter().sum::<f64>() / of.len().max(1) as f64
}

fn deviation(of: &[f64]) -> f64 {
    let mean = mean(of);
    let squares = of.iter().map(|value| (value - mean).powi(2));
    (squares.sum::<f64>() / of.len().max(1) as f64).sqrt()
}

/// What is left without the mean of the hour around.
fn waves(series: &[f64]) -> Vec<f64> {
    let around = |at: usize| {
        let from = at.saturating_sub(HOUR / 2);
        mean(&series[from..series.len().min(at + HOUR / 2)])
    };
    let at = series.iter().enumerate();
    at.map(|(at, value)| value - around(at)).collect()
}

fn correlation(series: &[f64], lag: usize) -> f64 {
    let later = series.get(lag..).unwrap_or_default();
    let pairs: Vec<_> = series.iter().zip(later).map(|(a, b)| a * b).collect();
    mean(&pairs) / deviation(series).powi(2).max(f64::MIN_POSITIVE)
}

/// The amplitude of the first harmonic of a day.
fn day(series: &[f64]) -> f64 {
    let turn = |at: usize| std::f64::consts::TAU * (at as u64 * STEP) as f64 / 86_400.0;
    let part = |wave: fn(f64) -> f64| {
        let at = series.iter().enumerate();
        let parts: Vec<_> = at.map(|(at, value)| value * wave(turn(at))).collect();
        2.0 * mean(&parts)
    };
    part(f64::cos).hypot(part(f64::sin))
}
