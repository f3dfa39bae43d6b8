//! The lab's scenarios, the shortest first.

use crate::qemu::Npt;
use crate::scenario::Check::{Guest, Has, Lacks, Shows};
use crate::scenario::{Check, Host, Role, Scenario, Step};

/// What every good run of the built-in guest prints.
const VERIFIED: &[Check] = &[Has("every result is right"), Lacks("NOT every result")];

const DOCTOR: Step = Step {
    name: "doctor",
    command: "doctor",
    limit: 30,
    checks: &[Has("This host can serve."), Lacks("BAD ")],
};

/// What is checked in every Linux guest that gets to its end.
const WORK: &[Check] = &[
    Guest("cpus"),
    Guest("layout"),
    Guest("interrupts"),
    Guest("sort"),
    Guest("memory"),
    Guest("futex"),
    Guest("pipe"),
    Guest("spawn"),
    Guest("shoot"),
    Guest("clock"),
    Guest("hotplug"),
    Guest("ep"),
    Guest("is"),
    Shows("LAB guest up"),
    Has("LAB end: 0 of "),
];

/// What is checked in a Linux guest that has little time.
const START: &[Check] = &[
    Guest("cpus"),
    Guest("layout"),
    Guest("interrupts"),
    Guest("futex"),
    Shows("LAB guest up"),
    Has("LAB end: 0 of "),
];

/// All of them.
pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        name: "host",
        about: "one emulated host can serve, and runs the built-in guest on one node",
        short: true,
        npt: Npt::On,
        hosts: &[Host {
            role: Role::Host,
            cpus: 2,
            memory: 1024,
            steps: &[
                DOCTOR,
                Step {
                    name: "one node",
                    command: "aggregate --nodes 1 --vcpus 2",
                    limit: 120,
                    checks: VERIFIED,
                },
            ],
        }],
        files: &[],
    },
    Scenario {
        name: "nodes",
        about: "the built-in guest over two nodes of one emulated host, by memory and by TCP",
        short: true,
        npt: Npt::Off,
        hosts: &[Host {
            role: Role::Host,
            cpus: 2,
            memory: 1536,
            steps: &[
                Step {
                    name: "shared memory",
                    command: "aggregate --nodes 2 --vcpus 2",
                    limit: 240,
                    checks: VERIFIED,
                },
                Step {
                    name: "tcp",
                    command: "aggregate --nodes 2 --vcpus 2 --transport tcp --program ticket,atomic,ipi",
                    limit: 120,
                    checks: VERIFIED,
                },
            ],
        }],
        files: &[],
    },
    Scenario {
        name: "hosts",
        about: "the built-in guest over two emulated hosts",
        short: false,
        npt: Npt::Off,
        hosts: &[
            Host {
                role: Role::Host,
                cpus: 1,
                memory: 1024,
                steps: &[Step {
                    name: "first host",
                    command: "aggregate --cluster cluster.toml --node a",
                    limit: 300,
                    checks: VERIFIED,
                }],
            },
            Host {
                role: Role::Host,
                cpus: 1,
                memory: 1024,
                steps: &[Step {
                    name: "second host",
                    command: "aggregate --cluster cluster.toml --node b",
                    limit: 300,
                    checks: &[],
                }],
            },
        ],
        files: &[("cluster.toml", CLUSTER)],
    },
    Scenario {
        name: "reference",
        about: "the Linux guest on a whole emulated machine, without any of the project",
        short: false,
        npt: Npt::On,
        hosts: &[Host {
            role: Role::Guest,
            cpus: 2,
            memory: 512,
            steps: &[Step {
                name: "linux",
                command: "lab=cpus,layout,interrupts,sort,memory,futex,pipe,spawn,shoot,clock,hotplug,ep,is,idle lab.cpus=2 lab.nodes=1",
                limit: 120,
                checks: WORK,
            }],
        }],
        files: &[],
    },
    Scenario {
        name: "linux",
        about: "Linux on one node, with two vCPUs",
        short: false,
        npt: Npt::On,
        hosts: &[Host {
            role: Role::LinuxHost,
            cpus: 4,
            memory: 2048,
            steps: &[Step {
                name: "1 node x 2",
                command: "aggregate --kernel vmlinux --initrd guest.cpio --nodes 1 --vcpus 2 --memory 256M --cmdline \"quiet lab=cpus,layout,interrupts,sort,memory,futex,pipe,spawn,shoot,clock,hotplug,ep,is,idle lab.cpus=2 lab.nodes=1\"",
                limit: 240,
                checks: WORK,
            }],
        }],
        files: &[],
    },
    Scenario {
        name: "linux-nodes",
        about: "Linux over two nodes of one emulated host",
        short: false,
        npt: Npt::On,
        hosts: &[Host {
            role: Role::LinuxHost,
            cpus: 4,
            memory: 2048,
            steps: &[Step {
                name: "2 nodes x 1",
                command: "aggregate --kernel vmlinux --initrd guest.cpio --nodes 2 --vcpus 2 --memory 256M --cmdline \"quiet lab=cpus,layout,interrupts,futex lab.cpus=2 lab.nodes=2\"",
                limit: 300,
                checks: START,
            }],
        }],
        files: &[],
    },
];

/// Two hosts with a vCPU each.
const CLUSTER: &str = r#"
[cluster]
name = "lab"
memory = "256M"
vcpus = 2

[[node]]
name = "a"
address = "198.18.0.1:7000"

[[node]]
name = "b"
address = "198.18.0.2:7000"
"#;
