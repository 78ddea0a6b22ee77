//! The relay: frames between one client and one server session, copied as they are.
//!
//! Owns [`Relay`], which knows at every moment what the client still waits for; the bytes are
//! moved by [`super::exchange`]. Frames are scanned by type and length; looked into are only
//! ReadyForQuery, errors, changed settings, the names of prepared statements, and query texts for
//! those that have to be rewritten. It must never change another byte. Start at
//! [`Relay::from_client`].

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};

use super::rewrite::{Replaced, Rewrite, c_string, replacement};
use super::server::parse_error;
use super::tally::Tally;
use super::words::Traits;
use crate::error::{Culprit, Error, Result};
use crate::wire::{frame, frontend};

/// In larger query texts nobody looks for what they make of their session: they may make anything.
const LOOK_MAX: usize = 64 << 10;
/// Bytes of prepared statements remembered for one session.
const STATEMENTS_MAX: usize = 16 << 20;
/// Largest frame of a server that is looked into.
const ANSWER_MAX: usize = 1 << 20;
/// Largest frame of a server: PostgreSQL's own limit.
const FRAME_MAX: usize = 0x3fff_ffff;

/// What the client waits for, in order.
#[derive(Debug)]
enum Expected {
    /// ParseComplete; name and body of a named statement's Parse.
    Parse(Option<(Bytes, Bytes)>),
    /// CloseComplete of a statement.
    Close(Bytes),
    /// ReadyForQuery after Sync.
    Sync,
    /// ReadyForQuery after Query or FunctionCall.
    Query,
}

/// What passes between one client and one server session.
#[derive(Debug)]
pub struct Relay {
    expected: VecDeque<Expected>,
    /// Extended messages were sent since the last Sync.
    in_batch: bool,
    copying_in: bool,
    status: u8,
    client_left: usize,
    /// Some of a message is here that may pass, and not enough of it: more has to be read.
    partial: bool,
    server_left: usize,
    /// Bodies of the Parse messages of named statements, by name.
    statements: Arc<HashMap<Bytes, Bytes>>,
    statement_bytes: usize,
    /// Body of the unnamed statement's Parse.
    unnamed: Option<BytesMut>,
    /// What passed since somebody asked.
    made: Traits,
    /// What the statements that are prepared by name may make when they run, and the unnamed one.
    prepared: [Traits; 2],
    terminated: bool,
    fatal: Option<Error>,
    settings: Vec<(String, String)>,
    tally: Tally,
}

/// What a lost server session leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Debt {
    /// ReadyForQuery messages the client waits for.
    pub ready: usize,
    /// The client has sent part of a batch: the rest up to Sync is to be skipped.
    pub in_batch: bool,
    /// A transaction block was open.
    pub in_transaction: bool,
    /// A frame was cut in the middle: the client cannot be told anything any more.
    pub cut: bool,
    /// A message of the client was passed on in part: the rest of it is still to come.
    pub cut_client: bool,
}

impl Relay {
    /// A relay over a fresh server session with this transaction status.
    pub fn new(status: u8) -> Self {
        Self {
            expected: VecDeque::new(),
            in_batch: false,
            copying_in: false,
            status,
            client_left: 0,
            partial: false,
            server_left: 0,
            statements: Arc::default(),
            statement_bytes: 0,
            unnamed: None,
            made: Traits::default(),
            prepared: [Traits::default(); 2],
            terminated: false,
            fatal: None,
            settings: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Passes whole messages (and the pieces of long ones) from the client. With `hold`
    /// nothing new begins: only what was begun, or belongs to an open transaction, passes.
    ///
    /// # Errors
    /// 08P01, fatal, for a frame that no client may send.
    pub fn from_client(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
        (max_message, hold): (usize, bool),
        rewrite: Rewrite<'_>,
    ) -> Result<()> {
        loop {
            let mut at = 0;
            let outcome = self.scan_client(input, &mut at, (max_message, hold), &mut *rewrite);
            pass(input, output, at);
            match outcome? {
                None => return Ok(()),
                // Another frame goes in the place of the one that comes next.
                Some(Replaced { length, frame }) => {
                    input.advance(length);
                    output.extend_from_slice(&frame);
                }
            }
        }
    }

    /// Whether a Query or Parse may begin in what the client has sent.
    pub fn carries_text(&self, input: &[u8]) -> bool {
        let mut at = self.client_left;
        while let Some(kind) = input.get(at) {
            if matches!(kind, b'Q' | b'P') {
                return true;
            }
            let Some(length) = input.get(at + 1..at + 5).and_then(|b| b.try_into().ok()) else {
                return false;
            };
            let length = u32::from_be_bytes(length) as usize;
            // A length of less than its own four bytes is refused where frames are taken.
            at = at.saturating_add(1 + length.max(4));
        }
        false
    }

    fn scan_client(
        &mut self,
        input: &[u8],
        at: &mut usize,
        (max_message, hold): (usize, bool),
        rewrite: Rewrite<'_>,
    ) -> Result<Option<Replaced>> {
        loop {
            if self.client_left > 0 {
                let n = self.client_left.min(input.len() - *at);
                *at += n;
                self.client_left -= n;
                if self.client_left > 0 {
                    return Ok(None);
                }
            }
            let rest = input.get(*at..).unwrap_or_default();
            self.partial = false;
            let Some(kind) = rest.first().copied() else { return Ok(None) };
            let max = frontend::limit(kind, max_message)?;
            let Some((_, total)) = frame::scan(rest, max)? else {
                self.partial = !hold;
                return Ok(None);
            };
            if self.terminated || (hold && !self.is_begun()) {
                return Ok(None);
            }
            let body = rest.get(5..total);
            // A text in SQLite's dialect is one whatever its length.
            let wanted = matches!(kind, b'P' | b'C' | b'Q');
            if wanted && body.is_none() {
                self.partial = true;
                return Ok(None);
            }
            match kind {
                b'X' => {
                    self.terminated = true;
                    return Ok(None);
                }
                b'P' => self.parse(body.unwrap_or_default()),
                b'C' => self.close(body.unwrap_or_default()),
                b'B' => self.bind(body),
                b'D' | b'E' => self.in_batch = true,
                b'S' if !self.copying_in => {
                    self.in_batch = false;
                    self.expected.push_back(Expected::Sync);
                }
                b'Q' | b'F' => {
                    self.look(body);
                    self.expected.push_back(Expected::Query);
                }
                b'c' | b'f' => self.copying_in = false,
                _ => {}
            }
            if matches!(kind, b'P' | b'Q')
                && let Some(frame) = replacement(kind, body.unwrap_or_default(), &mut *rewrite)
            {
                return Ok(Some(Replaced { length: total, frame }));
            }
            self.client_left = total;
        }
    }

    fn parse(&mut self, body: &[u8]) {
        self.in_batch = true;
        let name = c_string(body);
        self.prepares(name, body);
        if name.is_empty() {
            let unnamed = self.unnamed.get_or_insert_default();
            unnamed.clear();
            unnamed.extend_from_slice(body);
            self.expected.push_back(Expected::Parse(None));
            return;
        }
        let entry = (Bytes::copy_from_slice(name), Bytes::copy_from_slice(body));
        self.expected.push_back(Expected::Parse(Some(entry)));
    }

    fn prepares(&mut self, name: &[u8], body: &[u8]) {
        let traits = self.look(body.get(name.len() + 1..).map(c_string));
        if name.is_empty() {
            self.prepared[1] = traits;
        } else {
            self.prepared[0].add(traits);
        }
    }

    fn close(&mut self, body: &[u8]) {
        self.in_batch = true;
        if let [b'S', name @ ..] = body {
            let name = c_string(name);
            self.expected.push_back(Expected::Close(Bytes::copy_from_slice(name)));
        }
    }

    /// Looks for words after which the session may hold something that cannot move, or is not
    /// what it was set up as.
    fn look(&mut self, text: Option<&[u8]>) -> Traits {
        let traits = text.filter(|t| t.len() <= LOOK_MAX).map_or(Traits::ALL, Traits::of);
        self.made.add(traits);
        traits
    }

    /// A statement that was prepared some time ago is to run.
    fn bind(&mut self, body: Option<&[u8]>) {
        self.in_batch = true;
        let [named, unnamed] = self.prepared;
        if named.is_none() && unnamed.is_none() {
            return;
        }
        let statement = body.and_then(|body| {
            let portal = body.split(|b| *b == 0).next()?;
            body.get(portal.len() + 1..)?.first()
        });
        match statement {
            Some(0) => self.made.add(unnamed),
            Some(_) => self.made.add(named),
            None => {
                self.made.add(named);
                self.made.add(unnamed);
            }
        }
    }

    /// Passes frames from the server.
    ///
    /// # Errors
    /// 08P01 when a frame's length is out of bounds: the server cannot be trusted any more.
    pub fn from_server(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Result<()> {
        let mut at = 0;
        let outcome = self.scan_server(input, &mut at);
        pass(input, output, at);
        outcome
    }

    fn scan_server(&mut self, input: &[u8], at: &mut usize) -> Result<()> {
        loop {
            if self.server_left > 0 {
                let n = self.server_left.min(input.len() - *at);
                *at += n;
                self.server_left -= n;
                if self.server_left > 0 {
                    return Ok(());
                }
            }
            let rest = input.get(*at..).unwrap_or_default();
            let Some((kind, total)) = frame::scan(rest, FRAME_MAX)? else { return Ok(()) };
            if matches!(kind, b'Z' | b'S' | b'E' | b'C') && total <= ANSWER_MAX {
                let Some(body) = rest.get(5..total) else { return Ok(()) };
                match kind {
                    b'Z' => self.ready(body.first().copied().unwrap_or(b'I')),
                    b'S' => self.changed(body),
                    b'C' => self.tally.completed(body),
                    _ if self.failed(body) => return Ok(()),
                    _ => {}
                }
            }
            match kind {
                b'1' => self.parsed(),
                b'3' => self.closed(),
                b'G' => self.copy_begins(),
                _ => {}
            }
            self.server_left = total;
        }
    }

    fn ready(&mut self, status: u8) {
        self.status = status;
        self.copying_in = false;
        while let Some(expected) = self.expected.pop_front() {
            if matches!(expected, Expected::Sync | Expected::Query) {
                return;
            }
        }
    }

    fn changed(&mut self, body: &[u8]) {
        let mut parts = body.split(|b| *b == 0);
        if let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            self.settings.push((text(name), text(value)));
        }
    }

    /// Whether it was the session's last word, which does not pass.
    fn failed(&mut self, body: &[u8]) -> bool {
        self.copying_in = false;
        self.tally.failed();
        let error = parse_error(body, Culprit::Primary);
        let fatal = error.fields().fatal;
        if fatal {
            self.fatal = Some(error);
        }
        fatal
    }

    fn parsed(&mut self) {
        while let Some(expected) = self.expected.front() {
            if matches!(expected, Expected::Sync | Expected::Query) {
                return;
            }
            match self.expected.pop_front() {
                Some(Expected::Parse(Some((name, body)))) => return self.remember(name, body),
                Some(Expected::Parse(None)) => return,
                _ => {}
            }
        }
    }

    fn closed(&mut self) {
        // A portal's CloseComplete has no entry.
        if let Some(Expected::Close(_)) = self.expected.front()
            && let Some(Expected::Close(name)) = self.expected.pop_front()
        {
            self.forget(&name);
        }
    }

    /// Syncs that were sent before the client knew that it was a COPY are not answered.
    fn copy_begins(&mut self) {
        self.copying_in = true;
        let simple = self
            .expected
            .iter()
            .find(|e| matches!(e, Expected::Sync | Expected::Query))
            .is_some_and(|e| matches!(e, Expected::Query));
        if !simple {
            self.expected.retain(|e| !matches!(e, Expected::Sync));
            self.in_batch = true;
        }
    }

    /// Notes a named statement of the server session.
    pub fn remember(&mut self, name: Bytes, body: Bytes) {
        // It may have been prepared on another server session, and be run on this one.
        self.prepares(&name, &body);
        if name.is_empty() {
            self.unnamed = Some(BytesMut::from(&body[..]));
            return;
        }
        self.forget(&name.clone());
        if self.statement_bytes + body.len() <= STATEMENTS_MAX {
            self.statement_bytes += body.len();
            Arc::make_mut(&mut self.statements).insert(name, body);
        } else {
            // Nobody could make it anew.
            self.made.add(Traits::ALL);
        }
    }

    /// Forgets a statement: the server session does not have it.
    pub fn forget(&mut self, name: &Bytes) {
        if name.is_empty() {
            self.unnamed = None;
        } else if self.statements.contains_key(name)
            && let Some(old) = Arc::make_mut(&mut self.statements).remove(name)
        {
            self.statement_bytes -= old.len();
        }
    }

    /// Bodies of the Parse messages by which the known statements can be made anew.
    pub fn statements(&self) -> impl Iterator<Item = &[u8]> {
        let unnamed = self.unnamed.as_deref().into_iter();
        self.statements.values().map(|body| &body[..]).chain(unnamed)
    }

    /// Named statements of the server session: bodies of their Parse messages.
    pub fn named(&self) -> &Arc<HashMap<Bytes, Bytes>> {
        &self.statements
    }

    /// Body of the Parse message of the unnamed statement.
    pub fn unnamed(&self) -> Option<&[u8]> {
        self.unnamed.as_deref()
    }

    /// Notes that a message of ours went to the server whose ReadyForQuery is the client's.
    pub fn sent_query(&mut self, text: &str) {
        self.look(Some(text.as_bytes()));
        self.expected.push_back(Expected::Query);
    }

    /// Notes that extended messages of the client's batch went to the server already.
    pub fn sent_part_of_batch(&mut self) {
        self.in_batch = true;
    }

    /// Whether a message now passed would belong to something begun before.
    pub fn is_begun(&self) -> bool {
        self.in_batch || self.copying_in || (self.expected.is_empty() && self.status != b'I')
    }

    /// Between transactions: nothing is under way in either direction.
    pub fn is_idle(&self) -> bool {
        self.status == b'I'
            && self.expected.is_empty()
            && !self.in_batch
            && !self.copying_in
            && self.client_left == 0
            && !self.partial
            && self.server_left == 0
    }

    /// The transaction status last told: `I`, `T` or `E`.
    pub fn status(&self) -> u8 {
        self.status
    }

    /// Whether an answer is on its way to the client.
    pub fn is_waiting(&self) -> bool {
        !self.expected.is_empty() || self.in_batch
    }

    /// Whether the client has said good-bye.
    pub fn is_terminated(&self) -> bool {
        self.terminated
    }

    /// The error with which the server ended the session, once.
    pub fn take_fatal(&mut self) -> Option<Error> {
        self.fatal.take()
    }

    /// Whether the server has ended the session.
    pub fn has_ended(&self) -> bool {
        self.fatal.is_some()
    }

    /// Whether something passed after which a fresh server session would not be the same: what
    /// the client has set, prepared by SQL or listens to there.
    pub fn is_altered(&self) -> bool {
        self.made.altering
    }

    /// Whether something passed that PostgreSQL does not list among the session's settings.
    pub fn has_hidden(&self) -> bool {
        self.made.hiding || self.made.unseen
    }

    /// The same, where it was seen and not only possible.
    pub fn hides(&self) -> bool {
        self.made.hiding
    }

    /// Like [`Relay::is_altered`], since the last call.
    pub fn take_altered(&mut self) -> bool {
        std::mem::take(&mut self.made.altering)
    }

    /// Whether something passed since the last call after which the session may hold what
    /// cannot move.
    pub fn take_suspect(&mut self) -> bool {
        std::mem::take(&mut self.made.suspect)
    }

    /// Changes of settings that were told to the client since the last call.
    pub fn take_settings(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.settings)
    }

    /// Statements that ended since the last call, for the metrics.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// What the client is owed when the server session is lost now.
    pub fn debt(&self) -> Debt {
        let waited = |e: &&Expected| matches!(e, Expected::Sync | Expected::Query);
        Debt {
            ready: self.expected.iter().filter(waited).count(),
            in_batch: self.in_batch,
            in_transaction: self.status != b'I',
            cut: self.server_left > 0,
            cut_client: self.client_left > 0,
        }
    }
}

/// Moves the first `n` bytes from one buffer to the other, without copying when it can.
fn pass(input: &mut BytesMut, output: &mut BytesMut, n: usize) {
    if n == 0 {
        return;
    }
    if n == input.len() && output.is_empty() {
        std::mem::swap(input, output);
        input.clear();
    } else {
        output.extend_from_slice(&input[..n]);
        input.advance(n);
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![kind];
        out.put_u32(u32::try_from(body.len()).unwrap() + 4);
        out.extend_from_slice(body);
        out
    }

    fn client(relay: &mut Relay, bytes: &[u8]) -> Vec<u8> {
        let (mut input, mut output) = (BytesMut::from(bytes), BytesMut::new());
        relay
            .from_client(&mut input, &mut output, (1 << 20, false), &mut |_, _| None)
            .expect("frames");
        output.to_vec()
    }

    fn server(relay: &mut Relay, frames: &[(u8, &[u8])]) {
        let bytes: Vec<u8> = frames.iter().flat_map(|(k, b)| frame(*k, b)).collect();
        let (mut input, mut output) = (BytesMut::from(&bytes[..]), BytesMut::new());
        relay.from_server(&mut input, &mut output).expect("frames");
        assert_eq!(output, bytes);
    }

    /// The rewriter is asked only where it was announced, wherever the stream is cut.
    #[test]
    fn a_text_never_comes_unannounced() {
        let stream = [
            frame(b'P', b"s1\0SELECT 1\0\0\0"),
            frame(b'B', b"\0s1\0\0\0\0\0\0\0PQ"),
            frame(b'S', b""),
            frame(b'd', &[b'Q'; 40]),
            frame(b'Q', b"SELECT 2\0"),
            frame(b'H', b""),
        ]
        .concat();
        for size in 1..stream.len() {
            let (mut relay, mut texts) = (Relay::new(b'I'), 0);
            let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
            for piece in stream.chunks(size) {
                input.extend_from_slice(piece);
                let announced = relay.carries_text(&input);
                let mut rewrite = |_: &str, _: &[u32]| {
                    assert!(announced, "in pieces of {size}");
                    texts += 1;
                    None
                };
                let limits = (1 << 20, false);
                relay.from_client(&mut input, &mut output, limits, &mut rewrite).expect("frames");
            }
            assert_eq!((texts, &output[..]), (2, &stream[..]), "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_outstanding_is_counted() {
        let mut relay = Relay::new(b'I');
        let batch = [
            frame(b'P', b"s1\0SELECT 1\0\0\0"),
            frame(b'B', b"\0s1\0\0\0\0\0\0\0"),
            frame(b'E', b"\0\0\0\0\0"),
        ]
        .concat();
        assert_eq!(client(&mut relay, &batch), batch);
        assert!(!relay.is_idle() && relay.debt().in_batch);
        client(&mut relay, &frame(b'S', b""));
        client(&mut relay, &frame(b'Q', b"BEGIN\0"));
        assert_eq!(relay.debt().ready, 2);
        server(&mut relay, &[(b'1', b""), (b'2', b""), (b'C', b"SELECT 1\0"), (b'Z', b"I")]);
        assert!(!relay.is_idle());
        assert_eq!(relay.statements().collect::<Vec<_>>(), [b"s1\0SELECT 1\0\0\0"]);
        server(&mut relay, &[(b'C', b"BEGIN\0"), (b'Z', b"T")]);
        assert!(!relay.is_idle() && relay.debt().in_transaction);
        client(&mut relay, &frame(b'Q', b"COMMIT\0"));
        server(&mut relay, &[(b'C', b"COMMIT\0"), (b'Z', b"I")]);
        assert!(relay.is_idle());
    }

    #[test]
    fn only_statements_that_were_made_are_remembered() {
        let mut relay = Relay::new(b'I');
        let batch = [
            frame(b'P', b"bad\0SELEC\0\0\0"),
            frame(b'P', b"skipped\0SELECT 1\0\0\0"),
            frame(b'S', b""),
            frame(b'P', b"good\0SELECT 2\0\0\0"),
            frame(b'C', b"Sgone\0"),
            frame(b'S', b""),
        ];
        client(&mut relay, &batch.concat());
        relay.remember(Bytes::from_static(b"gone"), Bytes::from_static(b"gone\0x\0\0\0"));
        let error = b"SERROR\0VERROR\0C42601\0Mno\0\0";
        server(&mut relay, &[(b'E', error), (b'Z', b"I"), (b'1', b""), (b'3', b""), (b'Z', b"I")]);
        assert_eq!(relay.statements().collect::<Vec<_>>(), [b"good\0SELECT 2\0\0\0"]);
        assert!(relay.is_idle());
    }

    #[test]
    fn a_sync_sent_ahead_of_copy_is_not_waited_for() {
        let mut relay = Relay::new(b'I');
        client(
            &mut relay,
            &[frame(b'B', b"\0\0\0\0\0\0\0\0"), frame(b'E', b"\0\0\0\0\0"), frame(b'S', b"")]
                .concat(),
        );
        server(&mut relay, &[(b'2', b""), (b'G', b"\0\0\0")]);
        client(&mut relay, &frame(b'd', b"1\n"));
        assert!(!relay.is_idle());
        client(&mut relay, &[frame(b'c', b""), frame(b'S', b"")].concat());
        server(&mut relay, &[(b'C', b"COPY 1\0"), (b'Z', b"I")]);
        assert!(relay.is_idle());
        // In the simple protocol the one ReadyForQuery comes at the end.
        client(&mut relay, &frame(b'Q', b"COPY t FROM STDIN\0"));
        server(&mut relay, &[(b'G', b"\0\0\0")]);
        client(&mut relay, &frame(b'c', b""));
        assert!(!relay.is_idle());
        server(&mut relay, &[(b'C', b"COPY 0\0"), (b'Z', b"I")]);
        assert!(relay.is_idle());
    }

    #[test]
    fn nothing_begins_while_held() {
        let mut relay = Relay::new(b'I');
        let bytes = [frame(b'Q', b"SELECT 1\0"), frame(b'S', b"")].concat();
        let (mut input, mut output) = (BytesMut::from(&bytes[..]), BytesMut::new());
        relay
            .from_client(&mut input, &mut output, (1 << 20, true), &mut |_, _| None)
            .expect("frames");
        assert!(output.is_empty() && input == bytes && relay.is_idle());
        let mut relay = Relay::new(b'T');
        relay
            .from_client(&mut input, &mut output, (1 << 20, true), &mut |_, _| None)
            .expect("frames");
        // The next one waits until it is known whether the transaction goes on.
        assert_eq!(output, bytes[..bytes.len() - 5]);
    }

    #[test]
    fn the_last_word_of_a_server_does_not_pass() {
        let mut relay = Relay::new(b'I');
        let last = frame(b'E', b"SFATAL\0VFATAL\0C57P01\0Mterminating\0\0");
        let (mut input, mut output) = (BytesMut::from(&last[..]), BytesMut::new());
        relay.from_server(&mut input, &mut output).expect("frames");
        assert!(output.is_empty() && relay.has_ended());
        assert_eq!(relay.take_fatal().map(|e| e.sqlstate().to_string()).as_deref(), Some("57P01"));
    }

    proptest! {
        /// However the bytes are cut, the same bytes come out and the same is known.
        #[test]
        fn cuts_change_nothing(cuts in proptest::collection::vec(1_usize..40, 1..30)) {
            let sent = [
                frame(b'P', b"a\0SELECT 1\0\0\0"), frame(b'D', b"Sa\0"), frame(b'S', b""),
                frame(b'Q', b"COPY t FROM STDIN\0"), frame(b'd', &[b'x'; 90]), frame(b'c', b""),
                frame(b'C', b"Sa\0"), frame(b'S', b""),
            ].concat();
            let answers = [
                frame(b'1', b""), frame(b't', b"\0\0"), frame(b'n', b""), frame(b'Z', b"I"),
                frame(b'G', b"\0\0\0"), frame(b'C', b"COPY 9\0"), frame(b'S', b"TimeZone\0UTC\0"),
                frame(b'Z', b"I"), frame(b'3', b""), frame(b'Z', b"I"),
            ].concat();
            let mut relay = Relay::new(b'I');
            let mut passed = BytesMut::new();
            let mut feed = |bytes: &[u8], relay: &mut Relay, up: bool| {
                let (mut input, mut rest) = (BytesMut::new(), bytes);
                let mut cuts = cuts.iter().cycle();
                passed.clear();
                while !rest.is_empty() {
                    let n = (*cuts.next().unwrap()).min(rest.len());
                    input.extend_from_slice(&rest[..n]);
                    rest = &rest[n..];
                    if up {
                        relay.from_client(&mut input, &mut passed, (1 << 20, false), &mut |_, _| None).unwrap();
                    } else {
                        relay.from_server(&mut input, &mut passed).unwrap();
                    }
                }
                assert_eq!(&passed[..], bytes);
            };
            feed(&sent, &mut relay, true);
            prop_assert_eq!(relay.debt().ready, 3);
            feed(&answers, &mut relay, false);
            prop_assert!(relay.is_idle() && relay.statements().next().is_none());
            prop_assert_eq!(relay.take_settings(), vec![("TimeZone".to_owned(), "UTC".to_owned())]);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut relay = Relay::new(b'I');
            let mut output = BytesMut::new();
            let _ = relay.from_client(&mut BytesMut::from(&bytes[..]), &mut output, (1 << 20, false), &mut |_, _| None);
            let _ = relay.from_server(&mut BytesMut::from(&bytes[..]), &mut output);
        }
    }
}
