#![expect(unsafe_code, reason = "gives a guest our memory")]
//! A virtual CPU that touches pages which have to be fetched.

use std::thread;

use giantvm_core::{PageIndex, PageSize};
use giantvm_dsm::backing::Choice;
use giantvm_dsm::protocol::{Access, FrameFate, Rights};
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};

use crate::support::{Served, join};

const CODE: u64 = 1;
const DATA: u64 = 3;

/// In real mode: load the byte at 0x3000 and put it out on port 0x10, for ever adding one to it.
const GUEST: [u8; 11] = [
    0xa0, 0x00, 0x30, // mov al, [0x3000]
    0xe6, 0x10, // out 0x10, al
    0xfe, 0x06, 0x00, 0x30, // inc byte [0x3000]
    0xeb, 0xf5, // jmp to the start
];

/// A guest whose RAM is `node`'s, with its code in place; `None` without KVM.
fn guest(test: &str, node: &mut Served) -> Option<(VmFd, VcpuFd)> {
    let kvm = match Kvm::new() {
        Ok(kvm) => kvm,
        Err(why) => {
            giantvm_core::testing::skip(test, &format!("/dev/kvm cannot be opened: {why}"));
            return None;
        }
    };
    let vm = kvm.create_vm().unwrap();
    let region = kvm_userspace_memory_region {
        slot: 0,
        guest_phys_addr: 0,
        memory_size: node.mapping.len() as u64,
        userspace_addr: node.mapping.base().as_ptr().addr() as u64,
        flags: 0,
    };
    // SAFETY: the mapping is the node's, which outlives the guest in each test.
    unsafe { vm.set_user_memory_region(region) }.unwrap();
    let mut code = vec![0; node.size()];
    code[..GUEST.len()].copy_from_slice(&GUEST);
    node.backing.store(PageIndex(CODE), &code).unwrap();
    node.backing.map(PageIndex(CODE), Rights::Read).unwrap();
    let vcpu = vm.create_vcpu(0).unwrap();
    let mut sregs = vcpu.get_sregs().unwrap();
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    vcpu.set_sregs(&sregs).unwrap();
    let mut regs = vcpu.get_regs().unwrap();
    regs.rip = CODE * 4096;
    regs.rflags = 2;
    vcpu.set_regs(&regs).unwrap();
    Some((vm, vcpu))
}

/// How a guest was stopped by memory it may not have.
#[derive(Debug)]
#[expect(dead_code, reason = "shown when a test fails")]
enum Stopped {
    /// `KVM_RUN` failed.
    Error(kvm_ioctls::Error),
    /// KVM's instruction emulator takes memory that cannot be had for a device.
    Mmio(u64),
}

/// Runs until the guest puts out a byte.
fn output(vcpu: &mut VcpuFd) -> Result<u8, Stopped> {
    match vcpu.run().map_err(Stopped::Error)? {
        VcpuExit::IoOut(0x10, &[byte]) => Ok(byte),
        VcpuExit::MmioRead(address, _) if address == DATA * 4096 => Err(Stopped::Mmio(address)),
        other => panic!("unexpected exit: {other:?}"),
    }
}

#[test]
fn a_guests_loads_and_stores_wait_for_the_page_and_its_upgrade() {
    let test = "kvm::a_guests_loads_and_stores_wait_for_the_page_and_its_upgrade";
    for choice in [Choice::Minor, Choice::Missing] {
        let Some(mut node) = Served::open(test, choice, 16, PageSize::K4) else {
            return;
        };
        let Some((_vm, mut vcpu)) = guest(test, &mut node) else {
            return;
        };
        let vcpu = thread::spawn(move || {
            let seen = [(); 3].map(|()| output(&mut vcpu).unwrap());
            (seen, vcpu)
        });
        node.expect(DATA, Access::Read);
        node.give(DATA, 40, Rights::Read);
        node.expect(DATA, Access::Write);
        assert_eq!(node.frame(DATA), 40, "the guest's store has to wait");
        node.backing.unprotect(PageIndex(DATA)).unwrap();
        node.backing.wake(PageIndex(DATA)).unwrap();
        let (seen, mut vcpu) = join(vcpu);
        assert_eq!(seen, [40, 41, 42], "{choice:?}");

        let data = PageIndex(DATA);
        node.backing.unmap(data, FrameFate::Keep).unwrap();
        let kept = node.frame(DATA);
        let vcpu = thread::spawn(move || output(&mut vcpu).unwrap());
        node.faults();
        node.give(DATA, 90, Rights::Write);
        let seen = join(vcpu);
        // The guest was between its output and its store, or past that.
        assert!(
            (kept == 42 && seen == 91) || (kept == 43 && seen == 90),
            "{kept} {seen}"
        );
    }
}

#[test]
fn a_guest_that_touches_a_poisoned_page_runs_no_further() {
    let test = "kvm::a_guest_that_touches_a_poisoned_page_runs_no_further";
    for choice in [Choice::Minor, Choice::Missing] {
        let Some(mut node) = Served::open(test, choice, 16, PageSize::K4) else {
            return;
        };
        let Some((_vm, mut vcpu)) = guest(test, &mut node) else {
            return;
        };
        node.backing.poison(PageIndex(DATA)).unwrap();
        let stopped = output(&mut vcpu);
        assert!(stopped.is_err(), "{choice:?}: the guest read {stopped:?}");
    }
}

#[test]
fn a_guest_whose_memory_is_revoked_runs_no_further() {
    let test = "kvm::a_guest_whose_memory_is_revoked_runs_no_further";
    let Some(mut node) = Served::open(test, Choice::Auto, 16, PageSize::K4) else {
        return;
    };
    let Some((_vm, mut vcpu)) = guest(test, &mut node) else {
        return;
    };
    let vcpu = thread::spawn(move || output(&mut vcpu));
    node.expect(DATA, Access::Read);
    node.mapping.revoke().unwrap();
    let stopped = join(vcpu);
    assert!(stopped.is_err(), "the guest read {stopped:?}");
}
