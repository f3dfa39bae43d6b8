//! When something that moved is at full speed again, and what it lost until then.

use std::time::Duration;

/// One step of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// When it began, since the move was decided on.
    pub(crate) began: Duration,
    pub(crate) took: Duration,
    /// Whether it was done where the work moves to.
    pub(crate) there: bool,
}

/// What a move did to the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Recovery {
    /// From the decision until the work is at full speed on the other side; `None` if it never is.
    pub(crate) full: Option<Duration>,
    /// Time that the work lost until its last step, standing still included.
    pub(crate) lost: Duration,
}

/// So many steps in a row at full speed are no chance.
const IN_A_ROW: usize = 3;

/// Judges steps by how long one takes when nothing moves. A step is at full speed if it takes a
/// quarter longer at most.
pub(crate) fn recovery(steps: &[Step], usual: Duration) -> Recovery {
    let fast = |step: &Step| step.there && step.took <= usual + usual / 4;
    // Fewer are left at the end.
    let ends = steps.iter().rev().take_while(|step| fast(step)).count();
    let mut runs = steps.windows(IN_A_ROW).zip(steps);
    let first = runs.find_map(|(run, first)| run.iter().all(fast).then_some(first.began));
    let last = (ends > 0).then(|| steps[steps.len() - ends].began);
    let end = steps
        .last()
        .map_or(Duration::ZERO, |step| step.began + step.took);
    let work = usual * u32::try_from(steps.len()).unwrap_or(u32::MAX);
    Recovery {
        full: first.or(last),
        lost: end.saturating_sub(work),
    }
}

/// How long a step usually takes: the median.
pub(crate) fn usual(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took.get(took.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Steps one after the other, that take so many ms, the first of them here.
    fn steps(here: usize, took: &[u32]) -> Vec<Step> {
        let mut began = Duration::ZERO;
        let step = |(at, &ms): (usize, &u32)| {
            let step = Step {
                began,
                took: MS * ms,
                there: at >= here,
            };
            began += MS * ms;
            step
        };
        took.iter().enumerate().map(step).collect()
    }

    #[test]
    fn full_speed_is_several_steps_in_a_row_on_the_other_side() {
        let of = recovery(&steps(0, &[50, 20, 10, 30, 11, 10, 12, 10]), MS * 10);
        assert_eq!(of.full, Some(MS * 110));
        assert_eq!(of.lost, MS * (153 - 80));
    }

    #[test]
    fn steps_on_this_side_are_not_full_speed_however_fast() {
        let of = recovery(&steps(4, &[10, 10, 10, 10, 15, 10, 10, 10]), MS * 10);
        assert_eq!(of.full, Some(MS * 55));
        assert_eq!(of.lost, MS * 5);
    }

    #[test]
    fn who_ends_at_full_speed_was_so_from_there_on() {
        let of = recovery(&steps(0, &[40, 30, 10]), MS * 10);
        assert_eq!(of.full, Some(MS * 70));
        assert_eq!(recovery(&steps(0, &[40, 30]), MS * 10).full, None);
        assert_eq!(recovery(&[], MS).full, None);
    }

    #[test]
    fn the_usual_is_the_median() {
        assert_eq!(usual(vec![MS * 3, MS, MS * 90]), MS * 3);
        assert_eq!(usual(Vec::new()), Duration::ZERO);
    }
}
