#![expect(unsafe_code, reason = "touches shared memory as a guest would")]
//! What these tests share: a node served by hand, threads that touch it, and children
//! that are expected to die.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::panic::Location;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use giantvm_core::{PageIndex, PageSize};
use giantvm_dsm::backing::{Backing, Choice, Fault, Mapping, OpenError, open};
use giantvm_dsm::protocol::{Access, Rights};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A node's memory that a test serves by hand.
pub(crate) struct Served {
    pub(crate) backing: Box<dyn Backing>,
    pub(crate) mapping: Arc<Mapping>,
}

impl Served {
    /// Opens one, or says why the host cannot.
    pub(crate) fn open(test: &str, choice: Choice, pages: u64, size: PageSize) -> Option<Self> {
        match open(pages, size, choice) {
            Ok((backing, mapping)) => Some(Self { backing, mapping }),
            Err(OpenError::Userfaultfd(why)) => {
                giantvm_core::testing::skip(test, &why.to_string());
                None
            }
            Err(other) => panic!("{other}: {other:?}"),
        }
    }

    /// The next faults; waits for one for up to ten seconds.
    pub(crate) fn faults(&mut self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let limit = Timespec {
            tv_sec: 10,
            tv_nsec: 0,
        };
        let ready = self.backing.ready();
        poll(&mut [PollFd::new(&ready, PollFlags::IN)], Some(&limit)).unwrap();
        self.backing.take_faults(&mut faults).unwrap();
        faults
    }

    /// Checks that one thread waits for `page`, for this.
    #[track_caller]
    pub(crate) fn expect(&mut self, page: u64, access: Access) {
        let page = PageIndex(page);
        let faults = self.faults();
        let seen = faults.iter().map(|fault| (fault.page, fault.access));
        assert_eq!(seen.collect::<Vec<_>>(), [(page, access)]);
    }

    /// Maps a page filled with `word`, and wakes.
    pub(crate) fn give(&mut self, page: u64, word: u64, rights: Rights) {
        let page = PageIndex(page);
        let words = self.backing.page_size().bytes() / 8;
        let data: Vec<u8> = (0..words).flat_map(|_| word.to_ne_bytes()).collect();
        self.backing.store(page, &data).unwrap();
        self.backing.map(page, rights).unwrap();
        self.backing.wake(page).unwrap();
    }

    /// The first word of a page's frame.
    pub(crate) fn frame(&mut self, page: u64) -> u64 {
        let frame = self.backing.frame(PageIndex(page)).unwrap();
        u64::from_ne_bytes(frame[..8].try_into().unwrap())
    }

    pub(crate) fn size(&self) -> usize {
        self.mapping.page_size().bytes()
    }

    /// A thread that loads the first word of a page.
    pub(crate) fn reader(&self, page: usize) -> JoinHandle<u64> {
        let (mapping, offset) = (self.mapping.clone(), page * self.size());
        thread::spawn(move || word(&mapping, offset).load(Ordering::Relaxed))
    }

    /// A thread that stores to the first word of a page and returns what was there.
    pub(crate) fn writer(&self, page: usize, value: u64) -> JoinHandle<u64> {
        let (mapping, offset) = (self.mapping.clone(), page * self.size());
        thread::spawn(move || word(&mapping, offset).swap(value, Ordering::Relaxed))
    }
}

/// A thread's result. A thread that does not end within ten seconds fails the test.
#[track_caller]
pub(crate) fn join<T>(thread: JoinHandle<T>) -> T {
    let limit = Instant::now() + Duration::from_secs(10);
    while !thread.is_finished() {
        if Instant::now() > limit {
            // Written past the harness: the thread may take the process with it when its memory
            // goes, and the harness' own report too.
            let place = Location::caller();
            writeln!(std::io::stderr(), "\na thread still waits at {place}").ok();
            panic!("a thread still waits");
        }
        thread::sleep(Duration::from_micros(50));
    }
    thread.join().unwrap()
}

/// The word at `offset` of the shared memory.
pub(crate) fn word(mapping: &Mapping, offset: usize) -> &AtomicU64 {
    assert!(offset.is_multiple_of(8) && offset < mapping.len());
    // SAFETY: the word is inside the mapping and aligned, lives as long as it, and the tests reach
    // it by atomic accesses only.
    unsafe { AtomicU64::from_ptr(mapping.base().as_ptr().add(offset).cast()) }
}

/// Runs `body` in a child that runs only the test `name`, and returns the signal that ended it.
/// `variant` tells several children of one test apart. In the child this does not return.
pub(crate) fn signal_of_child(name: &str, variant: &str, body: impl FnOnce()) -> Option<i32> {
    const CHILD: &str = "GIANTVM_TEST_CHILD";
    let this = format!("{name} {variant}");
    match std::env::var(CHILD) {
        Ok(child) if child == this => {
            body();
            std::process::exit(0);
        }
        // The child of another variant, on its way to it.
        Ok(_) => return None,
        Err(_) => {}
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, this)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    status.signal()
}

pub(crate) const SIGBUS: i32 = 7;
pub(crate) const SIGSEGV: i32 = 11;

/// Advises the kernel on all of a mapping.
pub(crate) fn advise(mapping: &Mapping, advice: rustix::mm::Advice) {
    let base = mapping.base().as_ptr().cast();
    // SAFETY: the memory is the mapping's; only atomics point there.
    unsafe { rustix::mm::madvise(base, mapping.len(), advice) }.unwrap();
}
