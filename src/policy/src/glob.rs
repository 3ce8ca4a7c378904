//! Patterns over names and paths: `*` stays within a segment, `**` as a whole segment crosses them.
//!
//! Besides matching, two patterns are compared: [`Glob::covers`] and [`Glob::may_overlap`] carry the widening check. Both err
//! on one side only: `covers` never says yes wrongly, `may_overlap` never says no wrongly.

use std::fmt;

/// One step of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// This character.
    Char(char),
    /// Any character but the separator.
    One,
    /// A character of these ranges, or none of them; never the separator.
    Class { negated: bool, ranges: Vec<(char, char)> },
    /// Any characters but the separator, or none.
    Star,
    /// Any characters, or none.
    Any,
}

/// A pattern.
#[derive(Clone, PartialEq, Eq)]
pub struct Glob {
    text: String,
    separator: char,
    steps: Vec<Step>,
    /// The text itself if it holds nothing but characters: the usual case, and compared as one.
    literal: bool,
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glob({})", self.text)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Longest pattern; with this bound a match costs at most its length times that of the text for each `**`.
const MOST: usize = 1024;

impl Glob {
    /// Reads a pattern whose segments are divided by `separator`.
    pub fn parse(text: &str, separator: char) -> Result<Glob, &'static str> {
        if text.is_empty() || text.len() > MOST {
            return Err("a pattern has 1 to 1024 bytes");
        }
        if text.chars().any(char::is_control) {
            return Err("a pattern holds no control characters");
        }
        if text.contains(['{', '}', '\\']) {
            return Err(
                "braces and backslashes have no meaning in a pattern and are refused: write one rule for each choice",
            );
        }
        let mut steps = Vec::new();
        let chars: Vec<char> = text.chars().collect();
        let mut rest = chars.as_slice();
        while let [first, after @ ..] = rest {
            rest = after;
            match first {
                '*' => {
                    let stars = 1 + after.iter().take_while(|c| **c == '*').count();
                    let before = chars.len() - after.len() - 1;
                    rest = after.get(stars - 1..).unwrap_or_default();
                    let begins = before == 0 || chars.get(before - 1) == Some(&separator);
                    let ends = rest.first().is_none_or(|c| *c == separator);
                    steps.push(if stars == 2 && begins && ends { Step::Any } else { Step::Star });
                }
                '?' => steps.push(Step::One),
                '[' => {
                    let (class, after) = class(after, separator)?;
                    steps.push(class);
                    rest = after;
                }
                other => steps.push(Step::Char(*other)),
            }
        }
        let literal = steps.iter().all(|step| matches!(step, Step::Char(_)));
        Ok(Glob { text: text.to_owned(), separator, steps, literal })
    }

    /// The one that matches this text alone.
    pub(crate) fn literal(text: &str, separator: char) -> Glob {
        let steps = text.chars().map(Step::Char).collect();
        Glob { text: text.to_owned(), separator, steps, literal: true }
    }

    /// The one that matches every path.
    pub(crate) fn every_path() -> Glob {
        let steps = vec![Step::Char('/'), Step::Any];
        Glob { text: "/**".to_owned(), separator: '/', steps, literal: false }
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches exactly one text.
    pub fn is_literal(&self) -> bool {
        self.literal
    }

    /// Whether it matches every text.
    pub fn is_any(&self) -> bool {
        self.steps == [Step::Any]
    }

    /// A text that matches.
    pub fn sample(&self) -> String {
        let one = |ranges: &[(char, char)]| ranges.first().map_or('x', |(low, _)| *low);
        let steps = self.steps.iter().map(|step| match step {
            Step::Char(c) => *c,
            Step::Class { negated: false, ranges } => one(ranges),
            Step::One | Step::Class { .. } | Step::Star | Step::Any => 'x',
        });
        steps.collect()
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        if self.literal {
            return self.text == text;
        }
        let mut steps = self.steps.as_slice();
        let mut rest = text;
        // Where to go on when a step fails: after the last `*`, else after the last `**`. Earlier ones need no second look, as
        // whatever they could take, the last one of their kind takes as well.
        let mut star: Option<(&[Step], &str)> = None;
        let mut any: Option<(&[Step], &str)> = None;
        loop {
            match steps.split_first() {
                None if rest.is_empty() => return true,
                Some((Step::Star, after)) => {
                    star = Some((after, rest));
                    steps = after;
                    continue;
                }
                Some((Step::Any, after)) => {
                    any = Some((after, rest));
                    star = None;
                    steps = after;
                    continue;
                }
                Some((step, after)) => {
                    if let Some((c, next)) = first(rest).filter(|(c, _)| self.takes(step, *c)) {
                        debug_assert!(c.len_utf8() <= 4, "a character");
                        (steps, rest) = (after, next);
                        continue;
                    }
                }
                None => {}
            }
            let longer = star.and_then(|(after, from)| {
                first(from).filter(|(c, _)| *c != self.separator).map(|(_, next)| (after, next))
            });
            if let Some((after, next)) = longer {
                star = Some((after, next));
                (steps, rest) = (after, next);
            } else if let Some((after, next)) =
                any.and_then(|(after, from)| first(from).map(|(_, next)| (after, next)))
            {
                any = Some((after, next));
                star = None;
                (steps, rest) = (after, next);
            } else {
                return false;
            }
        }
    }

    fn takes(&self, step: &Step, c: char) -> bool {
        match step {
            Step::Char(own) => *own == c,
            Step::One => c != self.separator,
            Step::Class { negated, ranges } => {
                c != self.separator
                    && *negated != ranges.iter().any(|(low, high)| (*low..=*high).contains(&c))
            }
            Step::Star | Step::Any => false,
        }
    }

    /// Whether everything that `other` matches is matched by this one; "no" may be wrong, "yes" is not.
    pub fn covers(&self, other: &Glob) -> bool {
        if self.is_any() || self == other {
            return true;
        }
        if other.literal {
            return self.matches(&other.text);
        }
        self.separator == other.separator && table(&self.steps, &other.steps, |a, b| self.absorbs(a, b))
    }

    /// What one step of the other pattern does to the place in this one.
    fn absorbs(&self, own: &Step, other: &Step) -> Move {
        match (own, other) {
            (Step::Any, _) => Move::StayOrSkip,
            (Step::Star, Step::Any) => Move::Skip,
            (Step::Star, Step::Char(c)) if *c == self.separator => Move::Skip,
            (Step::Star, _) => Move::StayOrSkip,
            (Step::One, Step::One | Step::Class { .. }) => Move::Both,
            (_, Step::Char(c)) if self.takes(own, *c) => Move::Both,
            (Step::Class { .. }, Step::Class { .. }) if own == other => Move::Both,
            (Step::Char(_) | Step::One | Step::Class { .. }, _) => Move::No,
        }
    }

    /// Whether some text may match both; "yes" may be wrong, "no" is not.
    pub fn may_overlap(&self, other: &Glob) -> bool {
        if self.literal {
            return other.matches(&self.text);
        }
        if other.literal {
            return self.matches(&other.text);
        }
        let both_ways = |a: &Step, b: &Step| self.meets(a, b);
        intersect(&self.steps, &other.steps, both_ways)
    }

    fn meets(&self, a: &Step, b: &Step) -> bool {
        let crosses = |step: &Step| matches!(step, Step::Any);
        let is_separator = |step: &Step| matches!(step, Step::Char(c) if *c == self.separator);
        match (a, b) {
            (Step::Char(a), Step::Char(b)) => a == b,
            (Step::Star, other) | (other, Step::Star) => crosses(other) || !is_separator(other),
            (Step::Any, _) | (_, Step::Any) => true,
            (Step::Char(c), step) | (step, Step::Char(c)) => self.takes(step, *c),
            (Step::One | Step::Class { .. }, Step::One | Step::Class { .. }) => true,
        }
    }
}

fn first(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    chars.next().map(|c| (c, chars.as_str()))
}

fn class(text: &[char], separator: char) -> Result<(Step, &[char]), &'static str> {
    const WRONG: &str = "a class is written [abc], [a-z] or [!a-z], and holds no separator";
    let (negated, mut rest) = match text {
        ['!' | '^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut ranges = Vec::new();
    loop {
        match rest {
            [']', after @ ..] if !ranges.is_empty() => {
                return Ok((Step::Class { negated, ranges }, after));
            }
            [']' | '[', ..] | [] => return Err(WRONG),
            [low, '-', high, after @ ..] if *high != ']' => {
                if low > high || (*low..=*high).contains(&separator) {
                    return Err(WRONG);
                }
                ranges.push((*low, *high));
                rest = after;
            }
            [one, after @ ..] => {
                if *one == separator {
                    return Err(WRONG);
                }
                ranges.push((*one, *one));
                rest = after;
            }
        }
    }
}

/// How two places in two patterns go on.
enum Move {
    /// Not at all.
    No,
    /// The own step stands for nothing here.
    Skip,
    /// The own step takes the other's and stays, or stands for nothing.
    StayOrSkip,
    /// Both go on.
    Both,
}

/// Whether the steps of `own` take all those of `other`, one after the other.
fn table(own: &[Step], other: &[Step], step: impl Fn(&Step, &Step) -> Move) -> bool {
    // reach[i]: the first i own steps can have taken what was seen of the other so far.
    let is_many = |s: &Step| matches!(s, Step::Star | Step::Any);
    let close = |reach: &mut [bool]| {
        for (index, s) in own.iter().enumerate() {
            let here = reach.get(index).copied().unwrap_or_default();
            if here && is_many(s) {
                if let Some(next) = reach.get_mut(index + 1) {
                    *next = true;
                }
            }
        }
    };
    let mut reach = vec![false; own.len() + 1];
    if let Some(start) = reach.first_mut() {
        *start = true;
    }
    close(&mut reach);
    for theirs in other {
        let mut next = vec![false; own.len() + 1];
        for (index, ours) in own.iter().enumerate().filter(|(index, _)| reach.get(*index) == Some(&true)) {
            let to = match step(ours, theirs) {
                Move::No | Move::Skip => continue,
                Move::StayOrSkip => index,
                Move::Both => index + 1,
            };
            if let Some(place) = next.get_mut(to) {
                *place = true;
            }
        }
        close(&mut next);
        reach = next;
    }
    reach.last() == Some(&true)
}

/// Whether the languages of two patterns meet.
fn intersect(a: &[Step], b: &[Step], meets: impl Fn(&Step, &Step) -> bool) -> bool {
    let many = |s: Option<&Step>| matches!(s, Some(Step::Star | Step::Any));
    let width = b.len() + 1;
    let mut seen = vec![false; (a.len() + 1) * width];
    let mut waiting = vec![(0, 0)];
    while let Some((i, j)) = waiting.pop() {
        match seen.get_mut(i * width + j) {
            Some(done) if !*done => *done = true,
            Some(_) | None => continue,
        }
        if i == a.len() && j == b.len() {
            return true;
        }
        let (left, right) = (a.get(i), b.get(j));
        if many(left) {
            waiting.push((i + 1, j));
        }
        if many(right) {
            waiting.push((i, j + 1));
        }
        if let (Some(left_step), Some(right_step)) = (left, right) {
            if meets(left_step, right_step) {
                match (many(left), many(right)) {
                    (false, false) => waiting.push((i + 1, j + 1)),
                    (true, false) => waiting.push((i, j + 1)),
                    (false, true) => waiting.push((i + 1, j)),
                    (true, true) => {}
                }
            }
        }
    }
    false
}

#[cfg(test)]
#[path = "glob_tests.rs"]
mod tests;
