//! The ACPI tables, read as an operating system reads them.

#[path = "acpi/iasl.rs"]
mod iasl;
#[path = "acpi/reader.rs"]
mod reader;

use giantvm_core::GuestAddress;
use giantvm_io::acpi::{
    AcpiError, Devices, MemoryRange, Performance, Platform, Processor, SerialPort, Trigger,
    VirtioMmio,
};
use giantvm_io::devices::PanicDevice;
use giantvm_io::ioapic::Pin;

use reader::{Reader, entries, u16_at, u32_at, u64_at};

const BASE: GuestAddress = GuestAddress(0xe_0000);
const ROOM: u64 = 0x2_0000;

/// Two domains with vCPUs and memory and one with memory alone; one vCPU has a large APIC ID.
fn platform() -> Platform {
    let gib = |start: u64, bytes: u64, domain| MemoryRange {
        start: GuestAddress(start << 30),
        bytes: bytes << 30,
        domain,
    };
    let virtio = |number: u8, trigger| VirtioMmio {
        address: 0xd000_0000 + 0x1000 * u32::from(number),
        bytes: 0x1000,
        pin: Pin::new(16 + number).unwrap(),
        trigger,
        domain: Some(number.into()),
    };
    Platform {
        processors: [(0, 0), (1, 0), (2, 1), (300, 1)]
            .map(|(apic_id, domain)| Processor { apic_id, domain })
            .to_vec(),
        memory: vec![gib(0, 3, 0), gib(4, 2, 1), gib(6, 1, 2)],
        distances: vec![vec![10, 20, 30], vec![21, 10, 31], vec![22, 32, 10]],
        performance: Some(Performance {
            latencies: vec![
                vec![100, 20_000, 300_000],
                vec![20_000, 110, 30_000],
                vec![20_000, 30_000, 120],
            ],
            bandwidths: vec![vec![9_000, 1_000, 1_000]; 3],
        }),
        devices: Devices {
            serial: Some(SerialPort {
                port: 0x3f8,
                pin: Pin::new(4).unwrap(),
            }),
            rtc: Some(0x70),
            panic: Some(PanicDevice::PORT),
            timer: Some(0x608),
            virtio: vec![virtio(0, Trigger::Edge), virtio(1, Trigger::Level)],
            ..Devices::default()
        },
    }
}

fn read(platform: &Platform) -> Reader {
    Reader::new(&platform.tables(BASE, ROOM).unwrap())
}

#[test]
fn an_operating_system_finds_all_tables() {
    let reader = read(&platform());
    let names: Vec<_> = reader.signatures().collect();
    assert_eq!(names, ["DSDT", "FACP", "APIC", "SRAT", "SLIT", "HMAT"]);
    assert_eq!(reader.table("DSDT").address % 16, 0);
}

#[test]
fn equal_platforms_make_equal_bytes() {
    let tables = |at| platform().tables(GuestAddress(at), ROOM).unwrap();
    assert_eq!(tables(0xe_0000), tables(0xe_0000));
    assert_ne!(tables(0xe_0000).bytes, tables(0xe_0010).bytes);
}

#[test]
fn what_is_not_there_has_no_table() {
    let bare = Platform {
        processors: vec![Processor {
            apic_id: 0,
            domain: 0,
        }],
        ..Platform::default()
    };
    let reader = read(&bare);
    let names: Vec<_> = reader.signatures().collect();
    assert_eq!(names, ["DSDT", "FACP", "APIC", "SRAT"]);
    let fadt = &reader.table("FACP").bytes;
    assert_eq!(
        u16_at(fadt, 109),
        1 << 2 | 1 << 5,
        "neither VGA nor a clock"
    );
    assert_eq!(u32_at(fadt, 76), 0, "no timer");
}

#[test]
fn the_interrupt_controllers_are_listed() {
    let reader = read(&platform());
    let madt = &reader.table("APIC").bytes;
    assert_eq!(u32_at(madt, 36), 0xfee0_0000);
    assert_eq!(u32_at(madt, 40), 0, "there is no 8259");
    let entries = entries(madt, 44);
    let of = |kind: u8| entries.iter().filter(move |entry| entry[0] == kind);
    let small: Vec<_> = of(0)
        .map(|entry| (entry[2], entry[3], u32_at(entry, 4)))
        .collect();
    assert_eq!(small, [(0, 0, 1), (1, 1, 1), (2, 2, 1)]);
    let large: Vec<_> = of(9)
        .map(|entry| (u32_at(entry, 4), u32_at(entry, 8)))
        .collect();
    assert_eq!(large, [(300, 1)]);
    let ioapics: Vec<_> = of(1)
        .map(|entry| (u32_at(entry, 4), u32_at(entry, 8)))
        .collect();
    assert_eq!(ioapics, [(0xfec0_0000, 0)]);
    assert_eq!(of(2).count(), 0, "no override");
}

#[test]
fn the_domains_are_those_of_the_platform() {
    let reader = read(&platform());
    let entries = entries(&reader.table("SRAT").bytes, 48);
    let mut processors = Vec::new();
    let mut memory = Vec::new();
    for entry in &entries {
        match entry[0] {
            0 => processors.push((u32::from(entry[3]), u32::from(entry[2]))),
            1 => memory.push((u64_at(entry, 8), u64_at(entry, 16), u32_at(entry, 2))),
            2 => processors.push((u32_at(entry, 8), u32_at(entry, 4))),
            other => panic!("kind {other}"),
        }
    }
    assert_eq!(processors, [(0, 0), (1, 0), (2, 1), (300, 1)]);
    let gib = |start: u64, bytes: u64, domain| (start << 30, bytes << 30, domain);
    assert_eq!(memory, [gib(0, 3, 0), gib(4, 2, 1), gib(6, 1, 2)]);

    let slit = &reader.table("SLIT").bytes;
    assert_eq!(u64_at(slit, 36), 3);
    assert_eq!(slit[44..], [10, 20, 30, 21, 10, 31, 22, 32, 10]);
}

#[test]
fn latencies_keep_their_proportions_in_16_bits() {
    let reader = read(&platform());
    let hmat = &reader.table("HMAT").bytes;
    // Two domains have both vCPUs and memory.
    assert_eq!(
        [u16_at(hmat, 40), u16_at(hmat, 80), u16_at(hmat, 120)],
        [0, 0, 1]
    );
    let matrix = &hmat[120..];
    assert_eq!(
        [u32_at(matrix, 12), u32_at(matrix, 16)],
        [2, 3],
        "initiators, targets"
    );
    let unit = u64_at(matrix, 24);
    assert_eq!(unit, 5_000, "picoseconds");
    let entries = &matrix[32 + 4 * 5..];
    let nanoseconds: Vec<_> = (0..6)
        .map(|entry| u64::from(u16_at(entries, 2 * entry)) * unit / 1000)
        .collect();
    assert_eq!(nanoseconds, [100, 20_000, 300_000, 20_000, 110, 30_000]);
    let next = usize::try_from(u32_at(matrix, 4)).unwrap();
    assert_eq!(
        (u16_at(&matrix[next..], 0), matrix[next + 9]),
        (1, 3),
        "bandwidth"
    );
}

#[test]
fn the_fixed_hardware_is_the_power_device() {
    let reader = read(&platform());
    let fadt = &reader.table("FACP").bytes;
    let flags = u32_at(fadt, 112);
    for (bit, what) in [
        (10, "a reset register"),
        (19, "physical"),
        (20, "hardware-reduced"),
    ] {
        assert_ne!(flags & 1 << bit, 0, "{what}");
    }
    let port = |at: usize| (fadt[at], fadt[at + 1], u64_at(fadt, at + 4));
    assert_eq!(port(116), (1, 8, 0xcf9));
    assert_eq!(fadt[128], 6, "what resets");
    assert_eq!([port(244), port(256)], [(1, 8, 0x600), (1, 8, 0x601)]);
    assert_eq!(port(208), (1, 32, 0x608), "the timer");
    assert_eq!(fadt[108], 0x32, "the century");
    assert_eq!(u64_at(fadt, 140), reader.table("DSDT").address);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |change: fn(&mut Platform)| {
        let mut platform = platform();
        change(&mut platform);
        platform.tables(BASE, ROOM).unwrap_err()
    };
    let matrix = AcpiError::Matrix;
    assert_eq!(refused(|p| p.processors.clear()), AcpiError::NoProcessor);
    assert_eq!(
        refused(|p| p.processors[1].apic_id = 0),
        AcpiError::ApicId(0)
    );
    assert_eq!(
        refused(|p| p.processors[1].apic_id = 255),
        AcpiError::ApicId(255)
    );
    assert_eq!(
        refused(|p| p.processors[1].domain = 64),
        AcpiError::Domain(64)
    );
    assert_eq!(
        refused(|p| p.memory[2].start.0 -= 1),
        AcpiError::Memory((6 << 30) - 1)
    );
    assert_eq!(
        refused(|p| p.memory[2].bytes = u64::MAX),
        AcpiError::Memory(6 << 30)
    );
    assert_eq!(
        refused(|p| p.memory[2].bytes = 0),
        AcpiError::Memory(6 << 30)
    );
    assert_eq!(refused(|p| p.distances[1][1] = 11), matrix("distance"));
    assert_eq!(refused(|p| p.distances[1][2] = 10), matrix("distance"));
    assert_eq!(refused(|p| p.distances.truncate(2)), matrix("distance"));
    let latency = |p: &mut Platform| p.performance.as_mut().unwrap().latencies[0][1] = 0;
    assert_eq!(refused(latency), matrix("latency"));

    let tables = |base, room| platform().tables(GuestAddress(base), room).unwrap_err();
    assert_eq!(tables(8, ROOM), AcpiError::Base(8));
    assert!(matches!(tables(0, 64), AcpiError::Room { room: 64, .. }));
}

#[test]
fn the_largest_machine_fits_below_one_mebibyte() {
    let pin = Pin::new(23).unwrap();
    let virtio = VirtioMmio {
        address: 0xd000_0000,
        bytes: 0x1000,
        pin,
        trigger: Trigger::Edge,
        domain: Some(63),
    };
    let mut large = platform();
    large.processors = (0..254)
        .map(|apic_id| Processor {
            apic_id,
            domain: apic_id % 64,
        })
        .collect();
    large.memory = (0..64)
        .map(|domain| MemoryRange {
            start: GuestAddress(u64::from(domain) << 30),
            bytes: 1 << 30,
            domain,
        })
        .collect();
    let square = |own, other| -> Vec<Vec<u32>> {
        let value = |from, to| if from == to { own } else { other };
        (0..64)
            .map(|from| (0..64).map(|to| value(from, to)).collect())
            .collect()
    };
    large.distances = square(10, 20)
        .iter()
        .map(|row| {
            row.iter()
                .map(|&value| u8::try_from(value).unwrap())
                .collect()
        })
        .collect();
    large.performance = Some(Performance {
        latencies: square(100, 20_000),
        bandwidths: square(9_000, 1_000),
    });
    large.devices.virtio = vec![virtio; 24];
    let tables = large.tables(BASE, ROOM).unwrap();
    Reader::new(&tables);
    iasl::accepts(
        "the_largest_machine_fits_below_one_mebibyte",
        &Reader::new(&tables),
    );
}

#[test]
fn acpicas_compiler_reads_every_table() {
    let text = iasl::accepts("acpicas_compiler_reads_every_table", &read(&platform()));
    let Some(text) = text else { return };
    for word in ["PNP0501", "PNP0B00", "QEMU0001", "LNRO0005", "_S5", "_PXM"] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    let interrupts = |trigger: &str| {
        text.matches(&format!("{trigger}, ActiveHigh, Exclusive"))
            .count()
    };
    assert_eq!((interrupts("Edge"), interrupts("Level")), (2, 1));
}
