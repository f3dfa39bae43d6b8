//! Everything that was found out.

use indicatif::ProgressBar;
use serde::Serialize;

use crate::fit::{Fit, compare};
use crate::outcome::Outcome;
use crate::run::{Kind, STEP, Setting, days};
use crate::search::{HALVINGS, Search, search};

/// What is asked for over static placement.
const BAR: f64 = 0.143;
/// Percentiles that differ by less than this part are the same.
const SAME: f64 = 0.001;
const HOUR: usize = (3600 / STEP) as usize;

/// What one policy did.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) policy: &'static str,
    /// vCPUs for each processor that services leave on average.
    pub(crate) sold: f64,
    /// Work done by services and machines, as a share of what all processors could.
    pub(crate) utilisation: f64,
    /// Above static placement, as a part of it.
    pub(crate) gain: f64,
    /// The share of the time that machines were at speed.
    pub(crate) at_speed: f64,
    /// What machines got done of what they could.
    pub(crate) done: f64,
    /// What they lost by being apart, and by moving.
    pub(crate) stalled: f64,
    pub(crate) waited: f64,
    pub(crate) moves_a_day: f64,
    pub(crate) tebibytes_a_day: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    /// Requests that waited for a processor, and those that came to a backlog.
    pub(crate) waiting: f64,
    pub(crate) late: f64,
    /// Utilisation hour by hour of the first day.
    pub(crate) hours: Vec<f64>,
}

/// A point of a policy's curve.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Point {
    pub(crate) sold: f64,
    pub(crate) utilisation: f64,
    pub(crate) at_speed: f64,
}

/// Whether what was asked for was found.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Bar {
    pub(crate) asked: f64,
    pub(crate) over_static: f64,
    pub(crate) over_live_migration: f64,
    pub(crate) tail_is_no_worse: bool,
    pub(crate) reached: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) setting: Setting,
    pub(crate) promise: f64,
    pub(crate) fit: Vec<Fit>,
    /// The same machines, and what no policy could beat.
    pub(crate) same: Vec<Row>,
    pub(crate) pooled: f64,
    /// As many machines as keep the promise.
    pub(crate) promised: Vec<Row>,
    pub(crate) curves: Vec<Vec<Point>>,
    pub(crate) bar: Bar,
}

/// How many days are to be simulated.
pub(crate) fn days_in_all(setting: &Setting) -> u64 {
    Kind::ALL.len() as u64 * u64::from(setting.days) * u64::from(1 + HALVINGS)
}

pub(crate) fn report(
    setting: &Setting,
    sold: f64,
    promise: f64,
    progress: &ProgressBar,
) -> anyhow::Result<Report> {
    let tick = || progress.inc(1);
    let (mut same, mut promised) = (Vec::<Row>::new(), Vec::<Row>::new());
    let (mut curves, mut fit, mut pooled) = (Vec::new(), Vec::new(), 0.0);
    for kind in Kind::ALL {
        progress.set_message(kind.name());
        let outcome = days(setting, sold, kind, &tick)?;
        if kind == Kind::Static {
            fit = compare(&outcome.series);
            pooled = outcome.utilisation_pooled();
        }
        same.push(row(kind, sold, &outcome, same.first()));
        let Search { tries, best } = search(setting, kind, promise, &tick)?;
        let chosen = &tries[best];
        promised.push(row(kind, chosen.sold, &chosen.outcome, promised.first()));
        let points = tries.iter().map(|of| Point {
            sold: of.sold,
            utilisation: of.outcome.utilisation(),
            at_speed: of.outcome.at_speed(),
        });
        curves.push(points.collect());
    }
    Ok(Report {
        setting: *setting,
        promise,
        fit,
        same,
        pooled,
        bar: bar(&promised, promise),
        promised,
        curves,
    })
}

fn row(kind: Kind, sold: f64, of: &Outcome, first: Option<&Row>) -> Row {
    let days = of.series.len() as f64 * STEP as f64 / 86_400.0;
    let utilisation = of.utilisation();
    let hours = of.series.chunks(HOUR).take(24).map(|hour| {
        let sum: f64 = hour
            .iter()
            .map(|moment| moment.tenants + moment.machines)
            .sum();
        sum / hour.len() as f64
    });
    Row {
        policy: kind.name(),
        sold,
        utilisation,
        gain: first.map_or(0.0, |first| utilisation / first.utilisation - 1.0),
        at_speed: of.at_speed(),
        done: of.useful / of.wanted.max(f64::MIN_POSITIVE),
        stalled: of.stalled / of.wanted.max(f64::MIN_POSITIVE),
        waited: of.waited / of.wanted.max(f64::MIN_POSITIVE),
        moves_a_day: of.moves as f64 / days,
        tebibytes_a_day: of.bytes as f64 / days / (1_u64 << 40) as f64,
        p99_ms: of.latencies.percentile(0.99),
        p999_ms: of.latencies.percentile(0.999),
        waiting: of.latencies.waiting(),
        late: of.latencies.late(),
        hours: hours.collect(),
    }
}

fn bar(rows: &[Row], promise: f64) -> Bar {
    let [still, live, ours] = [0, 1, 2].map(|at| &rows[at]);
    let over = |other: &Row| ours.utilisation / other.utilisation - 1.0;
    let no_worse = |of: fn(&Row) -> f64| of(ours) <= of(still) * (1.0 + SAME);
    let tail_is_no_worse = no_worse(|row| row.p99_ms) && no_worse(|row| row.p999_ms);
    let kept = rows.iter().all(|row| row.at_speed >= promise);
    Bar {
        asked: BAR,
        over_static: over(still),
        over_live_migration: over(live),
        tail_is_no_worse,
        reached: kept && over(still) >= BAR && over(live) > 0.0 && tail_is_no_worse,
    }
}
