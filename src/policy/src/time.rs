//! Times of day in documents: RFC 3339 in UTC, as seconds since 1970.

/// Reads `2026-12-31` or `2026-12-31T18:00:00Z`.
pub(crate) fn parse(text: &str) -> Result<u64, &'static str> {
    const WRONG: &str = "a time is written 2026-12-31 or 2026-12-31T18:00:00Z, in UTC";
    let (date, clock) = match text.split_once('T') {
        Some((date, clock)) => (date, clock.strip_suffix('Z').ok_or(WRONG)?),
        None => (text, "00:00:00"),
    };
    let [year, month, day] = three(date, '-', [4, 2, 2]).ok_or(WRONG)?;
    let [hour, minute, second] = three(clock, ':', [2, 2, 2]).ok_or(WRONG)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if leap { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month).ok().and_then(|month| months.get(..month.checked_sub(1)?));
    let length = usize::try_from(month).ok().and_then(|month| months.get(month.checked_sub(1)?));
    let (Some(before), Some(length)) = (before, length) else { return Err(WRONG) };
    if !(1970..=9999).contains(&year) || day == 0 || day > *length || hour > 23 || minute > 59 || second > 59
    {
        return Err(WRONG);
    }
    let past = year - 1;
    let leaps = past / 4 - past / 100 + past / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
    let days = (year - 1970) * 365 + leaps + before.iter().sum::<u64>() + day - 1;
    Ok(days * 86_400 + hour * 3600 + minute * 60 + second)
}

fn three(text: &str, separator: char, widths: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != width || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_time_is_read_as_date_does() {
        for (text, wanted) in [
            ("1970-01-01", 0),
            ("2000-02-29T12:34:56Z", 951_827_696),
            ("2026-12-31T18:00:00Z", 1_798_740_000),
            ("2100-03-01", 4_107_542_400),
        ] {
            assert_eq!(parse(text), Ok(wanted), "{text}");
        }
        for text in [
            "2026-02-29",
            "2026-13-01",
            "2026-1-1",
            "2026-01-01T00:00:00",
            "1969-12-31",
            "2026-01-01T24:00:00Z",
            "x",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
