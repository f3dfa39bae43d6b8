//! TBD

mod error;
mod exit;
mod gate;
mod host;
mod interrupt;
#[cfg(feature = "kvm")]
pub mod kvm;
mod layout;
mod state;
mod sync;

pub mod clock;
pub mod message;

pub use error::VcpuError;
pub use exit::{AccessSize, Exit, Failure};
pub use host::{InterruptSink, Vcpu, VcpuHost};
pub use interrupt::{Interrupt, LOWEST_VECTOR, Msi};
pub use layout::Layout;
pub use state::{ArchState, Registers, Section, StartState};
