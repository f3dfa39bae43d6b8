//! Exit statuses.

/// How the program ends; see `aggregate --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Every result was right.
    Verified,
    /// A result was wrong, or the guest failed.
    Wrong,
    /// The command line or the cluster file is wrong.
    Usage,
    /// A node was lost, or the nodes could not join.
    Lost,
    /// This host cannot serve.
    Host,
    /// The guest reset the machine, and it is not to start again.
    Reset,
    /// The guest's kernel panicked.
    Panicked,
    /// Interrupted by a signal.
    Interrupted,
}

impl Exit {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Verified => 0,
            Self::Wrong => 1,
            Self::Usage => 2,
            Self::Lost => 3,
            Self::Host => 4,
            Self::Reset => 5,
            Self::Panicked => 6,
            Self::Interrupted => 130,
        }
    }
}

/// An error that ends the program, with the status it ends with.
#[derive(Debug)]
pub(crate) struct Fatal {
    pub(crate) exit: Exit,
    pub(crate) error: anyhow::Error,
}

/// Gives an error the exit status it leads to.
pub(crate) trait OrExit<T> {
    fn or_exit(self, exit: Exit) -> Result<T, Fatal>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Fatal> {
        self.map_err(|error| Fatal {
            exit,
            error: error.into(),
        })
    }
}
