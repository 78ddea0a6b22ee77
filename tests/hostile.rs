//! Hostile clients against the real binary, each in a transaction that holds what others wait for:
//! a clean error or a close, never a panic, and the next writer is served.
//!
//! On SQLite and on a promoted PostgreSQL. `wire::hostile` has the frames one by one; here it is
//! what they do to everybody else.

use crate::common::{Journey, Pg, Proxy, Raw};

const TABLE: &str = "CREATE TABLE t (id integer PRIMARY KEY, a integer NOT NULL, body text); \
                     INSERT INTO t VALUES (1, 0, 'one'), (2, 0, 'two')";

/// How a client leaves after its last bytes.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    /// It does not: the proxy must close.
    Waits,
    Resets,
    EndsItsSide,
}

fn framed(kind: u8, length: u32, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend(length.to_be_bytes());
    out.extend(body);
    out
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    framed(kind, u32::try_from(body.len()).unwrap() + 4, body)
}

fn attacks() -> Vec<(String, Vec<u8>, Leaves)> {
    let mut all = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>, leaves| all.push((name.to_owned(), bytes, leaves));
    for kind in *b"QPBEDCFd" {
        for length in [0, 3, i32::MAX as u32, u32::MAX] {
            let name = format!("{} of length {length}", kind as char);
            add(&name, framed(kind, length, b"select 1\0"), Leaves::Waits);
        }
    }
    for kind in [0, b'Z', b'q', 0xff] {
        add(&format!("type {kind}"), message(kind, b""), Leaves::Waits);
    }
    // A start-up packet, a TLS request and a TLS handshake in the middle of a session.
    add("a start-up packet", b"\0\0\0\x12\0\x03\0\0user\0ada\0\0".to_vec(), Leaves::Waits);
    add("a TLS request", b"\0\0\0\x08\x04\xd2\x16\x2f".to_vec(), Leaves::Waits);
    let update = message(b'Q', b"update t set a = 100\0");
    let parse = message(b'P', b"s\0update t set a = 100\0\0\0");
    let many = message(b'B', b"\0s\0\0\0\xff\xff");
    let beyond = message(b'B', b"\0s\0\0\0\0\x01\x7f\xff\xff\xff\0\0");
    for leaves in [Leaves::Resets, Leaves::EndsItsSide] {
        for cut in [1, 4, 5, update.len() - 1] {
            let name = format!("{cut} bytes of a query");
            add(&name, update[..cut].to_vec(), leaves);
        }
        add("a transaction left open", Vec::new(), leaves);
        add("a Parse without Sync", parse.clone(), leaves);
        add("a Bind of 65535 values", [&*parse, &*many].concat(), leaves);
        add("a Bind beyond its end", [&*parse, &*beyond].concat(), leaves);
        let long = framed(b'd', 1 << 20, &[b'x'; 100_000]);
        add("half of a long message", long, leaves);
    }
    all
}

/// In an open transaction that has written.
fn in_transaction(proxy: &Proxy) -> Raw {
    let mut client = Raw::proxy(proxy);
    assert_eq!(client.query("begin")[0], "C BEGIN");
    assert_eq!(client.query("update t set a = a + 1")[0], "C UPDATE 2");
    client
}

/// Somebody else writes the same rows, and finds what was committed.
fn next_writer_is_served(other: &mut Raw, after: &str) {
    let told = other.query("update t set a = a returning a");
    assert!(told.contains(&"C UPDATE 2".to_owned()), "after {after}: {told:?}");
    assert!(told.contains(&"D 0".to_owned()), "{after} was committed: {told:?}");
}

fn unharmed(proxy: &mut Proxy) {
    assert!(proxy.is_running(), "{}", proxy.log());
    assert!(!proxy.log().contains("panicked"), "{}", proxy.log());
}

fn every_attack(proxy: &mut Proxy) {
    let mut other = Raw::proxy(proxy);
    other.query("set lock_timeout = '20s'");
    for (name, bytes, leaves) in attacks() {
        let mut hostile = in_transaction(proxy);
        hostile.try_send(&bytes);
        match leaves {
            Leaves::Waits => {
                let told = hostile.until_closed();
                assert!(told.iter().any(|t| t.contains("FATAL 08P01")), "{name}: {told:?}");
            }
            Leaves::Resets => hostile.vanish(),
            Leaves::EndsItsSide => {
                hostile.half_close();
                hostile.until_closed();
            }
        }
        next_writer_is_served(&mut other, &format!("{name} ({leaves:?})"));
    }
    unharmed(proxy);
}

/// Reproducible numbers: xorshift64*.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let given = std::env::var("CROSSFADE_TEST_SEED").ok().and_then(|s| s.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(now.subsec_nanos()) | 1);
        println!("CROSSFADE_TEST_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % n
    }
}

/// A right batch: text and binary parameters, Describe, row limits, Close.
fn batch() -> Vec<u8> {
    let mut out =
        message(b'P', b"s\0update t set body = $1 where id = $2\0\0\x02\0\0\0\x19\0\0\0\x17");
    out.extend(message(b'D', b"Ss\0"));
    out.extend(message(b'B', b"p\0s\0\0\x02\0\0\0\x01\0\x02\0\0\0\x03new\0\0\0\x04\0\0\0\x02\0\0"));
    out.extend(message(b'D', b"Pp\0"));
    out.extend(message(b'E', b"p\0\0\0\0\0"));
    out.extend(message(b'P', b"\0select id, body from t order by id\0\0\0"));
    out.extend(message(b'B', b"\0\0\0\0\0\0\0\x01\0\x01"));
    out.extend(message(b'E', b"\0\0\0\0\x01"));
    out.extend(message(b'C', b"Ss\0"));
    out.extend(message(b'S', b""));
    out
}

fn mutated_batches(proxy: &mut Proxy, rounds: usize) {
    let mut dice = Dice::new();
    let mut other = Raw::proxy(proxy);
    other.query("set lock_timeout = '20s'");
    for round in 0..rounds {
        let mut bytes = batch();
        for _ in 0..1 + dice.below(4) {
            let at = dice.below(bytes.len());
            bytes[at] = match dice.below(3) {
                0 => 0,
                1 => 0xff,
                _ => u8::try_from(dice.below(256)).unwrap(),
            };
        }
        if dice.below(4) == 0 {
            bytes.truncate(dice.below(bytes.len()));
        }
        let mut hostile = in_transaction(proxy);
        hostile.try_send(&bytes);
        hostile.half_close();
        hostile.until_closed();
        next_writer_is_served(&mut other, &format!("round {round}: {bytes:x?}"));
    }
    assert_eq!(proxy.sql("select body from t order by id"), "one\ntwo");
    unharmed(proxy);
}

fn promoted(folder: &tempfile::TempDir) -> Journey {
    let journey = Journey::start(&folder.path().join("app.db"), Pg::shared(), &[]);
    journey.proxy.sql(TABLE);
    journey.mirror();
    journey.promote();
    journey
}

/// Truncated messages, impossible lengths, unknown types, clients that vanish: on SQLite none of
/// them keeps the one writer.
#[test]
fn no_attack_keeps_the_writer_of_sqlite() {
    let mut proxy = Proxy::direct();
    proxy.sql(TABLE);
    every_attack(&mut proxy);
}

/// And none of them keeps a row of PostgreSQL, after promote.
#[test]
fn no_attack_keeps_a_row_of_postgresql() {
    let folder = tempfile::tempdir().unwrap();
    let mut journey = promoted(&folder);
    every_attack(&mut journey.proxy);
}

/// Mutated Parse, Bind, Describe, Execute and Close on a real session.
#[test]
fn mutated_batches_end_in_an_error_or_a_close_on_sqlite() {
    let mut proxy = Proxy::direct();
    proxy.sql(TABLE);
    mutated_batches(&mut proxy, 300);
}

/// The same through the relay.
#[test]
fn mutated_batches_end_in_an_error_or_a_close_on_postgresql() {
    let folder = tempfile::tempdir().unwrap();
    let mut journey = promoted(&folder);
    mutated_batches(&mut journey.proxy, 150);
}
