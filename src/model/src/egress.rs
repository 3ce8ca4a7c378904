//! What tenantd compiles for a tenant's egress proxy, and what the two ask each other: JSON, strict. The proxy reads two root-owned
//! files and no other; it has one question for tenantd.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::TenantId;

/// Format number of `egress.json`.
pub const EGRESS_FORMAT: u32 = 1;
/// Format number of `approvals.json`.
pub const APPROVALS_FORMAT: u32 = 1;
/// Port of the explicit proxy on the loopback of a tenant's namespace. The three listening addresses stand in
/// `tenant-egress@.socket`, which is the same for every tenant.
pub const PROXY_PORT: u16 = 3128;
/// Port of the proxy to which every connection that would leave the namespace is handed.
pub const TRANSPARENT_PORT: u16 = 3129;
/// The name under which a tenant reaches its model providers.
pub const INFERENCE_HOST: &str = "inference.internal";
/// Name of the secret that holds the key of the tenant's certificate authority.
pub const AUTHORITY_SECRET: &str = "egress-authority";

/// `egress.json`: everything that decides, as tenantd checked it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgressFile {
    /// [`EGRESS_FORMAT`].
    pub format: u32,
    /// Whose.
    pub tenant: TenantId,
    /// The only uid whose connections are taken.
    pub uid: u32,
    /// Policy documents: profile, presets, the tenant's own.
    pub layers: Vec<PolicyText>,
    /// Hosts that presets take from this machine's configuration, by the name they use.
    pub hosts: BTreeMap<String, HostAndPort>,
    /// Blocks that nobody reaches, whatever a policy lists: this machine's own addresses, the pools of tenants.
    pub closed: Vec<String>,
    /// How questions are put.
    pub asking: Asking,
    /// Where secrets may go.
    pub secrets: Vec<SecretUse>,
    /// Model providers and what may be spent on them.
    pub inference: Inference,
}

/// One policy document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyText {
    /// Its place among the others.
    pub level: PolicyLevel,
    /// Name, for messages and provenance.
    pub name: String,
    /// YAML.
    pub text: String,
}

/// Where a document stands; `policy::Level` without approvals, which have a file of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyLevel {
    /// The base of the tenant's profile.
    Profile,
    /// A preset.
    Preset,
    /// The tenant's own.
    Tenant,
}

/// A host and a TCP port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostAndPort {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// How the proxy asks about a destination that is neither allowed nor denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asking {
    /// Seconds that a connection waits for an answer.
    pub hold_sec: u64,
    /// Questions that may wait at once.
    pub waiting: u32,
    /// Questions that may be raised in an hour.
    pub per_hour: u32,
}

/// `approvals.json`: what was approved, beside what the spec says. Changes without a new plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsFile {
    /// [`APPROVALS_FORMAT`].
    pub format: u32,
    /// Whose.
    pub tenant: TenantId,
    /// A policy document; entries end by their own `expires`.
    pub document: Option<String>,
    /// Until when (seconds since 1970) what would have been asked or denied is reported for learning.
    pub learn_until: Option<u64>,
}

/// Where one secret may be put in the place of its placeholder (`tenantd:secret:NAME`, `openshell:resolve:env:NAME`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretUse {
    /// Name of the secret in the vault; it is of the kind `proxy`.
    pub name: String,
    /// Host, exactly.
    pub host: String,
    /// Port.
    #[serde(default = "https")]
    pub port: u16,
    /// Path, and everything below it. Of a secret that stands in the path, what is before it.
    #[serde(default = "everything")]
    pub path: String,
    /// Where in a request. Left out: in headers.
    #[serde(default = "headers", rename = "in")]
    pub places: Vec<SecretPlace>,
}

/// A place in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretPlace {
    /// A header's value.
    Header,
    /// A value in the query.
    Query,
    /// A segment of the path, or a part of one.
    Path,
    /// A body of at most 1 MiB.
    Body,
    /// A text message of a WebSocket, of at most 1 MiB.
    Websocket,
}

fn https() -> u16 {
    443
}

fn everything() -> String {
    "/".to_owned()
}

fn headers() -> Vec<SecretPlace> {
    vec![SecretPlace::Header]
}

/// Model providers, in the order in which they are tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Inference {
    /// Providers; none: there is no inference route.
    pub providers: Vec<Provider>,
    /// Names that stand for models.
    pub aliases: BTreeMap<String, String>,
    /// What may be spent.
    pub budget: Budget,
}

/// A provider of models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Name.
    pub name: String,
    /// What it speaks.
    pub api: Api,
    /// Address, up to what comes before `/v1`. `http` only on this machine or on a private network that the operator named here.
    pub url: String,
    /// Name of the secret with its key; nothing for a provider without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Models that may be used: names, with `*` for any characters.
    pub models: Vec<String>,
    /// What models cost; the first pattern that matches counts. A model without a price cannot be used under a budget of money.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<Price>,
}

/// What a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// OpenAI's: `/v1/chat/completions`, `/v1/responses`, `/v1/embeddings`, `/v1/models`.
    Openai,
    /// Anthropic's Messages: `/v1/messages`, `/v1/messages/count_tokens`, `/v1/models`.
    Anthropic,
}

/// What a token costs, in millionths of a US dollar for a million tokens: 3 USD are 3000000.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Model, with `*` for any characters.
    pub model: String,
    /// A million tokens of a prompt.
    pub input: u64,
    /// A million tokens of an answer.
    pub output: u64,
    /// A million tokens of a prompt that were read from the provider's cache; nothing: as `input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<u64>,
    /// A million tokens of a prompt that were written to the provider's cache; nothing: twice `input`, the dearest there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
}

/// What may be spent. Days and months are those of UTC. Nothing: as much as anybody likes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Tokens a day, prompts and answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_day: Option<u64>,
    /// Tokens a month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_month: Option<u64>,
    /// Millionths of a US dollar a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub money_day: Option<u64>,
    /// Millionths of a US dollar a month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub money_month: Option<u64>,
    /// Requests a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_minute: Option<u32>,
    /// Tokens a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_minute: Option<u64>,
    /// What happens when a day's or a month's is used up.
    pub when_spent: WhenSpent,
}

/// What happens when a budget is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenSpent {
    /// Requests are refused, and what streams is ended.
    #[default]
    Stop,
    /// An event says so, once for each day or month.
    Alert,
}

/// `usage.json` in the proxy's own state directory: what was used, for the budget after a restart and for `tenantctl usage`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageFile {
    /// 1.
    pub format: u32,
    /// By day (`2026-11-27`, UTC), provider and model; days older than 62 are dropped.
    pub days: BTreeMap<String, BTreeMap<String, BTreeMap<String, Used>>>,
}

/// What was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Used {
    /// Requests that a provider answered.
    pub requests: u64,
    /// Tokens of prompts.
    pub input: u64,
    /// Tokens of answers.
    pub output: u64,
    /// Millionths of a US dollar.
    pub money: u64,
}

/// What the proxy says on the ask socket: one line of JSON on a connection, and one line comes back ([`Answer`]). Whose proxy it is
/// tenantd learns from the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum Question {
    /// May this go on? The answer comes when somebody has given one, or time is up; closing the connection takes the question back.
    Ask(Destination),
    /// This was tried; for learning.
    Observe(Destination),
}

/// What a program of the tenant wants to reach. Every text is the proxy's own rendering, of at most 2 KiB.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// Host as the program named it, in the form of `policy::Host`.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Address it resolved to, where that was looked up.
    pub address: Option<std::net::IpAddr>,
    /// Executable, as a path in the cell; nothing if it could not be told.
    pub binary: Option<String>,
    /// `request`, `upgrade` or `message`, with method and path; nothing where none was seen.
    pub exchange: Option<AskedExchange>,
}

/// A request that was seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedExchange {
    /// What kind.
    pub kind: AskedKind,
    /// Method.
    pub method: String,
    /// Path and query; secrets in it are still placeholders.
    pub target: String,
}

/// Kinds of requests, as `policy::Kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AskedKind {
    /// An HTTP request.
    Request,
    /// One that asks to become a WebSocket.
    Upgrade,
    /// A text message on a WebSocket.
    Message,
}

/// tenantd's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// What.
    pub verdict: AnswerVerdict,
    /// Number of the question, for `tenantctl approvals`; nothing where it was not raised.
    pub request: Option<u64>,
    /// For people, one line: who answered and why, or why nobody did.
    pub why: String,
}

/// What somebody answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerVerdict {
    /// It may go on; if for longer than once, `approvals.json` says so, too.
    Allow,
    /// It may not.
    Deny,
    /// Nobody answered in time.
    Expired,
    /// The question was not raised: too many wait, or too many were raised.
    Refused,
    /// Heard, for [`Question::Observe`].
    Noted,
}
