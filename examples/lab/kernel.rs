//! A kernel's parts: the program inside of its image, and modules in the order they load in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};

use crate::packages::Unpacked;

/// Where an image says how many sectors its set-up has, and what one takes.
const SETUP_SECTORS: usize = 0x1f1;
const SECTOR: usize = 512;
/// Where it says where its payload lies behind the set-up, and how long it is.
const PAYLOAD: usize = 0x248;
const XZ: &[u8] = b"\xfd7zXZ\0";
const LZ4: &[u8] = b"\x02\x21\x4c\x18";
/// What a block of an LZ4 payload unpacks to at most.
const LZ4_BLOCK: usize = 8 << 20;

/// An unpacked kernel's package.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    root: PathBuf,
    version: String,
}

impl Kernel {
    /// The kernel in a directory.
    pub(crate) fn new(root: PathBuf) -> anyhow::Result<Self> {
        let mut names = fs::read_dir(root.join("boot"))?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        let version = names.find_map(|name| Some(name.strip_prefix("vmlinuz-")?.to_owned()));
        let version = version.with_context(|| format!("no kernel in {}", root.display()))?;
        Ok(Self { root, version })
    }

    /// The image as distributed.
    pub(crate) fn image(&self) -> PathBuf {
        self.root
            .join("boot")
            .join(format!("vmlinuz-{}", self.version))
    }

    /// The program inside of the image, unpacked when first asked for: an emulated processor would
    /// take seconds to do that.
    pub(crate) fn program(&self, tools: &Unpacked) -> anyhow::Result<PathBuf> {
        let path = self.root.join("boot/vmlinux");
        if !path.exists() {
            let image = fs::read(self.image())?;
            let program = unpack(&image, tools)
                .with_context(|| format!("cannot unpack {}", self.image().display()))?;
            let part = path.with_extension("part");
            fs::write(&part, program)?;
            fs::rename(&part, &path)?;
        }
        Ok(path)
    }

    /// Modules with all that they need, each behind what it needs.
    pub(crate) fn modules(&self, names: &[&str]) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let modules = self.root.join("lib/modules").join(&self.version);
        let mut found = Vec::new();
        for name in names {
            load(&modules, name, &mut found)?;
        }
        Ok(found)
    }
}

fn load(modules: &Path, name: &str, found: &mut Vec<(String, Vec<u8>)>) -> anyhow::Result<()> {
    if found.iter().any(|(known, _)| known == name) {
        return Ok(());
    }
    let path = find(modules, name).with_context(|| format!("the kernel has no module {name}"))?;
    let module = fs::read(path)?;
    for needed in needs(&module) {
        load(modules, &needed, found)?;
    }
    found.push((name.to_owned(), module));
    Ok(())
}

/// A module's file: its name has dashes where others write underscores.
fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    fs::read_dir(directory).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        let is_it = || {
            let file = entry.file_name().to_string_lossy().replace('-', "_");
            file.strip_suffix(".ko") == Some(name)
        };
        match path.is_dir() {
            true => find(&path, name),
            false => is_it().then_some(path),
        }
    })
}

/// The modules that a module says it needs.
fn needs(module: &[u8]) -> Vec<String> {
    let mark = b"\0depends=";
    let Some(at) = module.windows(mark.len()).position(|bytes| bytes == mark) else {
        return Vec::new();
    };
    let text = module[at + mark.len()..].split(|byte| *byte == 0).next();
    let text = String::from_utf8_lossy(text.unwrap_or_default()).replace('-', "_");
    let names = text.split(',').filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// The program inside of an image.
fn unpack(image: &[u8], tools: &Unpacked) -> anyhow::Result<Vec<u8>> {
    let word = |at: usize| {
        let bytes = image.get(at..at + 4).context("it is too short")?;
        Ok::<_, anyhow::Error>(u32::from_le_bytes(bytes.try_into()?) as usize)
    };
    let sectors = *image.get(SETUP_SECTORS).context("it is too short")?;
    let start = (usize::from(sectors.max(1)) + 1) * SECTOR + word(PAYLOAD)?;
    let payload = image
        .get(start..)
        .and_then(|rest| rest.get(..word(PAYLOAD + 4).ok()?));
    let payload = payload.context("it is too short")?;
    if payload.starts_with(XZ) {
        unpack_xz(payload, tools)
    } else if let Some(blocks) = payload.strip_prefix(LZ4) {
        unpack_lz4(blocks)
    } else {
        bail!("it is packed in a way that the lab does not know");
    }
}

/// The size stands behind the data, which `--single-stream` leaves alone.
fn unpack_xz(payload: &[u8], tools: &Unpacked) -> anyhow::Result<Vec<u8>> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), payload)?;
    let mut command = tools.command("usr/bin/xz");
    command.args(["-d", "-c", "--single-stream"]);
    command.stdin(Stdio::from(file.reopen()?));
    crate::tool::output(&mut command)
}

/// Blocks, each behind its length; the size of the whole is behind the last one.
fn unpack_lz4(mut blocks: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut program = Vec::new();
    while let Some((length, rest)) = blocks.split_first_chunk() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((block, rest)) = rest.split_at_checked(length) else {
            break;
        };
        program.extend(lz4_flex::block::decompress(block, LZ4_BLOCK)?);
        blocks = rest;
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_tells_what_it_needs() {
        let module = b"\x7fELF\0license=GPL\0depends=virtio-ring,virtio\0name=x\0";
        assert_eq!(needs(module), ["virtio_ring", "virtio"]);
        assert!(needs(b"\0depends=\0").is_empty());
        assert!(needs(b"nothing").is_empty());
    }

    #[test]
    fn blocks_are_unpacked_up_to_the_size_that_ends_them() {
        let mut blocks = Vec::new();
        for part in [&b"hello "[..], b"world"] {
            let block = lz4_flex::block::compress(part);
            blocks.extend(u32::try_from(block.len()).unwrap().to_le_bytes());
            blocks.extend(block);
        }
        blocks.extend(11_u32.to_le_bytes());
        assert_eq!(unpack_lz4(&blocks).unwrap(), b"hello world");
    }
}
