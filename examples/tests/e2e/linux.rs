//! A kernel boots as the boot protocol says, from a bzImage and from an ELF file.
//!
//! The kernels are a few instructions each: a KVM without hardware underneath can run them.

use std::io::Write as _;
use std::time::Duration;

use crate::machine::{aggregate, end_within, text, turn};

const LIMIT: Duration = Duration::from_secs(120);

/// Looks for the setup header in the boot parameters, which `rsi` points to, and says what the command
/// line is on the serial port; then switches the machine off by the sleep control register. Resets it
/// if there is no header.
const CODE: [u8; 48] = [
    0x81, 0xbe, 0x02, 0x02, 0x00, 0x00, 0x48, 0x64, 0x72,
    0x53, // cmp dword [rsi+0x202], "HdrS"
    0x75, 0x1f, // jne reset
    0x8b, 0xb6, 0x28, 0x02, 0x00, 0x00, // mov esi, [rsi+0x228]
    0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
    0x8a, 0x06, // next: mov al, [rsi]
    0x84, 0xc0, // test al, al
    0x74, 0x06, // jz off
    0xee, // out dx, al
    0x48, 0xff, 0xc6, // inc rsi
    0xeb, 0xf4, // jmp next
    0x66, 0xba, 0x00, 0x06, // off: mov dx, 0x600
    0xb0, 0x34, // mov al, 0x34
    0xee, // out dx, al
    0xeb, 0xfe, // jmp to itself
    0x66, 0xba, 0xf9, 0x0c, // reset: mov dx, 0xcf9
    0x90,
];
const RESET: [u8; 5] = [0xb0, 0x06, 0xee, 0xeb, 0xfe];

fn code() -> Vec<u8> {
    [&CODE[..], &RESET].concat()
}

/// A bzImage whose kernel is `code` at its 64-bit entry.
fn bzimage(code: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 1024 + 0x200];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1f1, &[1]);
    put(0x1fe, &[0x55, 0xaa]);
    put(0x202, b"HdrS");
    put(0x206, &0x20f_u16.to_le_bytes());
    put(0x211, &[1]);
    put(0x214, &0x10_0000_u32.to_le_bytes());
    put(0x22c, &0x7fff_ffff_u32.to_le_bytes());
    put(0x230, &0x20_0000_u32.to_le_bytes());
    put(0x236, &1_u16.to_le_bytes());
    put(0x238, &255_u32.to_le_bytes());
    put(0x258, &0x100_0000_u64.to_le_bytes());
    put(0x260, &0x10_0000_u32.to_le_bytes());
    file.extend(code);
    file
}

/// An ELF file whose kernel is `code` at 1 MiB.
pub(crate) fn elf(code: &[u8]) -> Vec<u8> {
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let word = |file: &mut Vec<u8>, word: u64| file.extend(word.to_le_bytes());
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for value in [0x10_0000, 64, 0] {
        word(&mut file, value);
    }
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    file.extend([1, 0, 0, 0, 7, 0, 0, 0]);
    let len = code.len() as u64;
    for value in [120, 0x10_0000, 0x10_0000, len, len, 4096] {
        word(&mut file, value);
    }
    file.extend(code);
    file
}

/// What `aggregate` says to a kernel file, and the status it ends with.
pub(crate) fn boot(file: &[u8], more: &[&str]) -> (String, Option<i32>) {
    let mut kernel = tempfile::NamedTempFile::new().unwrap();
    kernel.write_all(file).unwrap();
    let path = kernel.path().to_str().unwrap();
    let arguments = ["--kernel", path, "--memory", "64M", "--no-restart"];
    let child = aggregate(&[&arguments[..], more].concat()).spawn().unwrap();
    let output = end_within(child, LIMIT);
    (text(&output), output.status.code())
}

#[test]
fn a_kernel_starts_at_its_entry_and_finds_its_command_line() {
    let Some(_turn) = turn("a_kernel_starts", true) else {
        return;
    };
    for file in [bzimage(&code()), elf(&code())] {
        for nodes in ["1", "2"] {
            let more = [
                "--nodes",
                nodes,
                "--vcpus",
                "2",
                "--cmdline",
                "hello=kernel",
            ];
            let (said, status) = boot(&file, &more);
            assert_eq!(status, Some(0), "{said}");
            let line = said.lines().find(|line| line.contains("hello=kernel"));
            assert!(
                line.is_some_and(|line| line.starts_with("console=ttyS0")),
                "{said}"
            );
            assert!(said.contains("switched the machine off"), "{said}");
        }
    }
}

#[test]
fn a_reset_ends_all_nodes_with_its_own_status() {
    let Some(_turn) = turn("a_reset_ends", true) else {
        return;
    };
    // A jump over what looks for the header.
    let reset = [0x66, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xeb, 0xfe];
    let (said, status) = boot(&bzimage(&reset), &["--nodes", "2", "--vcpus", "2"]);
    assert_eq!(status, Some(5), "{said}");
    assert!(said.contains("reset the machine"), "{said}");
}

#[test]
fn what_is_no_kernel_is_refused_with_what_to_do() {
    let Some(_turn) = turn("what_is_no_kernel", true) else {
        return;
    };
    let alone = ["--nodes", "1", "--vcpus", "1"];
    let mut old = bzimage(&code());
    old[0x206] = 0x06;
    let huge = {
        let mut file = bzimage(&code());
        file[0x260..0x264].copy_from_slice(&u32::MAX.to_le_bytes());
        file
    };
    let far = {
        let mut file = elf(&code());
        file[0x18 + 3] = 0x40;
        file
    };
    for (file, hint) in [
        (b"#!/bin/sh".to_vec(), "/boot/vmlinuz"),
        (old, "3.8 or newer"),
        (huge, "raise --memory"),
        (far, "the file is damaged"),
        (bzimage(&code())[..0x210].to_vec(), "damaged"),
        (elf(&code())[..100].to_vec(), "damaged"),
    ] {
        let (said, status) = boot(&file, &alone);
        assert_eq!(status, Some(4), "{said}");
        assert!(said.contains(hint), "{hint}: {said}");
    }
}
