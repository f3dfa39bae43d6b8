//! The trait that every backing implements.

use std::fmt::Debug;
use std::os::fd::BorrowedFd;

use giantvm_core::{PageIndex, PageRange, PageSize};

use crate::protocol::{Access, FrameFate, Rights};

/// Most pages whose bytes a backing keeps after they were unmapped with [`FrameFate::Keep`]: they are
/// sent before more are taken away.
pub const KEPT_AT_ONCE: usize = 16;

/// An access that waits for the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The page.
    pub page: PageIndex,
    /// What was tried.
    pub access: Access,
    /// The system's number of the thread that tried; 0 if it is not known.
    pub thread: u32,
}

/// A backing could not do what it was told. The node has to stop: its memory is not to be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackingError {
    /// The operating system refused.
    #[error("{operation} of page {page} failed")]
    Os {
        /// What was tried.
        operation: &'static str,
        /// On which page.
        page: PageIndex,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The command does not fit the page's state: the driver or the protocol is wrong.
    #[error("{operation} of page {page}: {reason}")]
    Misuse {
        /// What was tried.
        operation: &'static str,
        /// On which page.
        page: PageIndex,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// A node's frames and the mapping through which local threads reach them.
///
/// One thread drives a backing. That thread never touches the mapping it serves, only frames
/// through these methods, so it cannot fault on itself. Each method that takes a page is one
/// [`Command`](crate::protocol::Command); see there for what it must guarantee. The provided ones are
/// several commands at once, for a backing that has a better way than one after the other.
pub trait Backing: Debug + Send {
    /// The size of a page.
    fn page_size(&self) -> PageSize;

    /// How many pages there are.
    fn pages(&self) -> u64;

    /// Puts `data`, one page long, into the frame of an unmapped page.
    ///
    /// # Errors
    /// [`BackingError`], as for every command.
    fn store(&mut self, page: PageIndex, data: &[u8]) -> Result<(), BackingError>;

    /// Maps the page with its frame's bytes, without waking anyone. No error if it is mapped.
    ///
    /// # Errors
    /// [`BackingError`], as for every command.
    fn map(&mut self, page: PageIndex, rights: Rights) -> Result<(), BackingError>;

    /// Maps the page filled with zeroes, without waking anyone.
    ///
    /// # Errors
    /// [`BackingError`], as for every command.
    fn map_zero(&mut self, page: PageIndex, rights: Rights) -> Result<(), BackingError>;

    /// Takes the right to write.
    ///
    /// # Errors
    /// [`BackingError`], as for every command.
    fn protect(&mut self, page: PageIndex) -> Result<(), BackingError>;

    /// Gives the right to write, without waking anyone.
    ///
    /// # Errors
    /// [`BackingError`], as for every command.
    fn unprotect(&mut self, page: PageIndex) -> Result<(), BackingError>;

    /// Takes the mapping away.
    ///
    /// # Errors
    /// [`BackingError`], as for every command.
    fn unmap(&mut self, page: PageIndex, frame: FrameFate) -> Result<(), BackingError>;

    /// Lets the threads that wait for the page try again.
    ///
    /// # Errors
    /// [`BackingError`], as for every command.
    fn wake(&mut self, page: PageIndex) -> Result<(), BackingError>;

    /// Makes every access to the page fail loudly instead of waiting or showing wrong bytes.
    ///
    /// # Errors
    /// [`BackingError`], as for every command.
    fn poison(&mut self, page: PageIndex) -> Result<(), BackingError>;

    /// The bytes of the page's frame, of a page that cannot be written now: one that is mapped for
    /// reading, or that was just unmapped with [`FrameFate::Keep`].
    ///
    /// # Errors
    /// [`BackingError`], as for every command.
    fn frame(&mut self, page: PageIndex) -> Result<&[u8], BackingError>;

    /// Copies the bytes of a mapped page that may be written meanwhile, so that they may be of no one
    /// moment: good for a guess and nothing else. `false` if the backing has no way to.
    fn glimpse(&mut self, _page: PageIndex, _bytes: &mut [u8]) -> bool {
        false
    }

    /// Appends the faults that wait, without blocking, at most a bounded number.
    ///
    /// # Errors
    /// [`BackingError`] if no more faults can be read.
    fn take_faults(&mut self, faults: &mut Vec<Fault>) -> Result<(), BackingError>;

    /// A descriptor that is readable while [`take_faults`](Self::take_faults) has faults to give.
    fn ready(&self) -> BorrowedFd<'_>;

    /// [Maps](Self::map) all of `pages`, and lets the threads that wait for them try again.
    ///
    /// # Errors
    /// [`BackingError`], as for every command.
    fn map_and_wake(&mut self, pages: PageRange, rights: Rights) -> Result<(), BackingError> {
        for page in pages.iter() {
            self.map(page, rights)?;
            self.wake(page)?;
        }
        Ok(())
    }

    /// [Gives the right to write](Self::unprotect), and lets the threads that wait try again.
    ///
    /// # Errors
    /// [`BackingError`], as for every command.
    fn unprotect_and_wake(&mut self, page: PageIndex) -> Result<(), BackingError> {
        self.unprotect(page)?;
        self.wake(page)
    }

    /// [Takes the mappings](Self::unmap) of several pages away.
    ///
    /// # Errors
    /// [`BackingError`], as for every command.
    fn unmap_all(&mut self, pages: &[PageIndex], frame: FrameFate) -> Result<(), BackingError> {
        pages.iter().try_for_each(|&page| self.unmap(page, frame))
    }

    /// [Takes the right to write](Self::protect) several pages.
    ///
    /// # Errors
    /// [`BackingError`], as for every command.
    fn protect_all(&mut self, pages: &[PageIndex]) -> Result<(), BackingError> {
        pages.iter().try_for_each(|&page| self.protect(page))
    }

    /// Takes the mappings of pages away as the system may do by itself: the next access to one is a
    /// fault, after which it may be mapped again with what its frame holds, and every other command
    /// does what it does with a mapped page. No effect where a page has no frame but its mapping.
    ///
    /// # Errors
    /// [`BackingError`], as for every command.
    fn suspend(&mut self, pages: &[PageIndex]) -> Result<(), BackingError> {
        let _ = pages;
        Ok(())
    }

    /// Gives back the memory of pages that are not mapped and whose bytes no one needs.
    ///
    /// # Errors
    /// [`BackingError`], as for every command.
    fn release(&mut self, pages: &[PageIndex]) -> Result<(), BackingError> {
        let _ = pages;
        Ok(())
    }
}
