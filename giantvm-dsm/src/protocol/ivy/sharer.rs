//! The sharer's role: giving up copies for reading.

use giantvm_core::{NodeId, PageIndex, Version};

use super::message::Message;
use super::table::Part;
use super::{Ivy, Out};
use crate::protocol::checks::stale;
use crate::protocol::{Attach, Command, FrameFate, Violation};

impl Ivy {
    /// The owner wants our copy gone.
    pub(super) fn invalidate(
        &mut self,
        from: NodeId,
        page: PageIndex,
        version: Version,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let message = "Invalidate";
        let part = self.table.get(page);
        // The owner's copy is no sharer's: it goes with the token, never by word of another.
        if part.token || part.is_untouched() {
            return Err(self.unexpected(page, message));
        }
        if version != part.version {
            return Err(stale(page, message, version, part.version));
        }
        // A copy that was evicted is gone already, and the owner does not know.
        if part.rights.is_some() {
            self.discard(page, part, out);
        }
        out.push(Command::Send {
            to: from,
            message: Message::Acknowledge { page, version },
            attach: Attach::Nothing,
        });
        Ok(())
    }

    /// This node would rather not keep its copy.
    pub(super) fn evict(&mut self, page: PageIndex, out: &mut Out) {
        let part = self.table.get(page);
        let idle = !self.halted && !self.pending.contains_key(&page);
        if idle && !part.token && part.rights.is_some() {
            self.discard(page, part, out);
        }
    }

    fn discard(&mut self, page: PageIndex, part: Part, out: &mut Out) {
        let (frame, rights) = (FrameFate::Drop, None);
        out.push(Command::Unmap { page, frame });
        self.table.set(page, Part { rights, ..part });
    }
}
