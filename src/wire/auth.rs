//! Who may log in: SCRAM-SHA-256 against a users file, or trust.
//!
//! Owns [`Auth`] and [`Users`]. It must never keep a password in clear after loading,
//! never tell an unknown user from a wrong password, and never log either. Whether
//! trust is allowed for an address is the configuration's check. Start at [`Auth`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, BytesMut};
use parking_lot::RwLock;
use pgwire::api::auth::sasl::scram::{
    SCRAM_ITERATIONS, ScramSecret, ScramServerAuth, gen_salted_password,
};
use pgwire::error::PgWireError;
use sha2::{Digest, Sha256};

use super::connection::Connection;
use super::frontend::Reader;
use super::tls::Tls;
use super::write;
use crate::clock::Clock;
use crate::error::{Culprit, Error, Result, state};

const SCRAM: &str = "SCRAM-SHA-256";
const SCRAM_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// How clients prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// SCRAM-SHA-256, with channel binding where TLS is on.
    Scram,
    /// Nobody is asked.
    Trust,
}

/// The users and their verifiers.
#[derive(Clone, Default)]
pub struct Users(HashMap<String, Verifier>);

#[derive(Clone)]
struct Verifier {
    salt: Vec<u8>,
    iterations: usize,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl Verifier {
    /// Reads `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`.
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (head, keys) = rest.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let verifier = Self {
            salt: STANDARD.decode(salt).ok()?,
            iterations: iterations.parse().ok().filter(|n| (1..=10_000_000).contains(n))?,
            stored_key: STANDARD.decode(stored_key).ok()?,
            server_key: STANDARD.decode(server_key).ok()?,
        };
        let whole = verifier.stored_key.len() == 32 && verifier.server_key.len() == 32;
        (whole && !verifier.salt.is_empty()).then_some(verifier)
    }

    fn from_password(password: &str, salt: Vec<u8>) -> Self {
        let salted = gen_salted_password(password, &salt, SCRAM_ITERATIONS);
        match ScramSecret::verifier_from_salted_password(salt, salted, SCRAM_ITERATIONS) {
            ScramSecret::Verifier { salt, iterations, stored_key, server_key } => {
                Self { salt, iterations, stored_key, server_key }
            }
            ScramSecret::SaltedPassword { salt, .. } => Self {
                salt,
                iterations: SCRAM_ITERATIONS,
                stored_key: Vec::new(),
                server_key: Vec::new(),
            },
        }
    }

    fn secret(&self) -> ScramSecret {
        ScramSecret::Verifier {
            salt: self.salt.clone(),
            iterations: self.iterations,
            stored_key: self.stored_key.clone(),
            server_key: self.server_key.clone(),
        }
    }
}

/// The verifier of a password, as PostgreSQL stores it in `pg_authid.rolpassword` and as
/// the users file takes it.
pub fn make_verifier(password: &str, clock: &Clock) -> String {
    let mut salt = vec![0; 16];
    clock.random_bytes(&mut salt);
    let v = Verifier::from_password(password, salt);
    format!(
        "SCRAM-SHA-256${}:{}${}:{}",
        v.iterations,
        STANDARD.encode(&v.salt),
        STANDARD.encode(&v.stored_key),
        STANDARD.encode(&v.server_key)
    )
}

impl Users {
    /// Reads the users file: a TOML table `[users]` of name → SCRAM verifier or password.
    /// Passwords become verifiers at once.
    ///
    /// # Errors
    /// F0000; the message never repeats a value.
    pub fn parse(text: &str, clock: &Clock) -> Result<Self> {
        let table: toml::Table = toml::from_str(text).map_err(|e: toml::de::Error| {
            let line = e.span().map_or(0, |span| {
                text.get(..span.start).unwrap_or_default().matches('\n').count() + 1
            });
            bad_file(format!("the users file is not valid TOML near line {line}"))
        })?;
        let mut users = HashMap::new();
        for (key, value) in &table {
            let toml::Value::Table(entries) = value else {
                return Err(bad_file(format!("unexpected key \"{key}\" in the users file"))
                    .hint("List the users in a table [users], as name = \"verifier\"."));
            };
            if key != "users" {
                return Err(bad_file(format!("unexpected table [{key}] in the users file")));
            }
            for (name, secret) in entries {
                let Some(secret) = secret.as_str().filter(|s| !s.is_empty()) else {
                    return Err(bad_file(format!("user \"{name}\" has no password")));
                };
                let verifier = if secret.starts_with("SCRAM-SHA-256$") {
                    Verifier::parse(secret).ok_or_else(|| {
                        bad_file(format!("the verifier of user \"{name}\" is damaged"))
                    })?
                } else {
                    let mut salt = vec![0; 16];
                    clock.random_bytes(&mut salt);
                    Verifier::from_password(secret, salt)
                };
                users.insert(name.clone(), verifier);
            }
        }
        Ok(Self(users))
    }

    /// Adds or replaces a user with a password.
    pub fn set_password(&mut self, user: &str, password: &str, clock: &Clock) {
        let mut salt = vec![0; 16];
        clock.random_bytes(&mut salt);
        self.0.insert(user.to_owned(), Verifier::from_password(password, salt));
    }

    /// Number of users.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody can log in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Users({})", self.0.len())
    }
}

fn bad_file(message: String) -> Error {
    Error::new(Culprit::Proxy, state::CONFIG_FILE_ERROR, message)
}

/// The check a client passes before its session starts.
pub struct Auth {
    method: Method,
    users: RwLock<Arc<Users>>,
    /// How long a refusal is held back.
    delay: Duration,
    /// Gives unknown users a salt that stays the same, so that they look like others.
    mock_key: [u8; 32],
}

impl Auth {
    /// A check by `method`; `users` is not looked at under trust.
    pub fn new(method: Method, users: Users, clock: &Clock) -> Self {
        let mut mock_key = [0; 32];
        clock.random_bytes(&mut mock_key);
        let delay = Duration::from_millis(200);
        Self { method, users: RwLock::new(Arc::new(users)), delay, mock_key }
    }

    /// Replaces the users (reload).
    pub fn set_users(&self, users: Users) {
        *self.users.write() = Arc::new(users);
    }

    /// The method in force.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Runs the exchange. `Ok(false)` means the client went away in the middle. On
    /// success AuthenticationOk is in the output buffer, not yet sent.
    pub(super) async fn run(
        &self,
        connection: &mut Connection,
        user: &str,
        tls: Option<&Tls>,
    ) -> Result<bool> {
        match self.method {
            Method::Trust => {}
            Method::Scram => match self.scram(connection, user, tls).await {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) => {
                    tracing::info!(user, peer = %connection.peer(), "authentication failed");
                    tokio::time::sleep(self.delay).await;
                    return Err(error);
                }
            },
        }
        authentication(connection.out(), 0, b"");
        Ok(true)
    }

    /// What the proof is checked against; for unknown users a verifier nobody can meet.
    fn secret(&self, user: &str) -> (ScramSecret, bool) {
        let users = Arc::clone(&self.users.read());
        if let Some(verifier) = users.0.get(user) {
            return (verifier.secret(), true);
        }
        let derive = |label: &[u8]| {
            let mut hash = Sha256::new();
            hash.update(self.mock_key);
            hash.update(label);
            hash.update(user.as_bytes());
            hash.finalize().to_vec()
        };
        let mut salt = derive(b"salt");
        salt.truncate(16);
        let secret = ScramSecret::Verifier {
            salt,
            iterations: SCRAM_ITERATIONS,
            stored_key: derive(b"stored"),
            server_key: derive(b"server"),
        };
        (secret, false)
    }

    async fn scram(
        &self,
        connection: &mut Connection,
        user: &str,
        tls: Option<&Tls>,
    ) -> Result<bool> {
        let mut server = ScramServerAuth::new();
        // Binding works for certificates signed with RSA or ECDSA; for others it is not offered.
        let binding =
            tls.is_some_and(|t| server.configure_certificate(t.certificate_pem()).is_ok());
        let mut offer = Vec::new();
        if binding {
            offer.extend_from_slice(SCRAM_PLUS.as_bytes());
            offer.push(0);
        }
        offer.extend_from_slice(SCRAM.as_bytes());
        offer.extend_from_slice(b"\0\0");
        authentication(connection.out(), 10, &offer);
        connection.flush().await?;

        let Some(body) = connection.read_auth().await? else { return Ok(false) };
        let mut reader = Reader::new(body);
        let mechanism = reader.text()?;
        let length =
            usize::try_from(reader.u32()? as i32).map_err(|_| malformed("no initial response"))?;
        let first = reader.bytes(length)?;
        reader.end()?;
        let bound = first.starts_with(b"p=");
        match mechanism.as_str() {
            SCRAM_PLUS if binding && bound => {}
            SCRAM if !bound => {}
            SCRAM | SCRAM_PLUS => return Err(malformed("channel binding does not match")),
            _ => {
                let message = "client selected an invalid SASL authentication mechanism";
                return Err(Error::client(state::PROTOCOL_VIOLATION, message).fatal());
            }
        }
        let (secret, known) = self.secret(user);
        let (reply, waiting) = server
            .on_client_first_message_with_secret(&first, secret)
            .map_err(|e| refused(user, &e))?;
        authentication(connection.out(), 11, reply.as_bytes());
        connection.flush().await?;

        let Some(last) = connection.read_auth().await? else { return Ok(false) };
        let done = waiting.on_client_final_message(&last).map_err(|e| refused(user, &e))?;
        if !known {
            return Err(wrong_password(user));
        }
        authentication(connection.out(), 12, done.as_bytes());
        Ok(true)
    }
}

/// A message of the authentication exchange (`R`).
fn authentication(out: &mut BytesMut, code: i32, data: &[u8]) {
    let mark = write::begin(out, b'R');
    out.put_i32(code);
    out.put_slice(data);
    write::end(out, &mark);
}

fn wrong_password(user: &str) -> Error {
    let message = format!("password authentication failed for user \"{user}\"");
    Error::client(state::INVALID_PASSWORD, message).fatal()
}

fn malformed(detail: &str) -> Error {
    Error::client(state::PROTOCOL_VIOLATION, "malformed SCRAM message").detail(detail).fatal()
}

/// The library's texts differ from PostgreSQL's and may quote the client's bytes.
fn refused(user: &str, error: &PgWireError) -> Error {
    match error {
        PgWireError::InvalidPassword(_) => wrong_password(user),
        _ => malformed("The client's message could not be understood."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_file_takes_verifiers_and_passwords() {
        let clock = Clock::manual(0, 1);
        let verifier = make_verifier("secret", &clock);
        assert!(Verifier::parse(&verifier).is_some());
        let text = format!("[users]\nada = \"{verifier}\"\n\"bob smith\" = \"pw\"\n");
        let users = Users::parse(&text, &clock).unwrap();
        assert_eq!(users.len(), 2);
        assert_eq!(format!("{users:?}"), "Users(2)");
        assert_eq!(users.0["ada"].iterations, 4096);
    }

    #[test]
    fn a_damaged_users_file_is_refused_without_quoting_it() {
        let clock = Clock::manual(0, 1);
        for text in [
            "[users]\nada = \"SCRAM-SHA-256$4096:xx$topsecret:yy\"",
            "[users]\nada = 5",
            "[users]\nada = \"\"",
            "ada = \"topsecret\"",
            "[others]\nada = \"topsecret\"",
            "[users]\nada = \"topsecret",
        ] {
            let error = Users::parse(text, &clock).unwrap_err();
            assert_eq!(error.sqlstate(), state::CONFIG_FILE_ERROR);
            assert!(!format!("{error:?}").contains("topsecret"), "{error:?}");
        }
    }

    #[test]
    fn unknown_users_get_a_stable_salt() {
        let auth = Auth::new(Method::Scram, Users::default(), &Clock::manual(0, 1));
        let salt = |user| match auth.secret(user) {
            (ScramSecret::Verifier { salt, .. }, false) => salt,
            _ => Vec::new(),
        };
        assert_eq!(salt("a").len(), 16);
        assert_eq!(salt("a"), salt("a"));
        assert_ne!(salt("a"), salt("b"));
    }
}
