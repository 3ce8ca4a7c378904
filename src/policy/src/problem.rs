//! What is wrong with a document, and where: `file:line:column: what`, with the line and a caret below.

use std::fmt;

use serde::Serialize;

/// A place in a document; lines and columns count from one, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Mark {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Name of the document.
    pub file: String,
    /// Where in it.
    #[serde(flatten)]
    pub mark: Mark,
    /// Object, cause and remedy.
    pub what: String,
    /// The line of the document, cut to what a terminal shows.
    #[serde(skip)]
    pub excerpt: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.mark.line, self.mark.column, self.what)?;
        if !self.excerpt.is_empty() {
            let caret = self.mark.column.saturating_sub(1);
            write!(f, "\n  | {}\n  | {:caret$}^", self.excerpt, "")?;
        }
        Ok(())
    }
}

/// Why a document is refused: everything found, in the order of the lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused(pub Vec<Problem>);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

/// Collects problems of one document.
#[derive(Debug)]
pub(crate) struct Problems<'t> {
    file: &'t str,
    text: &'t str,
    found: Vec<Problem>,
    notices: Vec<Problem>,
}

/// More are not read by anybody.
const MOST: usize = 50;
/// Longest line that is shown.
const WIDEST: usize = 160;

impl<'t> Problems<'t> {
    pub(crate) fn new(file: &'t str, text: &'t str) -> Self {
        Problems { file, text, found: Vec::new(), notices: Vec::new() }
    }

    fn problem(&self, mark: Mark, what: String) -> Problem {
        // In YAML a carriage return ends a line by itself.
        let text = self.text.replace("\r\n", "\n");
        let line = text.split(['\n', '\r']).nth(mark.line.saturating_sub(1)).unwrap_or_default();
        let shown = mark.column <= WIDEST && !line.chars().any(char::is_control);
        let excerpt = if shown { line.chars().take(WIDEST).collect() } else { String::new() };
        Problem { file: self.file.to_owned(), mark, what, excerpt }
    }

    /// Something that refuses the document.
    pub(crate) fn add(&mut self, mark: Mark, what: impl Into<String>) {
        if self.found.len() < MOST {
            let problem = self.problem(mark, what.into());
            self.found.push(problem);
        }
    }

    /// Something that is said and refuses nothing.
    pub(crate) fn notice(&mut self, mark: Mark, what: impl Into<String>) {
        if self.notices.len() < MOST {
            let problem = self.problem(mark, what.into());
            self.notices.push(problem);
        }
    }

    /// The notices, or what was wrong.
    pub(crate) fn finish(mut self) -> Result<Vec<Problem>, Refused> {
        self.found.sort_by_key(|problem| problem.mark);
        self.notices.sort_by_key(|problem| problem.mark);
        if self.found.is_empty() { Ok(self.notices) } else { Err(Refused(self.found)) }
    }
}

/// A value as it is shown in a message.
pub(crate) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(64).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}
