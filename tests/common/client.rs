//! A wire-protocol client that keeps whole answers: columns with their types, rows, tags, errors.
//!
//! Built on [`Raw`]'s frames, so that what it sees is what a driver would see, on PostgreSQL and
//! on the proxy alike. It must never interpret a value. Start at [`Client::simple`].

use std::collections::HashMap;

use super::Raw;

/// An ErrorResponse's fields that clients look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: String,
    pub message: String,
    pub detail: String,
    pub constraint: String,
}

/// A column of a RowDescription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub oid: u32,
    pub typmod: i32,
}

/// What one statement of a text answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub columns: Option<Vec<Column>>,
    pub rows: Vec<Row>,
    pub tag: String,
}

/// Values as they came over the wire.
pub type Row = Vec<Option<Vec<u8>>>;

/// Everything up to ReadyForQuery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub outcomes: Vec<Outcome>,
    pub error: Option<Failure>,
    /// The connection ended, or nothing came for half a minute.
    pub lost: bool,
}

impl Answer {
    pub fn ok(&self) -> bool {
        self.error.is_none() && !self.lost
    }

    /// The SQLSTATE; empty where there is no error.
    pub fn code(&self) -> &str {
        if self.lost { "lost" } else { self.error.as_ref().map_or("", |e| e.code.as_str()) }
    }
}

/// What Describe of a statement told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    pub parameters: Vec<u32>,
    pub columns: Option<Vec<Column>>,
}

/// Where and as whom to connect.
#[derive(Clone)]
pub struct Address {
    pub port: u16,
    pub user: String,
    pub database: String,
    pub options: String,
}

/// A connection that can be made anew.
pub struct Client {
    address: Address,
    raw: Raw,
    /// Transaction status of the last ReadyForQuery: `I`, `T` or `E`.
    pub status: u8,
    names: HashMap<u32, String>,
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

fn parse(sql: &str) -> Vec<u8> {
    let mut body = c_string("");
    body.extend(c_string(sql));
    body.extend(0_u16.to_be_bytes());
    message(b'P', &body)
}

fn bind(params: &[Option<String>]) -> Vec<u8> {
    let mut body = c_string("");
    body.extend(c_string(""));
    body.extend(0_u16.to_be_bytes());
    body.extend((params.len() as u16).to_be_bytes());
    for value in params {
        match value {
            None => body.extend((-1_i32).to_be_bytes()),
            Some(text) => {
                body.extend((text.len() as u32).to_be_bytes());
                body.extend(text.as_bytes());
            }
        }
    }
    body.extend(0_u16.to_be_bytes());
    message(b'B', &body)
}

impl Client {
    pub fn connect(address: Address) -> Self {
        let raw = Self::open(&address);
        Self { address, raw, status: b'I', names: HashMap::new() }
    }

    fn open(address: &Address) -> Raw {
        let more: &[(&str, &str)] = &[("options", &address.options)];
        let more = if address.options.is_empty() { &[] } else { more };
        Raw::connect(address.port, &address.user, &address.database, more)
    }

    /// A new session in the place of a lost one.
    pub fn reconnect(&mut self) {
        self.raw = Self::open(&self.address);
        self.status = b'I';
    }

    /// A simple query. COPY FROM STDIN is given no row.
    pub fn simple(&mut self, sql: &str) -> Answer {
        self.exchange(&message(b'Q', &c_string(sql)), false)
    }

    /// Parse, Bind, Describe, Execute, Sync, all values as text.
    pub fn extended(&mut self, sql: &str, params: &[Option<String>]) -> Answer {
        let mut bytes = parse(sql);
        bytes.extend(bind(params));
        bytes.extend(message(b'D', b"P\0"));
        bytes.extend(message(b'E', &[0, 0, 0, 0, 0]));
        bytes.extend(message(b'S', b""));
        self.exchange(&bytes, true)
    }

    /// Parse, Describe, Sync: types before anything runs.
    pub fn describe(&mut self, sql: &str) -> Result<Description, Failure> {
        let mut bytes = parse(sql);
        bytes.extend(message(b'D', b"S\0"));
        bytes.extend(message(b'S', b""));
        self.raw.send(&bytes);
        let mut found = Description::default();
        let mut failure = None;
        while let Some((kind, body)) = self.raw.receive() {
            match kind {
                b't' => {
                    found.parameters = body[2..]
                        .chunks(4)
                        .map(|c| u32::from_be_bytes(c.try_into().unwrap()))
                        .collect();
                }
                b'T' => found.columns = Some(columns(&body)),
                b'E' => failure = Some(fields(&body)),
                b'Z' => {
                    self.status = body[0];
                    return failure.map_or(Ok(found), Err);
                }
                _ => {}
            }
        }
        self.reconnect();
        Err(Failure {
            code: "lost".into(),
            message: "connection lost".into(),
            detail: String::new(),
            constraint: String::new(),
        })
    }

    fn exchange(&mut self, bytes: &[u8], extended: bool) -> Answer {
        self.raw.send(bytes);
        let mut answer = Answer::default();
        let mut open = Outcome::default();
        while let Some((kind, body)) = self.raw.receive() {
            match kind {
                b'T' => open.columns = Some(columns(&body)),
                b'D' => open.rows.push(row(&body)),
                b'd' => open.rows.push(vec![Some(body)]),
                b'C' => {
                    open.tag = String::from_utf8_lossy(&body[..body.len() - 1]).into_owned();
                    answer.outcomes.push(std::mem::take(&mut open));
                }
                b'I' => answer.outcomes.push(std::mem::take(&mut open)),
                b'G' => self.copy_nothing(body[0] == 1, extended),
                b'E' => answer.error = Some(fields(&body)),
                b'Z' => {
                    self.status = body[0];
                    return answer;
                }
                _ => {}
            }
        }
        answer.lost = true;
        answer
    }

    fn copy_nothing(&mut self, binary: bool, extended: bool) {
        let mut bytes = Vec::new();
        if binary {
            let mut data = b"PGCOPY\n\xff\r\n\0".to_vec();
            data.extend([0; 8]);
            data.extend([0xff, 0xff]);
            bytes.extend(message(b'd', &data));
        }
        bytes.extend(message(b'c', b""));
        if extended {
            // The Sync sent before belonged to the copy's input and was ignored.
            bytes.extend(message(b'S', b""));
        }
        self.raw.send(&bytes);
    }

    /// A type's name: OIDs of user-defined types differ between the two sides.
    pub fn type_name(&mut self, oid: u32) -> String {
        if oid < 16384 {
            return oid.to_string();
        }
        if let Some(name) = self.names.get(&oid) {
            return name.clone();
        }
        let answer = self.simple(&format!("SELECT typname FROM pg_type WHERE oid = {oid}"));
        let name = answer
            .outcomes
            .first()
            .and_then(|o| o.rows.first())
            .and_then(|r| r[0].as_ref())
            .map_or_else(|| format!("?{oid}"), |n| String::from_utf8_lossy(n).into_owned());
        self.names.insert(oid, name.clone());
        name
    }

    /// After DDL an OID may mean another type.
    pub fn forget_types(&mut self) {
        self.names.clear();
    }
}

fn columns(body: &[u8]) -> Vec<Column> {
    let mut rest = &body[2..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == 0).unwrap();
        let tail = &rest[end + 1..];
        found.push(Column {
            name: String::from_utf8_lossy(&rest[..end]).into_owned(),
            oid: u32::from_be_bytes(tail[6..10].try_into().unwrap()),
            typmod: i32::from_be_bytes(tail[12..16].try_into().unwrap()),
        });
        rest = &tail[18..];
    }
    found
}

fn row(body: &[u8]) -> Row {
    let count = u16::from_be_bytes([body[0], body[1]]);
    let mut at = 2;
    let mut values = Vec::with_capacity(count.into());
    for _ in 0..count {
        let length = i32::from_be_bytes(body[at..at + 4].try_into().unwrap());
        at += 4;
        if length < 0 {
            values.push(None);
        } else {
            values.push(Some(body[at..at + length as usize].to_vec()));
            at += length as usize;
        }
    }
    values
}

fn fields(body: &[u8]) -> Failure {
    let mut failure = Failure {
        code: String::new(),
        message: String::new(),
        detail: String::new(),
        constraint: String::new(),
    };
    for field in body.split(|b| *b == 0).filter(|f| !f.is_empty()) {
        let text = String::from_utf8_lossy(&field[1..]).into_owned();
        match field[0] {
            b'C' => failure.code = text,
            b'M' => failure.message = text,
            b'D' => failure.detail = text,
            b'n' => failure.constraint = text,
            _ => {}
        }
    }
    failure
}
