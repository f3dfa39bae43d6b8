//! The guest of a kernel finds what is attached to its machine, and can use it.
//!
//! The kernels are drivers of a few instructions: they set one queue up, ring its bell, and wait.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use giantvm_sched::channel::Message;

use crate::linux::{boot, elf};
use crate::machine::turn;

/// Where the first device's registers are, and how far apart those of others.
const REGISTERS: u32 = 0xd000_0000;
const SPACING: u32 = 0x1000;
/// Where the kernel is, and in it the registers' values, the queue's parts and the buffer.
const KERNEL: u32 = 0x10_0000;
const VALUES: usize = 0x200;
const DESCRIPTORS: usize = 0x400;
const AVAILABLE: usize = 0x500;
const USED: usize = 0x600;
const BUFFER: usize = 0x700;
/// Bytes of the buffer.
const BYTES: usize = 16;
const BUFFER_BYTES: u32 = 16;
/// Where the code has the registers' address and the number of values.
const HOLES: [usize; 2] = [1, 11];

/// Writes the values to the registers, waits until the buffer is used, says the low half of each byte of
/// it as a letter on the serial port, and switches the machine off.
const CODE: [u8; 82] = [
    0xbb, 0, 0, 0, 0, // mov ebx, registers
    0xbe, 0x00, 0x02, 0x10, 0x00, // mov esi, values
    0xb9, 0, 0, 0, 0, // mov ecx, their number
    0x8b, 0x16, // next: mov edx, [rsi]
    0x8b, 0x46, 0x04, // mov eax, [rsi+4]
    0x89, 0x04, 0x13, // mov [rbx+rdx], eax
    0x83, 0xc6, 0x08, // add esi, 8
    0xff, 0xc9, // dec ecx
    0x75, 0xf1, // jnz next
    0xf3, 0x90, // wait: pause
    0x66, 0x83, 0x3c, 0x25, 0x02, 0x06, 0x10, 0x00, 0x00, // cmp word [used index], 0
    0x74, 0xf3, // je wait
    0xbe, 0x00, 0x07, 0x10, 0x00, // mov esi, buffer
    0xb9, 0x10, 0x00, 0x00, 0x00, // mov ecx, 16
    0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
    0x8a, 0x06, // each: mov al, [rsi]
    0x24, 0x0f, // and al, 15
    0x04, 0x61, // add al, 'a'
    0xee, // out dx, al
    0xff, 0xc6, // inc esi
    0xff, 0xc9, // dec ecx
    0x75, 0xf3, // jnz each
    0xb0, 0x0a, // mov al, '\n'
    0xee, // out dx, al
    0x66, 0xba, 0x00, 0x06, // mov dx, 0x600
    0xb0, 0x34, // mov al, 0x34
    0xee, // out dx, al
    0xeb, 0xfe, // jmp to itself
];

/// How far a part of one queue is from that of the next.
const NEXT: usize = 0x40;
/// Where the second queue's buffer is.
const SAID: usize = 0x780;

/// The values that set a queue up.
fn queue(number: u32) -> [(u32, u32); 9] {
    let at = |part: usize| KERNEL + u32::try_from(part + number as usize * NEXT).unwrap();
    [
        (0x30, number),
        (0x38, 4),
        (0x80, at(DESCRIPTORS)),
        (0x84, 0),
        (0x90, at(AVAILABLE)),
        (0x94, 0),
        (0xa0, at(USED)),
        (0xa4, 0),
        (0x44, 1),
    ]
}

/// A kernel that hands the device of this number a buffer to fill, by its first queue, and before that
/// says something by its second, if there is something to say.
fn driver(device: u32, says: &[u8]) -> Vec<u8> {
    let at = |part: usize| KERNEL + u32::try_from(part).unwrap();
    let mut values = vec![
        (0x70, 1),
        (0x70, 3),
        // VIRTIO_F_VERSION_1, and nothing else.
        (0x24, 1),
        (0x20, 1),
        (0x70, 11),
    ];
    values.extend(queue(0));
    if !says.is_empty() {
        values.extend(queue(1));
    }
    values.push((0x70, 15));
    if !says.is_empty() {
        values.push((0x50, 1));
    }
    values.push((0x50, 0));
    let mut kernel = vec![0; SAID + says.len()];
    let mut put = |at: usize, bytes: &[u8]| kernel[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &CODE);
    let filled = [
        REGISTERS + device * SPACING,
        u32::try_from(values.len()).unwrap(),
    ];
    for (hole, value) in HOLES.into_iter().zip(filled) {
        put(hole, &u32::to_le_bytes(value));
    }
    for (number, (register, value)) in values.into_iter().enumerate() {
        put(VALUES + 8 * number, &u32::to_le_bytes(register));
        put(VALUES + 8 * number + 4, &u32::to_le_bytes(value));
    }
    put(DESCRIPTORS, &u64::from(at(BUFFER)).to_le_bytes());
    put(DESCRIPTORS + 8, &BUFFER_BYTES.to_le_bytes());
    put(DESCRIPTORS + 12, &[2]);
    // One buffer, the first.
    put(AVAILABLE + 2, &[1]);
    if !says.is_empty() {
        put(SAID, says);
        put(DESCRIPTORS + NEXT, &u64::from(at(SAID)).to_le_bytes());
        let length = u32::try_from(says.len()).unwrap();
        put(DESCRIPTORS + NEXT + 8, &length.to_le_bytes());
        put(AVAILABLE + NEXT + 2, &[1]);
    }
    elf(&kernel)
}

/// What such a kernel says of its buffer.
fn letters(said: &str) -> String {
    let is_it =
        |line: &&str| line.len() == BYTES && line.bytes().all(|byte| byte.is_ascii_lowercase());
    said.lines()
        .find(is_it)
        .unwrap_or_else(|| panic!("{said}"))
        .to_owned()
}

#[test]
fn every_kernel_finds_randomness_behind_what_was_asked_for() {
    let Some(_turn) = turn("every_kernel_finds_randomness", true) else {
        return;
    };
    let link = tempfile::tempdir().unwrap();
    let link = link.path().join("hvc0");
    let console = ["--virtio-console", link.to_str().unwrap()];
    let mut all = Vec::new();
    for (before, more) in [(0, &[][..]), (0, &[]), (1, &console)] {
        let kernel = driver(before, &[]);
        let nodes = ["--nodes", "2", "--vcpus", "2"];
        let (said, status) = boot(&kernel, &[&nodes[..], more].concat());
        assert_eq!(status, Some(0), "{said}");
        all.push(letters(&said));
    }
    // By chance one in 2^64, three times.
    assert!(
        all[0] != all[1] && all[1] != all[2] && all[2] != all[0],
        "{all:?}"
    );
}

#[test]
fn what_is_typed_at_a_consoles_link_reaches_the_guest() {
    let Some(_turn) = turn("what_is_typed", true) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("hvc0");
    let place = format!("{},node=1", link.display());
    // The kernel waits for it, so whenever it comes is in time.
    let types = std::thread::spawn(move || {
        let mut options = File::options();
        loop {
            match options.write(true).open(&link) {
                Ok(mut terminal) => return terminal.write_all(b"hello from hvc0\n"),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    });
    let kernel = driver(0, &[]);
    let more = ["--nodes", "2", "--vcpus", "1", "--virtio-console", &place];
    let (said, status) = boot(&kernel, &more);
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(letters(&said), "ifmmpagcpnaigdak", "{said}");
    types.join().unwrap().unwrap();
}

#[test]
fn a_kernel_that_asks_by_the_channel_is_told_of_its_machine() {
    let Some(_turn) = turn("a_kernel_that_asks_by_the_channel", true) else {
        return;
    };
    // Behind the randomness.
    let kernel = driver(1, &Message::Ask(7).encode());
    for nodes in ["1", "2"] {
        let more = ["--nodes", nodes, "--vcpus", "2", "--channel"];
        let (said, status) = boot(&kernel, &more);
        assert_eq!(status, Some(0), "{said}");
        // The low halves of `GVCH`, version 1, kind 1; then the length.
        let told = letters(&said);
        assert!(told.starts_with("hgdibaba"), "{told} {said}");
        assert!(told.ends_with("aaaa"), "{told}");
    }
}

#[test]
fn more_than_there_are_interrupt_lines_for_is_refused() {
    let names: Vec<_> = (0..16).map(|number| format!("/nowhere/{number}")).collect();
    let more: Vec<_> = names
        .iter()
        .flat_map(|name| ["--virtio-console", name])
        .collect();
    let (said, status) = boot(b"", &more);
    assert_eq!(status, Some(2), "{said}");
    assert!(
        said.contains("16 disks, network cards and consoles are more than 15"),
        "{said}"
    );
}
