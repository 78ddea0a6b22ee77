//! Schema changes on the writer.

use tokio::task::block_in_place;

use super::reply::Tag;
use super::{Session, Step, query};
use crate::error::Error;
use crate::sql::ast::Ddl;
use crate::sql::plan::Plan;

impl Session {
    /// Runs a schema change; the new catalog is this transaction's until it commits.
    pub(super) async fn ddl(&mut self, ddl: &Ddl, plan: &Plan) -> Step<Tag> {
        if self.transaction.read_only {
            return Err(query::read_only(&tag_of(&plan.text)).into());
        }
        self.set_aside_live()?;
        self.take_writer().await?;
        let _ = (ddl, block_in_place::<fn(), ()>);
        Err(Error::unsupported("this schema change").into())
    }
}

/// The first two words of the statement: close enough to the tag for a message.
fn tag_of(text: &str) -> String {
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ").to_uppercase()
}
