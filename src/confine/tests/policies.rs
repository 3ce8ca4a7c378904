//! What a wrong policy file is answered with: file, line, entry, cause.
#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

mod support;

use confine::Sources;
use confine::landlock::Places;

const CLOSED: &str = "description = \"d\"\n[[deny]]\ncalls = [\"seccomp\"]\nerrno = \"EPERM\"\nwhy = \"w\"\n";

fn seccomp(text: &str) -> String {
    let sources = Sources::from_pairs([
        ("p.toml", &format!("{CLOSED}{text}")),
        ("loop.toml", "description = \"d\"\ninclude = [\"loop.toml\"]"),
    ]);
    confine::seccomp::compile(&sources, "p")
        .map(|_| "compiled".to_owned())
        .unwrap_or_else(|error| error.to_string())
}

fn landlock(text: &str) -> String {
    let sources = Sources::from_pairs([("p.toml", &format!("description = \"d\"\nabi = 6\n{text}"))]);
    let places = Places { data: "/var/lib/tenants/a", port: 1 };
    confine::landlock::compile(&sources, "p", 6, &places)
        .map(|_| "compiled".to_owned())
        .unwrap_or_else(|error| error.to_string())
}

#[test]
fn a_wrong_seccomp_policy_is_answered_with_file_line_entry_and_cause() {
    let cases = [
        (
            "[[allow]]\ncalls = [\"reed\"]\nwhy = \"w\"",
            "p.toml:6: [[allow]] reed: x86_64 has no system call \"reed\"",
        ),
        ("[[allow]]\ncalls = [\"read\"]\nwhy = \" \"", "\"why\" is empty"),
        ("[[allow]]\ncalls = [\"read\"]", "p.toml:6: syntax: missing field `why`"),
        ("[[allow]]\ncalls = []\nwhy = \"w\"", "\"calls\" is empty"),
        ("[[allow]]\ncalls = [\"read\"]\nwhy = \"w\"\nextra = 1", "unknown field `extra`"),
        (
            "[[allow]]\ncalls = [\"read\"]\nwhen = [\"arg0 == 1\"]\nwhy = \"w\"",
            "\"otherwise\" exactly when it has \"when\"",
        ),
        ("[[deny]]\ncalls = [\"read\"]\nwhy = \"w\"", "a denied call takes \"errno\""),
        ("[[deny]]\ncalls = [\"read\"]\nerrno = \"EWHAT\"\nwhy = \"w\"", "\"EWHAT\" is not an error number"),
        ("[[kill]]\ncalls = [\"read\"]\nerrno = \"EPERM\"\nwhy = \"w\"", "takes neither"),
        ("[[allow]]\ncalls = [\"read\", \"read\"]\nwhy = \"w\"", "contradicts p.toml:6"),
        (
            "[[allow]]\ncalls = [\"seccomp\"]\nwhy = \"w\"",
            "p.toml:2: [[deny]] seccomp: contradicts p.toml:6 ([[allow]] seccomp)",
        ),
        (
            "[[kill]]\ncalls = [\"read\"]\nwhy = \"w\"\n[[deny]]\ncalls = [\"read\"]\nerrno = \"EPERM\"\nwhy = \"w\"",
            "p.toml:6: [[kill]] read: contradicts p.toml:9",
        ),
        (
            "[[kill]]\ncalls = [\"read\"]\nwhen = [\"arg0 == 1\"]\nwhy = \"w\"\n[[kill]]\ncalls = [\"read\"]\nwhy = \"w\"",
            "keep one of the two",
        ),
    ];
    for (text, expected) in cases {
        let answer = seccomp(text);
        assert!(answer.contains(expected), "{text}\n  {answer}");
    }
    assert_eq!(seccomp(""), "compiled");
}

#[test]
fn a_policy_that_does_not_close_seccomp_or_includes_itself_or_is_missing_is_refused() {
    let open = Sources::from_pairs([("p.toml", "description = \"d\"")]);
    assert!(
        confine::seccomp::compile(&open, "p").unwrap_err().to_string().contains("seccomp must be denied")
    );
    let loops = Sources::from_pairs([("p.toml", "description = \"d\"\ninclude = [\"p.toml\"]")]);
    let message = confine::seccomp::compile(&loops, "p").unwrap_err().to_string();
    assert!(message.contains("p.toml:2: include: includes itself"), "{message}");
    let message = confine::seccomp::compile(&open, "other").unwrap_err().to_string();
    assert!(message.contains("there is no policy \"other.toml\" (there are: p)"), "{message}");
}

#[test]
fn a_wrong_landlock_policy_is_answered_with_file_line_entry_and_cause() {
    let entry = |path: &str, access: &str| {
        format!("[[directory]]\npaths = [\"{path}\"]\naccess = [\"{access}\"]\nwhy = \"w\"\n")
    };
    let cases = [
        (entry("/usr", "reed"), "p.toml:3: [[directory]] /usr: \"reed\" is none of"),
        (entry("usr", "read"), "not an absolute path"),
        (entry("/usr/../root", "read"), "not an absolute path"),
        (entry("{home}", "read"), "placeholder: {data}"),
        (entry("/", "read"), "covers /run/tenantd/cell/canary"),
        (entry("/run", "read"), "covers /run/tenantd/cell/canary"),
        (entry("/run/tenantd/cell", "read"), "covers /run/tenantd/cell/canary"),
        (entry("/usr", "read").repeat(2), "p.toml:7: [[directory]] /usr: stands at p.toml:3 already"),
        (
            "[[file]]\npaths = [\"/dev/null\"]\naccess = [\"write\"]\nwhy = \"w\"".to_owned(),
            "is for directories",
        ),
        ("[[file]]\npaths = [\"/dev/null\"]\naccess = [\"read\"]\nwhy = \"\"".to_owned(), "\"why\" is empty"),
        ("other = 1".to_owned(), "unknown field `other`"),
    ];
    for (text, expected) in cases {
        let answer = landlock(&text);
        assert!(answer.contains(expected), "{text}\n  {answer}");
    }
    assert_eq!(landlock(&entry("{data}/state", "write")), "compiled");
}
