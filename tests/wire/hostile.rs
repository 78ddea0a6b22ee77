//! Malformed and hostile input ends in a clean error or a close; the next client is served.

use tokio::net::UnixStream;

use super::*;

async fn alive(mini: &Mini) {
    let (mut client, _) = Client::ready(mini.address).await;
    assert_eq!(client.ask("still here").await, "still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_out_of_bounds_end_the_connection() {
    let mini = mini(Method::Trust, |o| o.max_message = 1 << 20);
    for length in [0_i32, 1, 3, -1, i32::MIN, i32::MAX, (1 << 20) + 1] {
        for kind in [b'Q', b'P', b'B', b'd'] {
            let (mut client, _) = Client::ready(mini.address).await;
            let mut bytes = vec![kind];
            bytes.extend_from_slice(&length.to_be_bytes());
            client.send(&bytes).await;
            assert_eq!(client.refused().await.field(b'C'), "08P01", "{kind} {length}");
        }
    }
    // Names are short: their messages have a smaller bound.
    let (mut client, _) = Client::ready(mini.address).await;
    client.send(&[b'D', 0, 1, 0, 0]).await;
    assert_eq!(client.refused().await.field(b'C'), "08P01");
    alive(&mini).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_startup_packets_end_the_connection() {
    let mini = mini(Method::Trust, |_| {});
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (startup(2 << 16, &[("user", "ada")]), "0A000"),
        (startup(4 << 16, &[("user", "ada")]), "0A000"),
        (startup(V3, &[("database", "x")]), "28000"),
        (startup(V3, &[("user", "")]), "28000"),
        (startup(V3, &[("user", "ada"), ("replication", "database")]), "0A000"),
        (startup(V3, &[("user", "ada"), ("options", "-z")]), "42601"),
        (untyped(&V3.to_be_bytes()), "08P01"),
        (untyped(b"\0\x03\0\0user\0ada"), "08P01"),
        (untyped(b"\0\x03\0\0user\0ada\0\0more"), "08P01"),
        (untyped(b"\0\x03\0\0user\0\xff\xfe\0\0"), "22021"),
    ];
    for (bytes, code) in cases {
        let mut client = Client::connect(mini.address).await;
        client.send(&bytes).await;
        assert_eq!(client.refused().await.field(b'C'), code, "{bytes:?}");
    }
    // Lengths that no packet has, among them the end of a session that has not begun.
    for bytes in [[0; 4], [0, 0, 0, 7], [0xff; 4], [0x7f, 0xff, 0xff, 0xff], [b'X', 0, 0, 0]] {
        let mut client = Client::connect(mini.address).await;
        client.send(&bytes).await;
        assert_eq!(client.byte().await, None, "{bytes:?}");
    }
    // A TLS handshake, a cancel request or an end where nothing can be answered.
    for bytes in [&[0x16, 3, 1, 0, 5][..], &untyped(&80_877_102_u32.to_be_bytes()), b"", b"\0\0"] {
        let mut client = Client::connect(mini.address).await;
        client.send(bytes).await;
        client.0.shutdown().await.unwrap();
        assert_eq!(client.byte().await, None, "{bytes:?}");
    }
    alive(&mini).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_types_end_the_session_and_broken_bodies_do_not() {
    let mini = mini(Method::Trust, |_| {});
    for kind in [0, b'p', b'Z', b'q', 0xff] {
        let (mut client, _) = Client::ready(mini.address).await;
        client.send(&frame(kind, b"")).await;
        let error = client.refused().await;
        assert_eq!(error.field(b'M'), format!("invalid frontend message type {kind}"));
    }
    let (mut client, _) = Client::ready(mini.address).await;
    let bodies: [(u8, &[u8], &str); 12] = [
        (b'Q', b"no end", "08P01"),
        (b'Q', b"one\0two\0", "08P01"),
        (b'Q', b"bad \xc3\x28\0", "22021"),
        (b'P', b"s\0select\0\0\x05\0\0\0\x01", "08P01"),
        (b'P', b"s\0select\0\xff\xff", "08P01"),
        (b'B', b"\0\0\0\x01\0\x02\0\0\0\0", "22023"),
        (b'B', b"\0\0\0\x02\0\0\0\0\0\x01\xff\xff\xff\xff\0\0", "08P01"),
        (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0", "08P01"),
        (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0", "08P01"),
        (b'D', b"X\0", "08P01"),
        (b'E', b"\0\0\0\0", "08P01"),
        (b'S', b"x", "08P01"),
    ];
    for (kind, body, code) in bodies {
        client.send(&frame(kind, body)).await;
        let error = client.message().await.unwrap();
        assert_eq!(
            (error.0, error.field(b'C')),
            (b'E', code.to_owned()),
            "{} {body:?}",
            kind as char
        );
        assert_eq!(error.field(b'V'), "ERROR");
        if kind == b'Q' {
            client.until(b'Z').await;
        }
    }
    assert_eq!(client.ask("the same session").await, "the same session");
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_frames_end_with_the_stream() {
    let mini = mini(Method::Trust, |_| {});
    let whole = query("never run");
    for cut in 1..whole.len() {
        let (mut client, _) = Client::ready(mini.address).await;
        client.send(&whole[..cut]).await;
        client.0.shutdown().await.unwrap();
        assert_eq!(client.byte().await, None);
    }
    assert_eq!(mini.seen.queries.load(Ordering::SeqCst), 0);
    alive(&mini).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_ahead_of_encryption_are_never_run() {
    let pem = certificate();
    for secured in [true, false] {
        let mini = mini(Method::Trust, |o| o.tls = secured.then(|| tls(&pem)));
        for request in [SSL_REQUEST, GSS_REQUEST] {
            let mut client = Client::connect(mini.address).await;
            let mut bytes = untyped(&request);
            bytes.extend(startup(V3, &[("user", "ada")]));
            bytes.extend(query("injected"));
            client.send(&bytes).await;
            let error = client.refused().await;
            assert_eq!(error.field(b'C'), "08P01");
            assert!(error.field(b'M').starts_with("received unencrypted data after"));
        }
        assert_eq!(mini.seen.queries.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gssenc_then_ssl_then_plain() {
    let mini = mini(Method::Trust, |_| {});
    let mut client = Client::connect(mini.address).await;
    for request in [GSS_REQUEST, SSL_REQUEST] {
        client.send(&untyped(&request)).await;
        assert_eq!(client.byte().await, Some(b'N'));
    }
    client.send(&startup(V3, &[("user", "ada")])).await;
    client.until(b'Z').await;
    assert_eq!(client.ask("plain").await, "plain");
    // A second request of a kind is not a request any more.
    let mut client = Client::connect(mini.address).await;
    client.send(&untyped(&SSL_REQUEST)).await;
    client.byte().await;
    client.send(&untyped(&SSL_REQUEST)).await;
    assert_eq!(client.refused().await.field(b'C'), "0A000");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_negotiated() {
    let mini = mini(Method::Trust, |_| {});
    let mut client = Client::connect(mini.address).await;
    let pairs =
        [("user", "ada"), ("_pq_.fancy", "1"), ("options", "-c a.b=c\\ d"), ("DateStyle", "ISO")];
    client.send(&startup(V3 + 9999, &pairs)).await;
    let messages = client.until(b'Z').await;
    assert_eq!(messages[0], Message(b'v', b"\0\x03\0\x02\0\0\0\x01_pq_.fancy\0".to_vec()));
    let key = |messages: &[Message]| messages.iter().find(|m| m.0 == b'K').unwrap().1.len();
    assert_eq!(key(&messages), 4 + 32);
    for asked in [&b"asked.a.b\0c d\0"[..], b"asked.DateStyle\0ISO\0"] {
        assert!(messages.contains(&Message(b'S', asked.to_vec())));
    }
    let (_, messages) = Client::ready(mini.address).await;
    assert_eq!(messages[0].0, b'R');
    assert_eq!(key(&messages), 4 + 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_limited_and_cancels_still_arrive() {
    let mini = mini(Method::Trust, |o| o.max_sessions = 2);
    let (mut first, messages) = Client::ready(mini.address).await;
    let (second, _) = Client::ready(mini.address).await;
    let mut third = Client::connect(mini.address).await;
    third.send(&startup(V3, &[("user", "ada")])).await;
    let error = third.refused().await;
    assert_eq!(error.field(b'C'), "53300");
    assert_eq!(error.field(b'M'), "sorry, too many clients already");
    assert_eq!(mini.server.sessions(), 2);
    // A cancel with the wrong secret does nothing, the right one wakes the statement.
    first.send(&query("wait")).await;
    let key = messages.iter().find(|m| m.0 == b'K').unwrap().1.clone();
    for wrong in [true, false] {
        let mut key = key.clone();
        key[7] ^= u8::from(wrong);
        let mut cancel = Client::connect(mini.address).await;
        let mut body = 80_877_102_u32.to_be_bytes().to_vec();
        body.extend_from_slice(&key);
        cancel.send(&untyped(&body)).await;
        assert_eq!(cancel.byte().await, None);
        assert_eq!(mini.seen.cancelled.load(Ordering::SeqCst), !wrong);
    }
    assert_eq!(first.until(b'Z').await[0].field(b'C'), "57014");
    drop((first, second));
    tokio::time::timeout(Duration::from_secs(5), mini.server.drained()).await.unwrap();
    alive(&mini).await;
}

/// Protocol 3.2 has keys of 32 bytes, and a cancel must bring the whole of one.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_key_cancels_and_a_part_of_it_does_not() {
    let mini = mini(Method::Trust, |_| {});
    let mut client = Client::connect(mini.address).await;
    client.send(&startup(V3 + 2, &[("user", "ada")])).await;
    let messages = client.until(b'Z').await;
    assert!(messages.iter().all(|m| m.0 != b'v'), "3.2 is spoken, not negotiated");
    let key = messages.iter().find(|m| m.0 == b'K').unwrap().1.clone();
    assert_eq!(key.len(), 4 + 32);
    client.send(&query("wait")).await;
    for part in [8, 35, 36] {
        let mut cancel = Client::connect(mini.address).await;
        let mut body = 80_877_102_u32.to_be_bytes().to_vec();
        body.extend_from_slice(&key[..part]);
        cancel.send(&untyped(&body)).await;
        // A request of an impossible length may be told so; nothing is cancelled by it.
        while cancel.byte().await.is_some() {}
        assert_eq!(mini.seen.cancelled.load(Ordering::SeqCst), part == 36, "{part} bytes");
    }
    assert_eq!(client.until(b'Z').await[0].field(b'C'), "57014");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_starters_are_dropped() {
    let mini = mini(Method::Scram, |o| o.startup_timeout = Duration::from_millis(200));
    for bytes in [&b""[..], b"\0\0\0", &startup(V3, &[("user", "ada")])] {
        let mut client = Client::connect(mini.address).await;
        client.send(bytes).await;
        let before = std::time::Instant::now();
        while client.byte().await.is_some() {}
        assert!(before.elapsed() < Duration::from_secs(3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vanished_client_is_noticed_while_its_session_waits() {
    // More than fits the reads ahead and the kernel would hide the end from anybody.
    for pipelined in [0, 200 << 10] {
        for reset in [true, false] {
            let mini = mini(Method::Trust, |_| {});
            let (mut client, _) = Client::ready(mini.address).await;
            client.send(&query("wait")).await;
            // Unread input of a pipeline must not hide the end behind it.
            let mut sender = tokio::spawn(async move {
                client.send(&query(&"x".repeat(pipelined))).await;
                client
            });
            let client = tokio::time::timeout(Duration::from_secs(5), &mut sender).await;
            let Ok(client) = client else {
                // The kernel's buffers are full: the end cannot overtake what is on its way.
                sender.abort();
                continue;
            };
            let stream = client.unwrap().0;
            if reset {
                stream.set_zero_linger().unwrap();
            }
            drop(stream);
            vanished(&mini).await;
        }
    }
}

async fn vanished(mini: &Mini) {
    // Within a second on an idle machine; the limit here only tells a hang from a slow machine.
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !mini.seen.vanished.load(Ordering::SeqCst) {
        assert!(std::time::Instant::now() < deadline, "never noticed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unix_sockets_serve_and_clean_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".s.PGSQL.6433");
    let listener = Listener::unix(&path).unwrap();
    assert!(Listener::unix(&path).is_err(), "a live socket is not replaced");
    let (server, _) = start(listener, Method::Trust, |_| {});
    let mut client = Client(UnixStream::connect(&path).await.unwrap());
    client.send(&startup(V3, &[("user", "ada")])).await;
    client.until(b'Z').await;
    assert_eq!(client.ask("over a file").await, "over a file");
    server.options().shutdown.cancel();
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while path.exists() {
        assert!(std::time::Instant::now() < deadline, "the socket file is left behind");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // A file left by a dead process is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    Listener::unix(&path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipelined_batch_is_answered_whole() {
    let mini = mini(Method::Trust, |_| {});
    let (mut client, _) = Client::ready(mini.address).await;
    let mut batch = Vec::new();
    for i in 0..500 {
        batch.extend(query(&format!("query {i}")));
    }
    client.send(&batch).await;
    for i in 0..500 {
        let messages = client.until(b'Z').await;
        assert_eq!(messages[1].1[6..], *format!("query {i}").as_bytes());
    }
    // A message far beyond the read buffer, in small pieces.
    let long = "x".repeat(3_000_000);
    for piece in query(&long).chunks(70_000) {
        client.send(piece).await;
    }
    let messages = client.until(b'Z').await;
    assert_eq!(messages[1].1.len(), 6 + long.len());
}
