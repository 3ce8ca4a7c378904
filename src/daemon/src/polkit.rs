//! Who may do what: uid 0 always, anybody else as polkit says for the action of the verb.

use std::collections::HashMap;

use api::Error;
use zbus::message::Header;
use zbus::zvariant::Value;

#[zbus::proxy(
    interface = "org.freedesktop.PolicyKit1.Authority",
    default_service = "org.freedesktop.PolicyKit1",
    default_path = "/org/freedesktop/PolicyKit1/Authority",
    gen_blocking = false
)]
trait Authority {
    fn check_authorization(
        &self,
        subject: &(&str, HashMap<&str, Value<'_>>),
        action_id: &str,
        details: HashMap<&str, &str>,
        flags: u32,
        cancellation_id: &str,
    ) -> zbus::Result<(bool, bool, HashMap<String, String>)>;
}

/// `POLKIT_CHECK_AUTHORIZATION_FLAGS_ALLOW_USER_INTERACTION`
const ALLOW_USER_INTERACTION: u32 = 1;

/// Proof that a caller may do what an action names. Only [`authorize`] makes one.
#[must_use]
#[derive(Debug)]
pub struct Authorized(u32);

impl Authorized {
    /// uid of the caller.
    pub fn uid(&self) -> u32 {
        self.0
    }
}

/// Asks whether the sender of a message may do `action`.
pub async fn authorize(
    connection: &zbus::Connection,
    header: &Header<'_>,
    action: &'static str,
) -> Result<Authorized, Error> {
    let sender = header.sender().ok_or_else(|| Error::NotAllowed("the message names no sender".into()))?;
    let bus = zbus::fdo::DBusProxy::new(connection).await.map_err(Error::Bus)?;
    let uid = bus
        .get_connection_unix_user(sender.clone().into())
        .await
        .map_err(|error| Error::NotAllowed(format!("cannot tell who asks: {error}")))?;
    if uid == 0 {
        return Ok(Authorized(uid));
    }
    let interactive = header.primary().flags().contains(zbus::message::Flags::AllowInteractiveAuth);
    let subject = ("system-bus-name", HashMap::from([("name", Value::from(sender.as_str()))]));
    let flags = if interactive { ALLOW_USER_INTERACTION } else { 0 };
    let polkit = AuthorityProxy::new(connection).await.map_err(Error::Bus)?;
    let answer = polkit.check_authorization(&subject, action, HashMap::new(), flags, "").await;
    match answer {
        Ok((true, _, _)) => Ok(Authorized(uid)),
        Ok((false, _, _)) => Err(Error::NotAllowed(format!(
            "user {uid} is not allowed to do {action}: use sudo, or have an administrator grant the action in /etc/polkit-1/rules.d"
        ))),
        Err(error) => Err(Error::NotAllowed(format!(
            "polkit does not answer for action {action}: {error}: use sudo, or see \"systemctl status polkit\""
        ))),
    }
}
