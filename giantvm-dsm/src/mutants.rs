//! Bugs on purpose, to see that the checks notice them.
//!
//! With the feature `mutants`, which is for tests only, the protocol and the engine contain every
//! bug of this list, and [`choose`] turns one of them on for the whole process. Without it none of
//! them is compiled.
//!
//! `docs/mutants.md` has the table of which check notices which, made by `tests/mutants.rs`.

#[cfg(feature = "mutants")]
use std::sync::atomic::{AtomicUsize, Ordering};

/// True where the chosen bug is to show. Without the feature `mutants` it is the constant false.
#[cfg(feature = "mutants")]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutants::is_chosen($crate::mutants::Mutant::$name)
    };
}
#[cfg(not(feature = "mutants"))]
macro_rules! mutant {
    ($name:ident) => {
        false
    };
}
pub(crate) use mutant;

#[cfg(feature = "mutants")]
macro_rules! mutants {
    ($($name:ident: $what:literal,)*) => {
        /// A bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mutant {
            $(#[doc = $what] $name,)*
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name of the protocol whose bug it is; the engine's are seen with the default,
            /// and those of `homes` with homes that move early.
            #[must_use]
            pub fn protocol(self) -> &'static str {
                let name = format!("{self:?}");
                let others = [("Ivy", "ivy"), ("Lease", "lease"), ("Home", "homes")];
                let other = others.iter().find(|(prefix, _)| name.starts_with(prefix));
                other.map_or("directory", |&(_, protocol)| protocol)
            }

            /// What is wrong with it.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self {
                    $(Self::$name => $what,)*
                }
            }
        }
    };
}

#[cfg(feature = "mutants")]
mutants! {
    SparesASharer: "the home neither invalidates one of the sharers nor awaits it",
    AwaitsOneFewer: "the home tells a requester to await one sharer fewer than it invalidates",
    ForgetsAReader: "the home does not note a reader as a sharer",
    GrantsWriteToReaders: "the home grants the right to write to a reader",
    GrantsZeroesTwice: "the home takes a page that was touched for one that never was",
    ServesWhileBusy: "the home serves a request while another transaction of the page runs",
    HurriesNoOne: "the home tells nobody that others wait for a page",
    LosesTheQueue: "the home forgets who waits when a transaction ends",
    RestsForEver: "the home never ends a page's rest",
    KeepsOwnCopy: "the home does not unmap its own copy when another node writes",
    SameVersion: "a writer makes no new version",
    DoneBeforeData: "a requester maps a page before its data has come",
    DoneBeforeAcknowledgements: "a requester maps a page before all sharers have acknowledged",
    LosesADone: "a requester does not tell the home when it is done",
    ForgetsToWake: "a requester does not wake its threads",
    KeepsAnInvalidatedCopy: "a sharer acknowledges an invalidation and keeps its copy",
    AcknowledgesToTheHome: "a sharer sends its acknowledgement to the home",
    KeepsWriting: "an owner sends its page to a reader and goes on writing",
    KeepsATakenCopy: "an owner sends its page to a writer and keeps its copy",
    SendsBeforeProtecting: "an owner sends its page before it takes the right to write away",
    DropsTheReturnedPage: "the home throws away the only copy that a node gives up",
    KeepsTheLeaverAsOwner: "the home goes on naming a node that gave up its copy as the owner",
    ChecksNoSender: "a node takes a grant from any node",
    ChecksNoPayload: "a node does not look at whether a page came with a message",
    QueuesBeforeItRefuses: "the home queues a request before it refuses it",
    HomeMovesWhileBusy: "homes: the home moves while another transaction of the page runs",
    HomeIsKept: "homes: a birth home that has made another node the home answers as one itself",
    HomeIsPassedWrong: "homes: a home that passes a page on says that its writer only reads",
    HomeForgetsWhoWaits: "homes: a birth home forgets who has asked while the page came back",
    HomeSendsNoOneOn: "homes: a home that goes does not tell who waits where it is now",
    HomeLeavesTooSoon: "homes: a node leaves before all its pages have gone",
    HomeLeavesAllAtOnce: "homes: a node that leaves tells all others at once, not its heir first",
    HomeForgetsLatePages: "homes: a node that leaves looks at no page again that came after it was looked at",
    HomeAgreesTooSoon: "homes: a node lets another leave whose answers are still under way",
    HomeInheritsHearsay: "homes: an heir goes on believing what it was told of homes before",
    IvyKeepsItsFather: "Ivy: a node does not note who asked last as the probable owner",
    IvyLosesTheNext: "Ivy: a node that waits for a page forgets who asked it next",
    IvyForgetsTheGiver: "Ivy: who gives a page to a reader is not noted as a sharer",
    IvyTrustsOldCopies: "Ivy: an owner sends no data to a sharer whose copy may be old or gone",
    IvySparesASharer: "Ivy: a writer neither invalidates one of the sharers nor awaits it",
    IvyAwaitsNoOne: "Ivy: a writer does not wait until the sharers' copies are gone",
    IvySameVersion: "Ivy: a writer makes no new version",
    LeaseNeverEnds: "leases: a copy stays mapped when the clock has passed its end",
    LeaseIsNeverRefreshed: "leases: a node never asks for what is new",
    LeaseWritesTooEarly: "leases: a writer writes at the last time at which others may read",
    LeaseForgetsTheHome: "leases: a home gives a page away without regard to its own reads",
    LeaseTrustsOldCopies: "leases: a home sends no data to who has an old copy",
    LeaseIsForgotten: "leases: a home does not note how long a lease is that it gives",
    ReadsRepeatedMessages: "the driver handles a message that comes once more",
    NumbersStandStill: "the driver gives all messages of a stream one number",
    LosesWhatWaits: "the driver forgets the messages that waited for a pinned page",
    ReordersWhatWaits: "the driver handles the messages that waited for a pinned page backwards",
    PinsNothing: "the driver handles messages of a pinned page at once",
    CountsHeldAsSpare: "the budget takes a frame for spare whose bytes came and are not mapped yet",
    LeaseCountsRetainedAsSpare: "the budget takes a frame for spare whose bytes may be leased again",
    KeepsSpareFrames: "the budget gives no frame back",
    ForgetsThatAWishEnded: "the budget goes on counting pages that left as leaving",
    ForgetsWhatItInherited: "the budget of an heir goes by the homes at the start",
    SkipsUnmaps: "the driver does not carry out Unmap",
    SkipsProtects: "the driver does not carry out Protect",
    SkipsWakes: "the driver does not carry out Wake",
    SkipsStores: "the driver does not carry out Store",
    SendsFirst: "the driver sends messages before it changes mappings",
    SeesZeroesTooSoon: "a page is taken for zero that begins with zeroes",
    DeltaAgainstAnyBase: "a page is sent as a delta against another copy than the receiver named",
    TrustsAnyBase: "a delta is put on the copy that was named, whatever it is against",
    DropsNamedBases: "a copy that was named makes room for others",
    SheafIsBackwards: "letters that go together are bound backwards",
    SheafLosesALetter: "the last of letters that came together is not handled",
    SheafIsOvertaken: "a letter with a payload goes before those that wait to go together",
    SheafIsNeverFlushed: "what the transport may hold back is never flushed",
}

/// The place of the chosen one in the list, counted from 1; 0 for none.
#[cfg(feature = "mutants")]
static CHOSEN: AtomicUsize = AtomicUsize::new(0);

/// Turns one bug on, and all others off.
#[cfg(feature = "mutants")]
pub fn choose(mutant: Option<Mutant>) {
    let number = mutant.map_or(0, |mutant| mutant as usize + 1);
    CHOSEN.store(number, Ordering::Relaxed);
}

#[cfg(feature = "mutants")]
pub(crate) fn is_chosen(mutant: Mutant) -> bool {
    CHOSEN.load(Ordering::Relaxed) == mutant as usize + 1
}
