//! Where a node listens.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address was not of the form `host:port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// No port after the last colon, or one that is not from 1 to 65535.
    #[error("has no port: write \"host:port\" with a port from 1 to 65535")]
    Port,
    /// An IPv6 address without brackets.
    #[error("looks like IPv6: put the address in brackets, as in \"[fd00::1]:7000\"")]
    Brackets,
    /// The brackets hold no IPv6 address.
    #[error("has no IPv6 address in its brackets: write one, as in \"[fd00::1]:7000\"")]
    Ipv6,
    /// Digits and dots that are no IPv4 address.
    #[error(
        "is not a complete IPv4 address: write four numbers up to 255, as in \"192.0.2.1:7000\""
    )]
    Ipv4,
    /// The host is empty, longer than 253 characters or has others than letters, digits, `.`, `-`.
    #[error("has no valid host name: use up to 253 letters, digits, dots and hyphens")]
    Host,
}

/// Where a node listens: an IPv4 address, an IPv6 address in brackets, or a host name, and a port.
///
/// Names are kept as they are written; nothing is looked up.
///
/// ```
/// use giantvm_sched::NodeAddress;
///
/// let address: NodeAddress = "[fd00::1]:7000".parse()?;
/// assert_eq!((address.host(), address.port()), ("fd00::1", 7000));
/// assert_eq!(address.to_string(), "[fd00::1]:7000");
/// # Ok::<(), giantvm_sched::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeAddress {
    host: String,
    port: u16,
}

impl NodeAddress {
    /// `127.0.0.1` with `port`; port 0 stands for one that the system is still to choose.
    #[must_use]
    pub fn loopback(port: u16) -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST.to_string(),
            port,
        }
    }

    /// The host: a name in lower case, or an IP address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for NodeAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(AddressError::Brackets);
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::Port)?;
        let host = host_of(host)?;
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(port) if digits && port > 0 => Ok(Self { host, port }),
            _ => Err(AddressError::Port),
        }
    }
}

fn host_of(host: &str) -> Result<String, AddressError> {
    if let Some(rest) = host.strip_prefix('[') {
        let inner = rest.strip_suffix(']').ok_or(AddressError::Ipv6)?;
        let address: Ipv6Addr = inner.parse().map_err(|_| AddressError::Ipv6)?;
        return Ok(address.to_string());
    }
    if host.contains(':') {
        return Err(AddressError::Brackets);
    }
    let name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    if host.is_empty() || host.len() > 253 || !host.bytes().all(name) {
        return Err(AddressError::Host);
    }
    if host
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        host.parse::<Ipv4Addr>().map_err(|_| AddressError::Ipv4)?;
    }
    Ok(host.to_ascii_lowercase())
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_understood_and_print_canonically() {
        for (text, printed) in [
            ("192.0.2.1:7000", "192.0.2.1:7000"),
            ("[FD00:0::1]:1", "[fd00::1]:1"),
            ("Host-1.example:65535", "host-1.example:65535"),
        ] {
            let address: NodeAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), printed);
            assert_eq!(printed.parse(), Ok(address));
        }
    }

    #[test]
    fn each_mistake_has_its_own_mend() {
        for (text, error) in [
            ("host", AddressError::Port),
            ("host:", AddressError::Port),
            ("host:0", AddressError::Port),
            ("host:+1", AddressError::Port),
            ("host:65536", AddressError::Port),
            ("fd00::1", AddressError::Brackets),
            ("fd00:0:0:0:0:0:0:0:1:7000", AddressError::Brackets),
            ("[fd00::1:7000", AddressError::Ipv6),
            ("[host]:7000", AddressError::Ipv6),
            ("192.0.2:7000", AddressError::Ipv4),
            ("1.2.3.256:7000", AddressError::Ipv4),
            (":7000", AddressError::Host),
            ("a b:7000", AddressError::Host),
        ] {
            assert_eq!(text.parse::<NodeAddress>(), Err(error), "{text}");
        }
    }
}
