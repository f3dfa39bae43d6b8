//! Scenarios without Linux as a guest.

use crate::emulators::Paging;
use crate::scenario::Check::{Has, Lacks, Shows};
use crate::scenario::{Check, Scenario, Step};
use crate::scenarios::host;

/// What every good run of the built-in guest prints.
const VERIFIED: &[Check] = &[Has("every result is right"), Lacks("NOT every result")];

/// Its page tables never change, so that shadows of them stay true.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "host",
        about: "one emulated host can serve, and runs the built-in guest on one node",
        short: true,
        paging: Paging::Nested,
        hosts: &[host(
            2,
            1024,
            &[
                Step {
                    name: "doctor",
                    command: "doctor",
                    limit: 60,
                    checks: &[Has("This host can serve."), Lacks("BAD ")],
                },
                Step {
                    name: "1 node x 2",
                    command: "aggregate --nodes 1 --vcpus 2 --program ticket,atomic,sum,is,ipi,io,clock",
                    limit: 120,
                    checks: VERIFIED,
                },
            ],
        )],
        files: &[],
    },
    Scenario {
        name: "nodes",
        about: "the built-in guest over two nodes of one emulated host, by memory and by TCP",
        short: true,
        paging: Paging::Shadow,
        hosts: &[host(
            2,
            1536,
            &[
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
        )],
        files: &[],
    },
    Scenario {
        name: "unequal",
        about: "three nodes of one emulated host, of which one has no vCPU and little memory",
        short: false,
        paging: Paging::Shadow,
        hosts: &[host(
            2,
            1536,
            &[Step {
                name: "3 nodes",
                command: "aggregate --nodes 3 --vcpus 2 --node-memory 256M,256M,128M",
                limit: 300,
                checks: VERIFIED,
            }],
        )],
        files: &[],
    },
    Scenario {
        name: "lost",
        about: "a node is killed while the guest works: the others say so and end",
        short: true,
        paging: Paging::Shadow,
        hosts: &[host(
            2,
            1536,
            &[Step {
                name: "kill -9",
                command: "aggregate --nodes 2 --vcpus 2 --program ep:A >lost.log 2>&1 & \
                          until test \"$(grep -c \"up, one of\" lost.log)\" = 2; do sleep 1; done; sleep 1; \
                          ps | grep \"[m]ember 1\" | while read pid rest; do kill -9 $pid; done; \
                          wait $!; status=$?; cat lost.log; \
                          echo it ended with status $status; test $status = 3",
                limit: 120,
                checks: &[Shows("was lost"), Lacks("result is right")],
            }],
        )],
        files: &[],
    },
    Scenario {
        name: "hosts",
        about: "the built-in guest over two emulated hosts",
        short: true,
        paging: Paging::Shadow,
        hosts: &[
            host(
                1,
                1024,
                &[Step {
                    name: "first host",
                    command: "aggregate --cluster cluster.toml --node a",
                    limit: 300,
                    checks: VERIFIED,
                }],
            ),
            host(
                1,
                1024,
                &[Step {
                    name: "second host",
                    command: "aggregate --cluster cluster.toml --node b",
                    limit: 300,
                    checks: &[],
                }],
            ),
        ],
        files: &[("cluster.toml", CLUSTER)],
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
