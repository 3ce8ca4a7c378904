//! The functions that are fuzzed, over their seeds (`tests/fuzz/corpus`), cut anywhere and with bits turned. `BLESS=1` makes those anew that
//! are made here; the answers of the kernel were captured.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a step of a test that fails is a failed test"
)]

#[path = "../../../tests/fuzz/src/proxy.rs"]
mod proxy;

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::{Name, RecordType};
use tenant_egress::head::Head;
use tenant_egress::hello::Read;
use tenant_egress::http::frames::Frames;
use tenant_egress::{dns, fuzz, head, hello, http, inference, secrets};

type Act = fn(&[u8]);

const TARGETS: [(&str, Act); 13] = [
    ("client_hello", proxy::client_hello),
    ("connect_line", fuzz::connect_line),
    ("dns", fuzz::dns),
    ("http_head", fuzz::http_head),
    ("websocket", fuzz::websocket),
    ("inet_diag", fuzz::inet_diag),
    ("sse", inference::fuzz_sse),
    ("placeholder", secrets::fuzz_placeholder),
    ("scanner", secrets::fuzz_scanner),
    ("watched", secrets::fuzz_watched),
    ("echoes", http::fuzz_echoes),
    ("texts", http::fuzz_texts),
    ("rpc", http::fuzz_rpc),
];

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target)
}

fn keep(target: &str, name: &str, bytes: &[u8]) {
    fs::create_dir_all(corpus(target)).unwrap();
    fs::write(corpus(target).join(name), bytes).unwrap();
}

fn first_message(name: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let mut client =
        rustls::ClientConnection::new(Arc::new(config), name.to_owned().try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

fn query(name: &str, kind: RecordType, edns: bool) -> Vec<u8> {
    let mut message = Message::new();
    message
        .set_id(4711)
        .set_recursion_desired(true)
        .add_query(Query::query(Name::from_str(name).unwrap(), kind));
    if edns {
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        message.set_edns(edns);
    }
    message.to_vec().unwrap()
}

const OPENAI: &str = "\
    data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\
    \"delta\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n\
    data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[],\
    \"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\n\
    data: [DONE]\n\n";
const ANTHROPIC: &str = "\
    event: message_start\r\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\r\n\r\n\
    : ping\r\nevent: content_block_delta\r\ndata: {\"type\":\"content_block_delta\",\"index\":0,\r\n\
    data: \"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\r\n\r\n\
    event: message_delta\rdata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":2}}\r\r\
    event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

fn bless() {
    if std::env::var_os("BLESS").is_none() {
        return;
    }
    keep("client_hello", "seed", &first_message("api.example.com"));
    keep("client_hello", "address", &first_message("192.0.2.1"));
    keep("dns", "seed", &query("api.example.com.", RecordType::A, true));
    keep("dns", "aaaa", &query("xn--bcher-kva.example.", RecordType::AAAA, false));
    for (target, name, text) in [
        (
            "connect_line",
            "seed",
            "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\nUser-Agent: node\r\n\r\n",
        ),
        (
            "connect_line",
            "address",
            "CONNECT [2001:db8::1]:8443 HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\n\r\n\x16\x03\x01",
        ),
        (
            "http_head",
            "seed",
            "POST /v1/models?q=1 HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 2\r\n\r\n{}",
        ),
        ("http_head", "port", "GET / HTTP/1.1\r\nAccept: */*\r\nhost: 127.1:80\r\n\r\n"),
        ("http_head", "http2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("sse", "openai", OPENAI),
        ("sse", "anthropic", ANTHROPIC),
        ("placeholder", "seed", "Bearer tenantd:secret:api-key, openshell:resolve:env:API_KEY"),
        (
            "placeholder",
            "encoded",
            "a=tenantd%3Asecret%3aapi-key&b=%74enantd:secret:x+y&c=openshell%3aresolve:env%3AX",
        ),
        (
            "rpc",
            "seed",
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"q":[1,-2.5e3,null]}}}"#,
        ),
        (
            "rpc",
            "batch",
            r#"[{"jsonrpc":"2.0","m\u0065thod":"notifications/initialized"}, {"jsonrpc":"2.0","id":"a","result":true},
{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"no"}},{"jsonrpc":"2.0","id":0,"method":"sum","params":[1]}]"#,
        ),
        (
            "rpc",
            "twice",
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call","params":{"name":"a","Name":"b"}}"#,
        ),
        (
            "watched",
            "seed",
            "\x06a=tenantd%3Asecret%3aapi-key&b={\"k\": \"tenantd:secret:x\"} openshell:resolve:env:A",
        ),
    ] {
        keep(target, name, text.as_bytes());
    }
    // A text in two fragments with a ping between, a close; masked by zeroes.
    let client = b"\x03\x01\x83\0\0\0\0{\"a\x89\x82\0\0\0\0hi\x80\xfe\0\x80\0\0\0\0".iter().copied();
    let client: Vec<u8> = client.chain([b'x'; 128]).chain(*b"\x88\x82\0\0\0\0\x03\xe8").collect();
    let server = b"\x03\x01\x03{\"a\x89\x02hi\x80\x03\":1\x82\x7e\0\x80".iter().copied().chain([b'x'; 128]);
    let server: Vec<u8> = server.chain(*b"\x88\x02\x03\xe8").collect();
    keep("websocket", "seed", &client);
    keep("websocket", "server", &server);
    keep("texts", "seed", b"\x04\x00\x01\x02\x03w\xc3\xb6rd tenantd:secret:key");
    keep("texts", "frames", &[&b"\x04\x00\x01\x02\x03"[..], &client[1..]].concat());
    keep("echoes", "seed", b"\x04\x03\x02\x05\x01sk-sksk-s{\"key\": 1}");
    keep("echoes", "frames", &[&b"\x04\x03\x02\x05\x01"[..], &server[1..]].concat());
    for form in 0..10_u8 {
        let head = [4, form, 10, 5];
        let name = format!("form-{form}");
        keep("scanner", &name, &[&head[..], b"sk-\"/+&<\xc3\xb6 sk-12\nand so sk-\"/ on"].concat());
    }
}

#[test]
fn what_is_fuzzed_holds_for_the_seeds_cut_anywhere_or_with_bits_turned() {
    bless();
    for (target, act) in TARGETS {
        let mut seeds = 0;
        for entry in fs::read_dir(corpus(target)).unwrap() {
            let entry = entry.unwrap();
            // What a fuzzer found for itself is named after its hash.
            if entry.file_name().len() == 40 {
                continue;
            }
            let seed = fs::read(entry.path()).unwrap();
            act(&seed);
            for at in 0..seed.len() {
                let mut other = seed.clone();
                other[at] ^= 1 << (at % 8);
                act(&other);
                act(&seed[..at]);
            }
            seeds += 1;
        }
        assert!(seeds > 0, "{target} has no seed");
    }
}

#[test]
fn the_seeds_are_what_they_are_taken_for() {
    let seed = |target: &str| fs::read(corpus(target).join("seed")).unwrap();
    let Read::Hello(hello) = hello::read(&seed("client_hello")) else { panic!("no ClientHello") };
    assert_eq!(hello.name.as_deref(), Some("api.example.com"));
    assert!(matches!(head::read(&seed("connect_line")), Head::Connect(..)));
    assert!(dns::read(&seed("dns")).is_ok());
    assert_eq!(Frames::new(true).follow(&seed("websocket")[1..]), Ok(1));
    let server = fs::read(corpus("websocket").join("server")).unwrap();
    assert_eq!(Frames::new(false).follow(&server[1..]), Ok(2));
}
