//! `org.tenantd.Egress1`: the client's side, and the documents it answers with.

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::egress::{Budget, Destination, SecretUse, UsageFile};
use serde::{Deserialize, Serialize};

/// What tenants may reach: questions of their proxies, answers to them, the policy in force.
#[zbus::proxy(
    interface = "org.tenantd.Egress1",
    default_service = "org.tenantd.Manager1",
    default_path = "/org/tenantd/Manager1",
    gen_blocking = false
)]
pub trait Egress1 {
    /// Questions that wait or were not answered in time, of one tenant or, with an empty name, of all: JSON array of [`AskedRequest`].
    /// (`org.tenantd.questions`)
    #[zbus(allow_interactive_auth)]
    fn list_requests(&self, id: &str) -> Result<String, crate::Error>;
    /// Answers a question: JSON [`Answered`]. `digest` is that of what was shown; `verdict` is `allow` or `deny`; `scope` is `once`,
    /// `for SECONDS`, `until SECONDS` (since 1970), `always`, or empty for what the tenant's profile says. (`org.tenantd.approve`)
    #[zbus(allow_interactive_auth)]
    fn answer_request(
        &self,
        number: u64,
        digest: &str,
        verdict: &str,
        scope: &str,
        reason: &str,
    ) -> Result<String, crate::Error>;
    /// Answers in force: JSON array of [`Approval`]. (`org.tenantd.status`)
    #[zbus(allow_interactive_auth)]
    fn list_approvals(&self, id: &str) -> Result<String, crate::Error>;
    /// Takes an answer back. (`org.tenantd.approve`)
    #[zbus(allow_interactive_auth)]
    fn revoke_approval(&self, id: &str, number: u64) -> Result<(), crate::Error>;
    /// The policy in force: JSON [`EgressView`]. (`org.tenantd.status`)
    #[zbus(allow_interactive_auth)]
    fn get_egress(&self, id: &str) -> Result<String, crate::Error>;
    /// What that decides about a JSON [`EgressQuestion`]: JSON [`Explained`]. (`org.tenantd.status`)
    #[zbus(allow_interactive_auth)]
    fn explain_egress(&self, id: &str, question: &str) -> Result<String, crate::Error>;
    /// Notes for so many seconds what is tried and not allowed; 0 ends it: JSON [`Learned`]. (`org.tenantd.change`)
    #[zbus(allow_interactive_auth)]
    fn learn(&self, id: &str, seconds: u32) -> Result<String, crate::Error>;
    /// What was noted, and the narrowest document that allows it: JSON [`Learned`]. (`org.tenantd.status`)
    #[zbus(allow_interactive_auth)]
    fn get_learned(&self, id: &str) -> Result<String, crate::Error>;
    /// What was used of models, of one tenant or, with an empty name, of all: JSON array of [`TenantUsage`]. (`org.tenantd.status`)
    #[zbus(allow_interactive_auth)]
    fn usage(&self, id: &str) -> Result<String, crate::Error>;
    /// What this spec (TOML) would allow beyond the policy in force: JSON [`Change`]. A tenant that is not there yet has a policy that
    /// allows nothing. Changes nothing. (`org.tenantd.status`)
    #[zbus(allow_interactive_auth)]
    fn check_change(&self, id: &str, spec: &str) -> Result<String, crate::Error>;

    /// A question was raised, or is not open any more.
    #[zbus(signal)]
    fn requests_changed(&self, number: u64) -> zbus::Result<()>;
}

/// A question of a tenant's proxy, as it is shown and answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedRequest {
    /// Its number.
    pub number: u64,
    /// What an answer has to repeat: it is another one if the question has changed since.
    pub digest: String,
    /// Who asks.
    pub tenant: String,
    /// What for. Of a path there is no query: an answer is for the path with any.
    pub destination: Destination,
    /// `waiting`; or `expired`: nobody waits any more, and an answer counts for the next time.
    pub state: String,
    /// When it was asked first, in seconds since 1970.
    pub first: u64,
    /// When it was asked last.
    pub last: u64,
    /// How often.
    pub count: u64,
    /// Connections that wait for the answer.
    pub waiting: u32,
    /// When the one that asked last gives up waiting.
    #[serde(default)]
    pub expires: u64,
}

/// What became of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The question.
    pub number: u64,
    /// Whose.
    pub tenant: String,
    /// `allow` or `deny`.
    pub verdict: String,
    /// Connections that waited for it.
    pub told: u32,
    /// Number of the approval that was made of it; nothing for an answer that counts once.
    pub approval: Option<u64>,
    /// When that ends, in seconds since 1970; nothing for one that does not.
    pub until: Option<u64>,
}

/// An answer in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Its number.
    pub number: u64,
    /// Whose.
    pub tenant: String,
    /// `allow` or `deny`.
    pub verdict: String,
    /// What for.
    pub destination: Destination,
    /// When it was given, in seconds since 1970.
    pub made: u64,
    /// When it ends; nothing if it does not.
    pub until: Option<u64>,
    /// uid of who gave it.
    pub who: u32,
    /// Why.
    pub why: String,
}

/// `tenantctl egress list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressView {
    /// Whose.
    pub tenant: String,
    /// Name of the profile.
    pub profile: String,
    /// What becomes of a destination that no entry names: `deny` or `ask`.
    pub default: String,
    /// Entries, in the order of their documents.
    pub entries: Vec<EgressEntry>,
    /// Presets.
    pub presets: Vec<PresetView>,
    /// Where secrets may go.
    pub secrets: Vec<SecretUse>,
    /// Names of model providers, in the order in which they are tried, with their models.
    pub providers: Vec<ProviderView>,
    /// Names that stand for models.
    pub aliases: BTreeMap<String, String>,
    /// What may be spent on models.
    pub budget: Budget,
    /// Until when what is tried is noted, in seconds since 1970.
    pub learn_until: Option<u64>,
}

/// One endpoint of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressEntry {
    /// Host or pattern.
    pub host: String,
    /// Ports.
    pub ports: Vec<u16>,
    /// `rest` or `websocket`; nothing where requests are not looked at.
    pub protocol: Option<String>,
    /// Rules, as `allow GET /path`.
    pub rules: Vec<String>,
    /// Programs; nothing for any.
    pub binaries: Option<Vec<String>>,
    /// Whether it asks instead of allowing.
    pub ask: bool,
    /// Where it came from: `profile`, `preset`, `tenant` or `approval`.
    pub level: String,
    /// The document.
    pub document: String,
    /// Key in it.
    pub policy: String,
    /// Line in it.
    pub line: usize,
    /// When it ends, in seconds since 1970.
    pub expires: Option<u64>,
    /// Why it is there.
    pub why: Option<String>,
}

/// A preset that a tenant has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresetView {
    /// Its name.
    pub name: String,
    /// `low`, `supply-chain` or `exfiltration`; nothing where it does not say.
    pub risk: Option<String>,
    /// The risk as a sentence.
    pub why: Option<String>,
}

/// A model provider that a tenant has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderView {
    /// Its name.
    pub name: String,
    /// Its address.
    pub url: String,
    /// Name of the secret with its key.
    pub secret: Option<String>,
    /// Models that may be used.
    pub models: Vec<String>,
}

/// A connection or request about which the policy is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgressQuestion {
    /// Host as a program would name it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Address it resolves to.
    pub address: Option<IpAddr>,
    /// Whether that, or the host that is an address, is one of the machine's own. Who asks finds out: tenantd has no socket to do so.
    #[serde(default)]
    pub own: bool,
    /// Executable that connects, then its ancestors.
    pub binaries: Vec<String>,
    /// Method of a request, or `WEBSOCKET_TEXT`.
    pub method: Option<String>,
    /// Path and query of a request.
    pub path: Option<String>,
    /// Whether it asks to become a WebSocket.
    pub upgrade: bool,
    /// Method of the call in its body.
    #[serde(default)]
    pub call: Option<String>,
    /// Tool of that call.
    #[serde(default)]
    pub tool: Option<String>,
}

/// What the policy decides, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// For people.
    pub text: String,
    /// `policy::Explanation`.
    pub explanation: serde_json::Value,
}

/// What was noted while learning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    /// Until when it is noted; nothing if it is not.
    pub until: Option<u64>,
    /// How many destinations were noted, of at most 2000.
    pub noted: u64,
    /// The narrowest document that allows them; nothing is allowed by it alone.
    pub document: String,
    /// What is not in it, and why.
    pub left_out: Vec<(String, String)>,
}

/// What one tenant used of models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantUsage {
    /// Whose.
    pub tenant: String,
    /// As its proxy wrote it down.
    pub usage: UsageFile,
    /// What is wrong with that file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What a change of a spec would allow beyond the policy in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Whose.
    pub tenant: String,
    /// Digest of all that follows: who applies the change repeats it, and is refused if it would allow something else by then.
    pub digest: String,
    /// What it allows; empty if nothing more.
    pub widens: Vec<Widening>,
    /// Classes of risk that it takes on and the tenant did not have.
    pub risks: Vec<NewRisk>,
}

/// A class of risk that a change takes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRisk {
    /// `supply-chain` or `exfiltration`.
    pub risk: String,
    /// The document that brings it: `preset github`.
    pub by: String,
    /// What that document says of it.
    pub why: Option<String>,
}

/// Something that a change would allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Widening {
    /// What.
    pub what: String,
    /// The entry that allows it.
    pub by: Option<String>,
    /// A request that would be allowed.
    pub example: Option<String>,
    /// Whether both policies decided about the example, and the new one higher.
    pub proven: bool,
}
