//! Parameters as clients send them: values by their codec, names of reg* types by the catalog.

use super::{Session, Step};
use crate::backend::sqlite::functions::session::Scope;
use crate::error::{Error, Result};
use crate::value::{Cell, Format, Style, Type, oid, wire as codec};

/// OID of regrole.
const REGROLE: u32 = 4096;

/// The SQL function that finds the object a reg* type names; None for other types.
fn finder(ty: Type) -> Option<&'static str> {
    Some(match ty.oid {
        oid::REGCLASS => "pg_regclassin",
        oid::REGTYPE => "pg_regtypein",
        oid::REGNAMESPACE => "pg_regnamespacein",
        oid::REGPROC => "pg_regprocin",
        REGROLE => "pg_regrolein",
        _ => return None,
    })
}

impl Session {
    /// A parameter's logical cell.
    ///
    /// # Errors
    /// What PostgreSQL's input function says; 42P01 and kin for a name that is not there.
    pub(super) async fn parameter(
        &mut self,
        ty: Type,
        format: Format,
        bytes: &[u8],
        style: &Style,
    ) -> Step<Cell> {
        match (finder(ty), format) {
            (Some(function), Format::Text) if !bytes.iter().all(u8::is_ascii_digit) => {
                self.named(function, bytes).await
            }
            _ => Ok(codec::read(ty, format, bytes, style)?),
        }
    }

    async fn named(&mut self, function: &'static str, bytes: &[u8]) -> Step<Cell> {
        let name = crate::value::text::utf8(bytes)?.to_owned();
        let (sqlite, deadline) = (self.shared.sqlite.clone(), self.deadline);
        let reader = self.wait_for(async move { sqlite.reader(deadline).await }).await?;
        let scope = self.scope();
        let found: Result<_> = tokio::task::block_in_place(|| {
            let _scope = Scope::enter(scope);
            reader.query_row(&format!("SELECT \"{function}\"(?1)"), &[Cell::Text(name)])
        });
        let row = found?.ok_or_else(|| Error::internal("a function gave no row"))?;
        Ok(row.into_iter().next().unwrap_or(Cell::Null))
    }
}
