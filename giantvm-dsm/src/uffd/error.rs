//! Why a userfaultfd cannot be had, and how an operation on one ended.

use std::io;

use rustix::io::Errno;

use super::Features;

/// A userfaultfd could not be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// This process may not have one that also serves faults inside system calls and KVM.
    #[error(
        "this process may not use userfaultfd (/dev/userfaultfd: {device}): run as root, or give \
         the user access to /dev/userfaultfd, or set the sysctl vm.unprivileged_userfaultfd to 1"
    )]
    Denied {
        /// What opening the device said.
        device: io::Error,
    },
    /// The kernel was built without it.
    #[error("this kernel has no userfaultfd: use one built with CONFIG_USERFAULTFD")]
    NotInKernel,
    /// The kernel lacks features that are required.
    #[error("this kernel's userfaultfd lacks {0}: use a newer kernel")]
    Lacks(Features),
    /// The system failed otherwise, for instance for want of descriptors.
    #[error("cannot create a userfaultfd")]
    Os(#[source] io::Error),
}

/// How a page operation ended.
///
/// `at` counts the bytes from the start of the range that were done before it stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub enum Outcome {
    /// The whole range is done.
    Done,
    /// The page at `at` is there already. No one was woken for it: whoever waits for it has to be
    /// woken by [`Uffd::wake`](super::Uffd::wake).
    AlreadyPresent {
        /// Bytes done before.
        at: usize,
    },
    /// The address space was changing, or only a part was done: go on from `at`, after reading the
    /// events that wait.
    Retry {
        /// Bytes done before.
        at: usize,
    },
    /// The process that the memory belongs to is gone.
    Gone,
}

impl Outcome {
    /// The outcome of an operation that answers with a system error and a signed byte count, which
    /// is how far it got or again the error, negated.
    pub(super) fn of(result: Result<(), Errno>, count: i64) -> io::Result<Self> {
        let at = usize::try_from(count).unwrap_or(0);
        match result {
            Ok(()) => Ok(Self::Done),
            Err(Errno::EXIST) => Ok(Self::AlreadyPresent { at }),
            Err(Errno::AGAIN) => Ok(Self::Retry { at }),
            Err(Errno::SRCH) => Ok(Self::Gone),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_answer_says_where_to_go_on() {
        let partial = Outcome::of(Err(Errno::AGAIN), 8192).unwrap();
        assert_eq!(partial, Outcome::Retry { at: 8192 });
    }

    #[test]
    fn a_negated_error_in_the_count_is_no_progress() {
        let again = Outcome::of(Err(Errno::AGAIN), -11).unwrap();
        assert_eq!(again, Outcome::Retry { at: 0 });
        let present = Outcome::of(Err(Errno::EXIST), -17).unwrap();
        assert_eq!(present, Outcome::AlreadyPresent { at: 0 });
    }

    #[test]
    fn errors_without_a_meaning_of_their_own_stay_errors() {
        let error = Outcome::of(Err(Errno::INVAL), 0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::INVAL.raw_os_error()));
    }
}
