#![expect(
    unsafe_code,
    reason = "maps and registers memory to try the kernel with"
)]
//! Raw memory with a userfaultfd, to see what the kernel does.

use std::ffi::c_void;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use giantvm_dsm::uffd::{Event, EventBuf, FaultKind, Features, Mode, Range, Uffd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::mm::{Advice, MapFlags, ProtFlags};

pub(crate) const PAGE: usize = 4096;

pub(crate) const MISSING: Mode = Mode {
    missing: true,
    minor: false,
    write_protect: false,
};
pub(crate) const MISSING_WP: Mode = Mode {
    write_protect: true,
    ..MISSING
};
pub(crate) const MISSING_MINOR: Mode = Mode {
    minor: true,
    ..MISSING
};
pub(crate) const WP: Mode = Mode {
    missing: false,
    ..MISSING_WP
};

/// A userfaultfd, or why there is none.
pub(crate) fn uffd(test: &str, features: Features) -> Option<Uffd> {
    Uffd::create(features, Features::NONE)
        .inspect_err(|why| giantvm_core::testing::skip(test, &why.to_string()))
        .ok()
}

/// Mapped memory that is never unmapped: a test's process ends soon.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    base: usize,
    len: usize,
}

impl Memory {
    pub(crate) fn private(pages: usize) -> Self {
        let (protection, len) = (ProtFlags::READ | ProtFlags::WRITE, pages * PAGE);
        // SAFETY: fresh addresses.
        let base = unsafe {
            rustix::mm::mmap_anonymous(ptr::null_mut(), len, protection, MapFlags::PRIVATE)
        };
        Self::adopt(base.unwrap(), len)
    }

    pub(crate) fn shared(file: &OwnedFd, pages: usize) -> Self {
        let (protection, len) = (ProtFlags::READ | ProtFlags::WRITE, pages * PAGE);
        let (file, flags) = (file.as_fd(), MapFlags::SHARED);
        // SAFETY: fresh addresses.
        let base = unsafe { rustix::mm::mmap(ptr::null_mut(), len, protection, flags, file, 0) };
        Self::adopt(base.unwrap(), len)
    }

    fn adopt(base: *mut c_void, len: usize) -> Self {
        let base = base.expose_provenance();
        let memory = Self { base, len };
        memory.advise(0, len / PAGE, Advice::LinuxNoHugepage);
        memory
    }

    /// Registers all of it; `uffd` must stay open unless a test is about its closing.
    pub(crate) fn register(self, uffd: &Uffd, mode: Mode) {
        // SAFETY: no reference but to atomics points there, and the tests expect what comes.
        unsafe { uffd.register(self.pages(0, self.len / PAGE), mode) }.unwrap();
    }

    pub(crate) const fn pages(self, first: usize, count: usize) -> Range {
        Range {
            start: self.base + first * PAGE,
            len: count * PAGE,
        }
    }

    pub(crate) const fn page(self, page: usize) -> Range {
        self.pages(page, 1)
    }

    pub(crate) fn advise(self, first: usize, count: usize, advice: Advice) {
        let range = self.pages(first, count);
        let address = ptr::with_exposed_provenance_mut(range.start);
        // SAFETY: no reference but to atomics points there.
        unsafe { rustix::mm::madvise(address, range.len, advice) }.unwrap();
    }

    /// The first word of a page. Touching it may fault.
    pub(crate) fn word(self, page: usize) -> &'static AtomicU64 {
        assert!(page * PAGE < self.len);
        let address = ptr::with_exposed_provenance_mut(self.base + page * PAGE);
        // SAFETY: the memory is never unmapped, and only atomics point there.
        unsafe { AtomicU64::from_ptr(address) }
    }

    pub(crate) fn load(self, page: usize) -> u64 {
        self.word(page).load(Ordering::Relaxed)
    }

    pub(crate) fn reader(self, page: usize) -> JoinHandle<u64> {
        thread::spawn(move || self.load(page))
    }

    pub(crate) fn writer(self, page: usize, value: u64) -> JoinHandle<u64> {
        thread::spawn(move || self.word(page).swap(value, Ordering::Relaxed))
    }
}

/// A memory file of that many pages.
pub(crate) fn file(pages: usize) -> OwnedFd {
    let file = rustix::fs::memfd_create("giantvm-test", MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&file, (pages * PAGE) as u64).unwrap();
    file
}

/// Waits for an event for up to ten seconds.
pub(crate) fn wait_ready(uffd: &Uffd) {
    let limit = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    poll(&mut [PollFd::new(uffd, PollFlags::IN)], Some(&limit)).unwrap();
}

/// The next event; waits for it for up to ten seconds.
#[track_caller]
pub(crate) fn event(uffd: &Uffd) -> Event {
    wait_ready(uffd);
    let mut buf = EventBuf::new();
    let mut events = uffd.read_events(&mut buf).unwrap();
    let event = events.next().expect("an event within ten seconds");
    assert_eq!(events.next(), None);
    event
}

/// Checks that a thread faulted on a page, how and why.
#[track_caller]
pub(crate) fn expect(uffd: &Uffd, page: Range, kind: FaultKind, write: bool) {
    let expected = Event::Fault {
        address: page.start as u64,
        kind,
        write,
        thread: 0,
    };
    assert_eq!(event(uffd), expected);
}

/// Whether no thread waits now.
pub(crate) fn quiet(uffd: &Uffd) -> bool {
    let mut buf = EventBuf::new();
    uffd.read_events(&mut buf).unwrap().next().is_none()
}

/// A page full of `word`.
pub(crate) fn page_of(word: u64) -> Arc<[u8]> {
    (0..PAGE / 8).flat_map(|_| word.to_ne_bytes()).collect()
}
