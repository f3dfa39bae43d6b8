//! Scenarios with Linux as the guest.

use crate::emulators::Paging;
use crate::scenario::Check::{Guest, Has, Lacks, Shows};
use crate::scenario::{Check, Host, Role, Scenario, Step};
use crate::scenarios::linux_host;
use crate::scenarios::steps::{BEYOND_BUDGET, IDLE, KILLED, START};

/// Everything that a guest can check of itself.
macro_rules! work {
    () => {
        "lab=cpus,layout,interrupts,sort,memory,futex,pipe,spawn,shoot,clock,hotplug,ep,is,idle"
    };
}

/// What must be seen of that.
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
    Guest("idle"),
    Has("LAB end: 0 of "),
];

/// The same where a host runs the guest: of a guest alone, output begins later.
const WORK_IN_HOST: &[Check] = &{
    let mut checks = [Shows("LAB guest up"); WORK.len() + 1];
    let mut at = 0;
    while at < WORK.len() {
        checks[at + 1] = WORK[at];
        at += 1;
    }
    checks
};

/// A file in the host, its sum in `$sum`, and a network on which the host gives it away.
macro_rules! file_and_network {
    () => {
        "mkdir /www; dd if=/dev/urandom of=/www/file bs=64k count=64 2>/dev/null; \
         sum=$(sha256sum /www/file | cut -d\" \" -f1); \
         tunctl -t tap0; ip address add 198.18.1.1/24 dev tap0; ip link set tap0 up; \
         httpd -p 198.18.1.1:80 -h /www; "
    };
}

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "reference",
        about: "the Linux guest on a whole emulated machine, without any of the project",
        short: false,
        paging: Paging::Nested,
        hosts: &[Host {
            role: Role::Guest,
            cpus: 2,
            memory: 512,
            steps: &[Step {
                name: "linux",
                command: concat!("lab.cpus=2 lab.nodes=1 ", work!()),
                limit: 240,
                checks: WORK,
            }],
        }],
        files: &[],
    },
    Scenario {
        name: "linux",
        about: "Linux on one node, with two vCPUs",
        short: false,
        paging: Paging::Nested,
        hosts: &[linux_host(
            4,
            2048,
            &[Step {
                name: "1 node x 2",
                command: linux!(1, 2, 1, "", work!()),
                limit: 300,
                checks: WORK_IN_HOST,
            }],
        )],
        files: &[],
    },
    Scenario {
        name: "devices",
        about: "Linux on one node, with a disk, a network card and the channel",
        short: true,
        paging: Paging::Nested,
        hosts: &[linux_host(
            4,
            2048,
            &[Step {
                name: "1 node x 2",
                command: concat!(
                    file_and_network!(),
                    linux!(
                        1,
                        2,
                        1,
                        "--disk /www/file,ro --net tap0 --channel",
                        "lab=cpus,disk,net,rng,channel lab.disk=$sum lab.net=$sum"
                    )
                ),
                limit: 240,
                checks: &[
                    Shows("LAB guest up"),
                    Guest("cpus"),
                    Guest("disk"),
                    Guest("net"),
                    Guest("rng"),
                    Guest("channel"),
                    Has("LAB end: 0 of "),
                ],
            }],
        )],
        files: &[],
    },
    Scenario {
        name: "linux-nodes",
        about: "Linux over two nodes of one emulated host, after the same on one",
        short: false,
        paging: Paging::Nested,
        hosts: &[linux_host(
            4,
            2048,
            &[
                Step {
                    name: "1 node x 2",
                    command: linux!(1, 2, 1, "", start!()),
                    limit: 120,
                    checks: START,
                },
                Step {
                    name: "2 nodes x 1",
                    command: linux!(2, 2, 8, "", start!()),
                    limit: 1200,
                    checks: START,
                },
            ],
        )],
        files: &[],
    },
    Scenario {
        name: "far-devices",
        about: "Linux with its only vCPU on one node, and a disk and a network card on another",
        short: true,
        paging: Paging::Nested,
        hosts: &[linux_host(
            4,
            2048,
            &[Step {
                name: "2 nodes, 1 vCPU",
                command: concat!(
                    file_and_network!(),
                    linux!(
                        2,
                        1,
                        1,
                        "--disk /www/file,ro,node=1 --net tap0,node=1",
                        "lab=disk,net,rng lab.disk=$sum lab.net=$sum"
                    )
                ),
                limit: 300,
                checks: &[
                    Shows("LAB guest up"),
                    Guest("disk"),
                    Guest("net"),
                    Guest("rng"),
                    Has("LAB end: 0 of "),
                ],
            }],
        )],
        files: &[],
    },
    Scenario {
        name: "linux-unequal",
        about: "Linux over three unequal nodes: one has the vCPU, one the disk, one the network card",
        short: false,
        paging: Paging::Nested,
        hosts: &[linux_host(
            4,
            2048,
            &[Step {
                name: "3 nodes, 1 vCPU",
                command: concat!(
                    file_and_network!(),
                    linux!(
                        3,
                        1,
                        1,
                        "--node-memory 256M,160M,96M --disk /www/file,ro,node=1 --net tap0,node=2",
                        "lab=cpus,layout,interrupts,sort,memory,disk,net,spawn,pipe,ep,is \
                         lab.disk=$sum lab.net=$sum"
                    )
                ),
                limit: 600,
                checks: &[
                    Shows("LAB guest up"),
                    Guest("cpus"),
                    Guest("layout"),
                    Guest("interrupts"),
                    Guest("sort"),
                    Guest("memory"),
                    Guest("disk"),
                    Guest("net"),
                    Guest("spawn"),
                    Guest("pipe"),
                    Guest("ep"),
                    Guest("is"),
                    Has("LAB end: 0 of "),
                ],
            }],
        )],
        files: &[],
    },
    Scenario {
        name: "linux-reset",
        about: "Linux over two nodes resets the machine, which starts again on both, with its disk as it was",
        short: true,
        paging: Paging::Nested,
        hosts: &[linux_host(
            4,
            2048,
            &[Step {
                name: "2 nodes, 1 vCPU",
                command: concat!(
                    "dd if=/dev/zero of=/disk bs=64k count=16 2>/dev/null; ",
                    linux!(
                        2,
                        1,
                        1,
                        "--disk /disk,node=1",
                        "lab.reset lab=cpus,layout,interrupts"
                    )
                ),
                limit: 300,
                checks: &[
                    Shows("LAB guest resets the machine"),
                    Shows("LAB guest came back"),
                    Guest("cpus"),
                    Guest("layout"),
                    Guest("interrupts"),
                    Has("LAB end: 0 of "),
                ],
            }],
        )],
        files: &[],
    },
    Scenario {
        name: "linux-moves",
        about: "Linux whose vCPU moves from node to node and back while it works",
        short: false,
        paging: Paging::Nested,
        hosts: &[linux_host(
            4,
            2048,
            &[Step {
                name: "2 nodes, 1 vCPU",
                command: concat!(
                    "(until test -e up; do sleep 1; done; for turn in 1 2 3 4 5 6 7 8; do for to in n1 n0; do \
                     aggregate --control vm.sock move-vcpu 0 $to; sleep 2; done; done) & \
                     set -o pipefail; ",
                    linux!(
                        2,
                        1,
                        1,
                        "--control vm.sock",
                        "lab=cpus,clock,sort,memory,spawn,pipe,interrupts,ep lab.seconds=8"
                    ),
                    " 2>&1 | while read -r line; do echo \"$line\"; \
                     case $line in *\"LAB guest up\"*) touch up;; esac; done"
                ),
                limit: 300,
                checks: &[
                    Shows("LAB guest up"),
                    Shows("vCPU 0 is on node n1"),
                    Has("vCPU 0 is on node n0"),
                    Lacks("stays where it was"),
                    Guest("cpus"),
                    Guest("clock"),
                    Guest("sort"),
                    Guest("memory"),
                    Guest("spawn"),
                    Guest("pipe"),
                    Guest("interrupts"),
                    Guest("ep"),
                    Has("LAB end: 0 of "),
                ],
            }],
        )],
        files: &[],
    },
    Scenario {
        name: "linux-evacuated",
        about: "Linux goes on when a node is killed that its vCPU and its memory have left",
        short: false,
        paging: Paging::Nested,
        hosts: &[linux_host(
            4,
            2048,
            &[Step {
                name: "2 nodes, 1 vCPU",
                command: concat!(
                    "(until test -e up; do sleep 1; done; for order in \"move-vcpu 0 n1\" \"evacuate n1\"; do \
                     sleep 4; aggregate --control vm.sock $order 2>order.log || cat order.log; done; \
                     ps | grep \"[m]ember 1\" | while read pid rest; do kill -9 $pid; done; \
                     touch killed; echo n1 is killed) & \
                     set -o pipefail; ",
                    linux!(
                        2,
                        1,
                        1,
                        "--control vm.sock",
                        "lab=memory,sort,memory,pipe,memory,clock,spawn,memory,interrupts,ep,memory lab.seconds=8"
                    ),
                    " 2>&1 | while read -r line; do echo \"$line\"; case $line in \
                     *\"LAB guest up\"*) touch up;; \
                     *\"LAB spawn ok\"*) test -e killed || echo the node is still there;; esac; done"
                ),
                limit: 400,
                checks: &[
                    Shows("LAB guest up"),
                    Shows("vCPU 0 is on node n1"),
                    Shows("it may be ended"),
                    Has("n1 is killed"),
                    Lacks("the node is still there"),
                    Lacks("was lost"),
                    Guest("memory"),
                    Guest("sort"),
                    Guest("pipe"),
                    Guest("clock"),
                    Guest("spawn"),
                    Guest("interrupts"),
                    Guest("ep"),
                    Has("LAB end: 0 of "),
                    Lacks("BUG"),
                    Lacks("Oops"),
                    Lacks("segfault"),
                ],
            }],
        )],
        files: &[],
    },
    Scenario {
        name: "linux-memory",
        about: "Linux whose memory is more than either of two nodes gives, written and read nearly in full",
        short: false,
        paging: Paging::Nested,
        hosts: &[linux_host(
            4,
            2048,
            &[Step {
                name: "2 nodes, 1 vCPU",
                command: beyond_budget!(1, 1, "lab=memory,memory lab.memory=85"),
                limit: 600,
                checks: BEYOND_BUDGET,
            }],
        )],
        files: &[],
    },
    Scenario {
        name: "linux-lost",
        about: "a node is killed while Linux works: the machine stops before it could see a wrong byte",
        short: true,
        paging: Paging::Nested,
        hosts: &[linux_host(
            4,
            2048,
            &[Step {
                name: "kill -9",
                command: killed!(1, 1, "lab=memory,memory,memory,memory,memory,memory"),
                limit: 300,
                checks: KILLED,
            }],
        )],
        files: &[],
    },
    Scenario {
        name: "linux-idle",
        about: "Linux on one node with memory of two, doing nothing: what nodes tell one another meanwhile",
        short: false,
        paging: Paging::Nested,
        hosts: &[linux_host(
            4,
            2048,
            &[Step {
                name: "2 nodes, 1 vCPU",
                command: idle!(1, 1, "lab=idle lab.seconds=20"),
                limit: 300,
                checks: IDLE,
            }],
        )],
        files: &[],
    },
    Scenario {
        name: "linux-four",
        about: "Linux over two nodes with two vCPUs each",
        short: false,
        paging: Paging::Nested,
        hosts: &[linux_host(
            5,
            2048,
            &[Step {
                name: "2 nodes x 2",
                command: linux!(2, 4, 8, "", start!()),
                limit: 1800,
                checks: START,
            }],
        )],
        files: &[],
    },
];
