//! The example `embed_dsm`, end to end as two processes.

use crate::built;

#[test]
fn two_processes_see_one_memory() {
    if built::lacks_userfaultfd("two_processes_see_one_memory") {
        return;
    }
    let run = built::run("embed_dsm", &[]);
    assert!(run.status.success(), "{run:?}");
    for line in [
        "node 0: 400",
        "node 1: 400",
        "both processes saw one memory",
    ] {
        assert!(run.stdout.contains(line), "{run:?}");
    }
}

#[test]
fn a_bad_node_number_is_one_clear_line() {
    let run = built::run("embed_dsm", &["64", "127.0.0.1:1", "127.0.0.1:2"]);
    assert!(!run.status.success());
    assert!(run.stderr.contains("node 64 is out of range"), "{run:?}");
}
