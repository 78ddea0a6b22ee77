//! Who may log in: SCRAM-SHA-256, MD5 or a password against a users file, or trust.
//!
//! Owns [`Auth`]. It must never tell an unknown user from a wrong password, and never log
//! either. Whether trust is allowed for an address is the configuration's check. Start at
//! [`Auth`].

mod password;
mod scram;
mod users;

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use parking_lot::RwLock;

use super::connection::Connection;
use super::tls::Tls;
use super::write;
use crate::clock::{Clock, PerMinute};
use crate::error::{Error, Result, state};

pub use users::{Users, make_verifier};

/// How clients prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// SCRAM-SHA-256, with channel binding where TLS is on.
    Scram,
    /// An MD5 of the password with a salt; SCRAM for users with nothing but its verifier.
    Md5,
    /// The password itself, where nobody else can read it.
    Password,
    /// Nobody is asked.
    Trust,
}

/// Failed logins of a minute that are logged one by one.
const LISTED: u64 = 20;

/// How long a refusal is held back: guessing gets slower, a right password never does.
fn held_back(refusals: u64) -> Duration {
    match refusals {
        0..=LISTED => Duration::from_millis(200),
        21..=200 => Duration::from_secs(1),
        _ => Duration::from_secs(3),
    }
}

/// The check a client passes before its session starts.
pub struct Auth {
    method: Method,
    users: RwLock<Arc<Users>>,
    /// Refusals of this minute: the more there are, the longer each is held back.
    refusals: PerMinute,
    /// Gives unknown users a salt that stays the same, so that they look like others.
    mock_key: [u8; 32],
    clock: Clock,
}

impl Auth {
    /// A check by `method`; `users` is not looked at under trust.
    pub fn new(method: Method, users: Users, clock: &Clock) -> Self {
        let mut mock_key = [0; 32];
        clock.random_bytes(&mut mock_key);
        let users = RwLock::new(Arc::new(users));
        Self { method, users, refusals: PerMinute::new(clock), mock_key, clock: clock.clone() }
    }

    /// Replaces the users (reload).
    pub fn set_users(&self, users: Users) {
        *self.users.write() = Arc::new(users);
    }

    fn users(&self) -> Arc<Users> {
        Arc::clone(&self.users.read())
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
        let outcome = match self.method {
            Method::Trust => Ok(true),
            Method::Scram => self.scram(connection, user, tls).await,
            Method::Md5 => self.md5(connection, user, tls).await,
            Method::Password => self.clear(connection, user).await,
        };
        match outcome {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) => {
                let count = self.refusals.count();
                if count <= LISTED {
                    tracing::info!(user, peer = %connection.peer(), "authentication failed");
                }
                if count == LISTED {
                    tracing::warn!("more failed logins of this minute are not listed");
                }
                tokio::time::sleep(held_back(count)).await;
                return Err(error);
            }
        }
        authentication(connection.out(), 0, b"");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_gets_slower() {
        let waits = [1, 20, 21, 200, 201, u64::MAX].map(held_back);
        assert!(waits.is_sorted() && waits[1] < waits[2] && waits[3] < waits[4]);
    }
}
