//! An unmodified Linux as the guest: how it is loaded and what it is told of the machine.

mod absent;
pub(crate) mod arguments;
pub(crate) mod attached;
pub(crate) mod devices;
mod firmware;
pub(crate) mod interrupts;
mod kernel;
pub(crate) mod keyboard;
pub(crate) mod late;
mod paging;
mod params;
mod place;
mod pty;
pub(crate) mod terminal;

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::num::NonZeroU8;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use giantvm_core::{GuestAddress, NodeId};
use giantvm_sched::Topology;
use giantvm_vcpu::StartState;
use linux_loader::loader::bootparam::setup_header;
use vm_memory::{ByteValued as _, Bytes as _, GuestMemoryBackend};

use self::attached::Attachment;
use self::kernel::{LoadError, fits};
use crate::address_map::AddressMap;

/// The page that Linux gives a page of its own.
const PAGE: u64 = 4096;

/// What the user wants to run.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) kernel: PathBuf,
    pub(crate) initrd: Option<PathBuf>,
    /// How many times slower its time passes.
    pub(crate) slow_motion: NonZeroU8,
    /// What the kernel is told besides.
    pub(crate) cmdline: String,
    /// Its devices on virtio.
    pub(crate) attached: Vec<Attachment>,
}

impl Options {
    /// Where the guest's channel is, if it has one.
    pub(crate) fn channel(&self) -> Option<NodeId> {
        let channel = self.attached.iter().find(|one| one.is_channel());
        channel.map(Attachment::node)
    }
}

/// The machine that the kernel finds itself on.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// Where memory is.
    pub(crate) map: &'a AddressMap,
    /// Which vCPUs and memory are near one another.
    pub(crate) topology: &'a Topology,
    /// The frequency of time-stamp counters, if it is known.
    pub(crate) tsc_khz: Option<u32>,
}

/// Puts the kernel and all it needs into guest memory. Returns how the boot vCPU starts.
pub(crate) fn load<M: GuestMemoryBackend>(
    options: &Options,
    memory: &M,
    around: &Surroundings<'_>,
) -> anyhow::Result<StartState> {
    let ranges = around.map.memory();
    let limit = ranges.first().map_or(0, |range| range.end);
    let tables = firmware::tables(around.topology, around.map, &options.attached)?;
    let name = |path: &Path| format!("{}", path.display());
    let mut file = open(&options.kernel)?;
    let kernel = kernel::load(memory, &mut file, limit).with_context(|| name(&options.kernel))?;
    let initrd = options.initrd.as_deref().map(|path| {
        let load = || initrd(memory, &mut open(path)?, &kernel.header, kernel.end..limit);
        load().with_context(|| name(path))
    });
    let line = params::command_line(around.tsc_khz, &options.cmdline);
    let line = params::terminated(&line, &kernel.header)?;
    let params = params::zero_page(
        kernel.header,
        &ranges,
        initrd.transpose()?,
        tables.address.0,
    );
    let put = |address, bytes: &[u8]| memory.write_slice(bytes, GuestAddress(address));
    put(place::COMMAND_LINE.into(), &line)?;
    put(place::ZERO_PAGE, params.as_slice())?;
    put(place::PAGE_TABLES, &paging::identity(place::PAGE_TABLES))?;
    put(tables.address.0, &tables.bytes)?;
    Ok(StartState::LongMode {
        rip: kernel.entry,
        // The kernel has a stack of its own before it uses any.
        rsp: place::ZERO_PAGE,
        cr3: GuestAddress(place::PAGE_TABLES),
        rdi: 0,
        rsi: place::ZERO_PAGE,
    })
}

/// Loads an initial file system as high as the kernel can reach, where it is in no one's way.
/// Returns where it is.
fn initrd<M: GuestMemoryBackend>(
    memory: &M,
    file: &mut File,
    header: &setup_header,
    room: Range<u64>,
) -> anyhow::Result<Range<u32>> {
    let size = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let end = room.end.min(u64::from(header.initrd_addr_max) + 1);
    let start = end.saturating_sub(size) / PAGE * PAGE;
    if start < room.start {
        fits("the initial file system", room.start, size, end)?;
    }
    let bytes = usize::try_from(size)?;
    memory.read_exact_volatile_from(GuestAddress(start), file, bytes)?;
    let start = u32::try_from(start)?;
    Ok(start..start + u32::try_from(size)?)
}

fn open(path: &Path) -> anyhow::Result<File> {
    let file = File::open(path).map_err(LoadError::from);
    file.with_context(|| path.display().to_string())
}
