//! The output of a command as it comes: what is kept, and the lines that are progress. Must not know processes.

use protocol::mcp::failure::Failure;
use regex::Regex;

use super::progress::Sign;

/// Bytes of the longest line that can be progress.
const MAX_LINE: usize = 16 * 1024;

/// What is kept of an output.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kept {
    /// All; more bytes than these are a failure.
    All(usize),
    /// So many bytes at the end.
    Tail(usize),
}

/// The output of one pipe.
pub(super) struct Collected<'a> {
    kept: Vec<u8>,
    limit: Kept,
    pattern: Option<&'a Regex>,
    /// The line that has not ended, where lines matter.
    line: Vec<u8>,
}

impl<'a> Collected<'a> {
    /// Lines that match `pattern` are progress and not kept. A carriage return ends a line as well.
    pub(super) fn new(limit: Kept, pattern: Option<&'a Regex>) -> Self {
        Self { kept: Vec::new(), limit, pattern, line: Vec::new() }
    }

    /// Takes a piece of output.
    pub(super) fn take(&mut self, piece: &[u8], mut report: impl FnMut(Sign)) -> Result<(), Failure> {
        let Some(pattern) = self.pattern else { return self.keep(piece) };
        for part in piece.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") || part.ends_with(b"\r") {
                self.end_line(pattern, &mut report)?;
            } else if self.line.len() > MAX_LINE {
                self.keep_line()?;
            }
        }
        Ok(())
    }

    /// Returns what was kept.
    pub(super) fn finish(mut self, mut report: impl FnMut(Sign)) -> Result<Vec<u8>, Failure> {
        if let Some(pattern) = self.pattern {
            self.end_line(pattern, &mut report)?;
        }
        if let Kept::Tail(size) = self.limit {
            self.kept.drain(..self.kept.len().saturating_sub(size));
        }
        Ok(self.kept)
    }

    fn end_line(&mut self, pattern: &Regex, report: &mut impl FnMut(Sign)) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(&self.line);
        let text = text.trim_end_matches(['\n', '\r']);
        if let Some(found) =
            Some(text).filter(|text| !text.is_empty()).and_then(|text| pattern.captures(text))
        {
            report(Sign::progress(&found));
            self.line.clear();
            return Ok(());
        }
        self.keep_line()
    }

    fn keep_line(&mut self) -> Result<(), Failure> {
        let line = std::mem::take(&mut self.line);
        self.keep(&line)?;
        self.line = line;
        self.line.clear();
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.kept.extend_from_slice(bytes);
        match self.limit {
            Kept::All(max) if self.kept.len() > max => Err(Failure::ResultTooLarge(format!(
                "the command wrote more than {max} bytes (MAX_OUTPUT_BYTES)"
            ))),
            Kept::Tail(size) if self.kept.len() > 2 * size => {
                self.kept.drain(..self.kept.len() - size);
                Ok(())
            }
            Kept::All(_) | Kept::Tail(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(pieces: &[&str], limit: Kept, pattern: Option<&str>) -> Result<(String, Vec<Sign>), Failure> {
        let pattern = pattern.map(|pattern| Regex::new(pattern).unwrap());
        let mut signs = Vec::new();
        let mut collected = Collected::new(limit, pattern.as_ref());
        for piece in pieces {
            collected.take(piece.as_bytes(), |sign| signs.push(sign))?;
        }
        let kept = collected.finish(|sign| signs.push(sign))?;
        Ok((String::from_utf8(kept).unwrap(), signs))
    }

    #[test]
    fn lines_of_progress_are_told_and_not_kept_wherever_reads_end() {
        let text = "start\nstep 1/3\r\nnot a step\rstep 2/3\rlast\nstep 3/3";
        let pattern = Some(r"^step (?<progress>\d+)/(?<total>\d+)$");
        let whole = collect(&[text], Kept::All(100), pattern).unwrap();
        assert_eq!(whole.0, "start\n\nnot a step\rlast\n");
        assert_eq!(whole.1.len(), 3);
        for at in 0..text.len() {
            let (one, two) = text.split_at(at);
            assert_eq!(collect(&[one, two], Kept::All(100), pattern).unwrap(), whole, "{at}");
        }
        assert_eq!(collect(&[text], Kept::All(100), None).unwrap(), (text.to_owned(), Vec::new()));
    }

    #[test]
    fn memory_is_bounded() {
        let long = "x".repeat(40_000);
        for pattern in [None, Some("^never$")] {
            let failed = collect(&[&long, "\n", &long], Kept::All(60_000), pattern);
            assert!(matches!(failed, Err(Failure::ResultTooLarge(_))));
            let (kept, _) = collect(&[&long, "\nthe end\n"], Kept::Tail(8), pattern).unwrap();
            assert_eq!(kept, "the end\n");
        }
    }
}
