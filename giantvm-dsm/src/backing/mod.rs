//! Where a node keeps its pages, and how access to them is granted and taken.

mod api;
mod between;
mod mapping;
mod minor;
mod missing;
#[cfg(feature = "testing")]
mod primitives;
mod probe;
mod serve;
mod side;
#[cfg(feature = "testing")]
pub mod sim;
mod state;

pub use api::{Backing, BackingError, Fault, KEPT_AT_ONCE};
pub use mapping::{ClaimError, Mapping};
pub use minor::MinorBacking;
pub use missing::MissingBacking;
pub use probe::{Choice, OpenError, open, open_at};
pub use state::BYTES_PER_PAGE;
