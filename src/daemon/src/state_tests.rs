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

/// The tables of schema 2, with two tenants.
const SCHEMA_2: &str = "
    CREATE TABLE allocation (
        tenant TEXT PRIMARY KEY, idx INTEGER NOT NULL UNIQUE, uid INTEGER NOT NULL UNIQUE,
        network INTEGER NOT NULL UNIQUE, machine_id TEXT NOT NULL, proof BLOB NOT NULL,
        retained INTEGER NOT NULL) STRICT;
    CREATE TABLE operation (
        tenant TEXT PRIMARY KEY, kind TEXT NOT NULL, spec TEXT NOT NULL, step INTEGER NOT NULL,
        total INTEGER NOT NULL, text TEXT NOT NULL, started REAL NOT NULL) STRICT;
    CREATE TABLE pin (runtime TEXT PRIMARY KEY, version TEXT NOT NULL) STRICT;
    CREATE TABLE cursor (one INTEGER PRIMARY KEY CHECK (one = 1), next_index INTEGER NOT NULL) STRICT;
    CREATE TABLE secret (
        tenant TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, changed REAL NOT NULL,
        PRIMARY KEY (tenant, name)) STRICT, WITHOUT ROWID;
    INSERT INTO cursor VALUES (1, 6);
    INSERT INTO allocation VALUES
        ('acme', 3, 500003, 181534732, '00000000000000000000000000000000', CAST('proof-of-acme-16' AS BLOB), 0),
        ('beta', 5, 500005, 181534740, '00000000000000000000000000000000', CAST('proof-of-beta-16' AS BLOB), 1);
    PRAGMA user_version = 2;";

#[test]
fn the_gateways_secrets_of_schema_2_are_gone_from_the_file_and_everything_else_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let old = Connection::open(&path).unwrap();
    old.pragma_update(None, "journal_mode", "WAL").unwrap();
    old.execute_batch(SCHEMA_2).unwrap();
    drop(old);
    let holds = |needle: &[u8]| {
        std::fs::read_dir(dir.path()).unwrap().any(|entry| {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(needle.len()).any(|window| window == needle)
        })
    };
    assert!(holds(b"proof-of-acme-16") && holds(b"proof-of-beta-16"));
    let mut database = Database::open(&path).unwrap();
    // While it is open: the log lies beside it.
    assert!(!holds(b"proof-of-"));
    assert_eq!(database.allocation(&id("acme")).unwrap(), Some(allocation(3)));
    assert_eq!(database.allocation(&id("beta")).unwrap(), Some(allocation(5)));
    assert!(database.is_retained(&id("beta")).unwrap() && !database.is_retained(&id("acme")).unwrap());
    assert_eq!(database.next_index().unwrap(), 6);
    // Still unique, and still to be written to.
    assert!(database.begin_create(&id("gamma"), OperationKind::Create, &allocation(3)).is_err());
    database.begin_create(&id("beta"), OperationKind::CreateOverKeptData, &allocation(5)).unwrap();
    assert_eq!(database.tenants().unwrap().len(), 2);
}

#[test]
fn a_database_of_an_older_tenantd_is_brought_up_to_date() {
    let (dir, mut database) = open();
    database.set_pin("openclaw", Some("2026.9.6")).unwrap();
    database
        .connection
        .execute_batch("DROP TABLE secret; DROP TABLE allocation; DROP TABLE backup; DROP TABLE recovery; DROP TABLE sleeping;
             DROP TABLE approval; DROP TABLE learning; DROP TABLE observation; DROP TABLE authority")
        .unwrap();
    let first = SCHEMA_2.split_inclusive(';').next().unwrap();
    database.connection.execute_batch(&format!("{first} PRAGMA user_version = 1")).unwrap();
    drop(database);
    let mut database = Database::open(&dir.path().join("state.db")).unwrap();
    assert_eq!(database.pin("openclaw").unwrap().as_deref(), Some("2026.9.6"));
    database.note_secret(&id("acme"), "token", 3).unwrap();
    database.note_secret(&id("acme"), "token", 2).unwrap();
    assert_eq!(database.secret_heads(&id("acme")).unwrap()["token"].version, 3, "it never goes down");
    database.forget_secret(&id("acme"), "token").unwrap();
    assert!(database.secret_heads(&id("acme")).unwrap().is_empty());
}
