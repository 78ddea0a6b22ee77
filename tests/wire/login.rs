//! Authentication and TLS, with psql as the client.

use std::process::{Command, Output};

use crossfade::demo::cluster::find_bin;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::*;

async fn psql(address: SocketAddr, settings: &str, password: &str) -> Output {
    let mut command = Command::new(find_bin().unwrap().join("psql"));
    command
        .args(["-X", "-A", "-t", "-c", "hello"])
        .arg("-d")
        .arg(format!(
            "host=localhost hostaddr=127.0.0.1 port={} dbname=x {settings}",
            address.port()
        ))
        .env("PGPASSWORD", password)
        .env("PGCONNECT_TIMEOUT", "10");
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn scram_lets_in_who_knows_the_password() {
    let mini = mini(Method::Scram, |_| {});
    let output = psql(mini.address, "user=ada sslmode=disable", "corréct horse").await;
    assert_eq!(stdout(&output), "hello", "{}", stderr(&output));
    for (user, password) in [("ada", "wrong"), ("nobody", "corréct horse"), ("ada", "")] {
        let output = psql(mini.address, &format!("user={user} sslmode=disable"), password).await;
        assert_eq!(output.status.code(), Some(2));
        let text = if password.is_empty() {
            "fe_sendauth: no password supplied".to_owned()
        } else {
            format!("FATAL:  password authentication failed for user \"{user}\"")
        };
        assert!(stderr(&output).contains(&text), "{}", stderr(&output));
    }
    assert_eq!(mini.seen.queries.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn md5_and_clear_passwords_are_taken_from_clients_that_know_nothing_newer() {
    for (method, word) in [(Method::Md5, "md5"), (Method::Password, "password")] {
        let mini = mini(method, |_| {});
        // libpq itself refuses any other exchange.
        let settings = format!("user=ada sslmode=disable require_auth={word}");
        let newer = psql(mini.address, &settings, "corréct horse").await;
        let output = if stderr(&newer).contains("invalid connection option") {
            psql(mini.address, "user=ada sslmode=disable", "corréct horse").await
        } else {
            newer
        };
        assert_eq!(stdout(&output), "hello", "{word}: {}", stderr(&output));
        for (user, password) in [("ada", "wrong"), ("nobody", "corréct horse")] {
            let settings = format!("user={user} sslmode=disable");
            let output = psql(mini.address, &settings, password).await;
            let text = format!("FATAL:  password authentication failed for user \"{user}\"");
            assert!(stderr(&output).contains(&text), "{word}: {}", stderr(&output));
        }
        assert_eq!(mini.seen.queries.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_with_and_without_channel_binding() {
    let pem = certificate();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.crt");
    std::fs::write(&root, &pem.0).unwrap();
    let root = root.display();
    let mini = mini(Method::Scram, |o| o.tls = Some(tls(&pem)));
    for settings in [
        "sslmode=require".to_owned(),
        "sslmode=require channel_binding=require".to_owned(),
        "sslmode=require channel_binding=disable".to_owned(),
        format!("sslmode=verify-full sslrootcert={root}"),
    ] {
        let output = psql(mini.address, &format!("user=ada {settings}"), "corréct horse").await;
        assert_eq!(stdout(&output), "tls hello", "{settings}: {}", stderr(&output));
    }
    let output = psql(mini.address, "user=ada sslmode=require", "wrong").await;
    assert!(stderr(&output).contains("password authentication failed"), "{}", stderr(&output));
    let output = psql(mini.address, "user=ada sslmode=disable", "corréct horse").await;
    assert_eq!(stdout(&output), "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_refused_where_none_is_configured() {
    let mini = mini(Method::Trust, |_| {});
    let output = psql(mini.address, "user=ada sslmode=require", "").await;
    assert!(stderr(&output).contains("server does not support SSL"), "{}", stderr(&output));
    let output = psql(mini.address, "user=ada sslmode=prefer", "").await;
    assert_eq!(stdout(&output), "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_tls_needs_the_protocols_name() {
    let pem = certificate();
    let mini = mini(Method::Trust, |o| o.tls = Some(tls(&pem)));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.0.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    for (alpn, direct, works) in [
        (Some("postgresql"), true, true),
        (Some("postgresql"), false, true),
        (None, false, true),
        (None, true, false),
        (Some("http/1.1"), true, false),
        (Some("http/1.1"), false, false),
    ] {
        let mut config = config.clone();
        config.alpn_protocols = alpn.map(|name| name.as_bytes().to_vec()).into_iter().collect();
        let mut client = Client::connect(mini.address).await;
        if !direct {
            client.send(&untyped(&SSL_REQUEST)).await;
            assert_eq!(client.byte().await, Some(b'S'));
        }
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, client.0).await;
        let answer = match stream {
            Err(_) => None,
            Ok(stream) => {
                let mut client = Client(stream);
                client.send(&startup(V3, &[("user", "ada")])).await;
                client.message().await
            }
        };
        assert_eq!(answer.is_some(), works, "{alpn:?} {direct}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_sasl_messages_are_refused() {
    let mini = mini(Method::Scram, |_| {});
    let first = b"n,,n=,r=abcdefgh";
    let initial = |mechanism: &str, data: &[u8]| {
        let mut body = mechanism.as_bytes().to_vec();
        body.push(0);
        body.extend_from_slice(&u32::try_from(data.len()).unwrap().to_be_bytes());
        body.extend_from_slice(data);
        frame(b'p', &body)
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (query("select"), "08P01"),
        (initial("SCRAM-SHA-1", first), "08P01"),
        (initial("SCRAM-SHA-256-PLUS", b"p=tls-server-end-point,,n=,r=x"), "08P01"),
        (initial("SCRAM-SHA-256", b"p=tls-server-end-point,,n=,r=x"), "08P01"),
        (initial("SCRAM-SHA-256", b""), "08P01"),
        (initial("SCRAM-SHA-256", b"\xff,,,"), "08P01"),
        (frame(b'p', b"SCRAM-SHA-256\0\xff\xff\xff\xff"), "08P01"),
        (frame(b'p', b"SCRAM-SHA-256\0\x7f\xff\xff\xff"), "08P01"),
        (frame(b'p', b"SCRAM-SHA-256"), "08P01"),
        (vec![b'p', 0x7f, 0xff, 0xff, 0xff], "08P01"),
    ];
    for (bytes, code) in cases {
        let mut client = Client::connect(mini.address).await;
        client.send(&startup(V3, &[("user", "ada")])).await;
        let offer = client.message().await.unwrap();
        assert_eq!(offer, Message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0".to_vec()));
        client.send(&bytes).await;
        assert_eq!(client.refused().await.field(b'C'), code, "{bytes:?}");
    }
    for (last, code) in [
        (&b"c=biws,r=other,p=AAAA"[..], "08P01"),
        (b"c=xxxx,r=x,p=AAAA", "08P01"),
        (b"", "08P01"),
        (b"\xff", "08P01"),
    ] {
        let mut client = Client::connect(mini.address).await;
        client.send(&startup(V3, &[("user", "ada")])).await;
        client.message().await.unwrap();
        client.send(&initial("SCRAM-SHA-256", first)).await;
        assert_eq!(client.message().await.unwrap().0, b'R');
        client.send(&frame(b'p', last)).await;
        assert_eq!(client.refused().await.field(b'C'), code);
    }
}
