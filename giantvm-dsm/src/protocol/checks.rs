//! What every protocol checks of a message before it looks at its state, and what is wrong then.

use giantvm_core::wire::DecodeError;
use giantvm_core::{NodeId, NodeSet, PageIndex, Version};

use super::{Contents, Violation};

/// Whether the page is one of so many.
pub(super) fn page(page: PageIndex, pages: u64) -> Result<(), Violation> {
    if page.0 < pages {
        Ok(())
    } else {
        Err(Violation::NoSuchPage { page, pages })
    }
}

/// Whether the sender is another node of the cluster.
pub(super) fn sender(
    from: NodeId,
    others: NodeSet,
    page: PageIndex,
    message: &'static str,
) -> Result<(), Violation> {
    if others.contains(from) {
        Ok(())
    } else {
        Err(Violation::WrongNode { page, message })
    }
}

/// Whether what came with a message is what has to.
pub(super) fn payload(
    came: Contents,
    due: Contents,
    page: PageIndex,
    message: &'static str,
) -> Result<(), Violation> {
    if came == due {
        Ok(())
    } else {
        Err(Violation::Payload { page, message })
    }
}

/// The refusal of a message that names another version than the current one.
pub(super) fn stale(
    page: PageIndex,
    message: &'static str,
    got: Version,
    expected: Version,
) -> Violation {
    Violation::Stale {
        page,
        message,
        got: got.get(),
        expected: expected.get(),
    }
}

/// A field of a body that holds what it cannot.
pub(super) fn bad(field: &'static str, value: impl Into<u64>) -> DecodeError {
    DecodeError::BadField {
        field,
        value: value.into(),
    }
}
