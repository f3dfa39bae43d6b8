//! Moves of vCPUs between nodes: every order of events in small machines, and random ones in larger.
//!
//! Each interrupt has a vector of its own, so that none can stand for another, and is looked for at
//! the end: it has to be in the APIC of its vCPU once.

mod explore;
mod random;
mod rules;
mod world;
