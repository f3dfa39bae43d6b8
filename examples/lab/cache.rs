//! Where the lab keeps what it fetched: outside of the source tree, whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The lab's directory.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The given directory, or the one that belongs to this user.
    pub(crate) fn new(given: Option<PathBuf>) -> anyhow::Result<Self> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let own = || {
            let base = variable("XDG_CACHE_HOME").map(PathBuf::from);
            let base = base.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")));
            base.map(|base| base.join("giantvm-lab"))
        };
        let root = given
            .or_else(own)
            .context("there is no $HOME: say --cache DIR")?;
        fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
        let root = root.canonicalize()?;
        Ok(Self { root })
    }

    /// A path in the cache.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A directory of the cache, filled by `fill` if it is not there yet.
    pub(crate) fn directory(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let whole = self.path(name);
        if whole.is_dir() {
            return Ok(whole);
        }
        // What an interrupted run left is not to be taken for whole.
        let part = self.path(&format!("{name}.part"));
        empty(&part)?;
        fill(&part)?;
        fs::rename(&part, &whole).with_context(|| format!("cannot make {}", whole.display()))?;
        Ok(whole)
    }
}

/// Makes a directory with nothing in it.
pub(crate) fn empty(path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        fs::remove_dir_all(path).with_context(|| format!("cannot clear {}", path.display()))?;
    }
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_filled_to_its_end_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(Some(directory.path().join("new"))).unwrap();
        let fails = cache.directory("a", |path| {
            fs::write(path.join("x"), "half")?;
            anyhow::bail!("no network")
        });
        assert!(fails.is_err());
        let path = cache
            .directory("a", |path| {
                assert!(!path.join("x").exists(), "it starts from nothing");
                Ok(fs::write(path.join("x"), "whole")?)
            })
            .unwrap();
        let again = cache.directory("a", |_| panic!("it is there")).unwrap();
        assert_eq!(fs::read_to_string(again.join("x")).unwrap(), "whole");
        assert_eq!(path, again);
    }
}
