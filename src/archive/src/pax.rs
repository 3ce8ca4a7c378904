//! Extended headers of pax(1): what the fields of a tar header are too small for. Records keep their order.

use crate::entry::{Extent, MOST_EXTENTS, Map, Time};

/// The largest extended header that is read: path, target and a full map fit.
pub const MAX_PAX: u64 = 256 * 1024;

/// Adds one record, `LENGTH KEY=VALUE\n`, its length counting itself.
pub fn put(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    // LENGTH is over all: the space, the equals sign, the line feed and its own digits too.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + digits(rest);
    if digits(length) != digits(rest) {
        length = rest + digits(length);
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// The records, or `None` if these bytes are no list of them.
pub fn records(mut bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ')?;
        let length = usize::try_from(number(bytes.get(..space)?)?).ok()?;
        let record = bytes.get(space + 1..length.checked_sub(1)?)?;
        if bytes.get(length - 1) != Some(&b'\n') {
            return None;
        }
        let equals = record.iter().position(|byte| *byte == b'=')?;
        records.push((record.get(..equals)?, record.get(equals + 1..)?));
        bytes = bytes.get(length..)?;
    }
    Some(records)
}

/// A decimal number.
pub fn number(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `SECONDS` or `SECONDS.NANOS`, a decimal number below zero as a whole before 1970.
pub fn put_time(time: Time) -> String {
    if time.seconds >= 0 && time.nanos != 0 {
        return format!("{}.{:09}", time.seconds, time.nanos);
    }
    let nanos = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    let sign = if nanos < 0 { "-" } else { "" };
    let (whole, part) = (nanos.abs() / 1_000_000_000, nanos.abs() % 1_000_000_000);
    if part == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part:09}") }
}

/// What [`put_time`] wrote.
pub fn time(text: &[u8]) -> Option<Time> {
    let text = std::str::from_utf8(text).ok()?;
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, part) = text.split_once('.').unwrap_or((text, "000000000"));
    if part.len() != 9 {
        return None;
    }
    let whole = i128::from(number(whole.as_bytes())?);
    let nanos = sign * (whole * 1_000_000_000 + i128::from(number(part.as_bytes())?));
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
    Some(Time { seconds, nanos: u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()? })
}

/// `OFFSET,LENGTH,OFFSET,LENGTH`. GNU tar wants an empty piece at the end of the file.
pub fn put_map(size: u64, map: &Map) -> (usize, String) {
    let last = (!map.more).then_some(Extent { offset: size, length: 0 });
    let pieces: Vec<String> = map
        .extents
        .iter()
        .chain(last.as_ref())
        .map(|extent| format!("{},{}", extent.offset, extent.length))
        .collect();
    (pieces.len(), pieces.join(","))
}

/// What [`put_map`] wrote. The pieces are in order and inside the file.
pub fn map(size: u64, more: bool, text: &[u8]) -> Option<Map> {
    let mut extents = Vec::new();
    let mut numbers = text.split(|byte| *byte == b',').map(number);
    let mut end = 0;
    while let Some(offset) = numbers.next() {
        let extent = Extent { offset: offset?, length: numbers.next()?? };
        if extent.offset < end || extent.offset > size {
            return None;
        }
        end = extent.offset.checked_add(extent.length).filter(|end| *end <= size)?;
        extents.push(extent);
    }
    if !more && extents.pop()? != (Extent { offset: size, length: 0 }) {
        return None;
    }
    let valid = extents.len() <= MOST_EXTENTS && extents.iter().all(|extent| extent.length > 0);
    valid.then_some(Map { extents, more })
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_itself_and_keeps_every_byte() {
        for length in
            [0, 1, 80, 85, 86, 87, 88, 89, 90, 91, 980, 983, 984, 985, 986, 987, 990, 9970, 9978, 9985]
        {
            let value = vec![b'\n'; length];
            let mut bytes = Vec::new();
            put(&mut bytes, "path", &value);
            put(&mut bytes, "size", b"1=2 3");
            let expected = vec![(&b"path"[..], &value[..]), (&b"size"[..], &b"1=2 3"[..])];
            assert_eq!(records(&bytes), Some(expected), "{length}");
        }
        for bad in [
            &b"5 a=b\n"[..],
            b"7 a=b\n",
            b"6 a=bc",
            b"6 abc\n",
            b"0 a=b\n",
            b" a=b\n",
            b"99999999999999999999 a=b\n",
        ] {
            assert_eq!(records(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_time_before_1970_and_after_2242_survives() {
        for (seconds, nanos) in
            [(0, 1), (-1, 0), (-1, 999_999_999), (-2, 5), (i64::MAX, 7), (i64::MIN, 0), (1 << 40, 0)]
        {
            let wanted = Time { seconds, nanos };
            assert_eq!(time(put_time(wanted).as_bytes()), Some(wanted), "{}", put_time(wanted));
        }
    }
}
