//! Log-in towards PostgreSQL: against the mini server for every way to log in, and
//! against a real one.

use std::collections::BTreeMap;

use crossfade::backend::postgres::connect::Connector;
use crossfade::config::{Endpoint, PostgresUrl, Value};
use crossfade::error::{Culprit, Result};

use super::*;
use crate::common::Pg;

fn connector(url: &str) -> Result<Connector> {
    let url = PostgresUrl::parse(url).unwrap();
    let endpoint = Endpoint::new(&url, &BTreeMap::new()).unwrap();
    Connector::new(&endpoint, None, None, Culprit::Shadow)
}

async fn ask(url: &str) -> Result<String> {
    let mut server = connector(url)?.raw(&[]).await?;
    let rows = server.rows("hello").await?;
    Ok(rows[0][0].clone().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sslmode_behaves_as_in_libpq() {
    let (pem, other) = (certificate(), certificate());
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let ca = ca_certificate();
    let marked = mini(Method::Scram, |o| o.tls = Some(tls(&ca)));
    let ca = file("ca.crt", &ca.0);
    let (good, bad) = (file("good.crt", &pem.0), file("bad.crt", &other.0));
    let with_tls = mini(Method::Scram, |o| o.tls = Some(tls(&pem)));
    let without = mini(Method::Scram, |_| {});
    let cases = [
        (&with_tls, "sslmode=disable".to_owned(), Some("hello")),
        (&with_tls, "sslmode=allow".to_owned(), Some("hello")),
        (&with_tls, "sslmode=prefer".to_owned(), Some("tls hello")),
        (&with_tls, "sslmode=require".to_owned(), Some("tls hello")),
        (&with_tls, format!("sslmode=require&sslrootcert={bad}"), None),
        (&with_tls, "sslmode=verify-ca".to_owned(), None),
        (&with_tls, format!("sslmode=verify-ca&sslrootcert={good}"), Some("tls hello")),
        (&with_tls, format!("sslmode=verify-ca&sslrootcert={bad}"), None),
        (&with_tls, format!("sslmode=verify-full&sslrootcert={good}"), Some("tls hello")),
        (&with_tls, "sslmode=verify-full&sslrootcert=system".to_owned(), None),
        (&with_tls, "sslmode=require&sslnegotiation=direct".to_owned(), Some("tls hello")),
        (&marked, format!("sslmode=verify-full&sslrootcert={ca}"), Some("tls hello")),
        (&marked, format!("sslmode=verify-ca&sslrootcert={good}"), None),
        (&without, "sslmode=prefer".to_owned(), Some("hello")),
        (&without, "sslmode=require".to_owned(), None),
    ];
    for (mini, settings, expected) in cases {
        let port = mini.address.port();
        let url = format!("postgres://ada:corr%C3%A9ct%20horse@localhost:{port}/x?{settings}");
        let answer = ask(&url).await;
        assert_eq!(answer.as_deref().ok(), expected, "{settings}: {answer:?}");
        // The name in the certificate counts for verify-full alone.
        if settings.contains(&good) && expected.is_some() {
            let url = url.replace("localhost", "127.0.0.1");
            assert_eq!(ask(&url).await.is_ok(), settings.contains("verify-ca"), "{settings}");
        }
    }
    let port = with_tls.address.port();
    let error = ask(&format!("postgres://ada:wrong@127.0.0.1:{port}/x")).await.unwrap_err();
    assert_eq!(error.sqlstate(), state::INVALID_PASSWORD);
    assert!(error.message().contains("password authentication failed"), "{error}");
    let error = ask(&format!("postgres://ada@127.0.0.1:{port}/x")).await.unwrap_err();
    assert!(error.message().contains("none is set"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_hosts_are_tried_in_order() {
    let mini = mini(Method::Trust, |_| {});
    let port = mini.address.port();
    let url = format!("postgres://ada@127.0.0.1:1,127.0.0.1:{port}/x");
    assert_eq!(ask(&url).await.unwrap(), "hello");
    let error = ask("postgres://ada@127.0.0.1:1/x").await.unwrap_err();
    assert_eq!(error.sqlstate(), state::CONNECTION_FAILURE);
    assert!(error.fields().retry);
    assert_eq!(error.fields().culprit, Culprit::Shadow);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_and_clients_work_on_a_real_server() {
    let pg = Pg::shared();
    let connector = connector(&pg.database_url("connect")).unwrap();
    let parameters = [("application_name".to_owned(), "raw one".to_owned())];
    let mut server = connector.raw(&parameters).await.unwrap();
    assert!(server.parameters()["server_version"].starts_with("1"));
    assert!(!server.is_read_only());
    let rows = server.rows("SELECT current_setting('application_name'), NULL").await.unwrap();
    assert_eq!(rows, [[Some("raw one".to_owned()), None]]);
    let error = server.rows("BEGIN; SELECT nothing").await.unwrap_err();
    assert_eq!((error.sqlstate(), error.fields().position), (state::UNDEFINED_COLUMN, 15));
    assert_eq!(server.status(), b'E');
    server.batch("ROLLBACK").await.unwrap();
    assert_eq!(server.status(), b'I');

    let canceller = server.canceller().unwrap();
    let running = tokio::spawn(async move {
        let result = server.rows("SELECT pg_sleep(30)").await;
        (server, result)
    });
    let (client, driver) = connector.client("watcher").await.unwrap();
    tokio::spawn(driver);
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' \
                    AND state = 'active' AND pid <> pg_backend_pid()";
    while client.query_one(sleeping, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    canceller.cancel().await.unwrap();
    let (server, result) = running.await.unwrap();
    assert_eq!(result.unwrap_err().sqlstate(), state::QUERY_CANCELED);
    server.close().await;

    client
        .batch_execute("CREATE TABLE t(a int PRIMARY KEY); INSERT INTO t VALUES (1)")
        .await
        .unwrap();
    let error = client.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap_err();
    let error = connector.error_of(&error);
    assert_eq!(error.sqlstate(), state::UNIQUE_VIOLATION);
    assert_eq!(error.fields().object.constraint.as_deref(), Some("t_pkey"));

    let replication = [("replication".to_owned(), "database".to_owned())];
    let mut server = connector.raw(&replication).await.unwrap();
    let rows = server.rows("IDENTIFY_SYSTEM").await.unwrap();
    assert_eq!(rows[0].len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn verifiers_are_those_of_postgresql() {
    let pg = Pg::shared();
    let mut server = connector(&pg.database_url("verifier")).unwrap().raw(&[]).await.unwrap();
    // PostgreSQL keeps a text that it takes for a verifier, and hashes any other. Both
    // directions: ours is kept by it, and one that it made is read by us.
    let made = crossfade::wire::auth::make_verifier("secret", &Clock::system());
    server.batch(&format!("CREATE ROLE wire_a PASSWORD '{made}'")).await.unwrap();
    server.batch("CREATE ROLE wire_b PASSWORD 'corréct horse'").await.unwrap();
    let rows = server
        .rows("SELECT rolpassword FROM pg_authid WHERE rolname LIKE 'wire__' ORDER BY rolname")
        .await
        .unwrap();
    assert_eq!(rows[0][0].as_deref(), Some(made.as_str()));
    let users = format!("[users]\nada = \"{}\"\n", rows[1][0].as_deref().unwrap());
    let users = Users::parse(&users, &Clock::system()).unwrap();
    server.batch("DROP ROLE wire_a; DROP ROLE wire_b").await.unwrap();
    let mini = mini(Method::Scram, |o| o.auth.set_users(users));
    let port = mini.address.port();
    let url = format!("postgres://ada:corr%C3%A9ct%20horse@127.0.0.1:{port}/x");
    assert_eq!(ask(&url).await.unwrap(), "hello");
}
