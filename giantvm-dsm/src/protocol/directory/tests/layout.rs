//! What a page costs.

use super::super::{BYTES_PER_PAGE, Directory};
use super::*;

#[test]
fn a_page_costs_at_most_24_bytes_and_memory_is_committed_on_touch() {
    assert_eq!(BYTES_PER_PAGE, 22);
    // The tables of 256 GiB of memory: 1.5 GiB, if they were committed.
    let pages = 1 << 26;
    let before = resident_bytes();
    let nodes = NodeSet::first(1);
    let setup = Setup {
        local: NodeId::ZERO,
        nodes,
        pages,
        homes: HomeMap::even(pages, nodes),
    };
    let mut directory = Directory::new(setup);
    let page = PageIndex(pages - 1);
    let access = Access::Write;
    let mut commands = Vec::new();
    let fault = Input::Fault { page, access };
    directory.handle(Tick(0), fault, &mut commands).unwrap();
    assert_eq!(directory.rights(page), Some(Rights::Write));
    assert!(resident_bytes() < before + (256 << 20));
}

/// Bytes of memory that this process has committed.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}
