//! One statement from its tree to a [`Plan`]: classify, analyse, print for both back ends.
//!
//! Owns [`plan`]. It decides nothing about types (that is `analyze`) nor about text (that
//! is `print`). Start at [`plan`].

use super::Context;
use super::ast::{Parsed, Statement};
use super::plan::{Action, Fingerprint, Plan};
use crate::error::{Error, Result};

/// Plans one parsed statement.
pub fn plan(parsed: &Parsed, context: &Context<'_>) -> Result<Plan> {
    let action = match &parsed.statement {
        Statement::Select(_)
        | Statement::Insert(_)
        | Statement::Update(_)
        | Statement::Delete(_)
        | Statement::Explain(..) => return Err(Error::unsupported("a query")),
        Statement::Unsupported(what) => return Err(Error::unsupported(what)),
        Statement::Ddl(ddl) => Action::Ddl(ddl.clone()),
        Statement::Copy(copy) => Action::Copy(copy.clone()),
        other => Action::Session(Box::new(other.clone())),
    };
    Ok(Plan {
        action,
        text: parsed.text.clone(),
        params: Vec::new(),
        columns: Vec::new(),
        catalog_version: context.catalog.version,
        fingerprint: Fingerprint::default(),
    })
}
