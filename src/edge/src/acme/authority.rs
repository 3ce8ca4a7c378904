//! The authority: an account with it, and an order from its beginning to its end (RFC 8555, 7). Over the edge's own HTTPS client.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use instant_acme::{
    Account, AccountBuilder, AccountCredentials, AuthorizationStatus, BodyWrapper, BytesResponse,
    ChallengeType, Error, HttpClient, Identifier, NewAccount, NewOrder, Order, OrderStatus, Problem,
    RetryPolicy,
};
use model::edge::Acme;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::names::Names;
use super::store::{Store, StoreError, Why};
use crate::fetch::Client;

/// For one request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// For the authority to look at a challenge, and to make a certificate.
const POLLING: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));
/// Characters of what an authority says that go into the journal.
const MOST_WORDS: usize = 300;

/// Kind of the problem of an account that is none.
const FORGOTTEN: &str = "accountDoesNotExist";

/// Why there is no certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) fault: Fault,
    /// The same for the same cause, though the sentence may differ.
    pub(super) kind: String,
    pub(super) why: String,
    /// Seconds that the authority told us to wait.
    pub(super) wait: Option<u64>,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The authority does not give this name out, at least not now.
    Name,
    /// It cannot be reached, or is in trouble itself.
    Authority,
    /// It refuses whatever we ask: too many orders, an account it does not take.
    Account,
}

/// An account with an authority.
pub(super) struct Authority {
    account: Account,
    told: Arc<Told>,
}

/// The account, as it is kept.
#[derive(Deserialize, Serialize)]
struct Kept {
    contact: String,
    credentials: AccountCredentials,
}

/// When the authority last said to come again, which the library does not hand on with an error.
#[derive(Debug, Default)]
struct Told(Mutex<Option<u64>>);

struct Http {
    client: Arc<Client>,
    told: Arc<Told>,
}

impl Told {
    fn set(&self, seconds: Option<u64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seconds;
    }

    fn take(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (client, told) = (Arc::clone(&self.client), Arc::clone(&self.told));
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body: Result<_, Infallible> = body.collect().await;
            let Ok(body) = body;
            let request = Request::from_parts(head, body.to_bytes());
            let response = client.request(request).await.map_err(|error| Error::Other(Box::new(error)))?;
            let failed = response.status().is_client_error() || response.status().is_server_error();
            told.set(if failed { retry_after(&response) } else { None });
            Ok(BytesResponse::from(response.map(Full::new)))
        })
    }
}

/// Seconds (RFC 9110, 10.2.3). A date is what few authorities send, and then the wait of our own has to do.
fn retry_after(response: &Response<Bytes>) -> Option<u64> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

impl Authority {
    /// With the account that is kept, or a new one.
    pub(super) async fn open(acme: &Acme, store: &Store) -> Result<Self, Trouble> {
        let told = Arc::new(Told::default());
        let pem = acme.ca_pem.clone();
        // Reads the authorities of the system.
        let client = tokio::task::spawn_blocking(move || Client::new(pem.as_deref(), false)).await;
        let client = match client {
            Ok(Ok(client)) => Arc::new(client.within(TIMEOUT)),
            Ok(Err(error)) => return Err(Trouble::of_authority("client", error.to_string())),
            Err(_) => return Err(Trouble::of_authority("client", "the edge is being stopped".to_owned())),
        };
        let builder = Account::builder_with_http(Box::new(Http { client, told: Arc::clone(&told) }));
        let opened = match store.account()? {
            Some(text) => resume(builder, acme, store, &text).await,
            None => register(builder, acme, store).await,
        };
        match opened {
            Ok(account) => Ok(Self { account, told }),
            Err(Closed::Said(step, error)) => Err(Trouble::new(&error, step, true, told.take())),
            Err(Closed::Kept(trouble)) => Err(trouble),
        }
    }

    /// A certificate for this name: key and chain, PEM. Its challenge is answered by `names` meanwhile.
    pub(super) async fn order(&self, name: &str, names: &Names) -> Result<Zeroizing<String>, Trouble> {
        self.told.set(None);
        let ordered = self.try_order(name, names).await;
        names.end_challenges(name);
        ordered
    }

    async fn try_order(&self, name: &str, names: &Names) -> Result<Zeroizing<String>, Trouble> {
        let trouble = |error: &Error, step: &str| Trouble::new(error, step, false, self.told.take());
        let identifiers = [Identifier::Dns(name.to_owned())];
        let order = self.account.new_order(&NewOrder::new(&identifiers)).await;
        let mut order = order.map_err(|error| trouble(&error, "an order"))?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| trouble(&error, "an order"))?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let mut challenge = authorization.challenge(ChallengeType::Http01).ok_or_else(|| {
                Trouble::of_name("http-01", "the authority offers no challenge over HTTP".to_owned())
            })?;
            names.answer(name, &challenge.token, challenge.key_authorization().as_str());
            challenge.set_ready().await.map_err(|error| trouble(&error, "the challenge"))?;
        }
        match order.poll_ready(&POLLING).await {
            Ok(OrderStatus::Ready | OrderStatus::Valid) => {}
            Ok(_) | Err(Error::Api(_)) => return Err(self.refusal(&mut order).await),
            Err(error) => return Err(trouble(&error, "the challenge")),
        }
        let key = Zeroizing::new(order.finalize().await.map_err(|error| trouble(&error, "the certificate"))?);
        let chain = order.poll_certificate(&POLLING).await;
        let chain = chain.map_err(|error| trouble(&error, "the certificate"))?;
        Ok(Zeroizing::new(format!("{}{chain}", key.as_str())))
    }

    /// What the authority found wrong when it looked at the challenge.
    async fn refusal(&self, order: &mut Order) -> Trouble {
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            let Ok(state) = authorization.refresh().await else { continue };
            if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
                return Trouble::of_name(kind(problem), words(problem));
            }
        }
        Trouble::of_name("invalid", "the authority does not say why".to_owned())
    }
}

/// Why there is no account.
enum Closed {
    /// What the authority says, at which step.
    Said(&'static str, Error),
    /// What is kept on disk is the matter.
    Kept(Trouble),
}

/// The account that is kept, reachable at the address that is set now.
async fn resume(builder: AccountBuilder, acme: &Acme, store: &Store, text: &str) -> Result<Account, Closed> {
    let parse = || serde_json::from_str::<Kept>(text).map_err(|_| Closed::Kept(Trouble::damaged()));
    let kept = parse()?;
    let account = builder.from_credentials(kept.credentials).await;
    let account = account.map_err(|error| Closed::Said("the directory", error))?;
    let contact = mailto(acme);
    if kept.contact != contact {
        account.update_contacts(&[&contact]).await.map_err(|error| Closed::Said("the account", error))?;
        keep(store, &Kept { contact, credentials: parse()?.credentials })?;
    }
    Ok(account)
}

async fn register(builder: AccountBuilder, acme: &Acme, store: &Store) -> Result<Account, Closed> {
    let contact = mailto(acme);
    let wish =
        NewAccount { contact: &[&contact], terms_of_service_agreed: true, only_return_existing: false };
    let made = builder.create(&wish, acme.directory.clone(), None).await;
    let (account, credentials) = made.map_err(|error| Closed::Said("an account", error))?;
    keep(store, &Kept { contact, credentials })?;
    tracing::info!("the edge has an account with {}", acme.directory);
    Ok(account)
}

fn mailto(acme: &Acme) -> String {
    format!("mailto:{}", acme.contact)
}

fn keep(store: &Store, kept: &Kept) -> Result<(), Closed> {
    let text = serde_json::to_string(kept).map(Zeroizing::new);
    let text = text.map_err(|error| Closed::Kept(Trouble::of_authority("disk", error.to_string())))?;
    store.put_account(&text).map_err(|error| Closed::Kept(error.into()))
}

impl Trouble {
    fn of_name(kind: &str, why: String) -> Self {
        Self { fault: Fault::Name, kind: kind.to_owned(), why, wait: None }
    }

    fn of_authority(kind: &str, why: String) -> Self {
        Self { fault: Fault::Authority, kind: kind.to_owned(), why, wait: None }
    }

    /// An order that does not end.
    pub(super) fn endless() -> Self {
        Self::of_authority("endless", "the order did not end".to_owned())
    }

    /// What was given is no certificate for the name.
    pub(super) fn useless(why: &Why) -> Self {
        Self::of_name("useless", format!("what it gave cannot be used: {why}"))
    }

    /// The authority does not know our account any more, as after a test authority was restarted.
    pub(super) fn is_forgotten(&self) -> bool {
        self.kind == FORGOTTEN
    }

    fn damaged() -> Self {
        let why = "account.json of the edge is damaged: remove it from /var/lib/tenantd-edge/acme, and a new account is made";
        Self { fault: Fault::Account, kind: "account".to_owned(), why: why.to_owned(), wait: None }
    }

    /// `early`: no name was spoken of yet.
    fn new(error: &Error, step: &str, early: bool, wait: Option<u64>) -> Self {
        let why = |text: &str| format!("{step}: {text}");
        let Error::Api(problem) = error else {
            return Self { wait, ..Self::of_authority("unreachable", why(&clean(&error.to_string()))) };
        };
        let kind = kind(problem);
        let busy = problem.status.is_some_and(|status| status >= 500) || kind == "serverInternal";
        let ours = ["rateLimited", "unauthorized", "userActionRequired", "externalAccountRequired"];
        let fault = match () {
            () if busy || ["badNonce", FORGOTTEN].contains(&kind) => Fault::Authority,
            () if early || ours.contains(&kind) => Fault::Account,
            () => Fault::Name,
        };
        Self { fault, kind: kind.to_owned(), why: why(&words(problem)), wait }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::of_authority("disk", error.to_string())
    }
}

/// The last word of a problem's type: `dns` of `urn:ietf:params:acme:error:dns`.
fn kind(problem: &Problem) -> &str {
    problem.r#type.as_deref().and_then(|kind| kind.rsplit(':').next()).unwrap_or("unknown")
}

fn words(problem: &Problem) -> String {
    let detail = problem.detail.as_deref().unwrap_or("no reason given");
    clean(&format!("{detail} ({})", kind(problem)))
}

/// A stranger's text, for the journal.
fn clean(text: &str) -> String {
    text.chars().take(MOST_WORDS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: &str, status: u16) -> Error {
        Error::Api(Problem {
            r#type: Some(format!("urn:ietf:params:acme:error:{kind}")),
            detail: Some("because\nof it".to_owned()),
            status: Some(status),
            subproblems: Vec::new(),
        })
    }

    #[test]
    fn it_is_told_apart_whose_fault_it_is() {
        let fault = |error: &Error, early| Trouble::new(error, "an order", early, None).fault;
        for kind in ["dns", "caa", "connection", "rejectedIdentifier", "malformed"] {
            assert_eq!(fault(&problem(kind, 400), false), Fault::Name, "{kind}");
            assert_eq!(fault(&problem(kind, 400), true), Fault::Account, "{kind}");
        }
        for kind in ["rateLimited", "unauthorized", "userActionRequired"] {
            assert_eq!(fault(&problem(kind, 403), false), Fault::Account, "{kind}");
        }
        assert_eq!(fault(&problem("accountDoesNotExist", 400), false), Fault::Authority);
        assert_eq!(fault(&problem("serverInternal", 500), false), Fault::Authority);
        assert_eq!(fault(&problem("rateLimited", 503), false), Fault::Authority);
        assert_eq!(fault(&Error::Timeout(None), false), Fault::Authority);
        assert_eq!(fault(&Error::Str("no nonce"), true), Fault::Authority);
    }

    #[test]
    fn what_an_authority_says_is_one_line_and_keeps_its_wait() {
        let trouble = Trouble::new(&problem("rateLimited", 429), "an order", false, Some(7200));
        assert_eq!(trouble.why, "an order: because of it (rateLimited)");
        assert_eq!((trouble.kind.as_str(), trouble.wait), ("rateLimited", Some(7200)));
        assert_eq!(clean(&"x".repeat(1000)).len(), MOST_WORDS);
        let answer = |value: &str| Response::builder().header(RETRY_AFTER, value).body(Bytes::new()).unwrap();
        assert_eq!(retry_after(&answer(" 120 ")), Some(120));
        assert_eq!(retry_after(&answer("Fri, 31 Dec 1999 23:59:59 GMT")), None);
        assert_eq!(retry_after(&answer("-1")), None);
    }
}
