//! The example `doctor`.

use crate::built;

#[test]
fn it_names_what_it_looked_at_and_says_whether_this_host_can_serve() {
    let run = built::run("doctor", &[]);
    for thing in [
        "Linux ",
        "privileges",
        "userfaultfd",
        "memory",
        "KVM",
        "page-table walks",
    ] {
        assert!(run.stdout.contains(thing), "no {thing}: {run:?}");
    }
    let bad = run.stdout.lines().any(|line| line.starts_with("BAD"));
    assert_eq!(run.status.code(), Some(i32::from(bad)), "{run:?}");
}

#[test]
fn too_little_memory_is_bad_and_has_a_mend() {
    let run = built::run("doctor", &["--memory", "1000000000000"]);
    assert_eq!(run.status.code(), Some(1));
    let mend = "BAD   memory";
    assert!(run.stdout.contains(mend), "{run:?}");
}
