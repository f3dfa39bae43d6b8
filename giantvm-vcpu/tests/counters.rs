//! Time-stamp counters of several hosts, over links of any delay, are one counter to a guest.

use giantvm_vcpu::clock::{CounterOffset, Nanos, OffsetEstimator, Reply};
use proptest::prelude::*;

/// Questions before the guest runs, and how often nodes hear of one another then, in ticks.
const SETTLING: u64 = 32;
const SETTLING_INTERVAL: u64 = 2_000_000;
const INTERVAL: u64 = 100_000_000;

/// A host's counter: where it started, and how many millionths it is fast.
#[derive(Debug, Clone, Copy)]
struct Host {
    start: u64,
    ppm: i64,
}

impl Host {
    /// The counter at a true time.
    fn at(self, time: u64) -> Nanos {
        let drift = i128::from(time) * i128::from(self.ppm) / 1_000_000;
        Nanos(u64::try_from(i128::from(self.start) + i128::from(time) + drift).unwrap())
    }
}

/// A node, and the last that a guest there has read.
struct Node {
    host: Host,
    counter: CounterOffset,
    last: Nanos,
}

impl Node {
    /// The guest reads its counter.
    fn read(&mut self, time: u64) -> Nanos {
        let now = self.counter.guest(self.host.at(time));
        assert!(now >= self.last, "back by {}", self.last.0 - now.0);
        self.last = now;
        now
    }

    fn hear(&mut self, time: u64, sent: Nanos) {
        self.counter.hear(self.host.at(time), sent).unwrap();
    }
}

/// Delays under way, from a list that is gone through again and again.
struct Delays<'a>(std::iter::Cycle<std::slice::Iter<'a, u64>>);

impl Delays<'_> {
    fn next(&mut self) -> u64 {
        *self.0.next().unwrap()
    }
}

/// Settles all nodes with the first one. Returns the time, and checks how well they agree.
fn settle(nodes: &mut [Node], delays: &mut Delays<'_>) -> u64 {
    let reference = nodes[0].host;
    let mut end = 0;
    for node in &mut nodes[1..] {
        let mut estimator = OffsetEstimator::new();
        let (mut time, mut fastest) = (0, [u64::MAX; 2]);
        for _ in 0..SETTLING {
            let probe = estimator.probe(node.host.at(time));
            let ways = [delays.next(), delays.next()];
            let there = reference.at(time + ways[0]);
            let (received, replied) = (there, there);
            let back = time + ways[0] + ways[1];
            let now = node.host.at(back);
            estimator
                .reply(
                    now,
                    Reply {
                        probe,
                        received,
                        replied,
                    },
                )
                .unwrap();
            node.counter.settle(estimator.bounds(now).unwrap());
            let truth = i128::from(reference.at(back).0) - i128::from(now.0);
            let wrong = (truth - i128::from(node.counter.offset())).unsigned_abs();
            fastest = [fastest[0].min(ways[0]), fastest[1].min(ways[1])];
            // All that is not known is half of the fastest ways, or all where nothing was changed, and
            // 200 millionths of the time since the first.
            let unknown = fastest[0] + fastest[1] + back / 5000 + 2;
            assert!(wrong <= u128::from(unknown), "{wrong} off, not {unknown}");
            time = back + SETTLING_INTERVAL;
        }
        end = end.max(time);
    }
    end
}

proptest! {
    /// Three nodes read, and hand readings over by messages that take as long as the slowest that the
    /// counters heard of one another by, and what clocks drift until they hear again.
    #[test]
    fn what_is_handed_over_is_never_ahead_of_who_gets_it(
        starts in prop::array::uniform3(0_u64..1 << 50),
        ppm in prop::array::uniform3(-100_i64..=100),
        delays in prop::collection::vec(10_000_u64..200_000, 60..90),
        handed in prop::collection::vec((0..3_usize, 0..3_usize, 0..INTERVAL), 200),
    ) {
        let slowest = *delays.iter().max().unwrap();
        let mut delays = Delays(delays.iter().cycle());
        let hosts = starts.into_iter().zip(ppm).map(|(start, ppm)| Host { start, ppm });
        let mut nodes: Vec<_> = hosts
            .map(|host| Node { host, counter: CounterOffset::default(), last: Nanos(0) })
            .collect();
        let mut time = settle(&mut nodes, &mut delays);
        let began = [0, 1, 2].map(|node: usize| nodes[node].counter.guest(nodes[node].host.at(time)));
        let start = time;
        // Two clocks part by 200 millionths; and the one in between has heard an interval later.
        let takes = slowest + 2 * (INTERVAL + slowest) / 5000;
        for (round, (from, to, when)) in handed.into_iter().enumerate() {
            // Each asks those before it, and both ways carry a counter.
            for (asker, asked) in [(1, 0), (2, 0), (2, 1)] {
                let sent = nodes[asker].counter.guest(nodes[asker].host.at(time));
                let there = time + delays.next();
                nodes[asked].hear(there, sent);
                let answer = nodes[asked].counter.guest(nodes[asked].host.at(there));
                nodes[asker].hear(there + delays.next(), answer);
            }
            // From the second round on all have heard of all since they ran.
            let at = time + 2 * slowest + when;
            let read = nodes[from].read(at);
            let next = nodes[to].read(at + takes);
            prop_assert!(round == 0 || next >= read, "back by {}", read.0 - next.0);
            time = at + takes + 2 * INTERVAL - when;
        }
        // No faster than the fastest host, and no jumps but by what was unknown at first.
        let passed = time - start;
        for (node, began) in nodes.iter().zip(began) {
            let now = node.counter.guest(node.host.at(time));
            let most = passed + passed / 10_000 + 4 * slowest + start / 1000;
            prop_assert!(now.0 - began.0 <= most, "{} too much", now.0 - began.0 - most);
        }
    }

    /// Where clocks do not drift, as of machines that are emulated on one host, whoever has once heard by
    /// a fast message is right for all that are no faster.
    #[test]
    fn without_drift_the_fastest_message_of_all_times_counts(
        starts in prop::array::uniform2(0_u64..1 << 50),
        delays in prop::collection::vec(10_000_u64..2_000_000, 66..90),
    ) {
        let fastest = *delays.iter().min().unwrap();
        let mut list = delays.clone();
        // Both ways have it once.
        list.extend([fastest, fastest]);
        let mut delays = Delays(list.iter().cycle());
        let mut nodes: Vec<_> = starts
            .into_iter()
            .map(|start| Node {
                host: Host { start, ppm: 0 },
                counter: CounterOffset::default(),
                last: Nanos(0),
            })
            .collect();
        let mut time = settle(&mut nodes, &mut delays);
        for _ in 0..list.len() {
            let sent = nodes[1].counter.guest(nodes[1].host.at(time));
            let there = time + delays.next();
            nodes[0].hear(there, sent);
            let answer = nodes[0].counter.guest(nodes[0].host.at(there));
            time = there + delays.next();
            nodes[1].hear(time, answer);
        }
        for turn in 0..10 {
            let (from, to) = (turn % 2, (turn + 1) % 2);
            let read = nodes[from].read(time);
            time += fastest;
            prop_assert!(nodes[to].read(time) >= read);
        }
    }
}
