//! A horizontal axis with ticks where they mean something.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

/// What an axis counts.
#[derive(Debug, Clone, Copy)]
pub enum Scale {
    /// Times, by powers of ten.
    Time,
    /// These numbers of something.
    Count(&'static [f64]),
}

/// A scale for some values.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Axis {
    /// Long enough for all `values`.
    pub(super) fn of(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = match scale {
            Scale::Time => (10.0, 1000.0),
            Scale::Count(ticks) => {
                let [first, last] = [ticks.first(), ticks.last()].map(|tick| *tick.unwrap_or(&1.0));
                (first - 1.0, last * 1.04)
            }
        };
        let wide = |(low, high): (f64, f64), value: f64| (low.min(value), high.max(value));
        let (low, high) = values.fold((low, high), wide);
        let low = match scale {
            Scale::Time => low.max(0.1),
            Scale::Count(_) => low,
        };
        Self { scale, low, high }
    }

    /// How far along `value` is, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Time => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
            Scale::Count(_) => (value - self.low) / (self.high - self.low),
        }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    #[expect(clippy::cast_possible_truncation, reason = "pixels are few")]
    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        from + (f64::from(to - from) * self.share(*value)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        match self.scale {
            Scale::Count(ticks) => ticks.to_vec(),
            Scale::Time => (-1..=9)
                .flat_map(|power| [1.0, 3.0].map(|first| first * 10_f64.powi(power)))
                .filter(|tick| (self.low..=self.high).contains(tick))
                .collect(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}
