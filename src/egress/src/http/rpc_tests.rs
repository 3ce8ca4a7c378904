//! Bodies are read as every server reads them, or not at all.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use proptest::sample::select;

use super::fuzz_rpc;
use super::rpc::read;

/// Method and tool.
type Named = (Option<String>, Option<String>);

fn calls(body: &str) -> Result<Vec<Named>, &'static str> {
    read(body.as_bytes()).map(|said| said.calls.into_iter().map(|call| (call.method, call.tool)).collect())
}

fn named(method: &str, tool: Option<&str>) -> Named {
    (Some(method.to_owned()), tool.map(str::to_owned))
}

#[test]
fn messages_are_what_they_say() {
    for (body, wanted) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, vec![named("tools/list", None)]),
        (r#" {"method":"ping","id":"a","jsonrpc":"2.0","params":{}} "#, vec![named("ping", None)]),
        (
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            vec![named("notifications/initialized", None)],
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a b","arguments":{"name":"x","Name":[1]}}}"#,
            vec![named("tools/call", Some("a b"))],
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"m\u0065thod":"tools\/call","params":{"n\u0061me":"\u0061"}}"#,
            vec![named("tools/call", Some("a"))],
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"sum","params":[1,2.5,-3,1e3]}"#, vec![named("sum", None)]),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["a"]}"#, vec![named("tools/call", None)]),
        (r#"{"jsonrpc":"2.0","id":1,"method":"own","params":{"Name":1,"name":2}}"#, vec![named("own", None)]),
        (r#"{"jsonrpc":"2.0","id":7,"result":null}"#, vec![(None, None)]),
        (r#"{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"no"}}"#, vec![(None, None)]),
        (
            r#"[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","method":"b"},{"jsonrpc":"2.0","id":2,"result":1}]"#,
            vec![named("a", None), named("b", None), (None, None)],
        ),
    ] {
        assert_eq!(calls(body), Ok(wanted), "{body}");
    }
    let said = read(br#"[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","id":"x\"","method":"b"},{"jsonrpc":"2.0","id":2,"result":1}]"#);
    assert_eq!(
        said.map(|said| (said.ids, said.batch)),
        Ok((vec!["1".to_owned(), r#""x\"""#.to_owned()], true))
    );
}

/// Members of a message beside its version and identifier.
const DOUBTFUL: &[&str] = &[
    r#""method":"tools/call","params":{"name\u0000":"send_email","name":"search"}"#,
    r#""method":"own","params":{"a":{"b\u001f":1}}"#,
    r#""method":"tools/list","method":"tools/call""#,
    r#""method":"tools/list","m\u0065thod":"tools/call""#,
    r#""method":"tools/list","Method":"tools/call""#,
    r#""method":"tools/list","METHOD":"tools/call""#,
    r#""method":"tools/list","extra":1"#,
    r#""method":"tools/call","params":{"name":"a","name":"b"}"#,
    r#""method":"tools/call","params":{"name":"a","n\u0061me":"b"}"#,
    r#""method":"tools/call","params":{"name":"a","Name":"b"}"#,
    r#""method":"tools/call","params":{"NAME":"b"}"#,
    r#""method":"tools/call","params":{"name":["a"]}"#,
    r#""method":"tools/call","params":{"name":null}"#,
    r#""method":"tools/call","params":{"name":""}"#,
    r#""method":"tools/call","params":{"name":"a\u0000b"}"#,
    r#""method":"tools/call","params":{"name":"a"},"params":{"name":"b"}"#,
    r#""method":"a","params":{"x":{"y":1,"y":2}}"#,
    r#""method":"a","params":"x""#,
    r#""method":"a","params":null"#,
    r#""method":"a","result":1"#,
    r#""method":"a\n""#,
    r#""method":" a""#,
    r#""method":"é""#,
    r#""method":"""#,
    r#""method":["a"]"#,
    r#""method":null"#,
    r#""method":"\ud800""#,
    r#""result":1,"error":{}"#,
    r#""error":1"#,
    r#""x":1"#,
];

#[test]
fn what_two_servers_could_read_in_two_ways_is_no_message() {
    let rpc = |rest: &str| format!(r#"{{"jsonrpc":"2.0","id":1,{rest}}}"#);
    let deep = rpc(&format!(r#""method":"a","params":{}1{}"#, "[".repeat(70), "]".repeat(70)));
    let deeper = rpc(&format!(r#""method":"a","params":{}"#, "[".repeat(60_000)));
    let many = format!("[{}]", vec![rpc(r#""method":"a""#); 65].join(","));
    let long = rpc(&format!(r#""method":"{}""#, "a".repeat(257)));
    let whole = [
        r#"{"jsonrpc":"2.0","result":1}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":{},"method":"a"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":true,"method":"a"}"#.to_owned(),
        r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#.to_owned(),
        r#"{"jsonrpc":2.0,"id":1,"method":"a"}"#.to_owned(),
        r#"{"id":1,"method":"a"}"#.to_owned(),
        format!("\u{feff}{}", rpc(r#""method":"a""#)),
        format!("{} {}", rpc(r#""method":"a""#), rpc(r#""method":"b""#)),
        format!("{},", rpc(r#""method":"a""#)),
        format!("{}\0", rpc(r#""method":"a""#)),
        format!("/**/{}", rpc(r#""method":"a""#)),
        format!("[{},]", rpc(r#""method":"a""#)),
        format!("[[{}]]", rpc(r#""method":"a""#)),
        format!("[{},1]", rpc(r#""method":"a""#)),
        "[]".to_owned(),
        "{}".to_owned(),
        "\"a\"".to_owned(),
        String::new(),
        "{'jsonrpc':'2.0','id':1,'method':'a'}".to_owned(),
        rpc(r#""method":"a","params":{"x":NaN}"#),
        deep,
        deeper,
        many,
        long,
    ];
    for body in DOUBTFUL.iter().map(|members| rpc(members)).chain(whole) {
        assert!(read(body.as_bytes()).is_err(), "{}", body.get(..200).unwrap_or(&body));
    }
    let text = rpc(r#""method":"a""#);
    for broken in
        [text.encode_utf16().flat_map(u16::to_le_bytes).collect(), [text.as_bytes(), b"\xff"].concat()]
    {
        assert!(read(&broken).is_err());
    }
    assert!(read(text.as_bytes()).is_ok(), "the others differ from this one");
}

/// The members of an object: names in spellings that readers take for one another, each perhaps more than once.
fn object(names: Vec<&'static str>, value: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let members = prop::collection::vec((select(names), value), 0..6);
    let text = |members: Vec<(&str, String)>| {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    };
    members.prop_map(text).boxed()
}

fn message() -> BoxedStrategy<String> {
    let values = vec!["\"2.0\"", "1", "null", "\"tools/call\"", "\"a\"", "\"\\u0061\"", "[]", "\"A\""];
    let plain = select(values).prop_map(str::to_owned).boxed();
    let names = vec!["name", "Name", "n\\u0061me", "arguments", "x"];
    let value = prop_oneof![3 => plain.clone(), 1 => object(names.clone(), plain.clone())].boxed();
    let params = object(names, value.clone());
    let extra =
        object(vec!["method", "Method", "m\\u0065thod", "params", "PARAMS", "id", "result", "error"], value);
    let call = (select(vec!["tools/call", "tools\\/call", "a"]), params, extra, any::<bool>());
    call.prop_map(|(method, params, extra, some)| {
        let extra =
            if some && extra.len() > 2 { format!(",{}", &extra[1..extra.len() - 1]) } else { String::new() };
        format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{params}{extra}}}")
    })
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_is_read_is_what_every_reader_sees(messages in prop::collection::vec(message(), 1..3), batch in any::<bool>()) {
        let body = if batch { format!("[{}]", messages.join(",")) } else { messages[0].clone() };
        fuzz_rpc(body.as_bytes());
    }
}

#[test]
fn such_messages_are_read_and_refused() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut read_at_all = [0, 0];
    for _ in 0..1000 {
        let body = message().new_tree(&mut runner).unwrap().current();
        read_at_all[usize::from(read(body.as_bytes()).is_ok())] += 1;
    }
    assert!(read_at_all.iter().all(|count| *count > 50), "{read_at_all:?}");
}
