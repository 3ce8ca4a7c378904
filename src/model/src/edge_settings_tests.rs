use super::*;

const ISSUER: &str = "domain = \"agents.example.org\"\n\n[[issuers]]\nname = \"example\"\nissuer = \"https://login.example.org\"\nclient_id = \"tenantd\"\nclient_secret_file = \"/etc/tenantd/secret\"\nca_file = \"/etc/ca.pem\"\n\n[[issuers.rules]]\nclaim = \"groups\"\nvalue = \"acme\"\ntenant = \"acme\"\nrole = \"operator\"\n";

fn refused(text: &str) -> String {
    EdgeSettings::parse("edge.toml", text).unwrap_err().to_string()
}

#[test]
fn only_the_domain_has_no_default() {
    let settings = EdgeSettings::parse("edge.toml", "domain = \"agents.example.org\"").unwrap();
    let file = settings.with_files(("", ""), |_| unreachable!()).unwrap();
    assert_eq!(
        (file.domain.as_str(), file.public_port, file.session_sec),
        ("agents.example.org", 443, 43_200)
    );
    assert_eq!(file.limits, EdgeLimits::default());
    assert!(file.issuers.is_empty());
    assert!(refused("").starts_with("edge.toml:1:1: domain is missing"), "{}", refused(""));
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_a_caret() {
    let text = "domain = \"agents.example.org\"\n[limits]\nconnections = 0\n";
    assert_eq!(
        refused(text),
        "edge.toml:3:15: 0 is out of range: write a number from 1 to 60000\n  |\n3 | connections = 0\n  |               ^"
    );
    let unknown = refused("domain = \"a.example\"\nport = 443\n");
    assert!(unknown.starts_with("edge.toml:2:1: unknown field `port`"), "{unknown}");
    assert!(unknown.ends_with("2 | port = 443\n  | ^^^^"), "{unknown}");
}

#[test]
fn names_addresses_and_numbers_that_are_none_are_refused() {
    for (line, why) in [
        ("domain = \"example\"", "is not a domain"),
        ("domain = \"Agents.example.org\"", "is not a domain"),
        ("domain = \"agents.example.org:443\"", "is not a domain"),
        ("domain = \"192.0.2.1\"", "is not a domain"),
        ("domain = \"-a.example\"", "is not a domain"),
        ("domain = \"a..example\"", "is not a domain"),
        ("domain = 5", "invalid type"),
        ("domain = \"a.example\"\nsession_sec = 10", "out of range"),
        ("domain = \"a.example\"\npublic_port = 70000", "out of range"),
        ("domain = \"a.example\"\nlimits.body_bytes = -1", "out of range"),
        ("domain = \"a.example\"\nlimits.bodies = 1", "unknown field"),
    ] {
        assert!(refused(line).contains(why), "{line}: {}", refused(line));
    }
    for (was, is, why) in [
        ("https://login.example.org", "http://login.example.org", "is not an issuer"),
        ("https://login.example.org", "http://localhost.example.org", "is not an issuer"),
        ("https://login.example.org", "https://login.example.org?x", "is not an issuer"),
        ("https://login.example.org", "https://", "is not an issuer"),
        ("name = \"example\"", "name = \"Example\"", "is not a name"),
        ("\"/etc/ca.pem\"", "\"ca.pem\"", "absolute path"),
        ("\"operator\"", "\"admin\"", "unknown variant"),
        ("tenant = \"acme\"", "tenant = \"Acme\"", "tenant name"),
        ("client_id = \"tenantd\"", "client_id = \"\"", "is empty"),
    ] {
        let text = ISSUER.replace(was, is);
        assert!(refused(&text).contains(why), "{is}: {}", refused(&text));
    }
    assert!(
        EdgeSettings::parse("x", &ISSUER.replace("https://login.example.org", "http://127.0.0.1:5556/dex"))
            .is_ok()
    );
}

#[test]
fn issuers_stand_once_and_have_rules() {
    let (head, issuer) = ISSUER.split_once("\n\n").unwrap();
    let twice = format!("{head}\n{issuer}\n{issuer}");
    assert!(refused(&twice).contains("another issuer has this name"), "{}", refused(&twice));
    let same = format!("{head}\n{issuer}\n{}", issuer.replace("\"example\"", "\"other\""));
    assert!(refused(&same).contains("stands above already"), "{}", refused(&same));
    let (without, _) = ISSUER.split_once("[[issuers.rules]]").unwrap();
    assert!(refused(without).starts_with("edge.toml:4:8: this issuer has no rules"), "{}", refused(without));
}

#[test]
fn what_stands_in_other_files_is_read_and_checked() {
    let parse = || EdgeSettings::parse("edge.toml", ISSUER).unwrap();
    let read = |path: &Path| match path.to_str().unwrap() {
        "/etc/tenantd/secret" => Ok("s3cret\n".to_owned()),
        _ => Ok("-----BEGIN CERTIFICATE-----\n".to_owned()),
    };
    let file = parse().with_files(("edge.toml", ISSUER), read).unwrap();
    assert_eq!(file.issuers[0].client_secret.as_deref(), Some("s3cret"));
    assert!(file.issuers[0].ca_pem.is_some());
    let missing = |_: &Path| Err("no such file".to_owned());
    let error = parse().with_files(("edge.toml", ISSUER), missing).unwrap_err().to_string();
    assert!(error.starts_with("edge.toml:7:22: /etc/tenantd/secret: no such file\n"), "{error}");
    let empty = |_: &Path| Ok("\n".to_owned());
    assert!(
        parse()
            .with_files(("edge.toml", ISSUER), empty)
            .unwrap_err()
            .to_string()
            .contains("no client secret")
    );
}

const ACME: &str =
    "domain = \"agents.example.org\"\n\n[acme]\ncontact = \"admin@example.org\"\nterms_agreed = true\n";

#[test]
fn an_authority_is_asked_by_whoever_agreed_to_its_terms() {
    let of = |text: &str| {
        let settings = EdgeSettings::parse("edge.toml", text).unwrap();
        let read = |_: &Path| Ok("-----BEGIN CERTIFICATE-----".to_owned());
        settings.with_files(("edge.toml", text), read).unwrap().acme
    };
    assert_eq!(of("domain = \"a.example\""), None);
    let acme = of(ACME).unwrap();
    assert_eq!((acme.directory.as_str(), acme.contact.as_str()), (LETS_ENCRYPT, "admin@example.org"));
    assert_eq!(acme.ca_pem, None);
    let own = of(&format!("{ACME}directory = \"https://ca.example:14000/dir\"\nca_file = \"/etc/ca.pem\"\n"));
    let own = own.unwrap();
    assert_eq!(own.directory, "https://ca.example:14000/dir");
    assert!(own.ca_pem.is_some());
    let refusal = refused(&ACME.replace("true", "false"));
    assert!(refusal.starts_with("edge.toml:5:16: the authority gives certificates"), "{refusal}");
    let refusal = refused(&ACME.replace("terms_agreed = true\n", ""));
    assert!(refusal.starts_with("edge.toml:3:1: the authority gives certificates"), "{refusal}");
}

#[test]
fn what_is_wrong_about_an_authority_is_told_with_its_place() {
    for (was, is, why) in [
        ("admin@example.org", "admin", "edge.toml:4:11: \"admin\" is not a mail address"),
        ("admin@example.org", "a@b@example.org", "edge.toml:4:11"),
        ("admin@example.org", "a@b?subject=x", "edge.toml:4:11"),
        ("admin@example.org", "", "edge.toml:4:11"),
        ("contact = \"admin@example.org\"\n", "", "missing field `contact`"),
        ("terms_agreed = true", "terms_agreed = 1", "edge.toml:5:16"),
        ("terms_agreed", "agreed", "edge.toml:5:1: unknown field `agreed`"),
    ] {
        let text = ACME.replace(was, is);
        assert!(refused(&text).contains(why), "{is}: {}", refused(&text));
    }
    for directory in
        ["http://ca.example/dir", "https://", "https:///dir", "https://user@ca.example/", "ca.example"]
    {
        let text = format!("{ACME}directory = \"{directory}\"\n");
        assert!(refused(&text).contains("edge.toml:6:13"), "{directory}: {}", refused(&text));
    }
    let text = format!("{ACME}ca_file = \"ca.pem\"\n");
    assert!(
        refused(&text).contains("edge.toml:6:11: \"ca.pem\" is not an absolute path"),
        "{}",
        refused(&text)
    );
    let text = format!("{ACME}ca_file = \"/etc/ca.pem\"\n");
    let settings = EdgeSettings::parse("edge.toml", &text).unwrap();
    let refusal = settings.with_files(("edge.toml", &text), |_| Ok("x".to_owned())).unwrap_err().to_string();
    assert!(refusal.starts_with("edge.toml:6:11: /etc/ca.pem: holds no certificate"), "{refusal}");
}
