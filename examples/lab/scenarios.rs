//! The lab's scenarios, the shortest first.

use crate::qemu::Npt;
use crate::scenario::Check::{Guest, Has, Lacks};
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
                    limit: 60,
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
                    limit: 90,
                    checks: VERIFIED,
                },
                Step {
                    name: "tcp",
                    command: "aggregate --nodes 2 --vcpus 2 --transport tcp --program ticket,atomic,ipi",
                    limit: 60,
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
                    limit: 150,
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
                    limit: 150,
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
