//! What several examples have in common.

pub mod chart;
pub mod machine;
pub mod output;
pub mod spread;
