//! Time: days of UTC for budgets, and a clock that never goes back for minutes and durations.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where time comes from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Seconds since 1970.
    fn unix(&self) -> u64;
    /// Since some moment; never goes back.
    fn elapsed(&self) -> Duration;
}

/// The system's.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn unix(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Seconds of a day.
pub(super) const DAY: u64 = 86_400;

/// A day of UTC, as days since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(pub(super) u64);

impl Day {
    pub(super) fn of(unix: u64) -> Self {
        // Up to the year 9999, so that a date has four digits.
        Self((unix / DAY).min(2_932_896))
    }

    /// Reads `2026-11-27`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut number = |width: usize| {
            let part = parts
                .next()
                .filter(|part| part.len() == width && part.bytes().all(|b| b.is_ascii_digit()))?;
            part.parse::<u64>().ok()
        };
        let (year, month, day) = (number(4)?, number(2)?, number(2)?);
        let found = Self::from_date(year, month, day)?;
        (found.text() == text).then_some(found)
    }

    pub(super) fn text(self) -> String {
        let (year, month, day) = self.date();
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// Year and month.
    pub(super) fn month(self) -> (u64, u64) {
        let (year, month, _) = self.date();
        (year, month)
    }

    /// The first day of the next month.
    pub(super) fn next_month(self) -> Self {
        let (year, month) = self.month();
        let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        Self::from_date(year, month, 1).unwrap_or(Self(self.0 + 1))
    }

    /// Proleptic Gregorian, counted in eras of 400 years that begin in March (H. Hinnant, "chrono-compatible low-level date algorithms").
    fn date(self) -> (u64, u64, u64) {
        let shifted = self.0 + 719_468;
        let (era, of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        (era * 400 + year_of_era + u64::from(month <= 2), month, day)
    }

    fn from_date(year: u64, month: u64, day: u64) -> Option<Self> {
        if !(1970..=10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let year = year - u64::from(month <= 2);
        let (era, of_era) = (year / 400, year % 400);
        let march_month = if month > 2 { month - 3 } else { month + 9 };
        let of_year = (153 * march_month + 2) / 5 + day - 1;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
        days.checked_sub(719_468).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (unix, text) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_798_740_000, "2026-12-31"),
            (u64::MAX, "9999-12-31"),
        ] {
            assert_eq!(Day::of(unix).text(), text);
            assert_eq!(Day::parse(text), Some(Day::of(unix)));
        }
        assert_eq!(Day::parse("2026-12-31").unwrap().next_month().text(), "2027-01-01");
        assert_eq!(Day::parse("2028-02-29").unwrap().next_month().text(), "2028-03-01");
        for day in 0..60_000 {
            assert_eq!(Day::parse(&Day(day).text()), Some(Day(day)));
        }
        for text in [
            "2026-02-29",
            "2026-1-1",
            "2026-00-01",
            "2026-13-01",
            "26-01-01",
            "2026-01-01-",
            "x",
            "+026-01-01",
        ] {
            assert_eq!(Day::parse(text), None, "{text}");
        }
    }
}
