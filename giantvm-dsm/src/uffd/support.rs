//! What this host's userfaultfd can do, in plain words.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::MemfdFlags;

use super::area::Area;
use super::{CreateError, Features, Mode, Outcome, Protect, Uffd, Wake, create};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What it is.
    pub what: &'static str,
    /// Whether the host has it.
    pub ok: bool,
    /// Why it matters if it is there, what to do if it is not.
    pub detail: String,
}

/// What this host's userfaultfd can do.
///
/// ```
/// use giantvm_dsm::uffd::Support;
///
/// let support = Support::probe();
/// for check in support.checks() {
///     println!("{} {}: {}", if check.ok { "yes" } else { "no " }, check.what, check.detail);
/// }
/// ```
#[derive(Debug)]
pub struct Support {
    offered: Result<Features, CreateError>,
    /// Whether a page can be mapped and write-protected in one step.
    protected_continue: Result<(), String>,
}

impl Support {
    /// What mapping pages of shared memory in place needs.
    pub const MINOR: Features = Features::WP
        .union(Features::MISSING_SHMEM)
        .union(Features::MINOR_SHMEM)
        .union(Features::WP_SHMEM);
    /// What copying pages into private memory needs.
    pub const MISSING: Features = Features::WP;

    /// Asks the kernel, and tries on one page what it does not tell.
    #[must_use]
    pub fn probe() -> Self {
        let offered = create::offered();
        let protected_continue = match &offered {
            Ok(features) if features.contains(Self::MINOR) => {
                try_protected_continue().map_err(|error| error.to_string())
            }
            Ok(features) => Err(format!("the kernel lacks {}", Self::MINOR.minus(*features))),
            Err(error) => Err(error.to_string()),
        };
        Self {
            offered,
            protected_continue,
        }
    }

    /// The features the kernel offers to this process.
    ///
    /// # Errors
    /// Why it offers none.
    pub const fn features(&self) -> Result<Features, &CreateError> {
        match &self.offered {
            Ok(features) => Ok(*features),
            Err(error) => Err(error),
        }
    }

    /// Whether pages can be received in place and mapped (the faster way).
    #[must_use]
    pub const fn minor(&self) -> bool {
        self.protected_continue.is_ok()
    }

    /// Whether pages can be copied in (the way for older kernels).
    #[must_use]
    pub const fn missing(&self) -> bool {
        match self.offered {
            Ok(features) => features.contains(Self::MISSING),
            Err(_) => false,
        }
    }

    /// Everything that was looked at, for people.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        let denied = self.offered.as_ref().err().map(ToString::to_string);
        let features = self.offered.as_ref().copied().unwrap_or_default();
        let access = Check {
            what: "userfaultfd",
            ok: denied.is_none(),
            detail: denied.unwrap_or_else(|| {
                "this process may serve page faults, also those of system calls and KVM".into()
            }),
        };
        let missing = Check {
            what: "copying pages in (MISSING, COPY, WP)",
            ok: self.missing(),
            detail: match self.missing() {
                true => "shared memory works on this host".into(),
                false => "shared memory cannot work: it needs Linux 5.7 or newer".into(),
            },
        };
        let minor = Check {
            what: "mapping pages in place (MINOR, CONTINUE with WP)",
            ok: self.minor(),
            detail: match &self.protected_continue {
                Ok(()) => "received pages need no copy".into(),
                Err(why) => format!("pages are copied instead ({why}); it needs Linux 6.4"),
            },
        };
        let poison = features.contains(Features::POISON);
        let poison = Check {
            what: "poisoned pages (POISON)",
            ok: poison,
            detail: match poison {
                true => "an access to a lost page ends in SIGBUS".into(),
                false => {
                    "an access to a lost page ends in SIGSEGV instead; it needs Linux 6.6".into()
                }
            },
        };
        vec![access, missing, minor, poison]
    }
}

/// Maps one page of shared memory write-protected: no feature bit tells whether that works.
fn try_protected_continue() -> io::Result<()> {
    let uffd = Uffd::create(Support::MINOR, Features::NONE).map_err(io::Error::other)?;
    let len = rustix::param::page_size();
    let file = rustix::fs::memfd_create("giantvm-probe", MemfdFlags::CLOEXEC)?;
    rustix::fs::ftruncate(&file, len as u64)?;
    rustix::io::pwrite(&file, &[1], 0)?;
    // Declared after the userfaultfd, so unmapped before it is closed.
    let area = Area::shared(file.as_fd(), len, None)?;
    let mode = Mode {
        missing: true,
        minor: true,
        write_protect: true,
    };
    // SAFETY: the area is this function's own, is never touched, and goes before the descriptor.
    unsafe { uffd.register(area.range(), mode) }?;
    match uffd.continue_(area.range(), Protect::Write, Wake::No)? {
        Outcome::Done => Ok(()),
        other => Err(io::Error::other(format!("the trial ended in {other:?}"))),
    }
}
