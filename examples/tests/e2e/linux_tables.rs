//! A kernel finds in ACPI's tables how far nodes are from one another.

use std::io::Write as _;
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::aggregate_bad_days::{cluster, free_ports};
use crate::linux::{boot, elf};
use crate::machine::{aggregate, end_within, text, turn};

const LIMIT: Duration = Duration::from_secs(120);

/// Says of each SLIT and HMAT the first letter, and the low half of eight bytes of its contents as letters
/// behind the first eight; then switches the machine off.
const CODE: [u8; 73] = [
    0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
    0xbe, 0x00, 0x00, 0x0e, 0x00, // mov esi, the tables
    0x81, 0x3e, 0x53, 0x4c, 0x49, 0x54, // next: cmp dword [rsi], "SLIT"
    0x74, 0x1e, // je found
    0x81, 0x3e, 0x48, 0x4d, 0x41, 0x54, // cmp dword [rsi], "HMAT"
    0x74, 0x16, // je found
    0xff, 0xc6, // on: inc esi
    0x81, 0xfe, 0x00, 0x00, 0x10, 0x00, // cmp esi, the tables' end
    0x75, 0xe6, // jne next
    0xb0, 0x0a, // mov al, '\n'
    0xee, // out dx, al
    0x66, 0xba, 0x00, 0x06, // mov dx, 0x600
    0xb0, 0x34, // mov al, 0x34
    0xee, // out dx, al
    0xeb, 0xfe, // jmp to itself
    0x8a, 0x06, // found: mov al, [rsi]
    0xee, // out dx, al
    0xb9, 0x08, 0x00, 0x00, 0x00, // mov ecx, 8
    0x8d, 0x7e, 0x2c, // lea edi, [rsi+44]
    0x8a, 0x07, // each: mov al, [rdi]
    0x24, 0x0f, // and al, 15
    0x04, 0x61, // add al, 'a'
    0xee, // out dx, al
    0xff, 0xc7, // inc edi
    0xff, 0xc9, // dec ecx
    0x75, 0xf3, // jnz each
    0xeb, 0xd0, // jmp on
];

/// What a kernel says of a table: eight letters.
fn table(said: &str, letter: char) -> Option<&str> {
    let line = said.lines().find(|line| line.starts_with('S'))?;
    line.get(line.find(letter)? + 1..)?.get(..8)
}

#[test]
fn links_are_measured_for_a_guest_of_several_nodes() {
    let Some(_turn) = turn("links_are_measured", true) else {
        return;
    };
    let (said, status) = boot(&elf(&CODE), &["--nodes", "2", "--vcpus", "2"]);
    assert_eq!(status, Some(0), "{said}");
    let distances = table(&said, 'S').unwrap_or_else(|| panic!("{said}"));
    // 10 20 20 10, whatever was measured.
    assert!(distances.starts_with("keek"), "{said}");
    assert!(table(&said, 'H').is_some(), "{said}");

    let (said, status) = boot(&elf(&CODE), &["--nodes", "1", "--vcpus", "1"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(
        table(&said, 'S').is_some() && table(&said, 'H').is_none(),
        "{said}"
    );
}

#[test]
fn a_cluster_file_says_how_far_nodes_are_and_which_has_the_randomness() {
    let Some(_turn) = turn("a_cluster_file_says", true) else {
        return;
    };
    let mut kernel = NamedTempFile::new().unwrap();
    kernel.write_all(&elf(&CODE)).unwrap();
    let mut file = cluster("64M", &free_ports());
    let place = "\n[[device]]\nkind = \"rng\"\nnode = \"c\"\n";
    file.write_all(place.as_bytes()).unwrap();
    for (from, to, micros) in [("a", "b", 300), ("c", "b", 330), ("a", "c", 1200)] {
        let link = "[[link]]\nfrom = \"{from}\"\nto = \"{to}\"\nround-trip-us = {us}\n";
        let link = link.replace("{from}", from).replace("{to}", to);
        let link = link.replace("{us}", &format!("{micros}"));
        file.write_all(link.as_bytes()).unwrap();
    }
    let (kernel, file) = (kernel.path().to_str(), file.path().to_str());
    let common = [
        "--kernel",
        kernel.unwrap(),
        "--cluster",
        file.unwrap(),
        "--node",
    ];
    let nodes = ["a", "b", "c"].map(|name| aggregate(&[&common[..], &[name]].concat()).spawn());
    let outputs = nodes.map(|child| end_within(child.unwrap(), LIMIT));
    for output in &outputs {
        assert_eq!(output.status.code(), Some(0), "{}", text(output));
    }
    // 10 20 40, 20 10 20, 40 20.
    let said = text(&outputs[0]);
    assert_eq!(table(&said, 'S'), Some("keiekeie"), "{said}");
}
