//! What travels.

use super::{Report, Snapshot};

/// One message of the channel, of either side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The guest asks for a snapshot with this number.
    Ask(u64),
    /// The host answers.
    Snapshot(Box<Snapshot>),
    /// The guest tells of its threads.
    Report(Report),
}

impl From<Snapshot> for Message {
    fn from(snapshot: Snapshot) -> Self {
        Self::Snapshot(Box::new(snapshot))
    }
}

impl From<Report> for Message {
    fn from(report: Report) -> Self {
        Self::Report(report)
    }
}
