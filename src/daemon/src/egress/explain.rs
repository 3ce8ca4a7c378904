//! What the policy in force decides.

use api::{EgressQuestion, Explained};
use model::{Exit, TenantId};
use policy::{Call, Content, Exchange, Host, Kind, Request, Target};

use super::now;
use crate::failure::Failure;
use crate::service::Service;

impl Service {
    /// Decides a question by the policy in force.
    pub fn explain_egress(&self, id: &TenantId, question: &str) -> Result<Explained, Failure> {
        let wrong = |why: String| Failure::new(Exit::Data, format!("the question: {why}"));
        let question: EgressQuestion =
            serde_json::from_str(question).map_err(|error| wrong(error.to_string()))?;
        let (_, policy) = self.policy_in_force(id)?;
        // About one address only, and that is what was found out.
        let policy = policy.with_own(if question.own { |_| true } else { |_| false });
        let host =
            Host::parse(&question.host).map_err(|why| wrong(format!("host {:?}: {why}", question.host)))?;
        let path = question.path.as_deref().unwrap_or("/");
        let target = Target::parse(path).map_err(|why| wrong(format!("path {path:?}: {why}")))?;
        let kind = match (question.method.as_deref(), question.upgrade) {
            (Some("WEBSOCKET_TEXT"), _) => Kind::Message,
            (_, true) => Kind::Upgrade,
            (_, false) => Kind::Request,
        };
        let call =
            question.call.clone().map(|method| Call { method: Some(method), tool: question.tool.clone() });
        let content = Content::of(call.as_slice());
        let binaries: Vec<&str> = question.binaries.iter().map(String::as_str).collect();
        let explanation = policy.explain(&Request {
            host: &host,
            port: question.port,
            address: question.address,
            binaries: &binaries,
            exchange: question
                .method
                .as_deref()
                .map(|method| Exchange { content, ..Exchange::new(kind, method, &target) }),
            now: now(),
        });
        Ok(Explained { text: format!("{explanation}\n"), explanation: serde_json::to_value(&explanation)? })
    }
}
