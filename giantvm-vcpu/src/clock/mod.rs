//! Guest time: monotonic on every node, and equal on all within the links' round trip.

/// Nanoseconds since an origin that the context names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub u64);

/// The question what time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Probe {
    /// Tells the questions of one node apart.
    pub sequence: u32,
    /// The asker's time when it asked.
    pub sent: Nanos,
}

/// The answer to a [`Probe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reply {
    /// The question.
    pub probe: Probe,
    /// The answerer's time when the question came.
    pub received: Nanos,
    /// The answerer's time when it answered.
    pub replied: Nanos,
}
