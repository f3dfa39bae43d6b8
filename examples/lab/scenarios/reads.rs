//! Scenarios with Linux over two nodes where walks of page tables only read, as Intel's do.

use crate::emulators::Paging;
use crate::scenario::Check::{Guest, Has, Shows};
use crate::scenario::{Scenario, Step};
use crate::scenarios::linux_host;
use crate::scenarios::steps::{BEYOND_BUDGET, IDLE, KILLED, START};

/// Tells a guest to switch off without halting its other processors first. Bochs 2.7 leaves one that halts
/// with interrupts off where it is, in the guest: no interrupt of its host gets it out, only an NMI, so that
/// its host's processor stands still until the host's kernel wonders why.
macro_rules! off_without_halts {
    () => {
        "reboot=force "
    };
}

/// A guest that is up and switches off, on so many nodes with a vCPU each.
macro_rules! boot {
    ($name:literal, $nodes:literal, $told:literal) => {
        Step {
            name: $name,
            command: linux!(
                $nodes,
                $nodes,
                24,
                "",
                concat!(off_without_halts!(), $told, "lab=cpus")
            ),
            limit: 240,
            checks: &[Shows("LAB guest up"), Guest("cpus"), Has("LAB end: 0 of ")],
        }
    };
}

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "linux-reads",
        about: "the same where walks of page tables only read, as Intel's do; takes half an hour",
        short: false,
        paging: Paging::Extended,
        hosts: &[linux_host(
            2,
            1024,
            &[
                Step {
                    name: "1 node x 1",
                    command: linux!(1, 1, 24, "", concat!(off_without_halts!(), start!())),
                    limit: 120,
                    checks: START,
                },
                Step {
                    name: "2 nodes x 1",
                    command: linux!(2, 2, 24, "", concat!(off_without_halts!(), start!())),
                    limit: 480,
                    checks: START,
                },
            ],
        )],
        files: &[],
    },
    Scenario {
        name: "linux-reads-four",
        about: "Linux over two nodes with two vCPUs each where walks of page tables only read; takes an hour",
        short: false,
        paging: Paging::Extended,
        hosts: &[linux_host(
            4,
            1024,
            &[Step {
                name: "2 nodes x 2",
                command: concat!(
                    "NO_COLOR=1 RUST_LOG=giantvm_transport=warn ",
                    linux!(
                        2,
                        4,
                        24,
                        "",
                        concat!(
                            off_without_halts!(),
                            "lab=cpus,layout,interrupts,futex,sort,ep,clock lab.seconds=1"
                        )
                    )
                ),
                limit: 900,
                checks: &[
                    Shows("LAB guest up"),
                    Guest("cpus"),
                    Guest("layout"),
                    Guest("interrupts"),
                    Guest("futex"),
                    Guest("sort"),
                    Guest("ep"),
                    Guest("clock"),
                    Has("LAB end: 0 of "),
                ],
            }],
        )],
        files: &[],
    },
    Scenario {
        name: "linux-boot",
        about: "how long Linux takes to be up on one node and on two, told this or that; takes an hour and a half",
        short: false,
        paging: Paging::Extended,
        hosts: &[linux_host(
            2,
            1024,
            &[
                boot!("2 nodes", 2, ""),
                boot!("threads on one", 2, "isolcpus=domain,1 "),
                boot!("no NUMA balancing", 2, "numa_balancing=disable "),
                boot!("ticks apart", 2, "skew_tick=1 "),
                boot!("ticks always", 2, "nohz=off "),
                boot!("1 node", 1, ""),
            ],
        )],
        files: &[],
    },
    Scenario {
        name: "linux-reads-more",
        about: "Linux over two nodes where walks of page tables only read: doing nothing, with a node that is killed, and with little memory; takes an hour or more",
        short: false,
        paging: Paging::Extended,
        hosts: &[linux_host(
            2,
            1024,
            &[
                Step {
                    name: "idle",
                    command: idle!(
                        2,
                        24,
                        concat!(off_without_halts!(), "lab=idle lab.seconds=1")
                    ),
                    limit: 240,
                    checks: IDLE,
                },
                Step {
                    name: "kill -9",
                    command: killed!(
                        2,
                        24,
                        concat!(
                            off_without_halts!(),
                            "lab=memory,memory,memory lab.memory=10"
                        )
                    ),
                    limit: 480,
                    checks: KILLED,
                },
                Step {
                    name: "memory",
                    command: beyond_budget!(
                        2,
                        24,
                        concat!(off_without_halts!(), "lab=memory lab.memory=85")
                    ),
                    limit: 480,
                    checks: BEYOND_BUDGET,
                },
            ],
        )],
        files: &[],
    },
    Scenario {
        name: "linux-agent",
        about: "threads that share memory on two nodes with two vCPUs each, placed by the kernel, and by the agent; takes an hour",
        short: false,
        paging: Paging::Extended,
        hosts: &[linux_host(
            4,
            1024,
            &[Step {
                name: "2 nodes x 2",
                command: linux!(
                    2,
                    4,
                    24,
                    "--channel",
                    concat!(off_without_halts!(), "lab=agent lab.seconds=1")
                ),
                limit: 900,
                checks: &[
                    Shows("LAB guest up"),
                    Guest("agent"),
                    Has("moved "),
                    Has("LAB end: 0 of "),
                ],
            }],
        )],
        files: &[],
    },
];
