use giantvm_core::{NodeId, VcpuId};
use proptest::prelude::*;

use super::*;

const ORIGIN: Origin = Origin {
    node: NodeId::ZERO,
    vcpu: VcpuId::BOOT,
};

fn read(rtc: &mut RtcDevice, index: u8) -> u8 {
    rtc.write(ORIGIN, 0, AccessSize::Byte, index.into())
        .unwrap();
    let value = rtc.read(ORIGIN, 1, AccessSize::Byte).unwrap();
    u8::try_from(value).unwrap()
}

fn write(rtc: &mut RtcDevice, index: u8, value: u8) {
    rtc.write(ORIGIN, 0, AccessSize::Byte, index.into())
        .unwrap();
    rtc.write(ORIGIN, 1, AccessSize::Byte, value.into())
        .unwrap();
}

/// A clock at 2024-02-29 23:59:59 that counts a second with each look at it.
fn clock() -> RtcDevice {
    let mut now = 1_709_251_198;
    RtcDevice::new(move || {
        now += 1;
        now
    })
}

#[test]
fn the_time_goes_on_unless_it_is_being_set() {
    let mut rtc = clock();
    assert_eq!(read(&mut rtc, 8), 0x02);
    assert_eq!(read(&mut rtc, 8), 0x03, "a second later it is March");
    write(&mut rtc, STATUS_B, SET | HOURS_24);
    let second = read(&mut rtc, 0);
    assert_eq!(read(&mut rtc, 0), second);
    for (index, value) in [
        (0, 0x58),
        (2, 0x59),
        (4, 0x23),
        (7, 0x31),
        (8, 0x12),
        (9, 0x99),
    ] {
        write(&mut rtc, index, value);
        assert_eq!(read(&mut rtc, index), value);
    }
    write(&mut rtc, STATUS_B, HOURS_24);
    // Each of these is a look, and so a second.
    let date = [0, 2, 4, 7, 8, 9, RtcDevice::CENTURY].map(|index| read(&mut rtc, index));
    assert_eq!(date, [0x59, 0x00, 0x00, 0x01, 0x01, 0x00, 0x21]);
}

#[test]
fn hours_and_digits_are_as_status_b_says() {
    let mut rtc = RtcDevice::new(|| 0);
    for (status, hour, shown) in [
        (HOURS_24, 0, 0x00),
        (HOURS_24, 13, 0x13),
        (HOURS_24 | BINARY, 13, 13),
        (0, 0, 0x12),
        (0, 12, 0x92),
        (0, 23, 0x91),
        (BINARY, 22, 0x80 | 10),
    ] {
        write(&mut rtc, STATUS_B, HOURS_24 | BINARY);
        write(&mut rtc, 4, hour);
        write(&mut rtc, STATUS_B, status);
        assert_eq!(read(&mut rtc, 4), shown, "{hour} with {status:#x}");
        write(&mut rtc, 4, shown);
        write(&mut rtc, STATUS_B, HOURS_24 | BINARY);
        assert_eq!(read(&mut rtc, 4), hour, "{shown:#x} with {status:#x}");
    }
}

#[test]
fn it_never_asks_for_patience_or_interrupts() {
    let mut rtc = clock();
    write(&mut rtc, STATUS_B, 0x7a);
    assert_eq!(read(&mut rtc, STATUS_A), RUNNING);
    assert_eq!(read(&mut rtc, STATUS_B), HOURS_24);
    assert_eq!(
        [STATUS_C, STATUS_D].map(|index| read(&mut rtc, index)),
        [0, VALID]
    );
}

#[test]
fn the_memory_and_the_time_that_was_set_outlive_a_reset() {
    let mut rtc = RtcDevice::new(|| 0);
    write(&mut rtc, 0x40, 0xa5);
    write(&mut rtc, 9, 0x99);
    write(&mut rtc, STATUS_B, SET | HOURS_24);
    rtc.reset();
    assert_eq!(
        [0x40, 9, STATUS_B].map(|index| read(&mut rtc, index)),
        [0xa5, 0x99, HOURS_24]
    );
}

proptest! {
    #[test]
    fn any_access_is_taken(accesses in prop::collection::vec((any::<bool>(), any::<u8>()), 0..60)) {
        let mut rtc = clock();
        for (data, value) in accesses {
            rtc.write(ORIGIN, data.into(), AccessSize::Byte, value.into()).unwrap();
            rtc.read(ORIGIN, 1, AccessSize::Byte).unwrap();
        }
        rtc.reset();
    }
}
