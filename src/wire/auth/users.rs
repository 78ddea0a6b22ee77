//! The users file: names, and what their passwords are checked against.
//!
//! Owns [`Users`]. It must never keep a password in clear after loading and never repeat a
//! value in an error. Start at [`Users::parse`].

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Digest;
use pgwire::api::auth::sasl::scram::{SCRAM_ITERATIONS, ScramSecret, gen_salted_password};
use subtle::ConstantTimeEq;

use crate::clock::Clock;
use crate::error::{Culprit, Error, Result, state};

/// The users and their verifiers.
#[derive(Clone, Default)]
pub struct Users(HashMap<String, Secret>);

/// What one user's password is checked against. A password given in clear leaves both
/// behind, a verifier only its own kind.
#[derive(Clone)]
pub(super) struct Secret {
    pub(super) scram: Option<Verifier>,
    pub(super) md5: Option<Md5>,
}

/// A SCRAM verifier.
#[derive(Clone)]
pub(super) struct Verifier {
    pub(super) salt: Vec<u8>,
    pub(super) iterations: usize,
    pub(super) stored_key: Vec<u8>,
    pub(super) server_key: Vec<u8>,
}

/// The MD5 of password and user name, in hexadecimal digits.
#[derive(Clone)]
pub(super) struct Md5([u8; 32]);

/// MD5 in PostgreSQL's form.
fn hex_md5(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = md5::Md5::new();
    parts.iter().for_each(|part| hash.update(part));
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(hash.finalize()) {
        for (digit, half) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
            *digit = b"0123456789abcdef".get(usize::from(half)).copied().unwrap_or(b'0');
        }
    }
    digits
}

impl Md5 {
    /// Reads `md5` and 32 digits, as PostgreSQL stores it.
    fn parse(text: &str) -> Option<Self> {
        let digits: [u8; 32] = text.strip_prefix("md5")?.as_bytes().try_into().ok()?;
        digits.iter().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f')).then_some(Self(digits))
    }

    fn from_password(user: &str, password: &str) -> Self {
        Self(hex_md5(&[password.as_bytes(), user.as_bytes()]))
    }

    /// Whether this is the answer to the salt.
    pub(super) fn answers(&self, salt: [u8; 4], answer: &[u8]) -> bool {
        let wanted = hex_md5(&[&self.0, &salt]);
        answer.strip_prefix(b"md5").is_some_and(|given| wanted.ct_eq(given).into())
    }

    fn is_of(&self, user: &str, password: &str) -> bool {
        Self::from_password(user, password).0.ct_eq(&self.0).into()
    }
}

impl Secret {
    fn from_password(user: &str, password: &str, clock: &Clock) -> Self {
        let mut salt = vec![0; 16];
        clock.random_bytes(&mut salt);
        Self {
            scram: Some(Verifier::from_password(password, salt)),
            md5: Some(Md5::from_password(user, password)),
        }
    }

    /// Whether this is the password.
    pub(super) fn is_of(&self, user: &str, password: &str) -> bool {
        match (&self.scram, &self.md5) {
            (Some(scram), _) => scram.is_of(password),
            (None, Some(md5)) => md5.is_of(user, password),
            (None, None) => false,
        }
    }
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

    /// Whether this is the password.
    pub(super) fn is_of(&self, password: &str) -> bool {
        let salted = gen_salted_password(password, &self.salt, self.iterations);
        let made =
            ScramSecret::verifier_from_salted_password(self.salt.clone(), salted, self.iterations);
        match made {
            ScramSecret::Verifier { stored_key, .. } => stored_key.ct_eq(&self.stored_key).into(),
            ScramSecret::SaltedPassword { .. } => false,
        }
    }

    pub(super) fn secret(&self) -> ScramSecret {
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
    /// Reads the users file: a TOML table `[users]` of name → SCRAM verifier, MD5 hash (both
    /// as in `pg_authid.rolpassword`) or password. Passwords become verifiers at once.
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
                let secret = if secret.starts_with("SCRAM-SHA-256$") {
                    let verifier = Verifier::parse(secret).ok_or_else(|| {
                        bad_file(format!("the verifier of user \"{name}\" is damaged"))
                    })?;
                    Secret { scram: Some(verifier), md5: None }
                } else if let Some(md5) = Md5::parse(secret) {
                    Secret { scram: None, md5: Some(md5) }
                } else {
                    Secret::from_password(name, secret, clock)
                };
                users.insert(name.clone(), secret);
            }
        }
        Ok(Self(users))
    }

    /// Adds or replaces a user with a password.
    pub fn set_password(&mut self, user: &str, password: &str, clock: &Clock) {
        self.0.insert(user.to_owned(), Secret::from_password(user, password, clock));
    }

    /// The user's secret.
    pub(super) fn get(&self, user: &str) -> Option<&Secret> {
        self.0.get(user)
    }

    /// Whether anybody can be asked for an MD5 answer.
    pub(super) fn any_md5(&self) -> bool {
        self.0.values().any(|secret| secret.md5.is_some())
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
        assert_eq!(users.0["ada"].scram.as_ref().map(|v| v.iterations), Some(4096));
        assert!(users.0["ada"].is_of("ada", "secret") && !users.0["ada"].is_of("ada", "x"));
        assert!(users.0["bob smith"].is_of("bob smith", "pw"));
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
    fn md5_hashes_are_those_of_postgresql() {
        let clock = Clock::manual(0, 1);
        // select 'md5' || md5('pw' || 'ada')
        let text = "[users]\nada = \"md5c08ced0f9e6671b1ec93f962e2c34274\"";
        let users = Users::parse(text, &clock).unwrap();
        assert!(users.0["ada"].scram.is_none() && users.0["ada"].is_of("ada", "pw"));
        let made = Md5::from_password("ada", "pw");
        let whole = format!("md5{}", std::str::from_utf8(&made.0).unwrap());
        let users = Users::parse(&format!("[users]\nada = \"{whole}\""), &clock).unwrap();
        assert!(users.0["ada"].is_of("ada", "pw") && !users.0["ada"].is_of("bob", "pw"));
        let answer = postgres_protocol::authentication::md5_hash(b"ada", b"pw", [1, 2, 3, 4]);
        assert!(made.answers([1, 2, 3, 4], answer.as_bytes()));
        assert!(!made.answers([1, 2, 3, 5], answer.as_bytes()));
        assert!(!made.answers([1, 2, 3, 4], b"pw"));
    }
}
