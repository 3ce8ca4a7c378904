use super::*;

fn id(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn allocation(index: u32) -> Allocation {
    Allocation {
        index,
        uid: 500_000 + index,
        network: TenantNetwork::new(Ipv4Addr::from(0x0ad2_0000 + index * 4)).unwrap(),
        machine_id: "0".repeat(32),
        proof: Proof::from_random([3; 16]),
    }
}

fn open() -> (tempfile::TempDir, Database) {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(&dir.path().join("state.db")).unwrap();
    (dir, database)
}

#[test]
fn an_allocation_reads_back_after_the_database_was_closed() {
    let (dir, mut database) = open();
    database.begin_create(&id("acme"), OperationKind::Create, &allocation(3)).unwrap();
    drop(database);
    let database = Database::open(&dir.path().join("state.db")).unwrap();
    assert_eq!(database.allocation(&id("acme")).unwrap(), Some(allocation(3)));
    assert_eq!(database.next_index().unwrap(), 4);
    assert_eq!(database.open_operations().unwrap()[0].kind, OperationKind::Create);
}

#[test]
fn two_tenants_never_share_an_index_a_uid_or_an_address() {
    let (_dir, mut database) = open();
    database.begin_create(&id("acme"), OperationKind::Create, &allocation(3)).unwrap();
    assert!(matches!(
        database.begin_create(&id("beta"), OperationKind::Create, &allocation(3)),
        Err(StateError::Sqlite(_))
    ));
    assert!(database.open_operation(&id("beta")).unwrap().is_none(), "nothing of the failed one is left");
}

#[test]
fn a_second_operation_on_a_tenant_is_refused_until_the_first_has_ended() {
    let (_dir, mut database) = open();
    database.begin(&id("acme"), OperationKind::Change, "x").unwrap();
    assert!(matches!(database.begin(&id("acme"), OperationKind::Delete, ""), Err(StateError::Open(_))));
    database.end(&id("acme")).unwrap();
    database.begin(&id("acme"), OperationKind::Delete, "").unwrap();
}

#[test]
fn kept_data_keeps_its_uid_and_a_deleted_tenant_frees_it() {
    let (_dir, mut database) = open();
    database.begin_create(&id("acme"), OperationKind::Create, &allocation(0)).unwrap();
    database.end_absent(&id("acme"), true).unwrap();
    assert!(database.is_retained(&id("acme")).unwrap() && database.index_taken(0).unwrap());
    assert!(database.tenants().unwrap().is_empty());
    database.begin_create(&id("acme"), OperationKind::Create, &allocation(0)).unwrap();
    assert!(!database.is_retained(&id("acme")).unwrap());
    database.end_absent(&id("acme"), false).unwrap();
    assert!(!database.index_taken(0).unwrap());
    assert_eq!(database.next_index().unwrap(), 1, "the index is not given out again at once");
}

#[test]
fn a_database_of_a_newer_tenantd_is_refused() {
    let (dir, database) = open();
    database.connection.pragma_update(None, "user_version", SCHEMA + 1).unwrap();
    drop(database);
    let opened = Database::open(&dir.path().join("state.db"));
    assert!(matches!(opened, Err(StateError::Newer(newer)) if newer == SCHEMA + 1));
}

#[test]
fn a_database_of_an_older_tenantd_is_brought_up_to_date() {
    let (dir, mut database) = open();
    database.set_pin("openclaw", Some("2026.9.6")).unwrap();
    database.connection.execute_batch("DROP TABLE secret; PRAGMA user_version = 1").unwrap();
    drop(database);
    let mut database = Database::open(&dir.path().join("state.db")).unwrap();
    assert_eq!(database.pin("openclaw").unwrap().as_deref(), Some("2026.9.6"));
    database.note_secret(&id("acme"), "token", 3).unwrap();
    database.note_secret(&id("acme"), "token", 2).unwrap();
    assert_eq!(database.secret_heads(&id("acme")).unwrap()["token"].version, 3, "it never goes down");
    database.forget_secret(&id("acme"), "token").unwrap();
    assert!(database.secret_heads(&id("acme")).unwrap().is_empty());
}
