use super::*;

#[test]
fn a_tenants_audience_is_its_origin_without_port() {
    let acme = TenantId::parse("acme").unwrap();
    assert_eq!(issuer("agents.example"), "https://agents.example");
    assert_eq!(audience(&acme, "agents.example"), "https://acme.agents.example");
    assert_eq!(
        login_address(&acme, "agents.example", 443, "T"),
        "https://acme.agents.example/.tenantd/login?ticket=T"
    );
    assert_eq!(
        login_address(&acme, "agents.example", 8443, "T"),
        "https://acme.agents.example:8443/.tenantd/login?ticket=T"
    );
}

#[test]
fn a_subject_may_be_any_text_without_control_characters() {
    for subject in ["a", "alice@example.org", "corp:00u1", "Łucja Ångström", "日本", " ", "%0d%0a", "<b>"]
    {
        assert_eq!(check_subject(subject), Ok(()), "{subject:?}");
    }
    for subject in ["", "a\r\nb", "a\0", "\u{85}", "\u{9b}31m", &"é".repeat(257)] {
        assert_eq!(check_subject(subject), Err(ClaimsError::Subject), "{subject:?}");
    }
}
