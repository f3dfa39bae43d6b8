//! The whole machine is sent while its thread works on, and then the thread moves.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};

use crate::leg::{Leg, Trip};
use crate::link;
use crate::plan::Plan;
use crate::sender::Sender;
use crate::side::Side;
use crate::speed::{Step, usual};
use crate::vm;

/// The work goes on; it is to stop; it stopped; it may go on on the other side; it has.
const GOES: u8 = 0;
const STOP: u8 = 1;
const STOPPED: u8 = 2;
const THERE: u8 = 3;
const OVER: u8 = 4;

/// Works on one node, then on the other, then on the first again.
pub(crate) fn trip(plan: &Plan) -> anyhow::Result<Trip> {
    let ends = link::ends(plan.link)?;
    let sides = [
        Side::new(0, &ends[0], plan.size)?,
        Side::new(1, &ends[1], plan.size)?,
    ];
    let over = AtomicBool::new(false);
    let trip = std::thread::scope(|scope| {
        let pumps = sides
            .each_ref()
            .map(|side| scope.spawn(|| side.pump(&over)));
        let trip = measure(plan, &sides, &ends);
        over.store(true, Ordering::Relaxed);
        for pump in pumps {
            pump.join().map_err(|_| anyhow!("a node panicked"))??;
        }
        trip
    })?;
    let wrong = vm::differs(sides[0].words(), &plan.expected(trip.steps)?);
    ensure!(
        wrong.is_none(),
        "{}: page {wrong:?} is wrong after pre-copy",
        plan.work.name()
    );
    Ok(trip)
}

fn measure(plan: &Plan, sides: &[Side; 2], ends: &link::Ends) -> anyhow::Result<Trip> {
    vm::fill(sides[0].words(), plan.used);
    let mut warm = Vec::new();
    for _ in 0..plan.turn {
        let began = Instant::now();
        plan.work.step(sides[0].words(), plan.size)?;
        warm.push(began.elapsed());
    }
    let (usual, mut steps) = (usual(warm), plan.turn);
    let mut legs = [Leg::default(); 2];
    for (leg, from) in legs.iter_mut().zip([0, 1]) {
        let before = link::bytes(ends);
        let gone = go(plan, &sides[from], &sides[1 - from])?;
        steps += gone.steps.len() as u64;
        *leg = Leg {
            downtime: gone.downtime,
            rounds: gone.rounds,
            ..Leg::of(link::bytes(ends) - before, &gone.steps, usual)
        };
    }
    Ok(Trip { legs, usual, steps })
}

/// One way.
struct Gone {
    steps: Vec<Step>,
    downtime: Duration,
    rounds: u32,
}

/// Moves the work from a side to the other, and works there for a turn.
fn go(plan: &Plan, from: &Side, to: &Side) -> anyhow::Result<Gone> {
    let (phase, start) = (AtomicU8::new(GOES), Instant::now());
    let is = |wanted: u8| phase.load(Ordering::Acquire) == wanted;
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sender = Sender::new(from);
            let sent = sender.rounds(plan.terms).and_then(|rounds| {
                phase.store(STOP, Ordering::Release);
                sender.serve_until(|| is(STOPPED))?;
                sender.round()?;
                Ok(rounds)
            });
            // Whatever became of it, the work must not wait for ever.
            phase.store(THERE, Ordering::Release);
            while !is(OVER) {
                std::thread::sleep(Duration::from_millis(1));
            }
            sender.end()?;
            sent
        });
        let worked = work(plan, [from, to], &phase, start);
        phase.store(OVER, Ordering::Release);
        let rounds = sender
            .join()
            .map_err(|_| anyhow!("the sender panicked"))??;
        let (steps, downtime) = worked?;
        Ok(Gone {
            steps,
            downtime,
            rounds,
        })
    })
}

/// Works here until it is to stop, and then a turn there; also how long it stood still.
fn work(
    plan: &Plan,
    [from, to]: [&Side; 2],
    phase: &AtomicU8,
    start: Instant,
) -> anyhow::Result<(Vec<Step>, Duration)> {
    let is = |wanted: u8| phase.load(Ordering::Acquire) == wanted;
    let step = |there: bool| -> anyhow::Result<Step> {
        let began = start.elapsed();
        let side = if there { to } else { from };
        plan.work.step(side.words(), plan.size)?;
        let took = start.elapsed() - began;
        Ok(Step { began, took, there })
    };
    let mut steps = Vec::new();
    while is(GOES) {
        steps.push(step(false)?);
    }
    let stopped = start.elapsed();
    // Unless the sender failed, and the work goes on anyway.
    phase
        .compare_exchange(STOP, STOPPED, Ordering::AcqRel, Ordering::Relaxed)
        .ok();
    while !is(THERE) {
        std::thread::yield_now();
    }
    let downtime = start.elapsed() - stopped;
    for _ in 0..plan.turn {
        steps.push(step(true)?);
    }
    Ok((steps, downtime))
}
