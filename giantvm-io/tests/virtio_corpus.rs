//! Replays the seeds of the fuzz targets `virtio_blk` and `virtio_mmio`, and others made at random.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use virtio_rings::Fed;

#[path = "../../fuzz/fuzz_targets/virtio_accesses/mod.rs"]
mod virtio_accesses;
#[path = "../../fuzz/fuzz_targets/virtio_rings/mod.rs"]
mod virtio_rings;

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let entries = fs::read_dir(&folder).expect("the seed corpus is part of the project");
    let seeds = entries.map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read(&path).unwrap())
    });
    seeds.collect()
}

#[test]
fn every_ring_is_served_or_stops_its_device_as_its_name_says() {
    let seeds = seeds("virtio_blk");
    assert!(seeds.len() >= 10);
    for (name, bytes) in seeds {
        let fed = virtio_rings::feed(&bytes);
        // What a fuzzer finds and adds has a hash for a name and promises nothing but to end.
        if name.starts_with("good") || name.starts_with("bad") {
            let served = matches!(fed, Fed::Served(1..));
            assert_eq!(served, name.starts_with("good"), "{name}: {fed:?}");
        }
    }
}

#[test]
fn after_any_accesses_of_the_seeds_a_sound_driver_is_served() {
    let seeds = seeds("virtio_mmio");
    assert!(seeds.len() >= 6);
    for (_, bytes) in seeds {
        virtio_accesses::feed(&bytes);
    }
}

/// An access to a register that matters, or a store to where rings are.
fn operation() -> impl Strategy<Value = Vec<u8>> {
    let registers = vec![
        0x14_u16, 0x20, 0x24, 0x30, 0x38, 0x44, 0x50, 0x60, 0x64, 0x70, 0x80, 0x84, 0x90, 0xa0,
    ];
    let values = prop_oneof![0..20_u32, Just(0x1000), Just(0x2000), any::<u32>()];
    (0..4_u8, prop::sample::select(registers), values).prop_map(|(what, register, value)| {
        let place = if what == 3 { register * 0x40 } else { register };
        let [low, high] = place.to_le_bytes();
        let [a, b, c, d] = value.to_le_bytes();
        vec![what, low, high, a, b, c, d]
    })
}

/// Eight bytes in a row are a descriptor's address, or its length, flags and next.
fn descriptor() -> impl Strategy<Value = Vec<u8>> {
    let places = prop_oneof![0..0x2200_u64, 0x1_fff0..0x2_0010_u64, any::<u64>()];
    let lengths = prop_oneof![0..1100_u32, Just(16), any::<u32>()];
    (places, lengths, 0..8_u16, 0..18_u16).prop_map(|(place, length, flags, next)| {
        let mut bytes = place.to_le_bytes().to_vec();
        bytes.extend(length.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(next.to_le_bytes());
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_disk_survives_any_descriptors(
        flags in 0..4_u8,
        descriptors in prop::collection::vec(descriptor(), 16),
        index in 0..20_u16,
        heads in prop::collection::vec(0..18_u16, 16),
        kinds in prop::collection::vec((0..14_u32, 0..66_u64), 64),
    ) {
        // The table, the ring, the used ring, and headers all over the rest.
        let mut bytes = vec![flags, 4, 0, 0, 0x80, 0, 0x80, 0];
        bytes.extend(descriptors.concat());
        bytes.extend([0, 0]);
        bytes.extend(index.to_le_bytes());
        bytes.extend(heads.iter().flat_map(|head| head.to_le_bytes()));
        bytes.resize(8 + 0x400, 0);
        for (kind, sector) in kinds {
            bytes.extend(kind.to_le_bytes());
            bytes.extend([0; 4]);
            bytes.extend(sector.to_le_bytes());
        }
        virtio_rings::feed(&bytes);
    }

    #[test]
    fn a_disk_survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        virtio_rings::feed(&bytes);
    }

    #[test]
    fn a_device_survives_any_accesses(operations in prop::collection::vec(operation(), 0..100)) {
        virtio_accesses::feed(&operations.concat());
    }
}
