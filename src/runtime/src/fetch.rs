//! What `runtime-fetch` says on its standard output, line by line. It runs unprivileged and reads what the registry
//! sends, so nothing it says is believed beyond its form.

use thiserror::Error;

/// Why a line is not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("runtime-fetch said {0:?}, which is no line of its protocol")]
pub struct LineError(String);

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// `progress PERCENT TEXT`
    Progress {
        /// 0 to 100.
        percent: u8,
        /// What is being done, for people.
        text: String,
    },
    /// `fact KEY VALUE`, for the provenance.
    Fact {
        /// Lower-case letters and underscores.
        key: String,
        /// At most 200 bytes.
        value: String,
    },
    /// `error TEXT`: the one sentence for the caller; the exit status says of which kind it is.
    Error {
        /// The sentence.
        text: String,
    },
}

/// Longest text that is passed on.
const LONGEST: usize = 1000;

impl Line {
    /// Reads one line without its newline. Control characters become spaces.
    pub fn parse(line: &str) -> Result<Self, LineError> {
        let clean: String =
            line.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let refuse = || LineError(clean.chars().take(80).collect());
        let (verb, rest) = clean.split_once(' ').ok_or_else(refuse)?;
        match verb {
            "progress" => {
                let (percent, text) = rest.split_once(' ').ok_or_else(refuse)?;
                let percent = percent.parse().ok().filter(|p| *p <= 100).ok_or_else(refuse)?;
                Ok(Self::Progress { percent, text: text.to_owned() })
            }
            "fact" => {
                let (key, value) = rest.split_once(' ').ok_or_else(refuse)?;
                let formed = !key.is_empty()
                    && key.len() <= 40
                    && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
                    && value.len() <= 200;
                formed.then(|| Self::Fact { key: key.to_owned(), value: value.to_owned() }).ok_or_else(refuse)
            }
            "error" => Ok(Self::Error { text: rest.to_owned() }),
            _ => Err(refuse()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_three_kinds_of_line_are_read() {
        assert_eq!(
            Line::parse("progress 42 fetching node 26.10.0"),
            Ok(Line::Progress { percent: 42, text: "fetching node 26.10.0".into() })
        );
        assert_eq!(
            Line::parse("fact version 2026.9.6"),
            Ok(Line::Fact { key: "version".into(), value: "2026.9.6".into() })
        );
        assert_eq!(Line::parse("error a b"), Ok(Line::Error { text: "a b".into() }));
    }

    #[test]
    fn anything_else_is_refused() {
        for line in ["", "progress", "progress 101 x", "progress -1 x", "fact A b", "fact a", "hello world"] {
            assert!(Line::parse(line).is_err(), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_passed_on_has_no_control_character(line in ".{0,60}") {
            if let Ok(Line::Error { text } | Line::Progress { text, .. } | Line::Fact { value: text, .. }) = Line::parse(&line) {
                prop_assert!(!text.chars().any(char::is_control));
            }
        }
    }
}
