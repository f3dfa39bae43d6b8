//! The guest: start-up, and the programs of `src/programs` on bare metal.
//!
//! Built by this package's build script; `src` holds what guest and host share.
#![no_std]
#![no_main]
#![expect(
    unsafe_code,
    reason = "start-up is assembler, and symbols have fixed names"
)]
#![expect(
    dead_code,
    unused_imports,
    reason = "the shared modules also serve the host"
)]

#[path = "../src/abi.rs"]
mod abi;
#[path = "../src/machine.rs"]
mod machine;
#[path = "../src/memory.rs"]
mod memory;
mod memory_functions;
mod metal;
#[path = "../src/programs/mod.rs"]
mod programs;
#[path = "../src/threads/mod.rs"]
mod threads;

use core::sync::atomic::{AtomicBool, Ordering};

use machine::Machine;
use metal::Metal;
use programs::Context;

core::arch::global_asm!(
    include_str!("boot.s"),
    CR0 = const abi::CR0,
    CR4 = const abi::CR4,
    PAGE_TABLES = const abi::PAGE_TABLES,
    CODE0 = const abi::SELECTOR_CODE0,
    DATA0 = const abi::SELECTOR_DATA0,
    DATA3 = const abi::SELECTOR_DATA3,
    CODE3 = const abi::SELECTOR_CODE3,
    TSS = const abi::SELECTOR_TSS,
    IDT = const abi::IDT,
    TIMER = const machine::Vector::Timer as u8,
    AREAS = const abi::VCPU_AREAS,
    AREA_SIZE = const abi::VCPU_AREA_SIZE,
    GDT_POINTER = const abi::AREA_GDT_POINTER,
    COUNTERS = const abi::AREA_COUNTERS,
    STACK0_END = const abi::AREA_STACK0_END,
    STACK3_END = const abi::AREA_STACK3_END,
    MAIN = sym vcpu_main,
);

core::arch::global_asm!(
    include_str!("interrupts.s"),
    CODE0 = const abi::SELECTOR_CODE0,
    FAULT = const abi::AREA_FAULT - abi::AREA_COUNTERS,
    POWER = const abi::PORT_POWER,
    EXCEPTION = const abi::status::EXCEPTION,
);

/// Where every vCPU arrives at CPL3.
extern "C" fn vcpu_main(vcpu: u32) -> ! {
    // The table lies in the least memory there can be; how much there is, it says.
    let least = Metal::new(vcpu, abi::MEMORY_MIN);
    let machine = Metal::new(vcpu, programs::memory_in_table(least.memory()));
    let Ok(context) = Context::new(&machine) else {
        machine.port_out32(abi::PORT_POWER, abi::status::BAD_TABLE);
        machine.stop();
    };
    if vcpu == 0 {
        start_others(&machine, &context);
    }
    programs::run(&context);
    machine.stop();
}

/// Starts the application processors: INIT to all, a pause, SIPI to all, and a second SIPI to
/// those that have not come up, as processor manuals ask.
fn start_others(machine: &Metal, context: &Context<'_, Metal>) {
    for vcpu in 1..context.vcpus() {
        machine.init(vcpu);
    }
    context.pause_ms(10);
    for _ in 0..2 {
        for vcpu in (1..context.vcpus()).filter(|vcpu| !context.is_up(*vcpu)) {
            machine.startup(vcpu);
        }
        if context.others_up_within_ms(1000) {
            return;
        }
    }
    // Whoever is still missing is missed at the first barrier, which says so.
}

/// The precompiled core library names it for unwinding, which the guest never does.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

static PANICKED: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let machine = Metal::new(0, abi::MEMORY_MIN);
    if !PANICKED.swap(true, Ordering::SeqCst) {
        programs::print_unlocked(&machine, format_args!("guest code {info}"));
    }
    machine.port_out32(abi::PORT_POWER, abi::status::PANICKED);
    loop {
        machine.relax();
    }
}
