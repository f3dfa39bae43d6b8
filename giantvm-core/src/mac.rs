//! Addresses of network cards.

use std::fmt;
use std::str::FromStr;

/// The address of one network card.
///
/// ```
/// use giantvm_core::Mac;
///
/// let mac: Mac = "52:54:00:12:34:56".parse()?;
/// assert_eq!(mac.octets()[0], 0x52);
/// assert!("53:54:00:12:34:56".parse::<Mac>().is_err(), "an odd first byte: a group of cards");
/// # Ok::<(), giantvm_core::MacError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

/// This is no address of one network card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no network card: write six bytes as in \"52:54:00:12:34:56\", the first one even")]
pub struct MacError;

impl Mac {
    /// An address.
    ///
    /// # Errors
    /// [`MacError`] for the address of a group.
    pub const fn new(octets: [u8; 6]) -> Result<Self, MacError> {
        match octets[0] & 1 {
            0 => Ok(Self(octets)),
            _ => Err(MacError),
        }
    }

    /// Its bytes, as on the wire.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let digits =
                |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
            let part = parts.next().filter(digits).ok_or(MacError)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| MacError)?;
        }
        match parts.next() {
            None => Self::new(octets),
            Some(_) => Err(MacError),
        }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        let mac: Mac = "02:00:AB:cd:00:ff".parse().unwrap();
        assert_eq!(mac.octets(), [2, 0, 0xab, 0xcd, 0, 0xff]);
        assert_eq!(mac.to_string(), "02:00:ab:cd:00:ff");
        for bad in [
            "",
            "02:00:ab:cd:00",
            "02:00:ab:cd:00:ff:00",
            "03:00:ab:cd:00:ff",
            "02:00:ab:cd:00:f",
            "02:00:ab:cd:00:+f",
            "02-00-ab-cd-00-ff",
        ] {
            assert_eq!(bad.parse::<Mac>(), Err(MacError), "{bad}");
        }
    }
}
