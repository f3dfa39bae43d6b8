//! Replays the seeds of the fuzz target `sched_trace`, each of which is one trace.

use std::fs;
use std::path::Path;

use giantvm_sched::das::{Das, Parameters};
use giantvm_sched::fair::Fair;
use giantvm_sched::schedule::Scheduler;
use giantvm_sched::trace::Trace;

#[test]
fn every_seed_is_a_trace_or_an_error_as_its_name_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/sched_trace");
    let mut seeds = 0;
    for entry in fs::read_dir(&folder).expect("the seed corpus is part of the project") {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let parsed = Trace::parse(&String::from_utf8_lossy(&bytes));
        let kind = name.split('_').next().unwrap_or_default();
        if ["good", "odd", "bad"].contains(&kind) {
            assert_eq!(parsed.is_ok(), kind != "bad", "{name}: {parsed:?}");
        }
        if let Ok(trace) = parsed {
            let machine = trace.machine();
            let schedulers: [Box<dyn Scheduler>; 2] = [
                Box::new(Fair::new(machine.clone())),
                Box::new(Das::new(machine.clone(), Parameters::default())),
            ];
            for mut scheduler in schedulers {
                let refused = trace.replay(scheduler.as_mut()).refused;
                if ["good", "odd"].contains(&kind) {
                    let scheduler = scheduler.name();
                    assert_eq!(refused > 0, kind == "odd", "{name}, {scheduler}: {refused}");
                }
            }
        }
        seeds += 1;
    }
    assert!(seeds >= 10, "only {seeds} seeds in {}", folder.display());
}
