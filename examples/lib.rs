//! What several examples have in common.

pub mod chart;
