//! Archives that Linux takes as its first file system.

/// What ends an archive.
const LAST: &str = "TRAILER!!!";
/// Names and contents start at multiples of this.
const ALIGNMENT: usize = 4;
const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;

/// An archive in the "newc" format. Linux unpacks several that follow one another.
///
/// Directories come before what they hold: the caller's order is kept.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// Adds a directory.
    pub(crate) fn directory(&mut self, name: &str) -> &mut Self {
        self.entry(name, DIRECTORY, &[])
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, name: &str, content: &[u8]) -> &mut Self {
        self.entry(name, FILE, content)
    }

    /// Adds a file that can be run.
    pub(crate) fn program(&mut self, name: &str, content: &[u8]) -> &mut Self {
        self.entry(name, PROGRAM, content)
    }

    /// The archive's bytes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry(LAST, 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) -> &mut Self {
        self.entries += 1;
        let size = |length: usize| u32::try_from(length).expect("a file of the lab is below 4 GiB");
        // inode, mode, user, group, links, time, size, device twice, name's length, checksum.
        let fields = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            size(content.len()),
            0,
            0,
            0,
            0,
            size(name.len() + 1),
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
        self
    }

    fn pad(&mut self) {
        let length = self.bytes.len().next_multiple_of(ALIGNMENT);
        self.bytes.resize(length, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(archive: Archive) -> String {
        String::from_utf8(archive.finish()).unwrap()
    }

    #[test]
    fn an_empty_archive_has_only_its_end() {
        let text = text(Archive::default());
        assert!(text.starts_with("070701"));
        assert!(text.ends_with("TRAILER!!!\0\0\0\0"));
        assert_eq!(text.len() % ALIGNMENT, 0);
    }

    #[test]
    fn a_file_has_its_size_mode_and_name_where_linux_looks_for_them() {
        let mut archive = Archive::default();
        archive.program("bin/a", b"hello");
        let text = text(archive);
        let field = |number: usize| u32::from_str_radix(&text[6 + 8 * number..][..8], 16).unwrap();
        assert_eq!((field(1), field(6), field(11)), (PROGRAM, 5, 6));
        assert_eq!(&text[110..116], "bin/a\0");
        assert_eq!(&text[116..124], "hello\0\0\0");
    }

    #[test]
    fn every_entry_starts_at_a_multiple_of_four() {
        let mut archive = Archive::default();
        archive.directory("a").file("a/bc", b"1").file("d", b"");
        let text = text(archive);
        let starts: Vec<_> = text.match_indices("070701").map(|(at, _)| at).collect();
        assert_eq!(starts.len(), 4);
        assert!(starts.iter().all(|at| at % ALIGNMENT == 0));
    }
}
