//! Registers of the window.

use std::collections::BTreeSet;

use giantvm_sched::channel::{Register, VcpuRegister, layout};

#[test]
fn a_register_is_where_it_says_and_nothing_is_twice() {
    let mut seen = BTreeSet::new();
    for offset in 0..layout::WINDOW + 64 {
        if let Some(register) = Register::at(offset) {
            assert_eq!(register.offset(), offset);
            seen.insert(offset);
        }
    }
    let snapshot = layout::MAX_MESSAGE / 8;
    assert_eq!(seen.len(), 6 + 254 * 5 + snapshot);
}

#[test]
fn each_vcpu_has_a_page_of_its_own() {
    let stall = layout::vcpu_page(253) + layout::REGISTER_STALL;
    let Some(Register::Vcpu(vcpu, VcpuRegister::Stall)) = Register::at(stall) else {
        panic!("the last vCPU's page");
    };
    assert_eq!(vcpu.get(), 253);
    assert_eq!(
        Register::at(stall + layout::PAGE),
        None,
        "there is no vCPU 254"
    );
}
