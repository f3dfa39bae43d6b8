//! Commands that scenarios with Linux have in common, and what must be seen of them.

use crate::scenario::Check;
use crate::scenario::Check::{Guest, Has, Lacks, Quiet, Shows};

/// A run of Linux: the nodes and their vCPUs, how many times slower its time passes, more of
/// aggregate's arguments, and what the guest is told. A jiffy of Debian's kernels is 4 ms: they are told
/// how long that is, as finding out takes long where it is slow.
macro_rules! linux {
    ($nodes:literal, $vcpus:literal, $slow:literal, $more:literal, $told:expr) => {
        concat!(
            "aggregate --kernel vmlinux --initrd guest.cpio --memory 256M --nodes ",
            $nodes,
            " --vcpus ",
            $vcpus,
            " --slow-motion ",
            $slow,
            " ",
            $more,
            " --cmdline \"quiet lpj=$((KHZ * 4 * ",
            $slow,
            ")) lab.nodes=",
            $nodes,
            " lab.cpus=",
            $vcpus,
            " ",
            $told,
            "\""
        )
    };
}

/// What says most in little time.
macro_rules! start {
    () => {
        "lab=cpus,layout,interrupts,futex,clock"
    };
}

/// What must be seen of that.
pub(super) const START: &[Check] = &[
    Shows("LAB guest up"),
    Guest("cpus"),
    Guest("layout"),
    Guest("interrupts"),
    Guest("futex"),
    Guest("clock"),
    Has("LAB end: 0 of "),
];

/// A guest whose memory is more than either of two nodes gives; the command fails unless nodes had to make
/// room.
macro_rules! beyond_budget {
    ($vcpus:literal, $slow:literal, $told:expr) => {
        concat!(
            linux!(
                2,
                $vcpus,
                $slow,
                "--node-memory 160M --json run.json",
                $told
            ),
            " && grep \"evictions_dirty.: *[1-9]\" run.json"
        )
    };
}

/// What must be seen of that, if the guest checks its memory.
pub(super) const BEYOND_BUDGET: &[Check] = &[
    Shows("LAB guest up"),
    Guest("memory"),
    Has("LAB end: 0 of "),
];

/// A guest whose second node is killed once a check of its memory has passed, so that it has to have
/// another one to do.
macro_rules! killed {
    ($vcpus:literal, $slow:literal, $told:expr) => {
        concat!(
            "mkfifo said; (",
            linux!(2, $vcpus, $slow, "", $told),
            "; echo it ended with status $?) >said 2>&1 & \
             while read line; do echo \"$line\"; \
             case $line in *\"LAB memory ok\"*) \
             ps | grep \"[m]ember 1\" | while read pid rest; do kill -9 $pid; done;; esac; done <said \
             | tee lost.log; grep -q \"it ended with status 3\" lost.log"
        )
    };
}

/// What must be seen of that: the machine stops before it could see a wrong byte.
pub(super) const KILLED: &[Check] = &[
    Guest("memory"),
    Shows("was lost"),
    Lacks("LAB end"),
    Lacks("FAIL"),
    Lacks("BUG"),
    Lacks("Oops"),
    Lacks("general protection"),
    Lacks("segfault"),
    Lacks("panic"),
];

/// A guest that does nothing, while its nodes tell every second what they do.
macro_rules! idle {
    ($vcpus:literal, $slow:literal, $told:expr) => {
        concat!(
            "set -o pipefail; ",
            linux!(2, $vcpus, $slow, "--top --json", $told),
            " 2>&1 | sed \"s/,.hottest.*/}/\""
        )
    };
}

/// What must be seen of that.
pub(super) const IDLE: &[Check] = &[Guest("idle"), Quiet(200), Has("LAB end: 0 of ")];
