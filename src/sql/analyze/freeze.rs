//! Volatile and session values, computed once per execution by the session.
//!
//! Owns which calls become [`FrozenSource`]s, so that both back ends see the same value. It
//! must never compute one. Start at [`Analyzer::freeze_call`].

use super::Analyzer;
use super::call::Resolved;
use super::walk::visit;
use crate::error::{Error, Result, state};
use crate::name;
use crate::sql::ir::{CallKind, CastKind, Expr, ExprKind};
use crate::sql::plan::{Frozen, FrozenArgument, FrozenSource};
use crate::sql::types::{Proc, sql_name, tables};
use crate::value::{Cell, Type, oid};

/// Session state that cannot change within a statement: frozen wherever it stands.
const STEADY: &[&str] = &[
    "current_catalog",
    "current_database",
    "current_role",
    "current_schema",
    "current_schemas",
    "current_setting",
    "current_user",
    "getdatabaseencoding",
    "getpgusername",
    "inet_client_addr",
    "inet_client_port",
    "inet_server_addr",
    "inet_server_port",
    "pg_backend_pid",
    "pg_client_encoding",
    "pg_conf_load_time",
    "pg_current_xact_id",
    "pg_current_xact_id_if_assigned",
    "pg_is_in_recovery",
    "pg_my_temp_schema",
    "pg_postmaster_start_time",
    "session_user",
    "txid_current",
    "txid_current_if_assigned",
    "user",
    "version",
];

/// Calls with an effect on the session: frozen only where they happen once.
const EFFECTS: &[&str] = &[
    "lo_close",
    "lo_creat",
    "lo_create",
    "lo_from_bytea",
    "lo_get",
    "lo_lseek",
    "lo_lseek64",
    "lo_open",
    "lo_put",
    "lo_tell",
    "lo_tell64",
    "lo_truncate",
    "lo_truncate64",
    "lo_unlink",
    "loread",
    "lowrite",
    "setseed",
    "timeofday",
    "pg_blocking_pids",
    "pg_safe_snapshot_blocking_pids",
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_advisory_unlock",
    "pg_advisory_unlock_all",
    "pg_advisory_unlock_shared",
    "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared",
    "pg_cancel_backend",
    "pg_notify",
    "pg_sleep",
    "pg_sleep_for",
    "pg_terminate_backend",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "pg_try_advisory_xact_lock",
    "pg_try_advisory_xact_lock_shared",
];

/// Whether a function looks into the catalogs or the server.
pub(super) fn is_system(proc: &Proc) -> bool {
    let name = proc.name;
    proc.information
        || (name.starts_with("pg_") && name != "pg_typeof")
        || (name.starts_with("has_") && name.ends_with("_privilege"))
        || name.starts_with("to_reg")
        || STEADY.contains(&name)
        || matches!(
            name,
            "format_type" | "obj_description" | "col_description" | "shobj_description"
        )
        || matches!(name, "row_security_active" | "set_config")
}

impl Analyzer<'_> {
    /// A value the session computes once per execution; the same source is computed once.
    pub(super) fn frozen(&mut self, ty: Type, source: FrozenSource, pos: u32) -> Expr {
        let shared = matches!(&source, FrozenSource::TransactionTime | FrozenSource::StatementTime)
            || matches!(&source, FrozenSource::Session(name, _) if STEADY.contains(&name.as_str()));
        let wanted = Frozen { ty, source };
        let known = shared.then(|| self.frozen.iter().position(|f| *f == wanted)).flatten();
        let index = known.unwrap_or_else(|| {
            self.frozen.push(wanted);
            self.frozen.len() - 1
        });
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Expr { kind: ExprKind::Frozen(index), ty, pos }
    }

    /// CURRENT_DATE, CURRENT_TIMESTAMP(p), CURRENT_USER …
    pub(super) fn value_function(
        &mut self,
        name: &'static str,
        precision: Option<i32>,
        pos: u32,
    ) -> Result<Expr> {
        let type_oid = match name {
            "current_date" => oid::DATE,
            "current_time" => oid::TIMETZ,
            "current_timestamp" => oid::TIMESTAMPTZ,
            "localtime" => oid::TIME,
            "localtimestamp" => oid::TIMESTAMP,
            _ => oid::NAME,
        };
        let typmod = precision.map_or(-1, |p| p.clamp(0, 6));
        let ty = Type::with_typmod(type_oid, typmod);
        if type_oid == oid::NAME {
            if self.freeze {
                self.system = true;
                let source = FrozenSource::Session(name.to_owned(), Vec::new());
                return Ok(self.frozen(ty, source, pos));
            }
            return Err(Error::unsupported(format!("{name} in a stored expression")).at(pos));
        }
        if self.freeze {
            // One moment for the whole transaction; the precision is a cast around it.
            let zoned = type_oid == oid::TIMETZ;
            let plain = Type::new(if zoned { oid::TIMESTAMPTZ } else { type_oid });
            let moment = self.frozen(plain, FrozenSource::TransactionTime, pos);
            return if typmod < 0 && !zoned { Ok(moment) } else { self.explicit(moment, ty, pos) };
        }
        let now =
            tables().procs("now").first().ok_or_else(|| Error::internal("pg_proc has no now()"))?;
        let resolved = Resolved { proc: now, args: Vec::new(), result: oid::TIMESTAMPTZ };
        let call = self.finish_scalar(resolved, pos)?;
        self.explicit(call, ty, pos)
    }

    /// The frozen form of a call; None when it stays a call.
    pub(super) fn freeze_call(
        &mut self,
        proc: &Proc,
        args: &[Expr],
        result: u32,
        pos: u32,
    ) -> Result<Option<Expr>> {
        let once = self.once();
        let source = match proc.name {
            "now" | "transaction_timestamp" => FrozenSource::TransactionTime,
            "statement_timestamp" => FrozenSource::StatementTime,
            "clock_timestamp" if once => FrozenSource::ClockTime,
            "random" if once => FrozenSource::Random,
            "gen_random_uuid" if once => FrozenSource::Uuid,
            "nextval" | "currval" => {
                let Some(sequence) = self.sequence_argument(args)? else { return Ok(None) };
                match proc.name {
                    "nextval" if once => FrozenSource::NextValue(sequence),
                    "currval" if once => FrozenSource::CurrentValue(sequence),
                    _ => return Ok(None),
                }
            }
            "lastval" if once => FrozenSource::LastValue,
            "pg_get_serial_sequence" => return self.serial_sequence(args, pos),
            "setval" if once => {
                let (Some(sequence), Some(mut args)) = (
                    self.sequence_argument(args.get(..1).unwrap_or_default())?,
                    frozen_arguments(args),
                ) else {
                    return Ok(None);
                };
                if let Some(first) = args.first_mut() {
                    *first = FrozenArgument::Const(Some(quoted(&sequence)));
                }
                FrozenSource::Session("setval".to_owned(), args)
            }
            "set_config" if once => match frozen_arguments(args) {
                Some(args) => FrozenSource::SetConfig(args),
                None => return Ok(None),
            },
            name if STEADY.contains(&name) || (once && EFFECTS.contains(&name)) => {
                match frozen_arguments(args) {
                    Some(args) => {
                        self.system = true;
                        FrozenSource::Session(name.to_owned(), args)
                    }
                    None => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        if !self.freeze {
            return Ok(None);
        }
        Ok(Some(self.frozen(Type::new(result), source, pos)))
    }

    /// The next value of a sequence: frozen where it is taken once, else a call for each row.
    pub(super) fn next_value(&mut self, sequence: &str, pos: u32) -> Result<Expr> {
        let ty = Type::new(oid::INT8);
        if self.once() {
            return Ok(self.frozen(ty, FrozenSource::NextValue(sequence.to_owned()), pos));
        }
        let proc = tables()
            .procs("nextval")
            .first()
            .ok_or_else(|| Error::internal("pg_proc has no nextval()"))?;
        let relation = self.object_literal(&quoted(sequence), oid::REGCLASS)?;
        let cell = Cell::Integer(i64::from(relation));
        let argument = Expr { kind: ExprKind::Const(cell), ty: Type::new(oid::REGCLASS), pos };
        let resolved = Resolved { proc, args: vec![argument], result: oid::INT8 };
        self.finish_scalar(resolved, pos)
    }

    /// `pg_get_serial_sequence('table', 'column')` of constants: known from the catalog.
    fn serial_sequence(&mut self, args: &[Expr], pos: u32) -> Result<Option<Expr>> {
        let [
            Expr { kind: ExprKind::Const(Cell::Text(table)), .. },
            Expr { kind: ExprKind::Const(Cell::Text(column)), .. },
        ] = args
        else {
            return Ok(None);
        };
        let parts = super::system::identifier_parts(table)?;
        let found = match parts.as_slice() {
            [name] => self.find_relation(None, name),
            [schema, name] => self.find_relation(Some(schema), name),
            _ => None,
        };
        let relation = found.ok_or_else(|| super::errors::undefined_table(table, 0))?;
        let index = relation
            .column(column)
            .ok_or_else(|| super::errors::undefined_column_of(column, &relation.name, 0))?;
        let cell = match &relation.columns[index].sequence {
            Some(sequence) => {
                let (schema, name) = name::split(sequence);
                Cell::Text(format!("{}.{}", spelled(schema), spelled(name)))
            }
            None => Cell::Null,
        };
        self.system = true;
        Ok(Some(super::literal::constant(cell, Type::new(oid::TEXT), pos)))
    }

    /// The sequence a constant regclass argument names.
    pub(super) fn sequence_argument(&self, args: &[Expr]) -> Result<Option<String>> {
        let [Expr { kind: ExprKind::Const(Cell::Integer(wanted)), .. }] = args else {
            return Ok(None);
        };
        let catalog = self.context.catalog;
        if let Some(s) = catalog.sequences.values().find(|s| i64::from(s.oid) == *wanted) {
            return Ok(Some(s.name.clone()));
        }
        let other = catalog.relations.values().find(|r| i64::from(r.oid) == *wanted);
        Err(match other {
            Some(relation) => Error::client(
                state::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not a sequence", relation.bare()),
            ),
            None => Error::client(
                state::UNDEFINED_TABLE,
                format!("could not open relation with OID {wanted}"),
            ),
        })
    }
}

/// A name as an identifier in SQL text.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name as PostgreSQL shows it: quoted only when it must be.
fn spelled(name: &str) -> String {
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain { name.to_owned() } else { quoted(name) }
}

/// Arguments the session can take: constants and client parameters.
pub(super) fn frozen_arguments(args: &[Expr]) -> Option<Vec<FrozenArgument>> {
    args.iter().map(frozen_argument).collect()
}

fn frozen_argument(arg: &Expr) -> Option<FrozenArgument> {
    match &arg.kind {
        ExprKind::Param(number) => Some(FrozenArgument::Param(*number)),
        ExprKind::Frozen(index) => Some(FrozenArgument::Frozen(*index)),
        ExprKind::Const(cell) => Some(FrozenArgument::Const(match cell {
            Cell::Null => None,
            Cell::Integer(0) if arg.ty.oid == oid::BOOL => Some("f".to_owned()),
            Cell::Integer(_) if arg.ty.oid == oid::BOOL => Some("t".to_owned()),
            Cell::Integer(i) => Some(i.to_string()),
            Cell::Real(r) => Some(r.to_string()),
            Cell::Text(t) => Some(t.clone()),
            Cell::Blob(bytes) => {
                let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
                Some(format!("\\x{hex}"))
            }
        })),
        // int4 → int8 and text → varchar change nothing the session would see.
        ExprKind::Cast(inner, CastKind::Relabel) => frozen_argument(inner),
        ExprKind::Cast(inner, CastKind::Implicit)
            if sql_name(inner.ty.oid).ends_with("int") || inner.ty.oid == oid::INT4 =>
        {
            frozen_argument(inner)
        }
        _ if stands_alone(arg) => Some(FrozenArgument::Computed(Box::new(arg.clone()))),
        _ => None,
    }
}

/// Whether an expression can be computed by itself, before the statement: it looks at
/// nothing but constants, parameters and frozen values.
fn stands_alone(expr: &Expr) -> bool {
    let mut alone = true;
    visit(expr, &mut |e| {
        alone &= match &e.kind {
            ExprKind::Call(call) => {
                call.kind == CallKind::Scalar
                    && tables().proc_by_oid(call.oid).is_some_and(|p| p.volatility != b'v')
            }
            ExprKind::Column(..)
            | ExprKind::OutputColumn(_)
            | ExprKind::Excluded(_)
            | ExprKind::Subquery(_)
            | ExprKind::Exists(_)
            | ExprKind::SubqueryCompare { .. }
            | ExprKind::ArraySubquery(_) => false,
            _ => true,
        };
        alone
    });
    alone
}
