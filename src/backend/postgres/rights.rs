//! What the control role may do to the application's role: the fence and the hand-over.
//!
//! Owns that one query. It changes nothing. Start at [`load`].

use tokio_postgres::Client;

/// The control role's rights over the application's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// The application's role is there.
    pub exists: bool,
    /// May shut it out and let it in again: ALTER ROLE … NOLOGIN.
    pub shut_out: bool,
    /// May end its back ends.
    pub end: bool,
    /// May give it the tables, and still use them itself.
    pub give: bool,
}

impl Rights {
    /// What is missing for the fence, in words; None when nothing is.
    pub fn lacking(&self) -> Option<&'static str> {
        match self {
            Self { exists: false, .. } => Some("the application's role does not exist"),
            Self { shut_out: false, .. } => {
                Some("the control role may not shut the application's role out (NOLOGIN)")
            }
            Self { end: false, .. } => {
                Some("the control role may not end the back ends of the application's role")
            }
            _ => None,
        }
    }
}

/// From PostgreSQL 16 on CREATEROLE reaches only roles one has ADMIN OPTION on.
const QUESTION: &str = "\
SELECT own.rolsuper OR (own.rolcreaterole AND NOT app.rolsuper \
    AND (current_setting('server_version_num')::int < 160000 \
      OR pg_has_role(current_user, app.oid, 'MEMBER WITH ADMIN OPTION'))), \
  own.rolsuper OR (NOT app.rolsuper AND (pg_has_role(current_user, app.oid, 'USAGE') \
    OR pg_has_role(current_user, 'pg_signal_backend', 'USAGE'))), \
  own.rolsuper OR pg_has_role(current_user, app.oid, 'USAGE') \
FROM pg_roles own, pg_roles app WHERE own.rolname = current_user AND app.rolname = $1";

/// Asks, as the control role.
///
/// # Errors
/// What PostgreSQL said.
pub async fn load(client: &Client, application: &str) -> Result<Rights, tokio_postgres::Error> {
    let row = client.query_opt(QUESTION, &[&application]).await?;
    let of = |i: usize| row.as_ref().is_some_and(|row| row.get(i));
    Ok(Rights { exists: row.is_some(), shut_out: of(0), end: of(1), give: of(2) })
}
