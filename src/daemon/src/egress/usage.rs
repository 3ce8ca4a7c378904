//! What tenants used of models, out of files that their proxies write: strictly read, and believed in nothing else.

use api::TenantUsage;
use model::TenantId;
use model::egress::UsageFile;

use crate::failure::Failure;
use crate::journal::lock;
use crate::service::Service;

/// Bytes of such a file, at most.
const MOST: usize = 4 << 20;
/// Days in it: 62, and one that begins.
const DAYS: usize = 64;
/// Longest name of a provider or a model, in bytes.
const NAME: usize = 256;

impl Service {
    /// Of one tenant, or of all that have used anything.
    pub fn usage(&self, id: Option<&TenantId>) -> Result<Vec<TenantUsage>, Failure> {
        if let Some(id) = id {
            self.existing(id)?;
            return Ok(vec![self.usage_of(id)]);
        }
        let tenants = lock(&self.database).tenants()?;
        let all = tenants.iter().map(|(id, _)| self.usage_of(id));
        Ok(all.filter(|one| one.problem.is_some() || !one.usage.days.is_empty()).collect())
    }

    fn usage_of(&self, id: &TenantId) -> TenantUsage {
        let path = self.paths.egress_state(id).join("usage.json");
        let read = match host::read_foreign(&path, MOST) {
            Ok(None) => Ok(UsageFile { format: 1, ..UsageFile::default() }),
            Ok(Some(bytes)) => {
                parse(&bytes).ok_or_else(|| format!("{} is not what a proxy writes", path.display()))
            }
            Err(error) => Err(error.to_string()),
        };
        let (usage, problem) = match read {
            Ok(usage) => (usage, None),
            Err(problem) => (UsageFile { format: 1, ..UsageFile::default() }, Some(problem)),
        };
        TenantUsage { tenant: id.to_string(), usage, problem }
    }
}

/// Nothing of a file that is none is repeated in a message.
fn parse(bytes: &[u8]) -> Option<UsageFile> {
    let usage: UsageFile = serde_json::from_slice(bytes).ok()?;
    let named = |text: &String| (1..=NAME).contains(&text.len()) && !text.chars().any(char::is_control);
    let day = |text: &String| {
        text.len() == 10
            && text
                .bytes()
                .enumerate()
                .all(|(at, b)| if matches!(at, 4 | 7) { b == b'-' } else { b.is_ascii_digit() })
    };
    let sound = usage.format == 1
        && usage.days.len() <= DAYS
        && usage.days.keys().all(day)
        && usage
            .days
            .values()
            .flatten()
            .all(|(provider, models)| named(provider) && models.keys().all(named));
    sound.then_some(usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_proxy_writes_is_read() {
        let good = r#"{"format":1,"days":{"2026-11-27":{"anthropic":{"claude":{"requests":1,"input":2,"output":3,"money":4}}}}}"#;
        assert_eq!(parse(good.as_bytes()).unwrap().days["2026-11-27"]["anthropic"]["claude"].money, 4);
        for (from, to) in [
            ("\"format\":1", "\"format\":2"),
            ("2026-11-27", "2026-11-2x"),
            ("2026-11-27", "../../etc"),
            ("claude", "a\\u001b[31m"),
            ("claude", ""),
            ("\"money\":4", "\"money\":-4"),
            ("\"money\":4", "\"money\":4,\"more\":1"),
            ("}}}}}", "}}}}"),
        ] {
            assert!(parse(good.replace(from, to).as_bytes()).is_none(), "{to}");
        }
        let days: Vec<_> = (0..DAYS + 1).map(|n| format!("\"{:04}-01-01\":{{}}", 1000 + n)).collect();
        assert!(parse(format!("{{\"format\":1,\"days\":{{{}}}}}", days.join(",")).as_bytes()).is_none());
    }
}
