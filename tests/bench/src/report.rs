//! The report of a run in Markdown: chapters, and verdicts on the targets. Knows no measurement.

use std::fmt::Write as _;

/// One target and what was measured against it.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The target.
    pub(crate) target: String,
    /// The measured value.
    pub(crate) measured: String,
    /// Whether the target is met.
    pub(crate) holds: bool,
}

/// Findings of one section.
#[derive(Debug)]
pub(crate) struct Chapter {
    /// Heading.
    pub(crate) title: &'static str,
    /// Markdown below it.
    pub(crate) text: String,
    /// Verdicts on targets.
    pub(crate) verdicts: Vec<Verdict>,
    /// Pictures that the text shows.
    pub(crate) plots: Vec<Plot>,
}

/// A picture in a file beside the report.
#[derive(Debug)]
pub(crate) struct Plot {
    /// Name of the file.
    pub(crate) file: &'static str,
    pub(crate) svg: String,
}

impl Plot {
    /// Folder of the files, from the report's own.
    pub(crate) const FOLDER: &'static str = "images";

    /// Markdown that shows it.
    pub(crate) fn markdown(&self, what: &str) -> String {
        format!("![{what}]({}/{})\n", Self::FOLDER, self.file)
    }
}

/// The whole report.
pub(crate) fn render(facts: &str, chapters: &[Chapter]) -> String {
    let mut out = format!(
        "# Benchmarks\n\n`make bench` writes this file: run it again instead of editing the file. All processes, including the load\n\
         generator, run on one machine and communicate over loopback. The numbers of calls a second therefore compare the\n\
         paths with each other; they do not show the capacity of a machine. CPU time is that of the measured processes\n\
         (`/proc/<pid>/stat`). Values are medians over interleaved rounds, with the smallest and the largest value in\n\
         parentheses. A ratio is calculated in each round; the median of these ratios is shown. Every echoed answer is\n\
         compared with its argument byte for byte.\n\n## Machine\n\n{facts}"
    );
    let verdicts: Vec<&Verdict> = chapters.iter().flat_map(|chapter| &chapter.verdicts).collect();
    if !verdicts.is_empty() {
        let mut table = Table::new(&["target", "measured", ""]);
        for verdict in verdicts {
            let word = if verdict.holds { "PASS" } else { "**FAIL**" };
            table.row(&[&verdict.target, &verdict.measured, word]);
        }
        let _ = write!(out, "\n## Targets\n\n{}", table.finish());
    }
    for chapter in chapters {
        let _ = write!(out, "\n## {}\n\n{}", chapter.title, chapter.text);
    }
    out
}

/// A Markdown table.
#[derive(Debug)]
pub(crate) struct Table(String);

impl Table {
    /// A table with these column heads; the first column is text, the others are numbers.
    pub(crate) fn new(heads: &[&str]) -> Self {
        let mut table = Self(String::new());
        table.row(heads);
        table.0.push_str("|---|");
        table.0.push_str(&"---:|".repeat(heads.len().saturating_sub(1)));
        table.0.push('\n');
        table
    }

    /// Adds a row.
    pub(crate) fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        for cell in cells {
            let _ = write!(self.0, "| {} ", cell.as_ref());
        }
        self.0.push_str("|\n");
    }

    /// The Markdown.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

/// Bytes as mebibytes with one decimal.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_stand_out_at_the_top() {
        let verdict = |holds| Verdict { target: "t ≤ 1".into(), measured: "2".into(), holds };
        let chapter = Chapter {
            title: "One",
            text: "text\n".into(),
            verdicts: vec![verdict(true), verdict(false)],
            plots: Vec::new(),
        };
        let text = render("- cores: 2\n", &[chapter]);
        assert!(text.contains("| t ≤ 1 | 2 | PASS |\n| t ≤ 1 | 2 | **FAIL** |\n"), "{text}");
        assert!(text.find("## Targets").unwrap() < text.find("## One").unwrap());
        assert_eq!(mebibytes(1_572_864), "1.5 MiB");
    }

    #[test]
    fn a_table_has_a_rule_under_its_head() {
        let mut table = Table::new(&["a", "b", "c"]);
        table.row(&["x", "1", "2"]);
        assert_eq!(table.finish(), "| a | b | c |\n|---|---:|---:|\n| x | 1 | 2 |\n");
    }
}
