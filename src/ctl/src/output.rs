//! Text for people: tables and fields that fit the terminal, sizes with units, and nothing that could steer a terminal.

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::failure::Failure;
use model::Exit;

/// Colours, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    /// Whether colours are used.
    pub on: bool,
}

/// What a text says about the state of things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Worth a look.
    Warning,
    /// Wrong.
    Bad,
    /// A heading.
    Heading,
}

impl Palette {
    /// `text` in the colour of its tone.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let style = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Warning => AnsiColor::Yellow.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Heading => Style::new().underline(),
        };
        if self.on { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// A document as JSON, indented, with a newline. Control characters are escaped.
pub fn json<T: Serialize>(document: &T) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|error| Failure::new(Exit::Software, format!("cannot write JSON: {error}")))?;
    Ok(escape_controls(&text) + "\n")
}

/// JSON text with the control characters that JSON itself lets through (DEL and C1) escaped.
pub fn escape_controls(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut out, c| {
        match c == '\n' || !steers(c) {
            true => out.push(c),
            false => out.extend(format!("\\u{:04x}", u32::from(c)).chars()),
        }
        out
    })
}

/// One line of text in which nothing steers a terminal: control characters and text direction overrides become `\u{…}`.
pub fn clean(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if steers(c) {
            out.extend(c.escape_unicode())
        } else {
            out.push(c)
        }
        out
    })
}

/// Like [`clean`], but line ends stay: messages with a caret have several lines.
pub fn clean_lines(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A number of bytes with a unit: `712 MiB`, `1.5 GiB`.
pub fn size(bytes: u64) -> String {
    for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
        let one = 1u64 << shift;
        if bytes >= one {
            let tenths = u128::from(bytes) * 10 / u128::from(one);
            return match tenths < 100 && tenths % 10 != 0 {
                true => format!("{}.{} {unit}", tenths / 10, tenths % 10),
                false => format!("{} {unit}", tenths / 10),
            };
        }
    }
    format!("{bytes} B")
}

/// A time span in its two largest units: `3 min 20 s`, `2 d 4 h`.
pub fn span(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (length, unit) in units {
        if rest >= length && parts.len() < 2 {
            parts.push(format!("{} {unit}", rest / length));
            rest %= length;
        } else if !parts.is_empty() {
            break;
        }
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// A cell of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell with a tone.
    pub fn toned(tone: Tone, text: impl AsRef<str>) -> Self {
        Cell { text: clean(text.as_ref()), tone }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell::toned(Tone::Plain, text)
    }
}

/// A table: a line of headings, then rows; columns two blanks apart, the last one wrapped into what is left.
pub fn table<const N: usize>(
    headings: [&str; N],
    rows: &[[Cell; N]],
    width: usize,
    palette: Palette,
) -> String {
    let head = headings.map(|text| Cell::toned(Tone::Heading, text));
    let mut widths = [0; N];
    for row in std::iter::once(&head).chain(rows) {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(cell.text.chars().count());
        }
    }
    let before_last: usize = widths.iter().rev().skip(1).map(|widest| widest + 2).sum();
    let room = width.saturating_sub(before_last).max(16);
    let mut out = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for (at, (cell, widest)) in row.iter().zip(widths).enumerate() {
            if at + 1 < N {
                line.push_str(&palette.paint(cell.tone, &cell.text));
                line.extend(std::iter::repeat_n(' ', widest + 2 - cell.text.chars().count()));
            } else {
                let painted = wrap(&cell.text, room).into_iter().map(|part| palette.paint(cell.tone, &part));
                line.push_str(&painted.collect::<Vec<_>>().join(&format!("\n{}", " ".repeat(before_last))));
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Labelled lines as in `systemctl status`: labels right-aligned, texts wrapped under themselves.
pub fn fields(fields: &[(&str, Cell)], width: usize, palette: Palette) -> String {
    let label_width = fields.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    let indent = label_width + 2;
    let mut out = String::new();
    for (label, cell) in fields {
        let lines = wrap(&cell.text, width.saturating_sub(indent).max(16));
        for (at, line) in lines.iter().enumerate() {
            let shown = if at == 0 && !label.is_empty() { format!("{label}:") } else { String::new() };
            let painted = palette.paint(cell.tone, line);
            out.push_str(&format!("{shown:>label_width$} {painted}\n", label_width = label_width + 1));
        }
    }
    out
}

/// Breaks at blanks so that no line is wider than `width`, unless one word is. Leading blanks of the text are kept.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        let used = line.chars().count();
        if used > 0 && used + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if used > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_read_easily() {
        let sizes = [0, 1023, 1024, 1536 << 20, 712 << 20, 1 << 30, 10 << 30, u64::MAX].map(size);
        assert_eq!(
            sizes,
            ["0 B", "1023 B", "1 KiB", "1.5 GiB", "712 MiB", "1 GiB", "10 GiB", "16777215 TiB"]
        );
        let spans = [0, 59, 60, 200, 3_600, 7_261, 187_200].map(span);
        assert_eq!(spans, ["0 s", "59 s", "1 min", "3 min 20 s", "1 h", "2 h 1 min", "2 d 4 h"]);
    }

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        assert_eq!(clean("a\x1b[31mb\u{9b}c\u{202e}d\ne"), "a\\u{1b}[31mb\\u{9b}c\\u{202e}d\\u{a}e");
        assert_eq!(clean_lines("a\r\nb"), "a\\u{d}\nb");
        let printed = json(&"x\u{9b}y\x1b").unwrap();
        assert_eq!(printed, "\"x\\u009by\\u001b\"\n");
        assert_eq!(serde_json::from_str::<String>(&printed).unwrap(), "x\u{9b}y\x1b");
    }

    #[test]
    fn colours_are_used_only_when_asked_for() {
        assert_eq!(Palette { on: false }.paint(Tone::Bad, "x"), "x");
        assert_eq!(Palette { on: true }.paint(Tone::Good, "x"), "\x1b[32mx\x1b[0m");
    }

    #[test]
    fn the_last_column_is_wrapped_into_what_is_left() {
        let rows = [["a".into(), "one two three four five six".into()]];
        let text = table(["NAME", "TEXT"], &rows, 24, Palette::default());
        assert_eq!(text, "NAME  TEXT\na     one two three four\n      five six\n");
    }

    #[test]
    fn fields_line_up_and_wrap_under_themselves() {
        let text = fields(
            &[("unit", "x".into()), ("limits", "a b c d e f g h i j k".into())],
            26,
            Palette::default(),
        );
        assert_eq!(text, "  unit: x\nlimits: a b c d e f g h i\n        j k\n");
    }
}
