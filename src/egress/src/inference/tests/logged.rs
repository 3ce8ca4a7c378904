use std::io::Write;

use super::*;

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

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn an_alert_is_given_once_a_day_and_no_prompt_answer_or_key_is_ever_logged() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let world =
        World::new(Budget { tokens_day: Some(100), when_spent: WhenSpent::Alert, ..Budget::default() });
    let dial = upstreams(|seen| {
        if seen.host == "one.example" {
            return answer(500, "text/plain", full(format!("marked-answer {KEY}")));
        }
        let usage = json!({ "prompt_tokens": 90, "completion_tokens": 60 });
        document(&json!({ "choices": [{ "message": { "content": "marked-answer" } }], "usage": usage }))
    });
    let mut body = hello("gpt-5");
    body["messages"] = json!("marked-prompt");
    let alerts = |log: &Log| log.text().matches("a budget for models is used up").count();
    for wanted in [1, 1, 1] {
        assert_eq!(world.ask(&body, &dial).await.0, 200);
        assert_eq!(alerts(&log), wanted);
    }
    world.clock.pass(86_400);
    assert_eq!(world.ask(&body, &dial).await.0, 200);
    assert_eq!(alerts(&log), 2);
    let bad = Request::post("/v1/responses").body(full("{\"marked-prompt")).unwrap();
    assert_eq!(world.route.serve(bad, &dial).await.status(), 400);
    let text = log.text();
    assert!(
        text.contains("provider=\"two\"") && text.contains("input=90") && text.contains("estimated=false"),
        "{text}"
    );
    assert!(!text.contains("marked-") && !text.contains(KEY) && !text.contains("tenants-own"), "{text}");
}
