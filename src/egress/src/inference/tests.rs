use std::sync::Mutex;

use http::{HeaderMap, HeaderValue};
use http_body_util::StreamBody;
use hyper::body::Frame;
use model::delivery::{self, Delivered, Form};
use model::egress::{Api, Budget, Price, Provider, UsageFile, Used, WhenSpent};
use serde_json::{Value, json};

use super::*;
use crate::body::{BodyError, full};
use crate::dial::{Answering, DialError, Server};

mod budgets;
mod calls;
mod failover;
mod kept;
mod streams;

const KEY: &str = "sk-operator-0123456789";
/// 2026-11-27T12:00:00Z.
const NOON: u64 = 1_795_780_800;

#[derive(Debug)]
struct Hands(Mutex<(u64, Duration)>);

impl Clock for Hands {
    fn unix(&self) -> u64 {
        self.0.lock().unwrap().0
    }

    fn elapsed(&self) -> Duration {
        self.0.lock().unwrap().1
    }
}

impl Hands {
    fn pass(&self, seconds: u64) {
        let mut now = self.0.lock().unwrap();
        *now = (now.0 + seconds, now.1 + Duration::from_secs(seconds));
    }

    fn set(&self, unix: u64) {
        self.0.lock().unwrap().0 = unix;
    }
}

#[derive(Debug)]
struct Seen {
    host: String,
    uri: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Replies = dyn Fn(&Seen) -> Result<Response<Body>, DialError> + Send + Sync;

/// Servers that answer as a test says.
struct Upstreams {
    seen: Mutex<Vec<Seen>>,
    reply: Box<Replies>,
}

impl Dial for Upstreams {
    fn send<'a>(&'a self, server: &'a Server, request: Request<Body>) -> Answering<'a> {
        Box::pin(async move {
            assert!(server.named_by_operator);
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let seen =
                Seen { host: server.host.clone(), uri: parts.uri.to_string(), headers: parts.headers, body };
            let reply = (self.reply)(&seen);
            self.seen.lock().unwrap().push(seen);
            reply
        })
    }
}

fn upstreams(
    reply: impl Fn(&Seen) -> Result<Response<Body>, DialError> + Send + Sync + 'static,
) -> Upstreams {
    Upstreams { seen: Mutex::default(), reply: Box::new(reply) }
}

impl Upstreams {
    fn hosts(&self) -> Vec<String> {
        self.seen.lock().unwrap().drain(..).map(|seen| seen.host).collect()
    }
}

fn answer(status: u16, kind: &str, body: Body) -> Result<Response<Body>, DialError> {
    Ok(Response::builder()
        .status(status)
        .header(CONTENT_TYPE, kind)
        .header("set-cookie", "a=b")
        .body(body)
        .unwrap())
}

fn document(document: &Value) -> Result<Response<Body>, DialError> {
    answer(200, "application/json", full(document.to_string()))
}

fn events(text: &str, size: usize) -> Result<Response<Body>, DialError> {
    let chunks: Vec<_> = text
        .as_bytes()
        .chunks(size)
        .map(|chunk| Ok::<_, BodyError>(Frame::data(Bytes::copy_from_slice(chunk))))
        .collect();
    answer(
        200,
        "text/event-stream; charset=utf-8",
        StreamBody::new(futures_util::stream::iter(chunks)).boxed_unsync(),
    )
}

fn chat(input: u64, output: u64) -> Result<Response<Body>, DialError> {
    document(&json!({
        "choices": [{"message": {"role": "assistant", "content": "hello"}}],
        "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output},
    }))
}

fn provider(name: &str, api: Api, url: &str) -> Provider {
    Provider {
        name: name.into(),
        api,
        url: url.into(),
        secret: Some("key".into()),
        models: vec!["gpt-*".into(), "claude-*".into()],
        prices: vec![Price {
            model: "*-5".into(),
            input: 1_000_000,
            output: 2_000_000,
            cache_read: None,
            cache_write: None,
        }],
    }
}

fn inference(budget: Budget) -> Inference {
    Inference {
        providers: vec![
            provider("one", Api::Openai, "https://one.example"),
            provider("two", Api::Openai, "https://two.example:8443/base"),
            provider("claude", Api::Anthropic, "https://claude.example"),
        ],
        aliases: [("main".to_owned(), "gpt-5".to_owned())].into(),
        budget,
    }
}

struct World {
    route: InferenceRoute,
    clock: Arc<Hands>,
    directory: tempfile::TempDir,
}

fn secrets() -> Arc<Secrets> {
    let mut bytes = Vec::new();
    delivery::begin(&mut bytes);
    delivery::add(&mut bytes, Delivered { name: "key", form: Form::Proxy, value: KEY.as_bytes() }).unwrap();
    Arc::new(Secrets::read(&bytes).unwrap())
}

impl World {
    fn new(budget: Budget) -> Self {
        Self::in_directory(tempfile::tempdir().unwrap(), NOON, budget)
    }

    fn in_directory(directory: tempfile::TempDir, unix: u64, budget: Budget) -> Self {
        let clock = Arc::new(Hands(Mutex::new((unix, Duration::from_secs(1000)))));
        let route = InferenceRoute::new(directory.path(), clock.clone(), secrets());
        assert_eq!(route.settings(&inference(budget)), Vec::<String>::new());
        Self { route, clock, directory }
    }

    /// As after a restart.
    fn again(self, budget: Budget) -> Self {
        self.route.flush().unwrap();
        Self::in_directory(self.directory, self.clock.unix(), budget)
    }

    async fn post(&self, path: &str, body: &Value, dial: &dyn Dial) -> Response<Body> {
        let request = Request::post(path).header("authorization", "Bearer tenants-own");
        self.route.serve(request.body(full(body.to_string())).unwrap(), dial).await
    }

    async fn ask(&self, body: &Value, dial: &dyn Dial) -> (u16, String) {
        read(self.post("/v1/chat/completions", body, dial).await).await
    }

    fn used(&self, day: &str, provider: &str, model: &str) -> Used {
        self.route.flush().unwrap();
        let text = std::fs::read_to_string(self.directory.path().join("usage.json")).unwrap_or_default();
        let file: UsageFile = serde_json::from_str(&text).unwrap_or_default();
        let found = file.days.get(day).and_then(|day| day.get(provider)).and_then(|models| models.get(model));
        found.copied().unwrap_or_default()
    }

    fn today(&self, provider: &str, model: &str) -> Used {
        self.used("2026-11-27", provider, model)
    }
}

async fn read(response: Response<Body>) -> (u16, String) {
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => text.extend_from_slice(&frame.into_data().unwrap()),
            Err(error) => text.extend_from_slice(format!("[{error}]").as_bytes()),
        }
    }
    (status, String::from_utf8_lossy(&text).into_owned())
}

fn hello(model: &str) -> Value {
    json!({ "model": model, "max_tokens": 10, "messages": [{ "role": "user", "content": "hello" }] })
}
