use super::*;

fn id(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn open() -> (tempfile::TempDir, Database) {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(&directory.path().join("state.db")).unwrap();
    (directory, database)
}

fn to(host: &str) -> Destination {
    Destination { host: host.into(), port: 443, address: None, binary: None, exchange: None }
}

fn row(number: u64, tenant: &str, until: Option<u64>) -> Row {
    Row {
        number,
        tenant: id(tenant),
        allow: true,
        destination: to("a.example.org"),
        shape: Shape::default(),
        made: 10,
        until,
        who: 1000,
        why: "x".into(),
    }
}

#[test]
fn answers_read_back_are_replaced_pruned_and_never_numbered_twice() {
    let (_directory, mut database) = open();
    assert_eq!(database.next_approval().unwrap(), 1);
    database.note_approval(&row(1, "acme", Some(100)), &[]).unwrap();
    database.note_approval(&row(2, "beta", None), &[]).unwrap();
    assert_eq!(database.approvals(&id("acme")).unwrap(), [row(1, "acme", Some(100))]);
    database.note_approval(&row(3, "acme", Some(200)), &[1]).unwrap();
    assert_eq!(database.approvals(&id("acme")).unwrap(), [row(3, "acme", Some(200))]);
    assert!(!database.remove_approval(&id("acme"), 2).unwrap(), "another tenant's");
    assert!(database.remove_approval(&id("beta"), 2).unwrap());
    database.prune_egress(200).unwrap();
    assert!(database.approvals(&id("acme")).unwrap().is_empty());
    assert_eq!(database.next_approval().unwrap(), 4);
}

#[test]
fn what_is_noted_is_bounded_for_each_tenant() {
    let (_directory, mut database) = open();
    for n in 0..MOST_OBSERVED + 50 {
        database.observe(&id("acme"), &to(&format!("a{n}.example.org"))).unwrap();
    }
    database.observe(&id("beta"), &to("b.example.org")).unwrap();
    database.observe(&id("beta"), &to("b.example.org")).unwrap();
    assert_eq!(database.observed(&id("acme")).unwrap().len(), MOST_OBSERVED as usize);
    assert_eq!(database.observed(&id("beta")).unwrap(), [to("b.example.org")]);
    database.set_learning(&id("acme"), Some(50)).unwrap();
    assert!(database.observed(&id("acme")).unwrap().is_empty());
    assert_eq!(database.learn_until(&id("acme")).unwrap(), Some(50));
    database.prune_egress(50).unwrap();
    assert_eq!(database.learn_until(&id("acme")).unwrap(), None);
}

#[test]
fn a_tenant_that_is_gone_leaves_no_answer_to_the_next_of_its_name() {
    for retain in [false, true] {
        let (_directory, mut database) = open();
        database.note_approval(&row(1, "acme", None), &[]).unwrap();
        database.observe(&id("acme"), &to("a.example.org")).unwrap();
        database.set_authority(&id("acme"), "PEM").unwrap();
        assert_eq!(database.authority(&id("acme")).unwrap().as_deref(), Some("PEM"));
        database.end_absent(&id("acme"), retain).unwrap();
        assert!(
            database.approvals(&id("acme")).unwrap().is_empty()
                && database.observed(&id("acme")).unwrap().is_empty()
        );
        assert_eq!(database.authority(&id("acme")).unwrap(), None);
    }
}

#[test]
fn a_database_of_the_schema_before_gets_the_tables() {
    let (directory, database) = open();
    for table in ["approval", "learning", "observation", "authority"] {
        database.connection.execute(&format!("DROP TABLE {table}"), []).unwrap();
    }
    database.connection.pragma_update(None, "user_version", 5).unwrap();
    drop(database);
    let mut database = Database::open(&directory.path().join("state.db")).unwrap();
    database.note_approval(&row(1, "acme", None), &[]).unwrap();
}
