//! A verify that can be cut off: large tables are compared in stretches of their key, and how far
//! that has come is noted.
//!
//! Owns [`Course`], one verify on its way from cut to cut. Stretches may be compared at different
//! cuts; what has changed in the meantime is looked at once more at the last one. It must never
//! count a row as proven that changed after it was looked at. Start at [`Course::table`].

use std::collections::BTreeMap;
use std::time::Instant;

use super::cut::{AtCut, Cut};
use super::diff::{self, Found};
use super::keys::Seen;
use super::settled::{TRIES, is_unsettled};
use super::{CUT_AGE, Report, one, pair, take};
use crate::backend::postgres::apply::quoted;
use crate::backend::sqlite::blocking;
use crate::backfill::told::step;
use crate::backfill::{Tell, count, split};
use crate::divergence::changed::{Part as KeyPart, Scope, Taken};
use crate::divergence::{Part, Store};
use crate::error::Result;
use crate::schema::Codec;
use crate::value::oid;

/// One verify.
pub(super) struct Course<'a> {
    pub(super) cuts: &'a dyn Cut,
    pub(super) store: &'a Store,
    pub(super) tell: &'a Tell,
    /// What had changed before the cut.
    pub(super) taken: BTreeMap<String, Taken>,
    pub(super) at: AtCut,
    /// When the cut was taken.
    pub(super) since: Instant,
}

impl Course<'_> {
    /// A new cut, at which a table will be looked at, too.
    pub(super) async fn renew(&mut self, table: &str) -> Result<()> {
        let mut names: Vec<String> = std::mem::take(&mut self.taken).into_keys().collect();
        if !names.iter().any(|name| name == table) {
            names.push(table.to_owned());
        }
        // Before the cut: what changes from now on is for the next pass.
        self.taken = take(self.store, &names);
        self.at.release().await;
        self.at = self.cuts.cut(false).await?;
        self.since = Instant::now();
        Ok(())
    }

    /// Compares one table; at a new cut where PostgreSQL shows it otherwise than at this one.
    pub(super) async fn table(&mut self, name: &str) -> Result<Report> {
        let mut tries = 0;
        loop {
            match self.once(name).await {
                Err(error) if is_unsettled(&error) && tries < TRIES => {
                    tries += 1;
                    self.renew(name).await?;
                }
                other => return other,
            }
        }
    }

    async fn once(&mut self, name: &str) -> Result<Report> {
        match self.stretches(name).await? {
            Some((part, list)) => self.stretched(name, part, list).await,
            None => one(&self.at, name, self.tell).await,
        }
    }

    /// How far an earlier pass has come that can be gone on with.
    fn part(&self, name: &str) -> Option<Part> {
        let taken = self.taken.get(name)?;
        self.store.part(name).filter(|_| taken.scope != Scope::Whole)
    }

    /// The ranges that are left of a large table whose key is its row number, and what is done of
    /// it; None when it is compared at once.
    async fn stretches(&self, name: &str) -> Result<Option<(Option<Part>, Vec<(i64, i64)>)>> {
        super::announce(&self.at, name, self.tell)?;
        let Ok(pair) = pair(&self.at, name).await? else { return Ok(None) };
        let projection = &pair.projection;
        let relation = &projection.relation;
        let (Some([key]), Some(alias)) = (projection.key.as_deref(), relation.rowid_alias) else {
            return Ok(None);
        };
        let target = &projection.columns[*key];
        let integer = matches!(target.ty.oid, oid::INT2 | oid::INT4 | oid::INT8);
        if target.index != alias || !integer || relation.columns[alias].codec != Codec::Identity {
            return Ok(None);
        }
        let column = quoted(&relation.columns[alias].sqlite_name);
        let end = |which: &str| {
            let table = quoted(&relation.sqlite_name);
            let sql = format!("SELECT {which}({column}) FROM \"public\".{table}");
            blocking(|| self.at.sqlite.query_integer(&sql, &[]))
        };
        let (Some(first), Some(last)) = (end("min")?, end("max")?) else { return Ok(None) };
        let part = self.part(name);
        let from = part.as_ref().map(|part| part.upto);
        let Some(mut list) = split(first, last, self.at.stretch) else { return Ok(None) };
        if let Some(upto) = from {
            list.retain(|(_, end)| *end > upto);
        }
        // The ends take in what only PostgreSQL has.
        let last = list.pop().map_or(last, |(start, _)| start);
        list.push((last, i64::MAX));
        if let Some(begin) = list.first_mut() {
            begin.0 = from.map_or(i64::MIN, |upto| upto.saturating_add(1));
        }
        Ok(Some((part, list)))
    }

    async fn stretched(
        &mut self,
        name: &str,
        part: Option<Part>,
        list: Vec<(i64, i64)>,
    ) -> Result<Report> {
        let mut moved = part.is_some();
        let mut report = Report { gone_on: moved, ..Report::of(&self.at, name) };
        if let Some(part) = part {
            (report.rows, report.accepted, report.coerced) =
                (part.rows, part.accepted, part.coerced);
            // It is no younger than its oldest part.
            report.at = part.at;
        }
        for range in list {
            if self.since.elapsed() > CUT_AGE {
                self.renew(name).await?;
                moved = true;
            }
            let from = match range.0 {
                i64::MIN => String::new(),
                from => format!(" from {from} on"),
            };
            step(self.tell, format!("comparing {name}{from}"), "");
            let found = match self.stretch(name, range).await? {
                Ok(found) => found,
                Err(reason) => return Ok(Report { error: Some(reason), ..report }),
            };
            report.rows += found.rows;
            report.accepted += found.accepted;
            report.refused += found.refused;
            report.coerced += found.coerced;
            report.differing += found.differing;
            report.at_least |= found.at_least;
            report.differences.extend(found.differences);
            report.differences.truncate(diff::ROWS_MAX);
            if report.differing == 0 && range.1 != i64::MAX {
                let Report { rows, accepted, coerced, .. } = report;
                let at = report.at.clone();
                let part = Part { upto: range.1, rows, accepted, coerced, at };
                self.store.verify_part(name, part);
            }
        }
        report.position = self.at.position.0;
        if moved {
            return self.again(name, report).await;
        }
        Ok(report)
    }

    async fn stretch(
        &self,
        name: &str,
        range: (i64, i64),
    ) -> Result<std::result::Result<Found, String>> {
        let mut pair = match pair(&self.at, name).await? {
            Ok(pair) => pair,
            Err(reason) => return Ok(Err(reason)),
        };
        pair.of = count(&self.at.sqlite, &pair.projection.relation.sqlite_name)?;
        pair.tell = Some(self.tell);
        pair.range = Some(range);
        diff::table(&pair).await.map(Ok)
    }

    /// Looks once more, at the last cut, at what changed while the stretches were compared.
    async fn again(&self, name: &str, mut report: Report) -> Result<Report> {
        let Some(taken) = self.taken.get(name) else { return one(&self.at, name, self.tell).await };
        step(self.tell, format!("comparing what changed in {name}"), "");
        let seen: Seen = match &taken.scope {
            Scope::Keys(list) => {
                let cells = |key: &Vec<KeyPart>| key.iter().map(KeyPart::cell).collect();
                let list: Vec<_> = list.iter().map(cells).collect();
                super::keys(&self.at, name, &list).await?
            }
            Scope::Chunks(shift, list) => super::chunks(&self.at, name, *shift, list).await?,
            Scope::Whole => return one(&self.at, name, self.tell).await,
        };
        let untold = seen.differing.saturating_sub(seen.differences.len() as u64);
        report.differing += untold;
        for difference in seen.differences {
            if !report.differences.iter().any(|known| known.key == difference.key) {
                report.differing += 1;
                report.differences.push(difference);
            }
        }
        Ok(report)
    }
}
