use super::*;

/// What is passed on of these chunks, and whether the whole was.
fn scan(scanner: &Scanner, chunks: &[&[u8]]) -> (Vec<u8>, bool) {
    let (mut scanner, mut passed) = (scanner.again(), Vec::new());
    for chunk in chunks {
        match scanner.push(Bytes::copy_from_slice(chunk)) {
            Ok(bytes) => passed.extend_from_slice(&bytes),
            Err(_) => return (passed, false),
        }
    }
    passed.extend_from_slice(&scanner.finish());
    (passed, true)
}

#[test]
fn a_secret_is_found_in_every_form_in_which_servers_send_it_back() {
    let value = "p\"ass/wörd+&\\x";
    let scanner = Scanner::of(value.as_bytes());
    let json = serde_json::to_string(value).unwrap();
    let form: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let percent = "p%22ass%2fw%c3%b6rd%2b%26%5cx".to_owned();
    let mut forms = vec![
        value.to_owned(),
        json.clone(),
        json.replace('/', "\\/"),
        // As Python, PHP and Go write it.
        json.replace('ö', "\\u00f6"),
        json.replace('ö', "\\u00f6").replace('/', "\\/"),
        json.replace('&', "\\u0026"),
        form,
        percent.clone(),
        percent
            .to_ascii_uppercase()
            .replace("P%", "p%")
            .replace("ASS", "ass")
            .replace("W%", "w%")
            .replace("RD", "rd")
            .replace("%5CX", "%5Cx"),
    ];
    for before in 0..4 {
        for after in 0..4 {
            let around = format!("{}{value}{}", "u".repeat(before), ":".repeat(after));
            forms.push(STANDARD.encode(&around));
            forms.push(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&around));
        }
    }
    for form in forms {
        assert!(scanner.whole(format!("so {form} end").as_bytes()).is_err(), "{form}");
    }
    assert!(scanner.whole(b"p\"ass/w").is_ok());
}

#[test]
fn short_values_are_not_searched_for() {
    assert!(Scanner::of(b"1234567").whole(b"1234567").is_ok());
    assert!(Scanner::of(b"12345678").whole(b"12345678").is_err());
    assert!(Scanner::of(b"12345678\n").whole(b"x12345678y").is_err(), "without the line break at its end");
}

#[test]
fn an_event_whose_end_begins_no_secret_is_not_held_back() {
    let mut scanner = Scanner::of(KEY.as_bytes());
    for event in ["data: {\"a\": 1}\n\n", "data: sk-012\n\n", ": \n\n"] {
        assert_eq!(scanner.push(Bytes::from(event)).unwrap(), event);
    }
    assert_eq!(scanner.push(Bytes::from("data: sk-012")).unwrap(), "data: ");
    assert_eq!(scanner.push(Bytes::from("sk-01")).unwrap(), "sk-012");
    assert_eq!(scanner.finish(), "sk-01");
}

#[test]
fn a_head_is_searched_and_must_not_be_compressed_where_a_secret_was_sent() {
    let scanner = table().scanner();
    let head = |name: &'static str, value: &str| {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
    };
    assert_eq!(scanner.head(&head("location", &format!("https://x/?{KEY}")), false), Err(Echoed::Secret));
    assert_eq!(scanner.head(&head("content-encoding", "gzip"), true), Err(Echoed::Compressed));
    assert_eq!(scanner.head(&head("content-encoding", "gzip"), false), Ok(()));
    assert_eq!(scanner.head(&head("content-encoding", "identity"), true), Ok(()));
    assert_eq!(scanner.head(&head("location", "https://x/"), true), Ok(()));
}

#[tokio::test]
async fn a_body_ends_before_a_secret_and_somebody_hears_of_it() {
    let heard = Arc::new(Mutex::new(0));
    let listener = Arc::clone(&heard);
    let text = format!("data: a\n\ndata: {KEY}\n\n");
    let chunks = text.as_bytes().chunks(3).map(<[u8]>::to_vec).collect();
    let mut body = table().scanner().body(chunked(chunks), move || *listener.lock().unwrap() += 1);
    let mut passed = Vec::new();
    let error = loop {
        match body.frame().await.unwrap() {
            Ok(frame) => passed.extend_from_slice(&frame.into_data().unwrap()),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, BodyError::Ended(_)));
    assert_eq!(String::from_utf8(passed).unwrap(), "data: a\n\ndata: ");
    assert!(body.frame().await.is_none());
    assert_eq!(*heard.lock().unwrap(), 1);
}

proptest! {
    #[test]
    fn a_secret_never_passes_however_it_is_cut_and_all_else_does(
        before in "[sk0-9a\\-]{0,40}", after in "[a-z]{0,10}", cuts in prop::collection::vec(1_usize..8, 1..40), with in any::<bool>(),
    ) {
        let text = if with { format!("{before}{KEY}{after}") } else { format!("{before}{after}") };
        let scanner = Scanner::of(KEY.as_bytes());
        let (mut rest, mut chunks) = (text.as_bytes(), Vec::new());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break }
            let (chunk, after) = rest.split_at((*cut).min(rest.len()));
            chunks.push(chunk);
            rest = after;
        }
        let (passed, whole) = scan(&scanner, &chunks);
        let passed = String::from_utf8(passed).unwrap();
        let at = text.find(KEY);
        prop_assert_eq!(whole, at.is_none());
        match at {
            None => prop_assert_eq!(passed, text),
            Some(at) => prop_assert!(passed.len() <= at && text.starts_with(&passed)),
        }
    }

    #[test]
    fn the_search_agrees_with_the_plain_one(texts in prop::collection::vec("[ab]{1,6}", 1..5), hay in "[abc]{0,60}") {
        let automaton = automaton::Automaton::new(texts.iter().map(String::as_bytes));
        let mut state = automaton::State::default();
        let mut found = false;
        for (index, byte) in hay.bytes().enumerate() {
            state = automaton.step(state, byte);
            found |= automaton.found(state);
            let end = &hay[..=index];
            let longest = (0..=end.len()).map(|at| &end[at..]).find(|tail| texts.iter().any(|text| text.starts_with(tail))).unwrap();
            prop_assert_eq!(automaton.depth(state), longest.len());
        }
        prop_assert_eq!(found, texts.iter().any(|text| hay.contains(text.as_str())));
    }
}
