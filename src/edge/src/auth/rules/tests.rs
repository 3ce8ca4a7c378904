use model::Role;
use serde_json::json;

use super::super::testing::tenant;
use super::*;

fn rule(claim: &str, value: &str, at: &str, role: Role) -> ClaimRule {
    ClaimRule { claim: claim.to_owned(), value: value.to_owned(), tenant: tenant(at), role }
}

fn role(rules: &[ClaimRule], at: &str, claims: &Value) -> Option<Role> {
    let issuer = Issuer {
        name: "corp".to_owned(),
        issuer: "https://id.example".to_owned(),
        client_id: "edge".to_owned(),
        client_secret: None,
        audience: None,
        ca_pem: None,
        rules: rules.to_vec(),
    };
    first(&issuer, &tenant(at), claims.as_object().unwrap()).map(|rule| rule.role)
}

#[test]
fn the_first_rule_that_fits_counts() {
    let rules = [
        rule("groups", "admins", "acme", Role::Owner),
        rule("groups", "staff", "acme", Role::Viewer),
        rule("sub", "u1", "acme", Role::Operator),
        rule("groups", "admins", "beta", Role::Viewer),
    ];
    assert_eq!(role(&rules, "acme", &json!({"groups": ["staff", "admins"]})), Some(Role::Owner));
    assert_eq!(role(&rules, "acme", &json!({"groups": "staff", "sub": "u1"})), Some(Role::Viewer));
    assert_eq!(role(&rules, "acme", &json!({"sub": "u1"})), Some(Role::Operator));
    assert_eq!(role(&rules, "beta", &json!({"groups": ["admins"]})), Some(Role::Viewer));
    assert_eq!(role(&rules, "beta", &json!({"groups": ["staff"], "sub": "u1"})), None);
    assert_eq!(role(&rules, "gamma", &json!({"groups": ["admins"]})), None);
}

#[test]
fn a_value_fits_as_a_whole_and_by_its_type() {
    let rules = [rule("groups", "ops", "acme", Role::Owner), rule("flag", "true", "acme", Role::Owner)];
    for claims in [
        json!({"groups": "ops2"}),
        json!({"groups": "OPS"}),
        json!({"groups": " ops"}),
        json!({"groups": "staff,ops"}),
        json!({"groups": [["ops"]]}),
        json!({"groups": {"ops": true}}),
        json!({"Groups": "ops"}),
        json!({"flag": true}),
        json!({}),
    ] {
        assert_eq!(role(&rules, "acme", &claims), None, "{claims}");
    }
}

#[test]
fn a_claim_within_claims_is_named_with_points() {
    let rules = [
        rule("realm_access.roles", "ops", "acme", Role::Owner),
        rule("https://corp.example/groups", "ops", "beta", Role::Viewer),
    ];
    assert_eq!(role(&rules, "acme", &json!({"realm_access": {"roles": ["ops"]}})), Some(Role::Owner));
    assert_eq!(role(&rules, "beta", &json!({"https://corp.example/groups": "ops"})), Some(Role::Viewer));
    for claims in [
        json!({"realm_access": ["ops"], "roles": ["ops"]}),
        json!({"realm_access": {"roles": {"ops": "ops"}}}),
        // A claim of that very name hides what is within another.
        json!({"realm_access.roles": "staff", "realm_access": {"roles": ["ops"]}}),
    ] {
        assert_eq!(role(&rules, "acme", &claims), None, "{claims}");
    }
}

#[test]
fn an_address_that_nobody_verified_is_nobodys() {
    let rules = [rule("email", "alice@corp.example", "acme", Role::Owner)];
    let with = |verified: Value| {
        role(&rules, "acme", &json!({"email": "alice@corp.example", "email_verified": verified}))
    };
    assert_eq!(with(json!(true)), Some(Role::Owner));
    assert_eq!(with(json!(false)), None);
    assert_eq!(with(json!("false")), None);
    assert_eq!(role(&rules, "acme", &json!({"email": "alice@corp.example"})), None);
}
