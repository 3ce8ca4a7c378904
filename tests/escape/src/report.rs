//! The one line that a run prints, and the exit status that goes with it.

use serde_json::{Value, json};

use crate::act::{Failure, Verdict};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// `succeeded`, `blocked` or `error`.
    pub outcome: String,
    /// Name of the error, `none` where there was no error number.
    pub errno: String,
    /// What was seen.
    pub detail: String,
}

impl Report {
    /// A run that told nothing about the act.
    pub fn error(detail: impl Into<String>) -> Self {
        Self { outcome: "error".into(), errno: "none".into(), detail: detail.into() }
    }

    /// A run that was stopped; `errno` may name a signal.
    pub fn blocked(errno: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { outcome: "blocked".into(), errno: errno.into(), detail: detail.into() }
    }

    /// The JSON object, on one line.
    pub fn json(&self, act: &str) -> String {
        json!({"act": act, "outcome": self.outcome, "errno": self.errno, "detail": self.detail}).to_string()
    }

    /// Reads what `json` wrote.
    pub fn from_json(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Self { outcome: text("outcome")?, errno: text("errno")?, detail: text("detail")? })
    }

    /// 0 succeeded, 10 blocked, 3 not tried.
    pub fn exit_code(&self) -> u8 {
        match self.outcome.as_str() {
            "succeeded" => 0,
            "blocked" => 10,
            _ => 3,
        }
    }
}

impl From<Verdict> for Report {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Ok(detail) => Self { outcome: "succeeded".into(), errno: "none".into(), detail },
            Err(Failure::Blocked(errno, detail)) => Self::blocked(errno, detail),
            Err(Failure::NotTried(detail)) => Self::error(detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_its_own_json() {
        let report = Report::blocked("EPERM", "a \"quoted\"\nthing");
        let line = report.json("mount");
        assert!(!line.contains('\n'));
        assert_eq!(Report::from_json(&line), Some(report));
    }

    #[test]
    fn the_three_outcomes_have_three_exit_codes() {
        let codes = [Report::from(Ok(String::new())), Report::blocked("EPERM", ""), Report::error("")];
        assert_eq!(codes.map(|report| report.exit_code()), [0, 10, 3]);
    }
}
