//! The classes of NAS MG: sizes as in report NAS-95-020 and its supplements, and the values that
//! the benchmark's verification publishes.

/// One class.
#[derive(Debug, Clone, Copy)]
pub struct Class {
    /// Logarithm of the edge of the finest grid.
    pub(super) levels: u32,
    /// Cycles through all grids.
    pub(super) iterations: u64,
    /// The published norm of what the cycles leave.
    pub norm: f64,
}

/// How far the norm may be from the published one, relative to it.
pub const TOLERANCE: f64 = 1e-8;

/// Longest edge of a grid.
pub(super) const EDGE_MAX: usize = 256;

/// The class whose finest grid has two to the power of `logarithm` cells along each edge: 5 is S, 7
/// is W, 8 is A.
#[must_use]
pub const fn class(logarithm: u64) -> Option<Class> {
    let (levels, norm) = match logarithm {
        5 => (5, 0.530_770_700_573_4e-4),
        7 => (7, 0.646_732_937_533_9e-5),
        8 => (8, 0.243_336_530_906_9e-5),
        _ => return None,
    };
    Some(Class {
        levels,
        iterations: 4,
        norm,
    })
}
