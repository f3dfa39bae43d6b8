//! Events read from a userfaultfd.

use linux_raw_sys::general as k;

use super::abi::MESSAGE;

/// What made a thread fault on registered memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// There was no page.
    Missing,
    /// There was a page, but it was not mapped here.
    Minor,
    /// The page is write-protected, and the access was a write.
    WriteProtect,
}

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// A thread waits.
    Fault {
        /// The faulting address, rounded down to the host's page.
        address: u64,
        /// Why it faulted.
        kind: FaultKind,
        /// Whether the access was a write.
        write: bool,
        /// The system's number of the thread; 0 without [`Features::THREAD_ID`](super::Features).
        thread: u32,
    },
    /// An event of this number, which was not asked for.
    Other(u8),
}

impl Event {
    fn parse(message: &[u8; MESSAGE]) -> Self {
        // Layout: event u8, 7 reserved bytes, then for a fault flags u64, address u64, thread u32.
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&message[at..at + 8]);
            u64::from_ne_bytes(bytes)
        };
        if u32::from(message[0]) != k::UFFD_EVENT_PAGEFAULT {
            return Self::Other(message[0]);
        }
        let flags = word(8);
        let has = |flag: u32| flags & u64::from(flag) != 0;
        let kind = if has(k::UFFD_PAGEFAULT_FLAG_WP) {
            FaultKind::WriteProtect
        } else if has(k::UFFD_PAGEFAULT_FLAG_MINOR) {
            FaultKind::Minor
        } else {
            FaultKind::Missing
        };
        Self::Fault {
            address: word(16),
            kind,
            write: has(k::UFFD_PAGEFAULT_FLAG_WRITE),
            thread: u32::from_ne_bytes([message[24], message[25], message[26], message[27]]),
        }
    }
}

/// Room for one batch of events.
#[derive(Debug, Clone)]
pub struct EventBuf {
    bytes: Box<[u8]>,
}

impl EventBuf {
    /// Most events one batch can have.
    pub const CAPACITY: usize = 64;

    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: vec![0; MESSAGE * Self::CAPACITY].into(),
        }
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    pub(super) fn events(&self, filled: usize) -> impl Iterator<Item = Event> + use<'_> {
        let (messages, _) = self.bytes[..filled].as_chunks();
        messages.iter().map(Event::parse)
    }
}

impl Default for EventBuf {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(event: u32, flags: u32, address: u64) -> [u8; MESSAGE] {
        let mut bytes = [0xa5; MESSAGE];
        bytes[0] = event.to_le_bytes()[0];
        bytes[8..16].copy_from_slice(&u64::from(flags).to_ne_bytes());
        bytes[16..24].copy_from_slice(&address.to_ne_bytes());
        bytes[24..28].copy_from_slice(&7_u32.to_ne_bytes());
        bytes
    }

    #[test]
    fn a_write_protect_flag_outranks_the_others() {
        let flags = k::UFFD_PAGEFAULT_FLAG_WP | k::UFFD_PAGEFAULT_FLAG_WRITE;
        let event = Event::parse(&message(k::UFFD_EVENT_PAGEFAULT, flags, 0x7000));
        let expected = Event::Fault {
            address: 0x7000,
            kind: FaultKind::WriteProtect,
            write: true,
            thread: 7,
        };
        assert_eq!(event, expected);
    }

    #[test]
    fn a_fault_without_flags_is_a_read_of_a_missing_page() {
        let event = Event::parse(&message(k::UFFD_EVENT_PAGEFAULT, 0, 0x1000));
        let expected = Event::Fault {
            address: 0x1000,
            kind: FaultKind::Missing,
            write: false,
            thread: 7,
        };
        assert_eq!(event, expected);
    }

    #[test]
    fn events_that_are_no_faults_are_told_apart() {
        let event = Event::parse(&message(k::UFFD_EVENT_UNMAP, 0, 0));
        assert_eq!(event, Event::Other(22));
    }
}
