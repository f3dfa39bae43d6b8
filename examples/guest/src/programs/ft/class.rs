//! The classes of NAS FT: sizes as in report NAS-95-020 and its supplements, and the values that
//! the benchmark's verification publishes.

/// Steps in time.
pub const STEPS: usize = 6;

/// One class.
#[derive(Debug, Clone, Copy)]
pub struct Class {
    /// Points along each edge, powers of two.
    pub(super) edges: [usize; 3],
    /// The published checksum of each step, real and imaginary part.
    pub checksums: [(f64, f64); STEPS],
}

/// How far each part of a checksum may be from the published one, relative to it.
pub const TOLERANCE: f64 = 1e-12;

/// Longest edge.
pub(super) const EDGE_MAX: usize = 256;

/// The class with two to the power of `logarithm` points: 18 is S, 19 is W, 23 is A.
#[must_use]
pub const fn class(logarithm: u64) -> Option<Class> {
    match logarithm {
        18 => Some(Class {
            edges: [64, 64, 64],
            checksums: [
                (554.608_700_496_4, 484.536_333_197_8),
                (554.638_540_918_9, 486.530_426_951_1),
                (554.614_840_617_1, 488.391_072_233_6),
                (554.542_360_741_5, 490.127_316_904_6),
                (554.425_503_962_4, 491.747_585_799_3),
                (554.268_341_190_2, 493.259_724_494_1),
            ],
        }),
        19 => Some(Class {
            edges: [128, 128, 32],
            checksums: [
                (567.361_217_894_4, 529.324_684_917_5),
                (563.143_688_527_1, 528.214_998_662_9),
                (559.402_408_997_0, 527.099_655_803_7),
                (556.069_804_702_0, 526.002_790_492_5),
                (553.089_899_125_0, 524.940_084_563_3),
                (550.415_973_453_8, 523.921_224_708_6),
            ],
        }),
        23 => Some(Class {
            edges: [256, 256, 128],
            checksums: [
                (504.673_500_819_3, 511.404_790_551_0),
                (505.941_231_973_4, 509.880_966_643_3),
                (506.937_689_628_7, 509.814_404_221_3),
                (507.789_286_847_4, 510.133_613_075_9),
                (508.523_309_539_1, 510.491_465_519_4),
                (509.148_709_995_9, 510.791_784_280_3),
            ],
        }),
        _ => None,
    }
}
