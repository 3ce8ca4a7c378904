//! Conditions on the arguments of a system call, as written in a policy: `arg0 == AF_INET and arg1 & 0xf == SOCK_STREAM`.
//!
//! Arguments are compared as 32-bit values, because the kernel reads every argument that a policy names as an `int` or
//! uses only its low half; a process could otherwise slip through by setting the high half.

use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

use super::names;

/// One comparison of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Argument, 0 to 5.
    pub argument: u8,
    /// What must hold.
    pub comparison: Comparison,
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It is this value.
    Equal(u32),
    /// It is not this value.
    Unequal(u32),
    /// Its bits under the mask are this value.
    Masked {
        /// Which bits count.
        mask: u32,
        /// What they must be.
        value: u32,
    },
}

/// Conditions that must all hold.
pub type Alternative = Vec<Condition>;

/// Parses one string of `when`; `in {…}` makes several alternatives of it.
pub fn parse(text: &str) -> Result<Vec<Alternative>, String> {
    let mut alternatives = vec![Vec::new()];
    for term in text.split(" and ") {
        let choices = parse_term(term.trim())?;
        alternatives = alternatives
            .iter()
            .flat_map(|so_far: &Alternative| {
                choices.iter().map(|choice| so_far.iter().copied().chain([*choice]).collect())
            })
            .collect();
    }
    Ok(alternatives)
}

/// The rule as seccompiler knows it.
pub fn rule(alternative: &Alternative) -> Result<SeccompRule, BackendError> {
    let conditions = alternative.iter().map(|condition| {
        let (operator, value) = match condition.comparison {
            Comparison::Equal(value) => (SeccompCmpOp::Eq, value),
            Comparison::Unequal(value) => (SeccompCmpOp::Ne, value),
            Comparison::Masked { mask, value } => (SeccompCmpOp::MaskedEq(u64::from(mask)), value),
        };
        SeccompCondition::new(condition.argument, SeccompCmpArgLen::Dword, operator, u64::from(value))
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

/// When every alternative only says that the same argument is some value: that it is none of them.
pub fn none_of(when: &[Alternative]) -> Option<Alternative> {
    let argument = when.first()?.first()?.argument;
    let unequal = when.iter().map(|alternative| match alternative.as_slice() {
        [Condition { argument: same, comparison: Comparison::Equal(value) }] if *same == argument => {
            Some(Condition { argument, comparison: Comparison::Unequal(*value) })
        }
        _ => None,
    });
    unequal.collect()
}

#[cfg(test)]
impl Condition {
    /// Whether it holds for these arguments: the meaning that the compiled filter must have.
    pub fn holds(&self, arguments: &[u64; 6]) -> bool {
        let argument = arguments.get(usize::from(self.argument)).copied().unwrap_or_default();
        let low = u32::try_from(argument & u64::from(u32::MAX)).unwrap_or_default();
        match self.comparison {
            Comparison::Equal(value) => low == value,
            Comparison::Unequal(value) => low != value,
            Comparison::Masked { mask, value } => low & mask == value,
        }
    }
}

fn parse_term(term: &str) -> Result<Vec<Condition>, String> {
    let form = || {
        format!(
            "\"{term}\" is not of the form \"argN [& MASK] == VALUE\", \"!= VALUE\" or \"in {{VALUE, VALUE}}\""
        )
    };
    let (argument, rest) = term.split_once(' ').ok_or_else(form)?;
    let number =
        argument.strip_prefix("arg").and_then(|digits| digits.parse().ok()).filter(|number| *number <= 5);
    let argument: u8 = number.ok_or_else(form)?;
    let (mask, rest) = match rest.strip_prefix("& ") {
        Some(masked) => {
            let (mask, rest) = masked.split_once(' ').ok_or_else(form)?;
            (Some(parse_value(mask)?), rest)
        }
        None => (None, rest),
    };
    let comparisons = match (rest.split_once(' ').ok_or_else(form)?, mask) {
        (("==", value), Some(mask)) => vec![masked(mask, parse_value(value)?)?],
        (("==", value), None) => vec![Comparison::Equal(parse_value(value)?)],
        (("!=", value), None) => vec![Comparison::Unequal(parse_value(value)?)],
        (("in", set), mask) => {
            let inside = set.strip_prefix('{').and_then(|set| set.strip_suffix('}')).ok_or_else(form)?;
            let compare = |value| match mask {
                Some(mask) => masked(mask, value),
                None => Ok(Comparison::Equal(value)),
            };
            inside.split(',').map(|value| compare(parse_value(value.trim())?)).collect::<Result<_, _>>()?
        }
        _ => return Err(form()),
    };
    Ok(comparisons.into_iter().map(|comparison| Condition { argument, comparison }).collect())
}

fn masked(mask: u32, value: u32) -> Result<Comparison, String> {
    if value & !mask != 0 {
        return Err(format!("{value:#x} has bits outside the mask {mask:#x}, so it never matches"));
    }
    Ok(Comparison::Masked { mask, value })
}

/// `NAME`, `0x1f`, `0o777`, `12`, or several of them joined by `|`.
fn parse_value(text: &str) -> Result<u32, String> {
    text.split('|').try_fold(0, |value, word| Ok(value | parse_word(word)?))
}

fn parse_word(word: &str) -> Result<u32, String> {
    let number = match (word.get(..2), word.get(2..)) {
        (Some("0x"), Some(digits)) => u32::from_str_radix(digits, 16).ok(),
        (Some("0o"), Some(digits)) => u32::from_str_radix(digits, 8).ok(),
        _ => word.parse().ok(),
    };
    number.or_else(|| names::constant(word)).ok_or_else(|| {
        format!("\"{word}\" is neither a number nor a known constant (constants.tbl of the crate confine lists them)")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str, arguments: [u64; 6]) -> bool {
        parse(text).unwrap().iter().any(|all| all.iter().all(|condition| condition.holds(&arguments)))
    }

    #[test]
    fn terms_are_joined_by_and_and_sets_by_or() {
        let text = "arg0 in {AF_INET, AF_INET6} and arg1 & 0xf == SOCK_STREAM";
        assert_eq!(parse(text).unwrap().len(), 2);
        assert!(holds(text, [10, 0o2_000_001, 0, 0, 0, 0]));
        assert!(!holds(text, [10, 3, 0, 0, 0, 0]));
        assert!(!holds(text, [1, 1, 0, 0, 0, 0]));
    }

    #[test]
    fn a_set_of_values_is_the_opposite_of_none_of_them() {
        let none = none_of(&parse("arg1 in {1, 2}").unwrap()).unwrap();
        assert_eq!(none, parse("arg1 != 1 and arg1 != 2").unwrap().remove(0));
        for other in ["arg1 & 3 in {1, 2}", "arg1 != 1", "arg1 in {1, 2} and arg0 == 1"] {
            assert_eq!(none_of(&parse(other).unwrap()), None, "{other}");
        }
    }

    #[test]
    fn the_high_half_of_an_argument_does_not_count() {
        assert!(holds("arg0 == AF_UNIX", [0xdead_0000_0001, 0, 0, 0, 0, 0]));
        assert!(!holds("arg0 != AF_UNIX", [0xdead_0000_0001, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_form_that_can() {
        for wrong in
            ["", "arg6 == 1", "arg0 = 1", "arg0 == AF_NONE", "arg0 & 1 != 0", "arg0 in 1, 2", "fd == 1"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse("arg0 & 0x1 == 0x2").unwrap_err().contains("never matches"));
    }
}
