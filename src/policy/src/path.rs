//! The path and query of a request, in the one form that rules are matched against.
//!
//! What two servers could read in two ways is refused, not guessed: rules protect nothing if the server sees another path than
//! the rule did. Percent-encoding is undone once.

/// A path that has one reading, and its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    path: String,
    /// The path as a server reads it that takes `%2F` for a slash, where it holds one.
    slashed: Option<String>,
    query: Vec<(String, String)>,
}

/// Longest path and query together.
const MOST: usize = 8192;

impl Target {
    /// Reads the path and query of a request, as they stand in its first line (origin form).
    pub fn parse(raw: &str) -> Result<Target, &'static str> {
        if raw.len() > MOST {
            return Err("the path and query have more than 8192 bytes");
        }
        if !raw.bytes().all(|b| b.is_ascii_graphic()) || raw.contains(['\\', '#']) {
            return Err(
                "a path has no spaces, control characters, backslashes, fragments or bytes beyond ASCII",
            );
        }
        let (path, query) = raw.split_once('?').unwrap_or((raw, ""));
        let rest = path.strip_prefix('/').ok_or("a path begins with a slash")?;
        let mut segments: Vec<String> = Vec::new();
        let mut encoded_slash = false;
        let count = rest.split('/').count();
        for (index, raw) in rest.split('/').enumerate() {
            if raw.is_empty() && index + 1 < count {
                return Err("a path with two slashes in a row has two readings");
            }
            let (segment, slash) = decode_segment(raw)?;
            encoded_slash |= slash;
            if matches!(segment.as_str(), "." | "..") {
                return Err("a path with a dot segment has two readings: resolve it before it is sent");
            }
            segments.push(segment);
        }
        let path = format!("/{}", segments.join("/"));
        let slashed = encoded_slash.then(|| path.replace("%2F", "/"));
        Ok(Target { path, slashed, query: pairs(query)? })
    }

    /// The path, decoded once; a slash that was encoded is still written `%2F`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the path holds an encoded slash, which only endpoints with `allow_encoded_slash` take.
    pub fn encoded_slash(&self) -> bool {
        self.slashed.is_some()
    }

    /// Every reading of the path that a server may have: what refuses has to look at all of them.
    pub fn readings(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.path.as_str()).chain(self.slashed.as_deref())
    }

    /// Paths that some servers take for this one: case counts for them no more than parameters of a segment or a slash at the end.
    pub(crate) fn alike(&self) -> impl Iterator<Item = String> {
        self.readings().map(alike)
    }

    /// Values of a parameter, in their order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// What all paths that some servers take for this one have in common.
pub(crate) fn alike(path: &str) -> String {
    let bare: Vec<&str> =
        path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect();
    let joined = bare.join("/").to_ascii_lowercase();
    match joined.trim_end_matches('/') {
        "" => joined.get(..1).unwrap_or_default().to_owned(),
        shorter => shorter.to_owned(),
    }
}

fn decode_segment(raw: &str) -> Result<(String, bool), &'static str> {
    let mut slash = false;
    let mut bytes = Vec::with_capacity(raw.len());
    for piece in Pieces(raw.as_bytes()) {
        match piece? {
            (b'/', true) => {
                slash = true;
                bytes.extend_from_slice(b"%2F");
            }
            (b'%', true) => return Err("a path with an encoded percent sign has two readings"),
            (byte, _) => bytes.push(byte),
        }
    }
    let segment = String::from_utf8(bytes).map_err(|_| "a path decodes to UTF-8")?;
    if segment.contains('\\') || segment.chars().any(char::is_control) {
        return Err("a path with an encoded backslash or control character has two readings");
    }
    if slash && segment.split("%2F").any(|part| matches!(part, "" | "." | "..")) {
        return Err("a path with a dot segment or nothing beside an encoded slash has two readings");
    }
    // Some servers cut parameters off a segment before they resolve dots: "/a/..;x/b".
    let bare = segment.split(';').next().unwrap_or_default();
    if segment.contains(';') && matches!(bare, "" | "." | "..") {
        return Err("a path with parameters at a dot segment has two readings");
    }
    Ok((segment, slash))
}

fn pairs(query: &str) -> Result<Vec<(String, String)>, &'static str> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode_value(name)?, decode_value(value)?))
    });
    pairs.collect()
}

fn decode_value(raw: &str) -> Result<String, &'static str> {
    let bytes: Result<Vec<u8>, _> = Pieces(raw.as_bytes())
        .map(|piece| piece.map(|(byte, encoded)| if byte == b'+' && !encoded { b' ' } else { byte }))
        .collect();
    String::from_utf8(bytes?).map_err(|_| "a query decodes to UTF-8")
}

/// Bytes, and whether each was percent-encoded.
struct Pieces<'a>(&'a [u8]);

impl Iterator for Pieces<'_> {
    type Item = Result<(u8, bool), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        const WRONG: &str = "a percent sign is followed by two hexadecimal digits, and %00 is refused";
        let (first, rest) = self.0.split_first()?;
        if *first != b'%' {
            self.0 = rest;
            return Some(Ok((*first, false)));
        }
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let byte = match rest {
            [high, low, after @ ..] => {
                self.0 = after;
                digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low)
            }
            _ => {
                self.0 = &[];
                None
            }
        };
        Some(byte.filter(|byte| *byte != 0).map(|byte| (byte, true)).ok_or(WRONG))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_reading_or_none() {
        for (raw, wanted) in [
            ("/", "/"),
            ("/a/b?x=1", "/a/b"),
            ("/a/%62/", "/a/b/"),
            ("/a/.b/..c/...", "/a/.b/..c/..."),
            ("/@types%2fnode", "/@types%2Fnode"),
            ("/caf%C3%A9", "/café"),
            ("/a;v=1/b", "/a;v=1/b"),
        ] {
            assert_eq!(Target::parse(raw).unwrap().path(), wanted, "{raw}");
        }
        for raw in [
            "",
            "a",
            "/..",
            "/a/../..",
            "/a/./b",
            "/a/../c",
            "/a/%2e%2E/c",
            "/a/..",
            "/a/b/.",
            "/.",
            "//a",
            "/a//b",
            "/a%00",
            "/a%5cb",
            "/a\\b",
            "/a%252fb",
            "/a%2",
            "/a%zz",
            "/a b",
            "/é",
            "/a%ff",
            "/a/..;/b",
            "/;/b",
            "/a/.;x/b",
            "/a%0d%0ab",
            "/a#b",
            "http://x/a",
            "/%2e%2e/a",
            "/a%2f..%2fb",
            "/a%2f",
            "/%2fa",
            "/a%2f%2fb",
        ] {
            assert!(Target::parse(raw).is_err(), "{raw}");
        }
        assert!(Target::parse("/@types%2Fnode").unwrap().encoded_slash());
    }

    #[test]
    fn paths_that_servers_take_for_one_another_have_one_form() {
        for (path, wanted) in [
            ("", ""),
            ("/", "/"),
            ("//", "/"),
            ("/McP/", "/mcp"),
            ("/a;x=1/B;y", "/a/b"),
            ("/a%2fB//", "/a%2fb"),
        ] {
            assert_eq!(alike(path), wanted, "{path}");
        }
    }

    #[test]
    fn a_parameter_has_all_of_its_values() {
        let target = Target::parse("/a?x=1&x=a+b&y=%26&z").unwrap();
        assert_eq!(target.values("x").collect::<Vec<_>>(), ["1", "a b"]);
        assert_eq!(target.values("y").collect::<Vec<_>>(), ["&"]);
        assert_eq!(target.values("z").collect::<Vec<_>>(), [""]);
    }
}
