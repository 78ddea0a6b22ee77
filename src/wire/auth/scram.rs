//! SCRAM-SHA-256, with channel binding where TLS is on.
//!
//! Owns the exchange; the cryptography is the library's. It must treat an unknown user as
//! a known one until the last message. Start at [`Auth::scram`].

use pgwire::api::auth::sasl::scram::{SCRAM_ITERATIONS, ScramSecret, ScramServerAuth};
use pgwire::error::PgWireError;
use sha2::{Digest, Sha256};

use super::users::Verifier;
use super::{Auth, authentication, wrong_password};
use crate::error::{Error, Result, state};
use crate::wire::connection::Connection;
use crate::wire::frontend::Reader;
use crate::wire::tls::Tls;

const SCRAM: &str = "SCRAM-SHA-256";
const SCRAM_PLUS: &str = "SCRAM-SHA-256-PLUS";

impl Auth {
    /// What the proof is checked against; for unknown users a verifier nobody can meet.
    fn secret(&self, user: &str) -> (ScramSecret, bool) {
        let users = self.users();
        if let Some(verifier) = users.get(user).and_then(|s| s.scram.as_ref()) {
            return (verifier.secret(), true);
        }
        (self.mock(user).secret(), false)
    }

    /// A verifier nobody can meet, always the same for one name.
    pub(super) fn mock(&self, user: &str) -> Verifier {
        let derive = |label: &[u8]| {
            let mut hash = Sha256::new();
            hash.update(self.mock_key);
            hash.update(label);
            hash.update(user.as_bytes());
            hash.finalize().to_vec()
        };
        let mut salt = derive(b"salt");
        salt.truncate(16);
        Verifier {
            salt,
            iterations: SCRAM_ITERATIONS,
            stored_key: derive(b"stored"),
            server_key: derive(b"server"),
        }
    }

    pub(super) async fn scram(
        &self,
        connection: &mut Connection,
        user: &str,
        tls: Option<&Tls>,
    ) -> Result<bool> {
        let mut server = ScramServerAuth::new();
        // Binding works for certificates signed with RSA or ECDSA; for others it is not offered.
        let binding =
            tls.is_some_and(|t| server.configure_certificate(&t.certificate_pem()).is_ok());
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
    use super::super::{Method, Users};
    use super::*;
    use crate::clock::Clock;

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
