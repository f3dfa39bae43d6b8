//! What an emulated host prints: kept in a file, and at hand.

use std::fs::File;
use std::io::{Read, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Context as _;

/// A host that prints more than this is broken; the rest is dropped.
const MOST: usize = 16 << 20;

/// A host's console.
#[derive(Debug, Clone, Default)]
pub(crate) struct Console(Arc<Mutex<Vec<u8>>>);

impl Console {
    /// Gathers what comes from `source`, in the file as well.
    pub(crate) fn gather(
        mut source: impl Read + Send + 'static,
        file: &Path,
    ) -> anyhow::Result<Self> {
        let file = File::create(file).with_context(|| format!("cannot write {}", file.display()));
        let (mut file, console) = (file?, Self::default());
        let gathered = console.clone();
        thread::spawn(move || {
            let (mut chunk, mut room) = ([0; 4096], MOST);
            while let Ok(length @ 1..) = source.read(&mut chunk) {
                let printed = &chunk[..length.min(room)];
                room -= printed.len();
                // In the file first: who has seen a text at hand finds it there.
                file.write_all(printed).ok();
                let mut text = gathered.0.lock().unwrap_or_else(PoisonError::into_inner);
                text.extend_from_slice(printed);
            }
        });
        Ok(console)
    }

    /// All that was printed so far, without what only a terminal needs.
    pub(crate) fn text(&self) -> String {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).replace('\r', "")
    }
}
