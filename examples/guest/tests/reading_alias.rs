#![expect(unsafe_code, reason = "gives memory to KVM")]
//! The second mapping of memory: loads through it are no stores for KVM, and it takes no stores.

use giantvm_guest::{Config, abi};
use kvm_bindings::{
    KVM_CAP_SPLIT_IRQCHIP, KVM_MAX_CPUID_ENTRIES, KVM_MEM_LOG_DIRTY_PAGES, kvm_dtable,
    kvm_enable_cap, kvm_regs, kvm_segment, kvm_userspace_memory_region,
};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

/// Words that no program has touched.
const PEEKED: u64 = abi::DATA;
const READ: u64 = abi::DATA + 0x1_0000;
const WRITTEN: u64 = abi::DATA + 0x2_0000;

/// mov rax, [rdi]; mov rbx, [rsi]; mov [r8], rax; xor eax, eax; int3: by the gate,
/// ECX and EDX as set at the start, the machine ends with status 0.
const LOADS_AND_A_STORE: [u8; 12] = [
    0x48, 0x8b, 0x07, 0x48, 0x8b, 0x1e, 0x49, 0x89, 0x00, 0x31, 0xc0, 0xcc,
];

struct Ended {
    status: u32,
    memory: GuestMemoryMmap,
    dirty: Vec<u64>,
}

impl Ended {
    fn is_dirty(&self, address: u64) -> bool {
        let page = usize::try_from(address / abi::PAGE).unwrap();
        self.dirty[page / 64] >> (page % 64) & 1 == 1
    }
}

/// Runs [`LOADS_AND_A_STORE`] at CPL3 with the guest's page tables and handlers. `None` without KVM.
fn run(peeked: u64, read: u64, written: u64) -> Option<Ended> {
    let kvm = match Kvm::new() {
        Ok(kvm) => kvm,
        Err(error) => {
            giantvm_core::testing::skip("reading_alias", &format!("/dev/kvm: {error}"));
            return None;
        }
    };
    let vm = kvm.create_vm().unwrap();
    vm.enable_cap(&kvm_enable_cap {
        cap: KVM_CAP_SPLIT_IRQCHIP,
        args: [24, 0, 0, 0],
        ..Default::default()
    })
    .unwrap();
    let config = Config {
        runs: Vec::new(),
        memory: abi::MEMORY_MIN,
        ..Config::default()
    };
    let size = usize::try_from(config.memory).unwrap();
    let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), size)]).unwrap();
    for segment in config.boot_image().unwrap().segments {
        memory
            .write_slice(&segment.bytes, GuestAddress(segment.address))
            .unwrap();
    }
    memory
        .write_slice(&LOADS_AND_A_STORE, GuestAddress(abi::IMAGE_BASE))
        .unwrap();
    for word in [PEEKED, READ] {
        memory.write_obj(word, GuestAddress(word)).unwrap();
    }
    let region = kvm_userspace_memory_region {
        memory_size: config.memory,
        flags: KVM_MEM_LOG_DIRTY_PAGES,
        userspace_addr: memory.get_host_address(GuestAddress(0)).unwrap() as u64,
        ..Default::default()
    };
    // SAFETY: the mapping lives until after the vCPU has run for the last time.
    unsafe { vm.set_user_memory_region(region).unwrap() };

    let mut vcpu = vm.create_vcpu(0).unwrap();
    let cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).unwrap();
    vcpu.set_cpuid2(&cpuid).unwrap();
    enter_at_cpl3(&vcpu);
    vcpu.set_regs(&kvm_regs {
        rip: abi::IMAGE_BASE,
        rsp: abi::vcpu_area(0) + abi::AREA_STACK3_END,
        rflags: 2,
        rcx: 1,
        rdx: abi::PORT_POWER.into(),
        rdi: peeked,
        rsi: read,
        r8: written,
        ..Default::default()
    })
    .unwrap();
    let status = match vcpu.run().unwrap() {
        VcpuExit::IoOut(abi::PORT_POWER, data) => u32::from_le_bytes(data.try_into().unwrap()),
        other => panic!("{other:?}"),
    };
    let dirty = vm.get_dirty_log(0, size).unwrap();
    Some(Ended {
        status,
        memory,
        dirty,
    })
}

fn enter_at_cpl3(vcpu: &VcpuFd) {
    let flat = kvm_segment {
        limit: u32::MAX,
        present: 1,
        s: 1,
        g: 1,
        dpl: 3,
        ..Default::default()
    };
    let area = abi::vcpu_area(0);
    let mut sregs = vcpu.get_sregs().unwrap();
    sregs.cs = kvm_segment {
        selector: abi::SELECTOR_CODE3,
        type_: 11,
        l: 1,
        ..flat
    };
    let data = kvm_segment {
        selector: abi::SELECTOR_DATA3,
        type_: 3,
        db: 1,
        ..flat
    };
    (sregs.ds, sregs.es, sregs.ss) = (data, data, data);
    sregs.gs.base = area + abi::AREA_COUNTERS;
    sregs.tr = kvm_segment {
        selector: abi::SELECTOR_TSS,
        base: area + abi::AREA_TSS,
        limit: 103,
        type_: 11,
        present: 1,
        ..Default::default()
    };
    sregs.gdt = kvm_dtable {
        base: area + abi::AREA_GDT,
        limit: 55,
        ..Default::default()
    };
    sregs.idt = kvm_dtable {
        base: abi::IDT,
        limit: 4095,
        ..Default::default()
    };
    (sregs.cr0, sregs.cr3, sregs.cr4) = (abi::CR0, abi::PAGE_TABLES, abi::CR4);
    sregs.efer = abi::EFER;
    vcpu.set_sregs(&sregs).unwrap();
}

/// What keeps nodes that wait for a word from taking its page from each other.
#[test]
fn a_load_through_the_alias_is_no_store() {
    let Some(ended) = run(abi::READING_ALIAS + PEEKED, READ, WRITTEN) else {
        return;
    };
    assert_eq!(ended.status, 0);
    let stored: u64 = ended.memory.read_obj(GuestAddress(WRITTEN)).unwrap();
    assert_eq!(stored, PEEKED, "the alias shows another page");
    assert!(ended.is_dirty(WRITTEN), "KVM logs no stores");
    assert!(!ended.is_dirty(PEEKED), "the load counts as a store");
    // With hardware to stand on it is a load; without, the reason for the alias.
    let counts = ended.is_dirty(READ);
    println!("a load from a writable mapping counts as a store: {counts}");
}

#[test]
fn a_store_through_the_alias_is_a_page_fault() {
    let Some(ended) = run(PEEKED, READ, abi::READING_ALIAS + WRITTEN) else {
        return;
    };
    assert_eq!(ended.status, abi::status::EXCEPTION);
    let fault = abi::vcpu_area(0) + abi::AREA_FAULT;
    let [vector, cr2]: [u64; 2] =
        [fault, fault + 24].map(|at| ended.memory.read_obj(GuestAddress(at)).unwrap());
    assert_eq!((vector, cr2), (14, abi::READING_ALIAS + WRITTEN));
}
