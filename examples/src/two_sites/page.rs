//! The columns of the log: when, where, what, and the rest.

use core::fmt::Display;
use drive::Instant;
use std::fmt::Write as _;

/// Lines of text in columns, taken by the caller as they come.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// Returns an empty page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a heading with a rule under it.
    pub fn heading(&mut self, title: &str) {
        _ = writeln!(self.text, "\n{title}\n{}", "-".repeat(title.chars().count()));
    }

    /// Writes a line that belongs to no time.
    pub fn text(&mut self, text: impl Display) {
        _ = writeln!(self.text, "{text}");
    }

    /// Writes the names of the columns.
    pub fn columns(&mut self) {
        _ = writeln!(self.text, "{:>11}  {:<6} what", "seconds", "where");
    }

    /// Writes a line: the time, the site, a word for what happened, and the rest.
    pub fn line(&mut self, at: Instant, site: &str, what: &str, text: impl Display) {
        _ = writeln!(self.text, "{:>11}  {site:<6} {what:<10} {text}", at.to_string());
    }

    /// Writes what belongs to the line above, in its last column.
    pub fn more(&mut self, text: impl Display) {
        _ = writeln!(self.text, "{}", format!("{:>30} {text}", "|").trim_end());
    }

    /// Returns what was written since the last call.
    pub fn take(&mut self) -> String {
        core::mem::take(&mut self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_what_belongs_to_them_stand_in_the_same_columns() {
        let mut page = Page::new();
        page.line(Instant::from_millis(20), "left", "ping", "text");
        page.more("text");
        let written = page.take();
        let columns: Vec<_> = written.lines().map(|line| line.find("text")).collect();
        assert_eq!(columns, [Some(31), Some(31)]);
        assert_eq!(page.take(), "");
    }
}
