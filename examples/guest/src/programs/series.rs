//! Exponentials and roots of unity by their power series, without a mathematics library.

use core::f64::consts::FRAC_PI_2;

/// Terms of a series: for what is summed here the next one is far below the last bit.
const TERMS: u32 = 20;

/// The exponential of a number between -1 and 1.
#[must_use]
pub(super) fn exp(x: f64) -> f64 {
    debug_assert!(x.abs() <= 1.0);
    let terms = (1..=TERMS).rev();
    terms.fold(1.0, |sum, n| 1.0 + x / f64::from(n) * sum)
}

/// Cosine and sine of `turn` out of `turns` equal parts of a full turn.
///
/// The nearest quarter turn is taken off in whole numbers, which is exact; series are summed for at
/// most an eighth of a turn.
#[must_use]
pub(super) fn root_of_unity(turn: u32, turns: u32) -> (f64, f64) {
    let quarters = (4 * turn + turns / 2) / turns;
    let rest = f64::from(4 * turn) - f64::from(quarters * turns);
    let angle = FRAC_PI_2 * rest / f64::from(turns);
    let series = |first: u32| {
        let steps = (1..=TERMS / 2)
            .rev()
            .map(|step| f64::from(2 * step - 1 + first));
        steps.fold(1.0, |sum, n| 1.0 - angle * angle / (n * (n + 1.0)) * sum)
    };
    let (cos, sin) = (series(0), angle * series(1));
    match quarters % 4 {
        0 => (cos, sin),
        1 => (-sin, cos),
        2 => (-cos, -sin),
        _ => (sin, -cos),
    }
}

#[cfg(test)]
mod tests {
    use core::f64::consts::TAU;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exponentials_agree_with_the_mathematics_library(x in -1.0..=1.0) {
            prop_assert!((exp(x) - x.exp()).abs() <= x.exp() * 5e-16);
        }

        #[test]
        fn roots_agree_with_the_mathematics_library(turns in 1u32..1024, turn in 0u32..1024) {
            let (cos, sin) = root_of_unity(turn % turns, turns);
            let angle = TAU * f64::from(turn % turns) / f64::from(turns);
            // The library is given an angle that was rounded three times, by 4e-16 each at most.
            prop_assert!((cos - angle.cos()).abs() <= 2e-15 && (sin - angle.sin()).abs() <= 2e-15);
        }
    }

    #[test]
    fn quarter_turns_are_exact() {
        let quarters = [0, 64, 128, 192].map(|turn| root_of_unity(turn, 256));
        assert_eq!(quarters, [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)]);
    }
}
