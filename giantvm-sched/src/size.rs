//! Amounts of memory as people write them.

use std::fmt;
use std::str::FromStr;

/// An amount of memory was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SizeError {
    /// Not digits with one of the known suffixes.
    #[error("is not a size: write digits and a suffix, as in \"256M\", \"1G\" or \"4K\"")]
    Malformed,
    /// More bytes than 64 bits can count.
    #[error("is more than 64 bits can count")]
    TooLarge,
}

/// An amount of memory in bytes, written as digits with an optional suffix `K`, `M`, `G` or `T`
/// (powers of 1024).
///
/// ```
/// use giantvm_sched::Size;
///
/// let size: Size = "256M".parse()?;
/// assert_eq!(size.bytes(), 256 << 20);
/// assert_eq!(size.to_string(), "256M");
/// assert!("256 MB".parse::<Size>().is_err());
/// # Ok::<(), giantvm_sched::SizeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// The suffixes and what they shift by, the largest first.
const SUFFIXES: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];

impl Size {
    /// The amount in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let (digits, shift) = SUFFIXES
            .into_iter()
            .find_map(|(suffix, shift)| Some((text.strip_suffix(suffix)?, shift)))
            .unwrap_or((text, 0));
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SizeError::Malformed);
        }
        let number: u64 = digits.parse().map_err(|_| SizeError::TooLarge)?;
        number
            .checked_mul(1 << shift)
            .map(Self)
            .ok_or(SizeError::TooLarge)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |&(_, shift): &(char, u32)| self.0 != 0 && self.0.trailing_zeros() >= shift;
        match SUFFIXES.iter().find(|unit| exact(unit)) {
            Some((suffix, shift)) => write!(f, "{}{suffix}", self.0 >> shift),
            None => self.0.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_printed_reads_back(bytes in any::<u64>(), shift in 0..64_u32) {
            let size = Size(bytes << shift);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }
    }

    #[test]
    fn only_digits_with_one_suffix_are_sizes() {
        for bad in ["", "M", "-1M", "1.5G", "1GB", "1 G", "0x10", "١M"] {
            assert_eq!(bad.parse::<Size>(), Err(SizeError::Malformed), "{bad}");
        }
        assert_eq!("16777216T".parse::<Size>(), Err(SizeError::TooLarge));
        assert_eq!(
            "18446744073709551616".parse::<Size>(),
            Err(SizeError::TooLarge)
        );
        assert_eq!("0".parse(), Ok(Size(0)));
    }
}
