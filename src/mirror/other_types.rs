//! Statements over tables whose columns are of other types on PostgreSQL.
//!
//! What a client left untyped is typed here by the primary's catalog: where PostgreSQL's column is
//! of another type, an error about types is ours, and proves nothing about the client's statement.
//! Owns that judgement. Start at [`explain`].

use crate::backend::postgres::columns::actual_columns;
use crate::backend::postgres::control::Control;
use crate::backend::postgres::project::Projection;
use crate::error::{Error, Result};
use crate::schema::Catalog;

/// The reason for not comparing.
pub(super) const REASON: &str = "other_types";

/// Whether an error may come from the type of a parameter or a literal alone.
fn is_about_types(error: &Error) -> bool {
    // Mismatch, no such operator or function, no cast, ambiguous, a text that is no such value.
    matches!(error.sqlstate().as_str(), "42804" | "42883" | "42846" | "42725" | "22P02" | "22007")
}

/// Whether other types of these tables' columns explain an error. The connection must be able to
/// ask.
///
/// # Errors
/// What PostgreSQL said.
pub(super) async fn explain<'a>(
    control: &Control,
    catalog: &Catalog,
    error: &Error,
    tables: impl Iterator<Item = &'a str>,
) -> Result<bool> {
    if !is_about_types(error) {
        return Ok(false);
    }
    for table in tables {
        let Some(relation) = catalog.relation(table) else { continue };
        let actual = actual_columns(control, relation).await?;
        if Projection::over(relation, &actual).is_apart() {
            return Ok(true);
        }
    }
    Ok(false)
}
