//! TBD

mod error;
mod exit;
mod gate;
#[cfg(test)]
mod gate_tests;
mod host;
mod interrupt;
#[cfg(feature = "kvm")]
pub mod kvm;
mod layout;
mod pending;
mod state;
mod sync;

pub mod clock;
pub mod message;
pub mod thread;

pub use error::VcpuError;
pub use exit::{AccessSize, Exit, Failure};
pub use host::{InterruptSink, Vcpu, VcpuHost};
pub use interrupt::{Interrupt, LOWEST_VECTOR, Msi};
pub use layout::Layout;
pub use state::{ArchState, Registers, Section, StartState};
