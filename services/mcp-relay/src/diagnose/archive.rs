//! A compressed archive of texts (ustar of POSIX.1-1988 in gzip). Must not know what the texts are.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Bytes of a block.
const BLOCK: usize = 512;

/// Longest name, with the folder.
const MAX_NAME: usize = 100;

/// A text with its name.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) text: String,
}

/// Returns the archive of these texts in one folder.
pub(super) fn pack(folder: &str, entries: &[Entry]) -> io::Result<Vec<u8>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    for Entry { name, text } in entries {
        let name = format!("{folder}/{name}");
        out.write_all(&header(&name, text.len(), now)?)?;
        out.write_all(text.as_bytes())?;
        out.write_all(&vec![0; text.len().next_multiple_of(BLOCK) - text.len()])?;
    }
    // The end of an archive.
    out.write_all(&[0; 2 * BLOCK])?;
    out.finish()
}

fn header(name: &str, size: usize, time: u64) -> io::Result<[u8; BLOCK]> {
    if name.len() > MAX_NAME {
        return Err(io::Error::from(io::ErrorKind::InvalidFilename));
    }
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000600");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, &format!("{time:011o}"));
    // The sum is taken with spaces in its own place.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

/// Writes a file that must not be there yet, for its owner only. What could not be written whole is removed.
pub(super) fn save(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if written.is_err() {
        // The error that is told is that of writing.
        let _ = fs::remove_file(path);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn tar_reads_the_archive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.tar.gz");
        let entries = [
            Entry { name: "empty.txt", text: String::new() },
            Entry { name: "block.txt", text: "x".repeat(BLOCK) },
            Entry { name: "long.txt", text: "line ü\n".repeat(1000) },
        ];
        save(&path, &pack("bundle", &entries).unwrap()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let done = Command::new("tar").arg("xzf").arg(&path).arg("-C").arg(folder.path()).output().unwrap();
        assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
        for Entry { name, text } in &entries {
            assert_eq!(&fs::read_to_string(folder.path().join("bundle").join(name)).unwrap(), text, "{name}");
        }
    }

    #[test]
    fn a_file_that_is_there_is_left_as_it_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "mine").unwrap();
        let error = save(file.path(), b"new").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "mine");
        assert!(pack(&"f".repeat(MAX_NAME), &[Entry { name: "a", text: String::new() }]).is_err());
    }
}
