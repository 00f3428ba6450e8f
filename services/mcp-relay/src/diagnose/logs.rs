//! The last lines of a server's log, and where they are where they cannot be had. Must not know what the lines say.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use runtime::io_fault::describe;
use tokio::process::Command;
use tokio::time::timeout;

/// Lines that are taken.
const MAX_LINES: usize = 500;

/// Bytes from the end of a file that are looked at.
const MAX_BYTES: u64 = 1 << 20;

/// Longest wait for the journal.
const JOURNAL_TIMEOUT: Duration = Duration::from_secs(10);

/// There where systemd runs.
const SYSTEMD: &str = "/run/systemd/system";

const ELSEWHERE: &str = "\
No log was taken. Where it is, and how it comes into the bundle:
  systemd      journalctl -u mcp-relay-proxy -n 500 | mcp-relay diagnose --log -
  container    docker logs --tail 500 <container> 2>&1 | mcp-relay diagnose --log -
  Kubernetes   kubectl logs --tail 500 <pod> | mcp-relay diagnose --log -
  a file       mcp-relay diagnose --log <file>
";

/// Returns the last lines: of `file`, where one is given, else of the journal.
pub(super) async fn tail(file: Option<&Path>) -> String {
    let (what, found) = match file {
        Some(path) if path == Path::new("-") => ("standard input".to_owned(), of_reader(io::stdin())),
        Some(path) => (path.display().to_string(), of_file(path)),
        None if !Path::new(SYSTEMD).exists() => {
            return format!("There is no systemd here.\n{ELSEWHERE}");
        }
        None => ("the journal of mcp-relay-*".to_owned(), of_journal().await),
    };
    match found {
        Ok(text) if text.trim().is_empty() => format!("No line in {what}.\n{ELSEWHERE}"),
        Ok(text) => last_lines(&text),
        Err(error) => format!("{what}: {}.\n{ELSEWHERE}", describe(&error)),
    }
}

fn of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    // What cannot be sought is read from its beginning.
    let end = file.seek(SeekFrom::End(0)).unwrap_or(0);
    let begin = end.saturating_sub(MAX_BYTES);
    file.seek(SeekFrom::Start(begin)).or_else(|error| if end == 0 { Ok(0) } else { Err(error) })?;
    let text = of_reader(file)?;
    // The first line is not whole, and half a secret is not found.
    Ok(if begin == 0 {
        text
    } else {
        text.split_once('\n').map_or_else(String::new, |(_, rest)| rest.to_owned())
    })
}

/// Reads to the end, and keeps the last [`MAX_BYTES`] in whole lines.
fn of_reader(mut reader: impl Read) -> io::Result<String> {
    let (mut kept, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    let most = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX);
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => return Ok(String::from_utf8_lossy(&kept).into_owned()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        kept.extend_from_slice(&buffer[..count]);
        if kept.len() > 2 * most {
            let cut = kept.len() - most;
            let line =
                kept[cut..].iter().position(|byte| *byte == b'\n').map_or(kept.len(), |at| cut + at + 1);
            kept.drain(..line);
        }
    }
}

async fn of_journal() -> io::Result<String> {
    let lines = MAX_LINES.to_string();
    let mut command = Command::new("journalctl");
    command
        .args(["--unit", "mcp-relay*", "--lines", &lines, "--output", "short-iso", "--no-pager", "--quiet"])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(JOURNAL_TIMEOUT, command.output()).await;
    let output = output.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn last_lines(text: &str) -> String {
    let count = text.lines().count();
    let mut lines: Vec<&str> = text.lines().skip(count.saturating_sub(MAX_LINES)).collect();
    lines.push("");
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn the_last_whole_lines_of_a_file_are_taken() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let long = format!("secret-{}\n", "x".repeat(usize::try_from(MAX_BYTES).unwrap()));
        file.write_all(long.as_bytes()).unwrap();
        for n in 0..600 {
            writeln!(file, "line {n}").unwrap();
        }
        let text = tail(Some(file.path())).await;
        assert!(text.starts_with("line 100\n") && text.ends_with("line 599\n"), "{text}");
        let streamed = of_reader([long.as_bytes(), long.as_bytes(), b"last\n"].concat().as_slice()).unwrap();
        assert!(streamed.ends_with("last\n") && !streamed.contains("secret"), "{}", streamed.len());
        let missing = tail(Some(Path::new("/nowhere/log"))).await;
        assert!(missing.contains("/nowhere/log: ") && missing.contains("docker logs"), "{missing}");
    }
}
