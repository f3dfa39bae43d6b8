//! The settings that all nodes must agree on, in one canonical form.

use std::collections::BTreeMap;
use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_128;

/// Most bytes of the canonical form: 64 KiB.
pub const SETTINGS_LIMIT: usize = 64 << 10;
/// Most characters of a key or value that a message repeats.
const SHOWN: usize = 80;

/// Keys and values in a form that is the same on every node with the same configuration.
///
/// ```
/// use giantvm_transport::handshake::Settings;
///
/// let here = Settings::from_iter([("memory", "512M"), ("vcpus", "4")]);
/// let there = Settings::decode(&here.encode())?;
/// assert_eq!(here.digest(), there.digest());
/// # Ok::<(), giantvm_transport::handshake::SettingsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings(BTreeMap<String, String>);

/// Bytes that are no canonical settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The bytes end inside an entry.
    #[error("cut off inside an entry")]
    CutOff,
    /// A key or value is not UTF-8.
    #[error("a key or value is not UTF-8")]
    NotText,
    /// The keys are not in ascending order, or one comes twice.
    #[error("the keys are not in order")]
    Order,
    /// More than [`SETTINGS_LIMIT`] bytes.
    #[error("{0} bytes are over the limit of {SETTINGS_LIMIT}")]
    TooLong(usize),
    /// The settings are the same although the digests differ.
    #[error("they do not match the announced digest")]
    Digest,
}

/// The first key, in alphabetical order, on which two nodes differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Difference {
    /// The key.
    pub key: String,
    /// Its value on this node, if it is set.
    pub here: Option<String>,
    /// Its value on the peer, if it is set.
    pub there: Option<String>,
    /// The peer's name.
    pub peer: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The peer's text may hold anything: escape it and cut it.
        let shown = |text: &str| {
            text.chars()
                .take(SHOWN)
                .collect::<String>()
                .escape_debug()
                .to_string()
        };
        let value = |value: &Option<String>| match value {
            Some(text) => format!("`{}`", shown(text)),
            None => "not set".to_owned(),
        };
        write!(
            f,
            "configuration differs: `{}` is {} here and {} on node {}",
            shown(&self.key),
            value(&self.here),
            value(&self.there),
            self.peer
        )
    }
}

impl Settings {
    /// The canonical form: each key and value in key order, lengths first.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        for text in self.0.iter().flat_map(|(key, value)| [key, value]) {
            // Lengths over 32 bits do not pass `check_length`.
            out.put_u32_le(u32::try_from(text.len()).unwrap_or(u32::MAX));
            out.put_slice(text.as_bytes());
        }
        out.freeze()
    }

    /// Reads the canonical form. Total: any bytes give settings or an error.
    ///
    /// # Errors
    /// [`SettingsError`] if `bytes` are not what [`encode`](Self::encode) makes.
    pub fn decode(bytes: &[u8]) -> Result<Self, SettingsError> {
        if bytes.len() > SETTINGS_LIMIT {
            return Err(SettingsError::TooLong(bytes.len()));
        }
        let (mut rest, mut settings) = (bytes, BTreeMap::new());
        while !rest.is_empty() {
            let key = take_text(&mut rest)?;
            let value = take_text(&mut rest)?;
            if settings
                .last_key_value()
                .is_some_and(|(last, _)| *last >= key)
            {
                return Err(SettingsError::Order);
            }
            settings.insert(key, value);
        }
        Ok(Self(settings))
    }

    /// The 128-bit XXH3 hash of the canonical form.
    #[must_use]
    pub fn digest(&self) -> u128 {
        xxh3_128(&self.encode())
    }

    /// Checks that the canonical form can be sent.
    ///
    /// # Errors
    /// [`SettingsError::TooLong`] above [`SETTINGS_LIMIT`] bytes.
    pub fn check_length(&self) -> Result<(), SettingsError> {
        let text: usize = self
            .0
            .iter()
            .map(|(key, value)| key.len() + value.len() + 8)
            .sum();
        if text > SETTINGS_LIMIT {
            return Err(SettingsError::TooLong(text));
        }
        Ok(())
    }

    /// The first key on which `there`, the settings of node `peer`, differ from these.
    #[must_use]
    pub fn first_difference(&self, there: &Self, peer: &str) -> Option<Difference> {
        let differs = |key: &&String| self.0.get(*key) != there.0.get(*key);
        let key = [&self.0, &there.0]
            .into_iter()
            .filter_map(|map| map.keys().find(differs))
            .min()?;
        Some(Difference {
            key: key.clone(),
            here: self.0.get(key).cloned(),
            there: there.0.get(key).cloned(),
            peer: peer.to_owned(),
        })
    }
}

fn take_text(rest: &mut &[u8]) -> Result<String, SettingsError> {
    let length = rest.try_get_u32_le().map_err(|_| SettingsError::CutOff)? as usize;
    let (text, after) = rest.split_at_checked(length).ok_or(SettingsError::CutOff)?;
    *rest = after;
    let text = std::str::from_utf8(text).map_err(|_| SettingsError::NotText)?;
    Ok(text.to_owned())
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Settings {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let own = |(key, value): (K, V)| (key.into(), value.into());
        Self(entries.into_iter().map(own).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_canonical_form_round_trips(map in prop::collection::btree_map(".{0,9}", ".{0,9}", 0..9)) {
            let settings = Settings::from_iter(map);
            prop_assert_eq!(Settings::decode(&settings.encode()), Ok(settings));
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(bytes in prop::collection::vec(0..4_u8, 0..64)) {
            if let Ok(settings) = Settings::decode(&bytes) {
                prop_assert_eq!(&settings.encode()[..], &bytes[..]);
            }
        }
    }

    #[test]
    fn the_first_differing_key_is_named_with_both_values() {
        let here = Settings::from_iter([("memory", "512M"), ("vcpus", "4")]);
        let there = Settings::from_iter([("memory", "1G"), ("vcpus", "8")]);
        let text = here.first_difference(&there, "b").unwrap().to_string();
        assert_eq!(
            text,
            "configuration differs: `memory` is `512M` here and `1G` on node b"
        );
        let bare = Settings::from_iter([("vcpus", "4")]);
        let text = bare.first_difference(&here, "b").unwrap().to_string();
        assert_eq!(
            text,
            "configuration differs: `memory` is not set here and `512M` on node b"
        );
        assert_eq!(here.first_difference(&here, "b"), None);
    }

    #[test]
    fn a_peers_control_characters_do_not_reach_the_terminal() {
        let there = Settings::from_iter([("k\x1b[2J", "v\n")]);
        let difference = Settings::default().first_difference(&there, "b").unwrap();
        assert!(!difference.to_string().contains(char::is_control));
    }

    #[test]
    fn disorder_and_truncation_are_told_apart() {
        let good = Settings::from_iter([("a", ""), ("b", "")]).encode();
        assert_eq!(
            Settings::decode(&good[..good.len() - 1]),
            Err(SettingsError::CutOff)
        );
        let twice = [&good[..9], &good[..9]].concat();
        assert_eq!(Settings::decode(&twice), Err(SettingsError::Order));
        assert_eq!(
            Settings::decode(&[1, 0, 0, 0, 0xff]),
            Err(SettingsError::NotText)
        );
        let long = vec![0; SETTINGS_LIMIT + 1];
        assert_eq!(
            Settings::decode(&long),
            Err(SettingsError::TooLong(long.len()))
        );
    }
}
