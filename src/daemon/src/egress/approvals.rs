//! Answers: given, listed, taken back, ended.

use api::{Answered, Approval, AskedRequest};
use model::egress::{Answer, AnswerVerdict, Destination, EgressFile};
use model::{Exit, SpecFile, TenantId};
use policy::Verdict;

use super::desk::Found;
use super::destination::{Parsed, key, line};
use super::now;
use super::render::Shape;
use super::scope::{Holds, holds};
use super::store::{MOST_APPROVALS, Row};
use crate::failure::Failure;
use crate::journal::lock;
use crate::service::Service;

/// Longest reason, in characters.
const REASON: usize = 200;

/// An answer as it was sent.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Number of the question.
    pub number: u64,
    /// Digest of what was shown.
    pub digest: String,
    /// `allow` or `deny`.
    pub verdict: String,
    /// How long it holds.
    pub scope: String,
    /// Why.
    pub reason: String,
    /// uid of who answers.
    pub caller: u32,
}

impl Service {
    /// Questions of one tenant, or of all.
    pub fn asked(&self, id: Option<&TenantId>) -> Result<Vec<AskedRequest>, Failure> {
        if let Some(id) = id {
            self.existing(id)?;
        }
        let mut desk = lock(&self.egress.desk);
        desk.prune(now());
        Ok(desk.list(id))
    }

    /// Answers a question, provided it is still what was shown.
    pub fn answer_request(&self, wish: &Wish) -> Result<Answered, Failure> {
        let data = |text: String| Failure::new(Exit::Data, text);
        let allow = match wish.verdict.as_str() {
            "allow" => true,
            "deny" => false,
            _ => return Err(data("an answer is allow or deny".to_owned())),
        };
        let why = reason(&wish.reason).map_err(data)?;
        let _writing = lock(&self.egress.writing);
        let found = lock(&self.egress.desk).find(wish.number, &wish.digest).map_err(|why| {
            let text = format!("request {}: {why}: see \"tenantctl approvals list\"", wish.number);
            Failure::new(Exit::NoInput, text)
        })?;
        let id = &found.tenant;
        let file = self.egress_file(id)?;
        let time = now();
        let holds = holds(&wish.scope, allow, time, &self.profile_of(id)?.approvals)
            .map_err(|why| data(format!("request {}: {why}", wish.number)))?;
        let row = match holds {
            Holds::Once if found.waiting == 0 => {
                let text = format!(
                    "request {}: nobody waits for it any more: say how long the answer holds, for the next time",
                    wish.number
                );
                return Err(data(text));
            }
            Holds::Once => None,
            Holds::Until(until) => Some((Some(until), time)),
            Holds::Always => Some((None, time)),
        };
        let row = row
            .map(|times| self.note_answer(&found, &file, allow, times, (&why, wish.caller)))
            .transpose()?;
        let answered = self.tell(wish, &found, allow, row.as_ref(), &why);
        tell_journal(&answered, &found.destination, wish.caller, &why);
        Ok(answered)
    }

    /// Writes down an answer that holds, and makes the proxy's file say so.
    fn note_answer(
        &self,
        found: &Found,
        file: &EgressFile,
        allow: bool,
        (until, made): (Option<u64>, u64),
        (why, who): (&str, u32),
    ) -> Result<Row, Failure> {
        let id = &found.tenant;
        let (mut rows, number) = {
            let database = lock(&self.database);
            (database.approvals(id)?, database.next_approval()?)
        };
        let known = key(&found.destination);
        let same: Vec<u64> =
            rows.iter().filter(|row| key(&row.destination) == known).map(|row| row.number).collect();
        rows.retain(|row| !same.contains(&row.number));
        if rows.len() >= MOST_APPROVALS {
            let text = format!(
                "tenant {id} has {MOST_APPROVALS} answers that hold, and that is the most: revoke some (\"tenantctl approvals list {id} --answers\"), or write them as a policy of its own"
            );
            return Err(Failure::new(Exit::CantCreate, text));
        }
        let shape = self.shape_of(file, &rows, &found.destination, made)?;
        let row = Row {
            number,
            tenant: id.clone(),
            allow,
            destination: found.destination.clone(),
            shape,
            made,
            until,
            who,
            why: why.to_owned(),
        };
        rows.push(row.clone());
        if allow {
            self.check_allows(file, &rows, &row)?;
        }
        lock(&self.database).note_approval(&row, &same)?;
        self.write_approvals_held(id)?;
        Ok(row)
    }

    /// What the entry that asked demands of an approval.
    fn shape_of(
        &self,
        file: &EgressFile,
        rows: &[Row],
        asked: &Destination,
        time: u64,
    ) -> Result<Shape, Failure> {
        let odd = |why: String| unsayable(&file.tenant, asked, &why);
        let policy = self.policy_with(file, rows).map_err(odd)?;
        let parsed = Parsed::of(asked).map_err(|why| odd(why.to_owned()))?;
        Ok(parsed.with(asked, time, |request| {
            let decision = policy.decide(request);
            Shape::of(decision.entry.filter(|_| decision.verdict == Verdict::Ask))
        }))
    }

    /// Refuses an approval that would not be one: whose document is none, or which something else outweighs.
    fn check_allows(&self, file: &EgressFile, rows: &[Row], row: &Row) -> Result<(), Failure> {
        let odd = |why: String| unsayable(&file.tenant, &row.destination, &why);
        let policy = self.policy_with(file, rows).map_err(odd)?;
        let parsed = Parsed::of(&row.destination).map_err(|why| odd(why.to_owned()))?;
        parsed.with(&row.destination, row.made, |request| match policy.decide(request).verdict {
            Verdict::Allow => Ok(()),
            Verdict::Deny | Verdict::Ask | Verdict::Inspect => Err(odd(policy.explain(request).sentence)),
        })
    }

    fn tell(&self, wish: &Wish, found: &Found, allow: bool, row: Option<&Row>, why: &str) -> Answered {
        let verdict = if allow { AnswerVerdict::Allow } else { AnswerVerdict::Deny };
        let by = host::user_name(wish.caller).unwrap_or_else(|| format!("uid {}", wish.caller));
        let said =
            if why.is_empty() { format!("answered by {by}") } else { format!("answered by {by}: {why}") };
        let answer = Answer { verdict, request: Some(wish.number), why: said };
        let told = lock(&self.egress.desk).close(&found.tenant, wish.number, answer);
        // Nobody listens before the bus is there.
        self.egress.changed.send(wish.number).ok();
        Answered {
            number: wish.number,
            tenant: found.tenant.to_string(),
            verdict: wish.verdict.clone(),
            told,
            approval: row.map(|row| row.number),
            until: row.and_then(|row| row.until),
        }
    }

    /// Answers that hold.
    pub fn list_approvals(&self, id: &TenantId) -> Result<Vec<Approval>, Failure> {
        self.existing(id)?;
        let time = now();
        let rows = lock(&self.database).approvals(id)?;
        let holding = rows.into_iter().filter(|row| row.until.is_none_or(|until| time < until));
        Ok(holding.map(shown).collect())
    }

    /// Takes an answer back.
    pub fn revoke_approval(&self, id: &TenantId, number: u64, caller: u32) -> Result<(), Failure> {
        self.existing(id)?;
        let _writing = lock(&self.egress.writing);
        if !lock(&self.database).remove_approval(id, number)? {
            let text = format!(
                "tenant {id} has no approval {number}: see \"tenantctl approvals list {id} --answers\""
            );
            return Err(Failure::new(Exit::NoInput, text));
        }
        self.write_approvals_held(id)?;
        tracing::info!(tenant = %id, approval = number, who = caller, "approval revoked");
        Ok(())
    }

    /// What holds about a destination without asking again: a denial, or an approval that the proxy has not read yet.
    pub(super) fn standing(&self, id: &TenantId, asked: &Destination) -> Result<Option<Row>, Failure> {
        let (known, time) = (key(asked), now());
        let rows = lock(&self.database).approvals(id)?;
        let holds = |row: &Row| key(&row.destination) == known && row.until.is_none_or(|until| time < until);
        Ok(rows.into_iter().rev().find(holds))
    }

    /// Ends what has had its time, and writes again what could not be written before.
    pub(crate) fn prune_approvals(&self) -> Result<(), Failure> {
        lock(&self.egress.desk).prune(now());
        let tenants = {
            let mut database = lock(&self.database);
            database.prune_egress(now())?;
            database.tenants()?
        };
        for (id, _) in tenants {
            if let Err(failure) = self.renew_approvals(&id) {
                tracing::error!(tenant = %id, "cannot renew its approvals: {failure}");
            }
        }
        Ok(())
    }

    fn renew_approvals(&self, id: &TenantId) -> Result<(), Failure> {
        if self.stale_approvals(id)?.is_none() {
            return Ok(());
        }
        // What is being changed is written by that change, and looked at once more at its end.
        let Ok(_occupied) = self.occupy(id) else { return Ok(()) };
        self.write_approvals(id)
    }

    fn profile_of(&self, id: &TenantId) -> Result<policy::Profile, Failure> {
        let (SpecFile { egress, .. }, _) = catalog::read_spec(&self.paths, id)?;
        let name = egress.and_then(|egress| egress.profile);
        self.catalog()?
            .profile(name.as_deref())
            .map_err(|why| Failure::new(Exit::OsFile, format!("tenant {id}: {why}")))
    }
}

fn unsayable(id: &TenantId, asked: &Destination, why: &str) -> Failure {
    let text = format!(
        "tenant {id}: no approval can say {} and nothing else ({why}): answer once, or write a policy of its own for it",
        line(asked)
    );
    Failure::new(Exit::Data, text)
}

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.chars().count() > REASON || text.chars().any(char::is_control) {
        return Err(format!("a reason is one line of at most {REASON} characters"));
    }
    Ok(text.to_owned())
}

fn shown(row: Row) -> Approval {
    Approval {
        number: row.number,
        tenant: row.tenant.to_string(),
        verdict: if row.allow { "allow" } else { "deny" }.to_owned(),
        destination: row.destination,
        made: row.made,
        until: row.until,
        who: row.who,
        why: row.why,
    }
}

fn tell_journal(answered: &Answered, asked: &Destination, who: u32, why: &str) {
    tracing::info!(
        tenant = %answered.tenant,
        request = answered.number,
        approval = answered.approval,
        until = answered.until,
        verdict = %answered.verdict,
        who,
        why,
        host = %asked.host,
        port = asked.port,
        binary = asked.binary.as_deref(),
        method = asked.exchange.as_ref().map(|exchange| exchange.method.as_str()),
        path = asked.exchange.as_ref().map(|exchange| exchange.target.as_str()),
        "request answered"
    );
}
