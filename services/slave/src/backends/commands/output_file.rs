//! The file that a command writes: where, and what was found there. Must not know results.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::result::Content;
use super::tool::OutputFile;
use crate::launcher::{Confinement, Rules};

/// Media types by the endings of names.
const BY_ENDING: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("tiff", "image/tiff"),
    ("svg", "image/svg+xml"),
    ("wav", "audio/wav"),
    ("mp3", "audio/mpeg"),
    ("ogg", "audio/ogg"),
    ("flac", "audio/flac"),
    ("m4a", "audio/mp4"),
    ("pdf", "application/pdf"),
    ("zip", "application/zip"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
];

/// Media types by the first bytes of content.
const BY_CONTENT: &[(&[u8], &str)] = &[
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
];

/// What is said of any other content.
const ANY: &str = "application/octet-stream";

/// A directory of one call, which goes with its files when this is dropped.
pub(super) struct OutputDirectory {
    directory: TempDir,
    path: PathBuf,
}

impl OutputDirectory {
    /// Makes a directory that only the user of the command can use.
    pub(super) fn new(file: &OutputFile, confinement: &Confinement) -> io::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("mcp-relay-output-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()?;
        if let Confinement::On(Rules { uid, gid, .. }) = confinement
            && (uid.is_some() || gid.is_some())
        {
            chown(directory.path(), *uid, gid.or(*uid))?;
        }
        let path = directory.path().join(&file.name);
        Ok(Self { directory, path })
    }

    /// Returns the directory.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the path of the file that the command is to write.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file, if it is no longer than `max_len` bytes. A link is not followed: the command may see less than the slave.
    pub(super) fn read(&self, max_len: usize) -> io::Result<Vec<u8>> {
        // Without waiting: the command may have made a pipe of this name.
        let flags = (nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK).bits();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&self.path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let mut bytes = Vec::new();
        file.take(max_len as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > max_len {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it has more than {max_len} bytes"),
            ));
        }
        Ok(bytes)
    }
}

/// Returns content with its media type: that of the tool, else by its first bytes, else by the name; what is text is text.
pub(super) fn content(file: &OutputFile, bytes: Vec<u8>) -> Content {
    let by_content = || BY_CONTENT.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, kind)| *kind);
    let riff = |kind: &[u8]| bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(kind);
    let by_container = || match () {
        () if riff(b"WAVE") => Some("audio/wav"),
        () if riff(b"WEBP") => Some("image/webp"),
        () => None,
    };
    let ending = file.name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    let by_ending = || {
        let ending = ending.as_deref()?;
        BY_ENDING.iter().find(|(known, _)| *known == ending).map(|(_, kind)| *kind)
    };
    let declared = file.mime_type.as_deref();
    let mime_type = declared.or_else(by_content).or_else(by_container).or_else(by_ending);
    let is_text = mime_type.is_none_or(|kind| kind.starts_with("text/") || kind == "application/json");
    if !is_text {
        return Content::Bytes { mime_type: mime_type.unwrap_or(ANY).to_owned(), bytes };
    }
    match String::from_utf8(bytes) {
        Ok(text) => Content::Text(text),
        Err(error) => {
            Content::Bytes { mime_type: mime_type.unwrap_or(ANY).to_owned(), bytes: error.into_bytes() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, mime_type: Option<&str>) -> OutputFile {
        OutputFile { name: name.into(), mime_type: mime_type.map(str::to_owned) }
    }

    fn found(name: &str, mime_type: Option<&str>, bytes: &[u8]) -> Option<String> {
        match content(&file(name, mime_type), bytes.to_vec()) {
            Content::Text(_) => None,
            Content::Bytes { mime_type, .. } => Some(mime_type),
        }
    }

    #[test]
    fn the_type_is_the_tools_or_the_contents_or_the_names() {
        for (name, declared, bytes, expected) in [
            ("a.txt", None, &b"text"[..], None),
            ("output", None, b"text", None),
            ("output", None, b"\xff\xfe\x00", Some(ANY)),
            ("a.jpg", None, b"\x89PNG\r\n\x1a\n..", Some("image/png")),
            ("a.WAV", None, b"\x00", Some("audio/wav")),
            ("output", None, b"RIFF\0\0\0\0WAVEfmt", Some("audio/wav")),
            ("output", None, b"RIFF\0\0\0\0WEBPVP8", Some("image/webp")),
            ("a.svg", None, b"<svg/>", Some("image/svg+xml")),
            ("a.png", Some("application/x-own"), b"text", Some("application/x-own")),
            ("a", Some("text/csv"), b"1,2", None),
            ("a", Some("text/csv"), b"\xff", Some("text/csv")),
        ] {
            assert_eq!(found(name, declared, bytes).as_deref(), expected, "{name} {declared:?}");
        }
    }

    #[test]
    fn only_a_regular_file_of_the_calls_own_is_read() {
        let output = OutputDirectory::new(&file("a", None), &Confinement::default()).unwrap();
        assert_eq!(output.read(10).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(output.path(), "0123456789").unwrap();
        assert_eq!(output.read(10).unwrap(), b"0123456789");
        assert_eq!(output.read(9).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        std::fs::remove_file(output.path()).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", output.path()).unwrap();
        output.read(1000).unwrap_err();
        std::fs::remove_file(output.path()).unwrap();
        nix::unistd::mkfifo(output.path(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        output.read(1000).unwrap_err();
        std::fs::remove_file(output.path()).unwrap();
        std::fs::create_dir(output.path()).unwrap();
        output.read(1000).unwrap_err();
        let directory = output.directory().to_owned();
        drop(output);
        assert!(!directory.exists());
    }
}
