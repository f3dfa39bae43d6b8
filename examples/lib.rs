//! What several examples have in common.

pub mod chart;
pub mod output;
