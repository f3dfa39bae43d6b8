//! What the threads that send, sever and close share with the one that polls.

#[path = "../../../src/tcp/alarm.rs"]
mod alarm;
#[path = "../../../src/tcp/open.rs"]
mod open;
#[path = "../../../src/tcp/outlet.rs"]
mod outlet;
#[path = "../../../src/tcp/output.rs"]
mod output;

mod asking;
mod sending;
