//! The table as Markdown.

use std::fmt;

use super::{Cell, Transitions};

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken: Vec<_> = self.taken.iter().map(String::as_str).collect();
        let refused: Vec<_> = self.refused.iter().copied().collect();
        match (taken.is_empty(), refused.is_empty()) {
            (true, _) => write!(f, "refused: {}", refused.join(", ")),
            (false, true) => f.write_str(&taken.join("; or ")),
            (false, false) => write!(
                f,
                "{}; otherwise refused: {}",
                taken.join("; or "),
                refused.join(", ")
            ),
        }
    }
}

/// A list a state: too many messages for columns to be read.
impl fmt::Display for Transitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# Every state and every message of `{}`\n",
            self.protocol
        )?;
        writeln!(
            f,
            "Made from the code; see `giantvm_dsm::testing::transitions`. What follows a message is \
             what the node\norders when it takes it, and by which names it refuses it in other \
             cases.\n"
        )?;
        for state in self.states() {
            writeln!(
                f,
                "## {state}\n\n| message | what the node does |\n|---|---|"
            )?;
            for message in self.messages() {
                match self.cells.get(&(state, message)) {
                    Some(cell) => writeln!(f, "| {message} | {cell} |")?,
                    None => writeln!(f, "| {message} | never tried |")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
