//! DELETE … USING … RETURNING
//!
//! Start at [`Analyzer::delete`].

use super::Analyzer;
use super::from::relation_item;
use super::scope::Place;
use crate::error::Result;
use crate::sql::ast;
use crate::sql::ir::{Delete, Table};

impl Analyzer<'_> {
    pub(super) fn delete(&mut self, delete: &ast::Delete) -> Result<Delete> {
        self.push_level();
        let ctes = match &delete.with {
            Some(with) => self.with(with)?,
            None => Vec::new(),
        };
        let spelled = self.lite.then(|| self.lite_table(&delete.table));
        let table = spelled.as_ref().unwrap_or(&delete.table);
        let relation = self.target_relation(table, "delete from")?;
        let rel = self.new_rel();
        let alias = delete.alias.clone().map(|name| ast::Alias { name, columns: Vec::new() });
        let mut item = relation_item(rel, &relation, alias.as_ref());
        item.lateral_only = true;
        item.lateral_ok = false;
        item.target = true;
        self.level().items.push(item);
        let using = self.make_from(&delete.using)?;
        self.level().per_row = true;
        let filter = match &delete.filter {
            Some(e) => Some(self.at_place(Place::Where, |a| a.condition(e, "WHERE"))?),
            None => None,
        };
        let (returning, outputs) = self.returning(&delete.returning)?;
        self.note_triggers(&relation)?;
        Ok(Delete {
            ctes,
            recursive: delete.with.as_ref().is_some_and(|w| w.recursive),
            rel,
            alias: alias.map_or_else(|| relation.bare().to_owned(), |a| a.name),
            table: Table(relation),
            using,
            filter,
            returning,
            outputs,
        })
    }
}
