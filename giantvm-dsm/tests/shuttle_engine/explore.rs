//! Runs a test's body under many schedules.

use std::sync::Arc;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

/// Schedules that choose among all threads at every step.
const RANDOM: usize = 3000;
/// Schedules that run one thread for long, and change it where it hurts most.
const PCT: usize = 3000;
/// How many such changes.
const DEPTH: usize = 4;
/// The same schedules every time: a failure is no matter of luck.
const SEED: u64 = 0x6761_7665;
/// Steps after which a run that has not ended counts as one that never will.
const STEPS: usize = 200_000;

fn run(scheduler: impl Scheduler + 'static, body: &Arc<impl Fn() + Send + Sync + 'static>) {
    let mut config = Config::new();
    config.stack_size = 1 << 17;
    config.max_steps = MaxSteps::FailAfter(STEPS);
    config.failure_persistence = FailurePersistence::Print;
    let body = Arc::clone(body);
    Runner::new(scheduler, config).run(move || body());
}

/// Runs `body` again and again, under another schedule each time.
pub(crate) fn explore(body: impl Fn() + Send + Sync + 'static) {
    let body = Arc::new(body);
    run(RandomScheduler::new_from_seed(SEED, RANDOM), &body);
    run(PctScheduler::new_from_seed(SEED, DEPTH, PCT), &body);
}
