//! Requests to a disk.

use std::io::{self, Write};

use giantvm_io::virtio::blk::{Block, Disk, FileDisk};
use vm_memory::{Bytes, GuestAddress};

use crate::support::{BUFFERS, Rig, VERSION_1};

const HEADER: u64 = BUFFERS;
const DATA: u64 = BUFFERS + 0x1000;
const STATUS: u64 = BUFFERS + 0x20_0000;

const OK: u8 = 0;
const IOERR: u8 = 1;
const UNSUPP: u8 = 2;

const SECTORS: u64 = 64;

/// Bytes of the disk when it is new.
fn content() -> Vec<u8> {
    (0..SECTORS * 512)
        .map(|at| at.to_le_bytes()[0] ^ (at / 512).to_le_bytes()[0])
        .collect()
}

fn disk(read_only: bool) -> (std::fs::File, Rig) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content()).unwrap();
    let disk = FileDisk::new(file.try_clone().unwrap(), read_only).unwrap();
    (file, Rig::new(Block::new(disk, "a name of twenty-four c")))
}

fn bytes_of(file: &std::fs::File) -> Vec<u8> {
    let mut bytes = content();
    std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, 0).unwrap();
    bytes
}

/// Makes a request with these data buffers; its status, and what was written.
fn request(rig: &mut Rig, kind: u32, sector: u64, data: &[(u64, u32, bool)]) -> (u8, u32) {
    let memory = rig.memory.clone();
    memory.write_obj(kind, GuestAddress(HEADER)).unwrap();
    memory.write_obj(0_u32, GuestAddress(HEADER + 4)).unwrap();
    memory.write_obj(sector, GuestAddress(HEADER + 8)).unwrap();
    memory.write_obj(0xff_u8, GuestAddress(STATUS)).unwrap();
    let mut chain = vec![(HEADER, 16, false)];
    chain.extend_from_slice(data);
    chain.push((STATUS, 1, true));
    let written = rig.request(0, &chain);
    (memory.read_obj(GuestAddress(STATUS)).unwrap(), written)
}

fn read_memory(rig: &Rig, at: u64, bytes: usize) -> Vec<u8> {
    let mut buffer = vec![0; bytes];
    rig.memory
        .read_slice(&mut buffer, GuestAddress(at))
        .unwrap();
    buffer
}

#[test]
fn sectors_are_read_into_whatever_buffers_there_are() {
    let (_, mut rig) = disk(false);
    let data = [
        (DATA, 512, true),
        (DATA + 0x3001, 1000, true),
        (DATA + 0x8000, 24, true),
    ];
    assert_eq!(request(&mut rig, 0, 3, &data), (OK, 1537));
    let mut got = read_memory(&rig, DATA, 512);
    got.extend(read_memory(&rig, DATA + 0x3001, 1000));
    got.extend(read_memory(&rig, DATA + 0x8000, 24));
    assert_eq!(got, content()[3 * 512..6 * 512]);
}

#[test]
fn what_is_written_is_in_the_file() {
    let (file, mut rig) = disk(false);
    let new = vec![0xa5; 1024];
    rig.memory.write_slice(&new, GuestAddress(DATA)).unwrap();
    let data = [(DATA, 1000, false), (DATA + 1000, 24, false)];
    assert_eq!(request(&mut rig, 1, 62, &data), (OK, 1));
    assert_eq!(request(&mut rig, 4, 0, &[]), (OK, 1));
    let mut expected = content();
    expected[62 * 512..].copy_from_slice(&new);
    assert!(bytes_of(&file) == expected);
}

#[test]
fn headers_and_status_may_lie_in_any_split() {
    let (_, mut rig) = disk(false);
    let memory = rig.memory.clone();
    memory.write_slice(&[0; 16], GuestAddress(HEADER)).unwrap();
    let mut chain: Vec<_> = (0..16).map(|at| (HEADER + at, 1, false)).collect();
    chain.push((DATA, 0, true));
    chain.push((DATA, 513, true));
    assert_eq!(rig.request(0, &chain), 513);
    assert_eq!(read_memory(&rig, DATA, 512), content()[..512]);
    assert_eq!(read_memory(&rig, DATA + 512, 1), [OK]);
}

#[test]
fn what_is_not_on_the_disk_is_an_error() {
    let (file, mut rig) = disk(false);
    let out = |len| [(DATA, len, false)];
    let into = |len| [(DATA, len, true)];
    for (kind, sector, data) in [
        (0, SECTORS, into(512)),
        (0, SECTORS - 1, into(1024)),
        (0, u64::MAX, into(512)),
        (0, u64::MAX / 512, into(512)),
        (0, 0, into(511)),
        (1, SECTORS, out(512)),
        (1, 0, out(513)),
    ] {
        let (status, _) = request(&mut rig, kind, sector, &data);
        assert_eq!(status, IOERR, "{kind} {sector} {data:?}");
    }
    assert!(bytes_of(&file) == content());
    assert_eq!(request(&mut rig, 77, 0, &[]).0, UNSUPP);
    assert_eq!(request(&mut rig, 0, 0, &into(512)).0, OK, "it still works");
}

#[test]
fn a_request_larger_than_announced_is_an_error() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(64 << 20).unwrap();
    let mut rig = Rig::new(Block::new(FileDisk::new(file, false).unwrap(), "large"));
    let limit = (126 << 16) as u32;
    for (bytes, expected) in [(limit, OK), (limit + 512, IOERR)] {
        // The same buffers again and again: no one minds.
        let data: Vec<_> = (0..bytes.div_ceil(1 << 20))
            .map(|at| (DATA, (bytes - (at << 20)).min(1 << 20), true))
            .collect();
        assert_eq!(request(&mut rig, 0, 0, &data).0, expected, "{bytes}");
    }
}

#[test]
fn the_name_is_cut_to_twenty_bytes() {
    let (_, mut rig) = disk(false);
    assert_eq!(request(&mut rig, 8, 0, &[(DATA, 20, true)]), (OK, 21));
    assert_eq!(read_memory(&rig, DATA, 20), b"a name of twenty-fou");
    assert_eq!(request(&mut rig, 8, 0, &[(DATA, 19, true)]).0, UNSUPP);
}

#[test]
fn ranges_are_zeroed_and_let_go() {
    let (file, mut rig) = disk(false);
    let memory = rig.memory.clone();
    let range = |at: u64, sector: u64, sectors: u32, flags: u32| {
        let at = DATA + 16 * at;
        memory.write_obj(sector, GuestAddress(at)).unwrap();
        memory.write_obj(sectors, GuestAddress(at + 8)).unwrap();
        memory.write_obj(flags, GuestAddress(at + 12)).unwrap();
    };
    range(0, 8, 8, 0);
    range(1, 32, 16, 1);
    assert_eq!(request(&mut rig, 13, 0, &[(DATA, 32, false)]).0, OK);
    let mut expected = content();
    expected[8 * 512..16 * 512].fill(0);
    expected[32 * 512..48 * 512].fill(0);
    assert!(bytes_of(&file) == expected);
    // A discard is a wish, so that only what it must not touch can be looked at.
    range(0, 48, 8, 0);
    assert_eq!(request(&mut rig, 11, 0, &[(DATA, 16, false)]).0, OK);
    assert!(bytes_of(&file)[..48 * 512] == expected[..48 * 512]);
    range(0, SECTORS - 1, 2, 0);
    for (kind, bytes, expected) in [
        (13, 16, IOERR),
        (11, 16, IOERR),
        (13, 15, IOERR),
        (13, 0, IOERR),
        (13, 16 * 17, IOERR),
    ] {
        let got = request(&mut rig, kind, 0, &[(DATA, bytes, false)]).0;
        assert_eq!(got, expected, "{kind} {bytes}");
    }
    range(0, 0, 1, 4);
    assert_eq!(request(&mut rig, 13, 0, &[(DATA, 16, false)]).0, UNSUPP);
    range(0, 0, 1, 1);
    assert_eq!(request(&mut rig, 11, 0, &[(DATA, 16, false)]).0, UNSUPP);
}

#[test]
fn a_read_only_disk_is_not_written() {
    let (file, mut rig) = disk(true);
    rig.write(0x14, 0);
    let features = rig.read(0x10);
    assert_eq!(features & (1 << 5 | 1 << 13 | 1 << 14), 1 << 5);
    assert_eq!(request(&mut rig, 1, 0, &[(DATA, 512, false)]).0, IOERR);
    rig.memory.write_obj(1_u32, GuestAddress(DATA + 8)).unwrap();
    assert_eq!(request(&mut rig, 13, 0, &[(DATA, 16, false)]).0, IOERR);
    assert_eq!(request(&mut rig, 11, 0, &[(DATA, 16, false)]).0, IOERR);
    assert!(bytes_of(&file) == content());
    assert_eq!(request(&mut rig, 0, 0, &[(DATA, 512, true)]).0, OK);
}

/// A chain that is sound as far as it goes, but goes on, or has a buffer that is nowhere.
#[test]
fn a_request_that_is_not_sound_to_its_end_is_not_begun() {
    let (file, mut rig) = disk(false);
    let memory = rig.memory.clone();
    memory.write_obj(1_u32, GuestAddress(HEADER)).unwrap();
    let nowhere = (1 << 40, 512, false);
    let header = (HEADER, 16, false);
    for (data, cut) in [(nowhere, false), ((DATA, 512, false), true)] {
        let before = rig.line.rises();
        rig.queues[0].add(&memory, &[header, data, (STATUS, 1, true)]);
        if cut {
            // The last descriptor goes on to one that the table does not have.
            let last = rig.queues[0].parts()[0].1 + 2 * 16;
            memory.write_obj(3_u16, GuestAddress(last + 12)).unwrap();
            memory.write_obj(128_u16, GuestAddress(last + 14)).unwrap();
        }
        rig.ring(0);
        assert_eq!(rig.interrupt(before + 1), 2);
        rig.begin(VERSION_1);
    }
    assert!(bytes_of(&file) == content());
}

/// A disk that fails.
#[derive(Debug)]
struct Broken;

impl Disk for Broken {
    fn bytes(&self) -> u64 {
        SECTORS * 512
    }

    fn is_read_only(&self) -> bool {
        false
    }

    fn read(&self, _: &mut [u8], _: u64) -> io::Result<()> {
        Err(io::Error::other("broken"))
    }

    fn write(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::Error::other("broken"))
    }

    fn flush(&self) -> io::Result<()> {
        Err(io::Error::other("broken"))
    }

    fn discard(&self, _: u64, _: u64) -> io::Result<()> {
        Err(io::Error::other("broken"))
    }

    fn zero(&self, _: u64, _: u64, _: bool) -> io::Result<()> {
        Err(io::Error::other("broken"))
    }
}

#[test]
fn a_disk_that_fails_is_reported_to_the_guest() {
    let mut rig = Rig::new(Block::new(Broken, ""));
    for (kind, data) in [
        (0, &[(DATA, 512, true)][..]),
        (1, &[(DATA, 512, false)]),
        (4, &[]),
    ] {
        assert_eq!(request(&mut rig, kind, 0, data).0, IOERR);
    }
}

#[test]
fn a_file_is_no_two_writers_disk() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let first = FileDisk::open(file.path(), true).unwrap();
    let second = FileDisk::open(file.path(), true).unwrap();
    let refused = FileDisk::open(file.path(), false).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    drop((first, second));
    let only = FileDisk::open(file.path(), false).unwrap();
    assert!(FileDisk::open(file.path(), true).is_err());
    assert_eq!(only.bytes(), 0);
}
