//! A client that speaks the wire protocol by hand, and a script that runs on PostgreSQL and
//! on the proxy alike: what they answer must be the same, message by message.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::{Pg, Proxy};

/// A raw connection.
pub struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
    pub pid: i32,
    pub secret: Vec<u8>,
    /// ParameterStatus as told at start-up.
    pub parameters: Vec<(String, String)>,
    /// Extended-protocol messages not sent yet.
    pending: Vec<u8>,
    /// Errors and notices are rendered with all their fields.
    in_full: bool,
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend((body.len() as u32 + 4).to_be_bytes());
    out.extend(body);
    out
}

fn c_string(text: &str) -> Vec<u8> {
    let mut out = text.as_bytes().to_vec();
    out.push(0);
    out
}

impl Raw {
    /// Connects and logs in (trust), with further start-up parameters.
    pub fn connect(port: u16, user: &str, database: &str, more: &[(&str, &str)]) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut body = 0x0003_0000_u32.to_be_bytes().to_vec();
        for (name, value) in [("user", user), ("database", database)].iter().chain(more) {
            body.extend(c_string(name));
            body.extend(c_string(value));
        }
        body.push(0);
        let mut packet = (body.len() as u32 + 4).to_be_bytes().to_vec();
        packet.extend(body);
        let mut raw = Self {
            stream,
            buffer: Vec::new(),
            pid: 0,
            secret: Vec::new(),
            parameters: Vec::new(),
            pending: Vec::new(),
            in_full: false,
        };
        raw.stream.write_all(&packet).unwrap();
        while let Some((kind, body)) = raw.receive() {
            match kind {
                b'S' => {
                    let mut parts = body.split(|b| *b == 0);
                    let mut next = || String::from_utf8(parts.next().unwrap().to_vec()).unwrap();
                    let name = next();
                    raw.parameters.push((name, next()));
                }
                b'K' => {
                    raw.pid = i32::from_be_bytes(body[..4].try_into().unwrap());
                    raw.secret = body[4..].to_vec();
                }
                b'Z' => break,
                b'E' => panic!("login refused: {}", render(kind, &body)),
                _ => {}
            }
        }
        raw
    }

    /// To a database of the shared PostgreSQL.
    pub fn postgres(database: &str) -> Self {
        Self::connect(Pg::shared().cluster.port(), "postgres", database, &[])
    }

    /// To the proxy.
    pub fn proxy(proxy: &Proxy) -> Self {
        Self::connect(proxy.port, "app", "app", &[])
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends bytes to a peer that may have closed.
    pub fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The next message; None at the end of the stream, or after the read timeout.
    pub fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if self.buffer.len() >= 5 {
                let length = u32::from_be_bytes(self.buffer[1..5].try_into().unwrap()) as usize + 1;
                if self.buffer.len() >= length {
                    let frame: Vec<u8> = self.buffer.drain(..length).collect();
                    return Some((frame[0], frame[5..].to_vec()));
                }
            }
            let mut chunk = [0; 16384];
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(n) => self.buffer.extend(&chunk[..n]),
            }
        }
    }

    /// Everything until the other side closes, rendered; waiting in vain is a failure.
    pub fn until_closed(&mut self) -> Vec<String> {
        self.stream.set_read_timeout(None).unwrap();
        // A reader that is never answered must not hang the tests.
        let socket = self.stream.try_clone().unwrap();
        let (done, waits) = std::sync::mpsc::channel::<()>();
        let watch = std::thread::spawn(move || {
            let late = std::sync::mpsc::RecvTimeoutError::Timeout;
            let hung = waits.recv_timeout(Duration::from_secs(30)) == Err(late);
            if hung {
                let _ = socket.shutdown(Shutdown::Both);
            }
            hung
        });
        let mut out = Vec::new();
        while let Some((kind, body)) = self.receive() {
            out.push(render(kind, &body));
        }
        drop(done);
        assert!(!watch.join().unwrap(), "the connection stays open: {out:?}");
        out
    }

    /// Errors and notices are rendered with all their fields from now on.
    pub fn in_full(mut self) -> Self {
        self.in_full = true;
        self
    }

    /// Everything up to ReadyForQuery, CopyInResponse or the end, rendered.
    pub fn answers(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        loop {
            match self.receive() {
                None => {
                    out.push("END".into());
                    return out;
                }
                Some((kind, body)) => {
                    if kind != b'S' {
                        out.push(match kind {
                            b'E' | b'N' if self.in_full => fields(kind, &body),
                            _ => render(kind, &body),
                        });
                    }
                    if matches!(kind, b'Z' | b'G') {
                        return out;
                    }
                }
            }
        }
    }

    /// What arrives within a moment, rendered.
    pub fn soon(&mut self) -> Vec<String> {
        self.stream.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
        let mut out = Vec::new();
        while let Some((kind, body)) = self.receive() {
            out.push(render(kind, &body));
        }
        self.stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        out
    }

    /// A simple query and its answers.
    pub fn query(&mut self, sql: &str) -> Vec<String> {
        self.send(&message(b'Q', &c_string(sql)));
        self.answers()
    }

    /// Sends a simple query and does not wait.
    pub fn start(&mut self, sql: &str) {
        self.send(&message(b'Q', &c_string(sql)));
    }

    /// Sends a CancelRequest on a connection of its own and waits until it is taken.
    pub fn cancel(port: u16, pid: i32, secret: &[u8]) {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut packet = (12 + secret.len() as u32).to_be_bytes().to_vec();
        packet.extend(0x04d2_162e_u32.to_be_bytes());
        packet.extend(pid.to_be_bytes());
        packet.extend(secret);
        stream.write_all(&packet).unwrap();
        let _ = stream.read(&mut [0; 1]);
    }

    /// Sends batches of extended messages, each with its Sync, all at once, then reads all their
    /// answers.
    pub fn pipeline(&mut self, batches: usize, batch: impl Fn(usize) -> String) -> Vec<String> {
        for n in 0..batches {
            for line in batch(n).lines() {
                self.step(line.trim());
            }
            self.pending.extend(message(b'S', b""));
        }
        let pending = std::mem::take(&mut self.pending);
        self.send(&pending);
        (0..batches).flat_map(|_| self.answers()).collect()
    }

    /// Closes without a word, as a killed client does: with a reset.
    pub fn vanish(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        drop(self.stream);
    }

    /// Ends the sending side.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Runs one line of a script; see [`run`].
    fn step(&mut self, line: &str) -> Vec<String> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let fields: Vec<&str> = rest.split('|').collect();
        let field = |i: usize| fields.get(i).copied().unwrap_or("");
        match verb {
            "Q" => return self.query(&rest.replace("\\n", "\n")),
            "P" => {
                let types: Vec<u32> = field(2)
                    .split(',')
                    .filter(|t| !t.is_empty())
                    .map(|t| t.parse().unwrap())
                    .collect();
                let mut body = c_string(field(0));
                body.extend(c_string(&field(1).replace("\\p", "|")));
                body.extend((types.len() as u16).to_be_bytes());
                types.iter().for_each(|t| body.extend(t.to_be_bytes()));
                self.pending.extend(message(b'P', &body));
            }
            "B" => {
                let mut body = c_string(field(0));
                body.extend(c_string(field(1)));
                body.extend(0_u16.to_be_bytes());
                let values: Vec<&str> = match fields.get(2) {
                    None | Some(&"") => Vec::new(),
                    Some(list) => list.split(',').collect(),
                };
                body.extend((values.len() as u16).to_be_bytes());
                for value in values {
                    if value == "NULL" {
                        body.extend((-1_i32).to_be_bytes());
                    } else {
                        body.extend((value.len() as u32).to_be_bytes());
                        body.extend(value.as_bytes());
                    }
                }
                let formats: Vec<u16> = field(3)
                    .split(',')
                    .filter(|t| !t.is_empty())
                    .map(|t| t.parse().unwrap())
                    .collect();
                body.extend((formats.len() as u16).to_be_bytes());
                formats.iter().for_each(|f| body.extend(f.to_be_bytes()));
                self.pending.extend(message(b'B', &body));
            }
            "D" | "C" => {
                let mut body = field(0).as_bytes()[..1].to_vec();
                body.extend(c_string(field(0)[1..].trim()));
                self.pending.extend(message(verb.as_bytes()[0], &body));
            }
            "E" => {
                let mut body = c_string(field(0));
                body.extend(field(1).parse::<u32>().unwrap_or(0).to_be_bytes());
                self.pending.extend(message(b'E', &body));
            }
            "S" | "H" => {
                self.pending.extend(message(verb.as_bytes()[0], b""));
                let pending = std::mem::take(&mut self.pending);
                self.send(&pending);
                return if verb == "S" { self.answers() } else { self.soon() };
            }
            "d" => {
                self.send(&message(
                    b'd',
                    rest.replace("\\n", "\n").replace("\\t", "\t").as_bytes(),
                ));
            }
            "cc" => self.send(&message(b'c', b"")),
            "c" => {
                self.send(&message(b'c', b""));
                return self.answers();
            }
            "f" => {
                self.send(&message(b'f', &c_string(rest)));
                return self.answers();
            }
            other => panic!("unknown step {other}"),
        }
        Vec::new()
    }

    /// Runs a script, one step per line, and returns the transcript.
    ///
    /// `Q sql` · `P name|sql|types` · `B portal|statement|values|result formats` ·
    /// `D Sname`, `D Pname` · `E portal|max rows` · `C Sname` · `S` (Sync) · `H` (Flush) ·
    /// `d data` · `c` (CopyDone; `cc` without waiting) · `f reason` (CopyFail). Extended messages are sent together
    /// with the next S or H. Lines that start with `#` are comments.
    pub fn run(&mut self, script: &str) -> String {
        let mut out = String::new();
        for line in script.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            writeln!(out, "> {line}").unwrap();
            for answer in self.step(line) {
                writeln!(out, "{answer}").unwrap();
            }
        }
        out
    }
}

/// A type's OID; one that each server numbers by itself has none to compare.
fn type_oid(oid: u32) -> String {
    if oid < 15_000 { oid.to_string() } else { "own".to_owned() }
}

/// A backend message as one line.
fn render(kind: u8, body: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let u16_at = |i: usize| u16::from_be_bytes(body[i..i + 2].try_into().unwrap());
    match kind {
        b'T' => {
            let mut rest = &body[2..];
            let mut columns = Vec::new();
            while !rest.is_empty() {
                let end = rest.iter().position(|b| *b == 0).unwrap();
                let name = text(&rest[..end]);
                let tail = &rest[end + 1..];
                let oid = u32::from_be_bytes(tail[6..10].try_into().unwrap());
                let typmod = i32::from_be_bytes(tail[12..16].try_into().unwrap());
                let format = u16::from_be_bytes(tail[16..18].try_into().unwrap());
                columns.push(format!("{name}:{}:{typmod}:{format}", type_oid(oid)));
                rest = &tail[18..];
            }
            format!("T {}", columns.join(", "))
        }
        b'D' => {
            let mut at = 2;
            let mut values = Vec::new();
            for _ in 0..u16_at(0) {
                let length = i32::from_be_bytes(body[at..at + 4].try_into().unwrap());
                at += 4;
                if length < 0 {
                    values.push("NULL".to_owned());
                    continue;
                }
                let value = &body[at..at + length as usize];
                values.push(match std::str::from_utf8(value) {
                    Ok(t) if !t.chars().any(char::is_control) => t.to_owned(),
                    _ => value.iter().map(|b| format!("{b:02x}")).collect::<String>(),
                });
                at += length as usize;
            }
            format!("D {}", values.join(" | "))
        }
        b'E' | b'N' => {
            let fields: Vec<(u8, String)> = body
                .split(|b| *b == 0)
                .filter(|f| !f.is_empty())
                .map(|f| (f[0], text(&f[1..])))
                .collect();
            let get = |k: u8| fields.iter().find(|(t, _)| *t == k).map(|(_, v)| v.as_str());
            let mut line = format!(
                "{} {} {} {}",
                kind as char,
                get(b'V').unwrap_or("?"),
                get(b'C').unwrap_or("?"),
                get(b'M').unwrap_or("?")
            );
            for (tag, name) in [(b'P', "at"), (b'n', "constraint"), (b'W', "context")] {
                if let Some(value) = get(tag) {
                    write!(line, " [{name} {value}]").unwrap();
                }
            }
            line
        }
        b'C' => format!("C {}", text(&body[..body.len() - 1])),
        b'Z' => format!("Z {}", body[0] as char),
        b't' => {
            let types = body[2..].chunks(4);
            let types: Vec<String> =
                types.map(|t| type_oid(u32::from_be_bytes(t.try_into().unwrap()))).collect();
            format!("t {}", types.join(","))
        }
        b'd' => format!("d {:?}", text(body)),
        b'A' => format!("A {:?}", text(&body[4..])),
        b'S' => format!("S {:?}", text(body)),
        b'G' | b'H' => format!("{} {} {}", kind as char, body[0], u16_at(1)),
        other => format!("{}", other as char),
    }
}

/// An error or notice with every field, but for where in its source PostgreSQL raised it.
fn fields(kind: u8, body: &[u8]) -> String {
    let mut line = (kind as char).to_string();
    for field in body.split(|b| *b == 0).filter(|f| !f.is_empty()) {
        if !matches!(field[0], b'F' | b'L' | b'R') {
            let text = String::from_utf8_lossy(&field[1..]);
            write!(line, " {}={text}", field[0] as char).unwrap();
        }
    }
    line
}

/// Runs a script on PostgreSQL and on a new proxy: the transcripts must be equal.
pub fn same(script: &str) {
    compare(script, false);
}

/// Like [`same`], with every field of every error and notice.
pub fn same_in_full(script: &str) {
    compare(script, true);
}

fn compare(script: &str, in_full: bool) {
    let proxy = Proxy::direct();
    let database = Pg::shared().database("same");
    let transcript = |mut raw: Raw| {
        raw.in_full = in_full;
        raw.run(script)
    };
    let expected = transcript(Raw::postgres(&database));
    let found = transcript(Raw::proxy(&proxy));
    assert_same(&expected, &found, &proxy);
}

/// Compares two transcripts line by line.
pub fn assert_same(expected: &str, found: &str, proxy: &Proxy) {
    if expected == found {
        return;
    }
    let steps =
        |text: &str| -> Vec<String> { text.split("> ").skip(1).map(str::to_owned).collect() };
    let mut report = String::new();
    for (a, b) in steps(expected).iter().zip(&steps(found)) {
        if a != b {
            let (step, a) = a.split_once('\n').unwrap();
            let (_, b) = b.split_once('\n').unwrap();
            writeln!(report, "> {step}").unwrap();
            a.lines().for_each(|l| writeln!(report, "- {l}").unwrap());
            b.lines().for_each(|l| writeln!(report, "+ {l}").unwrap());
        }
    }
    panic!("- PostgreSQL, + proxy\n{report}\nproxy log: {}", proxy.log());
}
