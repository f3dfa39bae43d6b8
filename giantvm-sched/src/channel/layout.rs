//! Numbers of the channel, which a guest without this crate can include as they are: nothing here needs
//! more than `core`.
//!
//! All integers are little-endian; what is called zero has to be zero.

/// First word of every message, and what the first register shows: "GVCH".
pub const MAGIC: u32 = u32::from_le_bytes(*b"GVCH");
/// The version of messages and registers. Whoever speaks another one is refused.
pub const VERSION: u16 = 1;

/// Bytes of a message's header: magic u32, version u16, kind u16, length of all u32, zero u32.
pub const HEADER: usize = 16;
/// The longest message, in bytes, with its header.
pub const MAX_MESSAGE: usize = 1 << 17;

/// Kind of the host's message that tells all it knows.
pub const SNAPSHOT: u16 = 1;
/// Kind of the guest's message that asks for one: id u64.
pub const ASK: u16 = 2;
/// Kind of the guest's message about its threads: count u32, lost u32, and so many events of 8 bytes.
pub const REPORT: u16 = 3;

/// Most groups of pages in a snapshot.
pub const MAX_GROUPS: usize = 128;
/// Most vCPUs that are told of one group: those that waited longest.
pub const MAX_SHARERS: usize = 16;
/// Most pieces of advice in a snapshot.
pub const MAX_ADVICE: usize = 64;
/// Most that one piece of advice is about.
pub const MAX_SUBJECTS: usize = 64;
/// Most events in a report.
pub const MAX_EVENTS: usize = 256;

/// Bytes of a snapshot's fixed part behind the header: id u64, generation u64, time u64, features u32,
/// pages of a group u16, nodes u8, zero u8, vCPUs u16, groups u16, pieces of advice u16, zero u16.
pub const SNAPSHOT_FIXED: usize = 40;
/// Bytes of a vCPU: reads u64, writes u64, stall u64, node u8, 7 zeroes.
pub const VCPU: usize = 32;
/// Bytes of a link, one for each pair of nodes: what a remote fault takes in ns, u32. Pairs are in the
/// order (1,0), (2,0), (2,1) and so on.
pub const LINK: usize = 4;
/// Bytes of a group without its sharers: group u64, home u8, sharers u8, 6 zeroes.
pub const GROUP: usize = 16;
/// Bytes of a sharer: stall u64, reads u32, writes u32, vCPU u8, 7 zeroes.
pub const SHARER: usize = 24;
/// Bytes of a piece of advice without its subjects: gain u64, node u8, subjects u8, 6 zeroes.
pub const ADVICE: usize = 16;
/// Bytes of a subject: whether a vCPU (0) or a thread (1) u8, 3 zeroes, number u32.
pub const SUBJECT: usize = 8;

/// Feature: vCPUs' faults and stalls are counted.
pub const FEATURE_FAULTS: u32 = 1 << 0;
/// Feature: groups are told.
pub const FEATURE_GROUPS: u32 = 1 << 1;
/// Feature: advice is given.
pub const FEATURE_ADVICE: u32 = 1 << 2;
/// Feature: reports of threads are heard.
pub const FEATURE_THREADS: u32 = 1 << 3;

/// Bytes of the window's page of registers, and of each page that follows it.
pub const PAGE: u64 = 0x1000;
/// Register, read: [`MAGIC`], and the version from bit 32 on.
pub const REGISTER_MAGIC: u64 = 0x00;
/// Register, read: the features.
pub const REGISTER_FEATURES: u64 = 0x08;
/// Register, read: how many vCPUs there are.
pub const REGISTER_VCPUS: u64 = 0x10;
/// Register, read: takes a new snapshot, which the window shows from then on, and gives its length in
/// bytes.
pub const REGISTER_TAKE: u64 = 0x18;
/// Register, read: the generation of the snapshot that the window shows.
pub const REGISTER_GENERATION: u64 = 0x20;
/// Register, write: an event.
pub const REGISTER_EVENT: u64 = 0x28;
/// First page of the vCPUs', each of which has one.
pub const VCPU_PAGES: u64 = PAGE;
/// In a vCPU's page, read: loads that waited for another node.
pub const REGISTER_READS: u64 = 0x00;
/// In a vCPU's page, read: stores that did.
pub const REGISTER_WRITES: u64 = 0x08;
/// In a vCPU's page, read: how long they waited, in ns.
pub const REGISTER_STALL: u64 = 0x10;
/// In a vCPU's page, read: its node.
pub const REGISTER_NODE: u64 = 0x18;
/// In a vCPU's page, write: the thread that it runs from now on, 0 for none.
pub const REGISTER_THREAD: u64 = 0x20;
/// Where the window shows the snapshot: behind the pages of 255 vCPUs.
pub const WINDOW_SNAPSHOT: u64 = 256 * PAGE;
/// Bytes of the window.
pub const WINDOW: u64 = WINDOW_SNAPSHOT + MAX_MESSAGE as u64;

/// Event: a vCPU runs a thread, 0 for none.
pub const EVENT_RUNS: u8 = 1;
/// Event: there is a new thread, made on this vCPU.
pub const EVENT_STARTS: u8 = 2;
/// Event: a thread is ready again; woken on this vCPU, [`NO_VCPU`] for by none.
pub const EVENT_WAKES: u8 = 3;
/// Event: a thread waits for something that is no page.
pub const EVENT_BLOCKS: u8 = 4;
/// Event: a thread is done.
pub const EVENT_EXITS: u8 = 5;
/// The number that stands for no vCPU.
pub const NO_VCPU: u8 = u8::MAX;

/// An event as one word: kind in bits 0 to 7, vCPU in 8 to 15, zeroes, thread in 32 to 63.
#[must_use]
pub const fn event_word(kind: u8, vcpu: u8, thread: u32) -> u64 {
    kind as u64 | (vcpu as u64) << 8 | (thread as u64) << 32
}

/// Where the page of a vCPU is in the window.
#[must_use]
pub const fn vcpu_page(vcpu: u8) -> u64 {
    VCPU_PAGES + vcpu as u64 * PAGE
}

const _: () = {
    // The largest machine's snapshot with all that it may have.
    let machine = 254 * VCPU + 64 * 63 / 2 * LINK;
    let groups = MAX_GROUPS * (GROUP + MAX_SHARERS * SHARER);
    let advice = MAX_ADVICE * (ADVICE + MAX_SUBJECTS * SUBJECT);
    assert!(HEADER + SNAPSHOT_FIXED + machine + groups + advice <= MAX_MESSAGE);
    assert!(HEADER + 8 + MAX_EVENTS * 8 <= MAX_MESSAGE);
    assert!(MAX_MESSAGE.is_multiple_of(8));
};
