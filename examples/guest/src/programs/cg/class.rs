//! The classes of NAS CG: sizes as in report NAS-95-020 and its supplements, and the values that
//! the benchmark's verification publishes.

/// One class.
#[derive(Debug, Clone, Copy)]
pub struct Class {
    /// Rows of the matrix.
    pub(super) rows: u64,
    /// Elements of each of the sparse vectors that the matrix is made of, but for one more that is
    /// fixed.
    pub(super) elements: usize,
    /// Estimates of the eigenvalue, one after the other.
    pub(super) iterations: u64,
    /// What is taken off the diagonal.
    pub(super) shift: f64,
    /// The published estimate.
    pub zeta: f64,
}

/// How far the estimate may be from the published one, relative to it.
pub const TOLERANCE: f64 = 1e-10;

/// Most of [`Class::elements`].
pub(super) const ELEMENTS_MAX: usize = 11;

/// The class with so many rows: 1400 is S, 7000 is W, 14000 is A.
#[must_use]
pub const fn class(rows: u64) -> Option<Class> {
    let (elements, shift, zeta) = match rows {
        1_400 => (7, 10.0, 8.597_177_507_864_8),
        7_000 => (8, 12.0, 10.362_595_087_124),
        14_000 => (ELEMENTS_MAX, 20.0, 17.130_235_054_029),
        _ => return None,
    };
    Some(Class {
        rows,
        elements,
        iterations: 15,
        shift,
        zeta,
    })
}
