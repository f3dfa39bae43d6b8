//! Every bug of `giantvm_dsm::mutants` is noticed, and the table in `docs/mutants.md` says by which
//! check and after how many steps.
//!
//! After a change of a protocol, of the engine or of a check, run this with `GIANTVM_BLESS=1` and
//! read the difference.

mod drivers;
mod sheaves;

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::{env, fs};

use giantvm_core::NodeId;
use giantvm_dsm::mutants::{Mutant, choose};
use giantvm_dsm::protocol::{CoherenceProtocol as _, Directory, Ivy, Lease, Tick};
use giantvm_dsm::testing::conformance::Suite;
use giantvm_dsm::testing::model::{Budget, Checkable, SmallWorld};
use giantvm_dsm::testing::{
    Adversary, Afterwards, Chaos, Cluster, Config, Disturbances, Roaming, Scenario,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Seeds that a random check may take.
const SEEDS: u64 = 40;

/// Seeds of a hostile peer's lies, where nothing else notices a bug.
const LIES: u64 = 400;

/// What a check found: after how much, and which law is broken.
#[derive(Debug)]
struct Noticed {
    after: String,
    law: String,
}

/// A check that may notice a bug.
type Check = fn() -> Option<Noticed>;

const fn checks<P: Checkable>() -> [Check; 3] {
    [
        search::<P>,
        || simulate::<P>(Disturbances::default()),
        || {
            simulate::<P>(Disturbances::LIVELY)
                .or_else(full::<P>)
                .or_else(leave::<P>)
                .or_else(inherit::<P>)
        },
    ]
}

fn law(what: &str) -> String {
    what.split(':').next().unwrap_or_default().to_owned()
}

fn search<P: Checkable>() -> Option<Noticed> {
    // A node refreshes its leases for ever: let it do so once.
    let timeouts = (P::NAME == Lease::NAME).then_some(1);
    let world = |budgets: &[Budget]| SmallWorld {
        budgets: budgets
            .iter()
            .map(|&budget| Budget { timeouts, ..budget })
            .collect(),
        pages: 1,
        mortal: false,
    };
    let pinning = Budget {
        evictions: 1,
        pins: 1,
        ..Budget::faults(2)
    };
    let evicting = Budget {
        evictions: 1,
        ..Budget::faults(1)
    };
    let leaving = |faults| Budget {
        departures: 1,
        ..Budget::faults(faults)
    };
    let worlds = [
        world(&[pinning, pinning]),
        world(&[evicting, evicting, Budget::faults(2)]),
        world(&[leaving(1), leaving(2)]),
    ];
    worlds.iter().find_map(|world| {
        let found = world.explore::<P>().err()?;
        Some(Noticed {
            after: format!("{} events", found.events.len()),
            law: law(&found.what),
        })
    })
}

fn simulate<P: Checkable>(disturbances: Disturbances) -> Option<Noticed> {
    (0..SEEDS).find_map(|seed| {
        let config = Config {
            nodes: 6,
            pages: 2,
            step_limit: 100_000,
            ..Suite::config(seed)
        };
        let scenario = Scenario::random(config, 20, disturbances);
        let failure = scenario.run(&P::new).err()?;
        Some(Noticed {
            after: format!("seed {seed}, step {}", failure.step),
            law: failure.law().to_owned(),
        })
    })
}

/// Nodes that leave, and are stopped or come back.
fn leave<P: Checkable>() -> Option<Noticed> {
    (0..SEEDS).find_map(|seed| {
        let config = Config {
            nodes: 4,
            pages: 16,
            threads: 1,
            step_limit: 100_000,
            ..Suite::config(seed)
        };
        let departures = Disturbances {
            departures: 6,
            ..Disturbances::default()
        };
        let scenario = Scenario::random(config, 60, departures);
        let failure = scenario.run(&P::new).err()?;
        Some(Noticed {
            after: format!("leaving, seed {seed}, step {}", failure.step),
            law: failure.law().to_owned(),
        })
    })
}

/// Nodes that are all full, as they have less memory than there are pages.
fn full<P: Checkable>() -> Option<Noticed> {
    crowded::<P>("full", 96, &[])
}

/// The same, of which one leaves for another that has room for what it is home to.
fn inherit<P: Checkable>() -> Option<Noticed> {
    let [heir, node] = [1, 3].map(|number| NodeId::new(number).unwrap());
    let then = Afterwards::Stop;
    let leave = Chaos::Leave { node, heir, then };
    crowded::<P>("inheriting", 48, &[(Tick(200_000), leave)])
}

fn crowded<P: Checkable>(
    name: &str,
    pages: u64,
    disturbances: &[(Tick, Chaos)],
) -> Option<Noticed> {
    const MEMORY: u64 = 40;
    // Under Ivy an owner cannot give its page up.
    let bound = (P::NAME != Ivy::NAME).then_some(MEMORY + 4);
    (0..SEEDS / 4).find_map(|seed| {
        let config = Config {
            nodes: 4,
            pages,
            threads: 2,
            memory: Some(MEMORY),
            step_limit: 100_000,
            ..Suite::config(seed)
        };
        let mut cluster = Cluster::<P>::new(config);
        cluster.plan_random(200);
        for &(at, chaos) in disturbances {
            cluster.disturb(at, chaos);
        }
        let noticed = |after: String, law: &str| {
            let after = format!("{name}, seed {seed}{after}");
            let law = law.to_owned();
            Some(Noticed { after, law })
        };
        if let Err(failure) = cluster.run() {
            return noticed(format!(", step {}", failure.step), failure.law());
        }
        let most = NodeId::first(4)
            .filter_map(|node| cluster.resident(node))
            .max();
        let fits = bound.is_none_or(|bound| most <= Some(bound));
        if fits {
            None
        } else {
            noticed(String::new(), "memory")
        }
    })
}

fn hostile<P: Checkable>(seeds: u64) -> Option<Noticed> {
    let adversary = match Adversary::learn::<P>() {
        Ok(adversary) => adversary,
        Err(failure) => {
            return Some(Noticed {
                after: "undisturbed".into(),
                law: failure.law().to_owned(),
            });
        }
    };
    (0..seeds).find_map(|seed| {
        let mut rng = SmallRng::seed_from_u64(seed);
        let bytes: Vec<u8> = (0..2_000).map(|_| rng.random()).collect();
        let assault = adversary.assault::<P>(&bytes).err();
        let what = assault.or_else(|| {
            let siege = adversary.besiege::<P>(seed, &bytes);
            siege.err().map(|failure| failure.what)
        })?;
        Some(Noticed {
            after: format!("seed {seed}"),
            law: law(&what),
        })
    })
}

/// Real drivers over simulated memory, whose pages travel as parcels and whose letters go together: for
/// bugs that nothing else notices, as some of them read a real clock, and so no seed is said.
fn packed<P: Checkable>() -> Option<Noticed> {
    let forged = drivers::check_forged::<P>().err();
    let packed = forged.or_else(|| (0..8).find_map(|seed| drivers::check::<P>(seed, 60).err()));
    let what = packed.or_else(|| (0..2).find_map(|seed| sheaves::check::<P>(seed).err()))?;
    Some(Noticed {
        after: "a run".into(),
        law: law(&what),
    })
}

/// What each check says to the bug that is chosen now.
fn notices<P: Checkable>() -> Vec<Option<Noticed>> {
    let run = |check: &dyn Fn() -> Option<Noticed>| {
        let outcome = catch_unwind(AssertUnwindSafe(check));
        outcome.unwrap_or_else(|_| {
            Some(Noticed {
                after: "some".into(),
                law: "panic".into(),
            })
        })
    };
    let checks = checks::<P>();
    let mut found: Vec<_> = checks.iter().map(|check| run(check)).collect();
    let seeds = if found.iter().any(Option::is_some) {
        SEEDS
    } else {
        LIES
    };
    found.push(run(&|| hostile::<P>(seeds)));
    let rest = found.iter().all(Option::is_none);
    found.push(rest.then(|| run(&packed::<P>)).flatten());
    found
}

#[test]
fn every_bug_is_noticed_and_the_table_says_by_what() {
    choose(None);
    let sound = [
        notices::<Directory>(),
        notices::<Roaming<1>>(),
        notices::<Ivy>(),
        notices::<Lease>(),
    ];
    for noticed in sound.into_iter().flatten() {
        assert!(
            noticed.is_none(),
            "a bug is found where there is none: {noticed:?}"
        );
    }
    let mut table = String::from(
        "# Bugs on purpose, and what notices them\n\n\
         Made by `cargo test -p giantvm-dsm --features testing --test mutants` with \
         `GIANTVM_BLESS=1`.\n\n\
         *search*: every state of two small worlds; the shortest way there, in events. *calm*, \
         *disturbed*: random\nscenarios, the latter with evictions, pins, cuts and links made anew, or else with nodes that are *full*, or else with nodes that are *leaving*, or of which one is full and *inheriting*; the seed and the step at which it\nwas noticed. *hostile*: a peer that lies. *packed*, for\nwhat no other notices: real \
         drivers whose pages travel as parcels and whose letters go together. In brackets, the law that was found broken.\n\n\
         | bug | what is wrong | search | calm | disturbed | hostile | packed |\n|---|---|---|---|---|---|---|\n",
    );
    let (mut missed, mut caught) = (Vec::new(), 0);
    for &mutant in Mutant::ALL {
        choose(Some(mutant));
        let found = match mutant.protocol() {
            "ivy" => notices::<Ivy>(),
            "lease" => notices::<Lease>(),
            "homes" => notices::<Roaming<1>>(),
            _ => notices::<Directory>(),
        };
        choose(None);
        let _ = write!(table, "| {mutant:?} | {} |", mutant.what());
        for noticed in &found {
            let _ = match noticed {
                Some(Noticed { after, law }) => write!(table, " {after} ({law}) |"),
                None => write!(table, " - |"),
            };
        }
        table.push('\n');
        if found.iter().any(Option::is_some) {
            caught += 1;
        } else {
            missed.push(mutant);
        }
    }
    let _ = writeln!(table, "\n{caught} of {} are noticed.", Mutant::ALL.len());
    println!("{table}");
    assert!(missed.is_empty(), "no check notices {missed:?}");
    assert!(Mutant::ALL.len() >= 25);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mutants.md");
    if env::var_os("GIANTVM_BLESS").is_some() {
        fs::write(&path, &table).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == table,
        "docs/mutants.md is not what the checks find now"
    );
}
