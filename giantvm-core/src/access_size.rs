//! The width of one access.

use std::fmt;

/// The width of one access to a port or to device memory.
///
/// ```
/// use giantvm_core::AccessSize;
///
/// assert_eq!(AccessSize::from_bytes(2), Some(AccessSize::Word));
/// assert_eq!(AccessSize::Word.truncate(0x12_3456), 0x3456);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessSize {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Word,
    /// 32 bits.
    Dword,
    /// 64 bits; never of a port.
    Qword,
}

impl AccessSize {
    /// The size of `bytes` bytes; `None` unless that is 1, 2, 4 or 8.
    #[must_use]
    pub const fn from_bytes(bytes: usize) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Word),
            4 => Some(Self::Dword),
            8 => Some(Self::Qword),
            _ => None,
        }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Word => 2,
            Self::Dword => 4,
            Self::Qword => 8,
        }
    }

    /// All ones in this size: what x86 reads where no device answers.
    #[must_use]
    pub const fn ones(self) -> u64 {
        u64::MAX >> (64 - 8 * self.bytes())
    }

    /// `value` with all bits outside this size cleared.
    #[must_use]
    pub const fn truncate(self, value: u64) -> u64 {
        value & self.ones()
    }
}

impl fmt::Display for AccessSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte => f.write_str("1 byte"),
            Self::Word | Self::Dword | Self::Qword => write!(f, "{} bytes", self.bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_truncate_to_their_bits() {
        let truncated = [1, 2, 4, 8].map(|bytes| {
            let size = AccessSize::from_bytes(bytes).unwrap();
            assert_eq!(size.bytes(), bytes);
            size.truncate(u64::MAX)
        });
        assert_eq!(truncated, [0xff, 0xffff, 0xffff_ffff, u64::MAX]);
        assert_eq!(AccessSize::Byte.truncate(0x1234), 0x34);
    }

    #[test]
    fn only_powers_of_two_up_to_eight_are_sizes() {
        let sizes = (0..=16).filter_map(AccessSize::from_bytes);
        assert_eq!(
            sizes.map(AccessSize::bytes).collect::<Vec<_>>(),
            [1, 2, 4, 8]
        );
        assert_eq!(AccessSize::from_bytes(usize::MAX), None);
    }
}
