//! How long an answer holds, within what the tenant's profile allows.

use policy::Approvals;

/// How long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// For those who wait.
    Once,
    /// Until then, in seconds since 1970.
    Until(u64),
    /// For ever.
    Always,
}

/// 9999-12-31, the last day that a document can name.
const LAST: u64 = 253_402_214_400;

/// Reads `once`, `for SECONDS`, `until SECONDS`, `always`, or nothing for the profile's own span. What allows is bounded by the profile; a
/// denial may hold as long as anybody likes.
pub(crate) fn holds(scope: &str, allows: bool, now: u64, profile: &Approvals) -> Result<Holds, String> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u64>().ok().filter(|_| digits)
    };
    let end = match scope.split_once(' ') {
        None if scope == "once" => return Ok(Holds::Once),
        None if scope == "always" && (profile.always || !allows) => return Ok(Holds::Always),
        None if scope == "always" => {
            return Err(match &profile.most {
                Some(most) => format!(
                    "this tenant's profile lets no approval hold for always, but for {} at the most",
                    span(most.0.as_secs())
                ),
                None => "this tenant's profile lets no approval hold for always: name a time".to_owned(),
            });
        }
        None if scope.is_empty() => Some(now.saturating_add(profile.lifetime.0.as_secs())),
        Some(("for", seconds)) => number(seconds).and_then(|seconds| now.checked_add(seconds)),
        Some(("until", when)) => number(when),
        None | Some(_) => None,
    };
    let end = end.filter(|end| *end <= LAST).ok_or_else(|| {
        format!(
            "{:?} is not how long an answer holds: say once, for SECONDS, until SECONDS, always, or nothing",
            scope.chars().take(64).collect::<String>()
        )
    })?;
    if end <= now {
        return Err("the answer would end before it begins: name a time to come".to_owned());
    }
    match &profile.most {
        Some(most) if allows && end - now > most.0.as_secs() => Err(format!(
            "this tenant's profile lets an approval hold for {} at the most: name a shorter time",
            span(most.0.as_secs())
        )),
        Some(_) | None => Ok(Holds::Until(end)),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        s if s % 86_400 == 0 => format!("{}d", s / 86_400),
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s => format!("{}m", s / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::Profile;

    fn shipped(name: &str) -> Approvals {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../policies/profiles")
            .join(format!("{name}.toml"));
        Profile::parse(name, &std::fs::read_to_string(path).unwrap()).unwrap().approvals
    }

    #[test]
    fn an_answer_holds_as_long_as_the_shipped_profiles_let_it() {
        let (solo, customers) = (shipped("solo"), shipped("customers"));
        let day = 86_400;
        for (scope, profile, wanted) in [
            ("once", &customers, Some(Holds::Once)),
            ("", &customers, Some(Holds::Until(1000 + 3600))),
            ("for 60", &customers, Some(Holds::Until(1060))),
            ("until 2000", &customers, Some(Holds::Until(2000))),
            ("always", &customers, None),
            ("always", &solo, Some(Holds::Always)),
            (&format!("for {}", 30 * day), &customers, Some(Holds::Until(1000 + 30 * day))),
            (&format!("for {}", 30 * day + 1), &customers, None),
            (&format!("for {}", 400 * day), &solo, Some(Holds::Until(1000 + 400 * day))),
        ] {
            assert_eq!(holds(scope, true, 1000, profile).ok(), wanted, "{scope}");
        }
    }

    #[test]
    fn a_denial_is_not_bounded_and_nonsense_is_refused() {
        let customers = shipped("customers");
        assert_eq!(holds("always", false, 1000, &customers), Ok(Holds::Always));
        assert!(holds("for 99999999", false, 1000, &customers).is_ok());
        for scope in [
            "for",
            "for ",
            "for 0",
            "for -1",
            "for +5",
            "until 1000",
            "until 1",
            "ever",
            "once ",
            "for 1h",
            "until 999999999999999",
        ] {
            assert!(holds(scope, true, 1000, &customers).is_err(), "{scope}");
        }
        assert!(holds(&format!("for {}", u64::MAX), false, 1000, &customers).is_err());
    }
}
