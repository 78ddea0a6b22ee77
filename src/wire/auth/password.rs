//! MD5 and clear-text passwords, for clients that know nothing newer.
//!
//! Owns both exchanges. A password in clear must never be asked for on a line that others
//! can read. Start at [`Auth::md5`] and [`Auth::clear`].

use super::{Auth, authentication, wrong_password};
use crate::error::{Error, Result, state};
use crate::wire::Peer;
use crate::wire::connection::Connection;
use crate::wire::frontend::Reader;
use crate::wire::tls::Tls;

impl Auth {
    /// MD5 for users who have such a hash; SCRAM for those who have only its verifier, as
    /// PostgreSQL's method md5 does.
    pub(super) async fn md5(
        &self,
        connection: &mut Connection,
        user: &str,
        tls: Option<&Tls>,
    ) -> Result<bool> {
        let users = self.users();
        let secret = users.get(user);
        let has_md5 = secret.map_or_else(|| users.any_md5(), |s| s.md5.is_some());
        if !has_md5 {
            return self.scram(connection, user, tls).await;
        }
        let mut salt = [0; 4];
        self.clock.random_bytes(&mut salt);
        authentication(connection.out(), 5, &salt);
        connection.flush().await?;
        let Some(answer) = password(connection).await? else { return Ok(false) };
        let known = secret.and_then(|s| s.md5.as_ref());
        if known.is_some_and(|md5| md5.answers(salt, answer.as_bytes())) {
            return Ok(true);
        }
        Err(wrong_password(user))
    }

    /// The password itself, on an encrypted connection or within this machine.
    pub(super) async fn clear(&self, connection: &mut Connection, user: &str) -> Result<bool> {
        let private = match connection.peer() {
            Peer::Unix => true,
            Peer::Tcp(address) => connection.is_tls() || address.ip().is_loopback(),
        };
        if !private {
            let message = "passwords are not accepted on a connection without encryption";
            return Err(Error::client(state::INVALID_AUTHORIZATION, message)
                .hint("Connect with sslmode=require.")
                .fatal());
        }
        authentication(connection.out(), 3, b"");
        connection.flush().await?;
        let Some(given) = password(connection).await? else { return Ok(false) };
        let users = self.users();
        let fits = match users.get(user) {
            Some(secret) => secret.is_of(user, &given),
            // As much work for a name that does not exist.
            None => {
                self.mock(user).is_of(&given);
                false
            }
        };
        if fits { Ok(true) } else { Err(wrong_password(user)) }
    }
}

/// PasswordMessage; None when the client went away.
async fn password(connection: &mut Connection) -> Result<Option<String>> {
    let Some(body) = connection.read_auth().await? else { return Ok(None) };
    let mut reader = Reader::new(body);
    let given = reader.text()?;
    reader.end()?;
    if given.is_empty() {
        let message = "empty password returned by client";
        return Err(Error::client(state::INVALID_PASSWORD, message).fatal());
    }
    Ok(Some((*given).to_owned()))
}
