//! What the inference route logs. In a process of its own, because what `tracing` keeps about places that log is the process's.
#![expect(clippy::unwrap_used, reason = "what fails in a test fails the test")]

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use model::delivery::{self, Delivered, Form};
use model::egress::{Api, Budget, Inference, Provider, WhenSpent};
use serde_json::json;
use tenant_egress::body::{Body, full};
use tenant_egress::dial::{Answering, Dial, Server};
use tenant_egress::inference::{Clock, InferenceRoute};
use tenant_egress::secrets::Secrets;

const KEY: &str = "sk-operator-0123456789";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Hands(Mutex<u64>);

impl Clock for Hands {
    fn unix(&self) -> u64 {
        *self.0.lock().unwrap()
    }

    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.unix())
    }
}

struct Upstreams;

impl Dial for Upstreams {
    fn send<'a>(&'a self, server: &'a Server, _: Request<Body>) -> Answering<'a> {
        let usage = json!({ "prompt_tokens": 90, "completion_tokens": 60 });
        let good = json!({ "choices": [{ "message": { "content": "marked-answer" } }], "usage": usage });
        let (status, text) = match server.host.as_str() {
            "one.example" => (500, format!("marked-answer {KEY}")),
            _ => (200, good.to_string()),
        };
        Box::pin(async move { Ok(Response::builder().status(status).body(full(text)).unwrap()) })
    }
}

fn provider(name: &str) -> Provider {
    Provider {
        name: name.to_owned(),
        api: Api::Openai,
        url: format!("https://{name}.example"),
        secret: Some("key".to_owned()),
        models: vec!["gpt-*".to_owned()],
        prices: Vec::new(),
    }
}

async fn ask(route: &InferenceRoute, body: String) -> u16 {
    let request = Request::post("/v1/chat/completions").header("authorization", "Bearer marked-key");
    let response = route.serve(request.body(full(body)).unwrap(), &Upstreams).await;
    let status = response.status().as_u16();
    http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
    status
}

#[tokio::test]
async fn an_alert_is_given_once_a_day_and_no_prompt_answer_or_key_is_ever_logged() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    let mut delivered = Vec::new();
    delivery::begin(&mut delivered);
    let key = Delivered { name: "key", form: Form::Proxy, value: KEY.as_bytes() };
    delivery::add(&mut delivered, key).unwrap();
    let secrets = Arc::new(Secrets::read(&delivered).unwrap());
    let clock = Arc::new(Hands(Mutex::new(1_795_780_800)));
    let directory = tempfile::tempdir().unwrap();
    let route = InferenceRoute::new(directory.path(), clock.clone(), secrets);
    let budget = Budget { tokens_day: Some(100), when_spent: WhenSpent::Alert, ..Budget::default() };
    let providers = vec![provider("one"), provider("two")];
    assert!(route.settings(&Inference { providers, budget, ..Inference::default() }).is_empty());
    let body = json!({ "model": "gpt-5", "messages": "marked-prompt" }).to_string();
    let text = || String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let alerts = || text().matches("a budget for models is used up").count();
    for _ in 0..3 {
        assert_eq!(ask(&route, body.clone()).await, 200);
        assert_eq!(alerts(), 1);
    }
    *clock.0.lock().unwrap() += 86_400;
    assert_eq!(ask(&route, body).await, 200);
    assert_eq!(alerts(), 2);
    assert_eq!(ask(&route, "{\"marked-prompt".to_owned()).await, 400);
    let text = text();
    for wanted in ["provider=\"two\"", "input=90", "output=60", "estimated=false", "one failed (500)"] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    assert!(!text.contains("marked-") && !text.contains(KEY), "{text}");
}
