//! Which archives packages come from, derived from those that the machine's own apt knows.

use std::path::Path;

/// The release that the lab's kernels and tools are of.
pub(crate) const RELEASE: &str = "bookworm";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// What [`list`] understands of what apt knows.
pub(crate) const FORMAT: &str = "$(LABEL) $(REPO_URI)";

/// Which part of Debian packages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suite {
    /// The release, with its security updates.
    Stable,
    /// Newer versions for the release.
    Backports,
}

impl Suite {
    /// Its name in apt's options.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Stable => RELEASE.to_owned(),
            Self::Backports => format!("{RELEASE}-backports"),
        }
    }
}

/// The lab's list of sources, from lines of [`FORMAT`]; `None` if none of them is Debian's.
pub(crate) fn list(known: &str, backports: bool) -> Option<String> {
    let known = known.lines().filter_map(|line| line.split_once(' '));
    let archive = |wanted: &str| {
        let mut named = known.clone().filter(|(label, _)| *label == wanted);
        named.next().map(|(_, address)| address.trim())
    };
    let signed = match Path::new(KEYRING).exists() {
        true => format!("[signed-by={KEYRING}] "),
        false => String::new(),
    };
    let main = archive("Debian")?;
    let mut list = format!("deb {signed}{main} {RELEASE} main\n");
    if backports {
        list += &format!("deb {signed}{main} {} main\n", Suite::Backports.name());
    }
    if let Some(security) = archive("Debian-Security") {
        list += &format!("deb {signed}{security} {RELEASE}-security main\n");
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "Tools http://tools.test/\nDebian http://a.test/debian/\n\
                         Debian http://b.test/debian/\nDebian-Security http://a.test/security/\n";

    #[test]
    fn the_first_archive_of_debian_is_asked_for_all_suites() {
        let list = list(KNOWN, true).unwrap();
        assert!(list.contains("http://a.test/debian/ bookworm main\n"));
        assert!(list.contains("http://a.test/debian/ bookworm-backports main\n"));
        assert!(list.contains("http://a.test/security/ bookworm-security main\n"));
        assert!(!list.contains("tools") && !list.contains("b.test"));
    }

    #[test]
    fn without_backports_none_are_asked_for() {
        assert!(!list(KNOWN, false).unwrap().contains("backports"));
    }

    #[test]
    fn without_an_archive_of_debian_there_is_no_list() {
        assert_eq!(list("Tools http://tools.test/\n", true), None);
        assert_eq!(list("", true), None);
    }
}
