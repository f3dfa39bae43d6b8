//! Proxies cost nothing while nothing happens. Alone in its process: it counts threads.

mod machine;

use std::fs;
use std::thread;
use std::time::Duration;

use machine::Machine;

/// The counts of context switches of each thread that serves a proxy.
fn switches() -> Vec<String> {
    let mut counts = Vec::new();
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let Ok(status) = fs::read_to_string(task.unwrap().path().join("status")) else {
            continue;
        };
        if status.starts_with("Name:\tproxy") {
            counts.push(
                status
                    .lines()
                    .filter(|line| line.contains("ctxt_switches"))
                    .collect(),
            );
        }
    }
    counts.sort();
    counts
}

#[test]
fn idle_proxies_use_no_processor_time_and_end_with_their_host() {
    let Some(machine) = Machine::new("idle_proxies", &[0, 1, 1, 1, 1, 1, 1, 1]) else {
        return;
    };
    // Seven proxies on node 0, one on node 1. Their first KVM_RUN may take its time.
    thread::sleep(Duration::from_millis(500));
    let before = switches();
    assert_eq!(before.len(), 8);
    thread::sleep(Duration::from_millis(500));
    assert_eq!(
        switches(),
        before,
        "a thread that is not scheduled uses no time"
    );
    drop(machine);
    assert!(switches().is_empty());
}
