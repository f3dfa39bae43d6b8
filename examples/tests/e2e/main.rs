//! The examples, run as a user runs them, and the tests of their parts, which Cargo does
//! not run where they are.

mod agent;
mod aggregate_bad_days;
mod aggregate_departs;
mod aggregate_moves;
mod aggregate_runs;
mod aggregate_threads;
mod aggregate_top;
mod built;
mod capacity;
mod colocate;
mod colocate_real;
mod doctor;
mod dsm_bench;
mod embed_dsm;
mod linux;
mod linux_devices;
mod linux_tables;
mod litmus;
mod machine;
mod migrate;
mod rust_vmm;
mod virtio;

#[path = "../../aggregate/address_map.rs"]
mod address_map;
#[path = "../../aggregate/linux"]
#[expect(dead_code, reason = "who loads a kernel uses all of it")]
mod linux_parts {
    mod arguments;
    mod kernel;
    mod keyboard;
    mod paging;
    mod params;
    mod place;
    mod pty;
}
#[path = "../../aggregate/scheduling"]
#[expect(dead_code, reason = "desks write and read all of it")]
mod scheduling_parts {
    mod letter;
    mod links;
    mod tally;
}
#[path = "../../aggregate/counts.rs"]
#[expect(
    dead_code,
    reason = "rates are of these counters; only nodes count them"
)]
mod counts;
#[path = "../../aggregate/echoes.rs"]
mod echoes;
#[path = "../../doctor/finding.rs"]
mod finding;
#[path = "../../aggregate/channel/gather.rs"]
mod gather;
#[path = "../../doctor/host.rs"]
mod host;
#[path = "../../aggregate/hot.rs"]
mod hot;
#[path = "../../doctor/kvm.rs"]
mod kvm;
#[path = "../../aggregate/looks.rs"]
mod looks;
#[path = "../../aggregate/move_order.rs"]
mod move_order;
#[path = "../../dsm_bench/steps/path.rs"]
mod path;
#[path = "../../aggregate/rates.rs"]
mod rates;
#[path = "../../dsm_bench/sample.rs"]
mod sample;
#[path = "../../aggregate/screen.rs"]
mod screen;
#[path = "../../aggregate/stalls.rs"]
#[expect(dead_code, reason = "nodes tell of their vCPUs")]
mod stalls;
#[path = "../../aggregate/control/words.rs"]
mod words;
