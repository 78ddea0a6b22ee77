//! Constants: their types, and string literals read as the type their place asks for.
//!
//! Owns when a literal can be read at analysis. It must never read one whose value depends on
//! the session (time zone, date order, the clock): those stay casts. Start at
//! [`Analyzer::read_literal`].

use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::schema::Codec;
use crate::sql::ast::Literal;
use crate::sql::ir::{CastKind, Expr, ExprKind};
use crate::sql::plan::FrozenSource;
use crate::sql::types::{element, pseudo};
use crate::value::{Cell, Datum, Style, Type, bits, oid, range, storage, text};

impl Analyzer<'_> {
    /// A constant as written.
    pub(super) fn literal(&mut self, literal: &Literal, pos: u32) -> Result<Expr> {
        // Positions in stored texts (views, defaults) mean nothing in the client's.
        let pos = if self.levels.iter().any(|level| level.sealed) { 0 } else { pos };
        let (cell, ty) = match literal {
            Literal::Null => (Cell::Null, oid::UNKNOWN),
            Literal::Bool(b) => (Cell::Integer(i64::from(*b)), oid::BOOL),
            Literal::Integer(i) => (Cell::Integer(i64::from(*i)), oid::INT4),
            Literal::Number(n) => match n.parse::<i64>() {
                // The grammar's negated 2147483648 fits after all.
                Ok(i) if i32::try_from(i).is_ok() => (Cell::Integer(i), oid::INT4),
                Ok(i) => (Cell::Integer(i), oid::INT8),
                Err(_) => return self.read_literal(n, Type::new(oid::NUMERIC), pos),
            },
            Literal::String(s) => (Cell::Text(s.clone()), oid::UNKNOWN),
            Literal::Bits(bits) => {
                let bits = bits::parse(bits).map_err(|e| e.at(pos))?;
                return Ok(constant(Cell::Text(bits), Type::new(oid::BIT), pos));
            }
        };
        Ok(constant(cell, Type::new(ty), pos))
    }

    /// Reads a string literal as a type (its modifier only matters for interval).
    pub(super) fn read_literal(&mut self, s: &str, ty: Type, pos: u32) -> Result<Expr> {
        if let Some(element) = element(ty.oid).filter(|element| names_an_object(*element)) {
            return self.object_names(s, ty, element, pos);
        }
        match ty.oid {
            pseudo::CSTRING | oid::UNKNOWN | oid::TEXT => {
                return Ok(constant(Cell::Text(s.to_owned()), ty, pos));
            }
            names if names_an_object(names) => {
                let value = self.object_literal(s, ty.oid).map_err(|e| e.at(pos))?;
                return Ok(constant(Cell::Integer(i64::from(value)), ty, pos));
            }
            oid::DATE | oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ => {
                if let Some(expr) = self.session_literal(s, ty, pos)? {
                    return Ok(expr);
                }
            }
            // Bounds that are moments are read as the session reads moments.
            range if range::is_moment(range) => {
                let inner = constant(Cell::Text(s.to_owned()), Type::new(oid::TEXT), pos);
                let kind = ExprKind::Cast(Box::new(inner), CastKind::Explicit);
                return Ok(Expr { kind, ty: Type::new(ty.oid), pos });
            }
            _ => {}
        }
        let with_unit = (ty.oid == oid::INTERVAL).then(|| interval_unit(s, ty.typmod)).flatten();
        let s = with_unit.as_deref().unwrap_or(s);
        let enums = std::sync::Arc::clone(&self.context.catalog.enums);
        let style = Style { enums, ..Style::default() };
        let datum = text::parse(ty, s, &style).map_err(|e| e.at(pos))?;
        typed(&datum, ty, pos)
    }

    /// An array of names of objects: each is looked up.
    fn object_names(&mut self, s: &str, ty: Type, element: u32, pos: u32) -> Result<Expr> {
        let names = text::parse(Type::new(oid::TEXT_ARRAY), s, &Style::default());
        let Datum::Array(_, names) = names.map_err(|e| e.at(pos))? else {
            return Err(Error::unsupported("this array of names").at(pos));
        };
        let items = names.iter().map(|name| match name {
            Datum::Text(name) => self.read_literal(name, Type::new(element), pos),
            Datum::Null => Ok(constant(Cell::Null, Type::new(element), pos)),
            _ => Err(Error::unsupported("this array of names").at(pos)),
        });
        Ok(Expr { kind: ExprKind::Array(items.collect::<Result<_>>()?), ty, pos })
    }

    /// A date or time literal whose meaning is the session's affair; None for the others.
    fn session_literal(&mut self, s: &str, ty: Type, pos: u32) -> Result<Option<Expr>> {
        let word = s.trim().to_ascii_lowercase();
        let now = word == "now" || (word == "today" && ty.oid == oid::DATE);
        if now && self.freeze {
            if ty.oid == oid::TIMETZ {
                let plain = Type::new(oid::TIMESTAMPTZ);
                let moment = self.frozen(plain, FrozenSource::TransactionTime, pos);
                return self.explicit(moment, Type::new(ty.oid), pos).map(Some);
            }
            return Ok(Some(self.frozen(ty, FrozenSource::TransactionTime, pos)));
        }
        let relative = matches!(word.as_str(), "now" | "today" | "tomorrow" | "yesterday");
        if settled(&word, ty.oid) {
            return Ok(None);
        }
        // Junk is told at once; what another setting might accept is left to run time.
        let ordered = word.starts_with(|c: char| c.is_ascii_digit()) && !iso_date(&word);
        if !relative
            && !ordered
            && !word.contains('/')
            && let Err(error) = text::parse(ty, s, &Style::default())
        {
            return Err(error.at(pos));
        }
        let inner = constant(Cell::Text(s.to_owned()), Type::new(oid::TEXT), pos);
        let kind = ExprKind::Cast(Box::new(inner), CastKind::Explicit);
        Ok(Some(Expr { kind, ty: Type::new(ty.oid), pos }))
    }

    /// An expression without a type of its own becomes text, as PostgreSQL does at the end of
    /// a select list.
    pub(super) fn settle(&mut self, expr: Expr) -> Result<Expr> {
        if expr.ty.oid != oid::UNKNOWN {
            return Ok(expr);
        }
        match expr.kind {
            ExprKind::Param(number) => self.params.resolve(number, oid::TEXT, expr.pos),
            kind => Ok(Expr { kind, ty: Type::new(oid::TEXT), pos: expr.pos }),
        }
    }
}

/// Whether values of a type are objects, written by their names.
fn names_an_object(type_oid: u32) -> bool {
    matches!(
        type_oid,
        oid::REGCLASS
            | oid::REGTYPE
            | oid::REGPROC
            | oid::REGNAMESPACE
            | pseudo::REGROLE
            | pseudo::REGPROCEDURE
            | pseudo::REGCOLLATION
            | pseudo::REGCONFIG
            | pseudo::REGOPER
            | pseudo::REGOPERATOR
    )
}

/// Whether a date or time literal (in lower case) means the same in every session.
fn settled(word: &str, ty: u32) -> bool {
    let relative = matches!(word, "now" | "today" | "tomorrow" | "yesterday");
    let zoned = matches!(ty, oid::TIMESTAMPTZ | oid::TIMETZ);
    !relative
        && (!zoned || has_offset(word) || word.ends_with("infinity") || word == "epoch")
        && (ty == oid::TIME || iso_date(word))
}

/// The constant that [`Analyzer::read_literal`] makes of a string in every session and with
/// every catalog; None for strings and types of which that cannot be said.
pub(in crate::sql) fn plain_literal(s: &str, ty: Type) -> Option<Cell> {
    match ty.oid {
        oid::TEXT => return Some(Cell::Text(s.to_owned())),
        oid::DATE | oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ => {
            if !settled(&s.trim().to_ascii_lowercase(), ty.oid) {
                return None;
            }
        }
        oid::VARCHAR
        | oid::BPCHAR
        | oid::INT2
        | oid::INT4
        | oid::INT8
        | oid::NUMERIC
        | oid::FLOAT4
        | oid::FLOAT8
        | oid::BOOL
        | oid::UUID
        | oid::BYTEA
        | oid::JSON
        | oid::JSONB => {}
        _ => return None,
    }
    let datum = text::parse(ty, s, &Style::default()).ok()?;
    storage::encode(Codec::Identity, ty, &datum).ok()
}

/// A constant cut or checked by its type's modifier as an assignment does; None when that
/// is for run time.
pub(in crate::sql) fn with_length(cell: Cell, ty: Type) -> Option<Cell> {
    if ty.typmod < 0 { Some(cell) } else { apply_typmod(&cell, ty, false) }
}

/// `INTERVAL '3' HOUR`: a bare number counts the last field named.
fn interval_unit(s: &str, typmod: i32) -> Option<String> {
    /// Bits of the fields in an interval's modifier, the finest last.
    const FIELDS: [(i32, &str); 6] = [
        (1 << 12, "seconds"),
        (1 << 11, "minutes"),
        (1 << 10, "hours"),
        (1 << 3, "days"),
        (1 << 1, "months"),
        (1 << 2, "years"),
    ];
    let fields = (typmod >> 16) & 0x7fff;
    let bare = s.trim().parse::<f64>().is_ok_and(f64::is_finite);
    if typmod < 0 || fields == 0x7fff || !bare {
        return None;
    }
    let (_, unit) = FIELDS.iter().find(|(bit, _)| fields & bit != 0)?;
    Some(format!("{s} {unit}"))
}

/// `2024-01-31…`: year first, so that DateStyle's order does not matter.
fn iso_date(s: &str) -> bool {
    let digits = s.bytes().take_while(u8::is_ascii_digit).count();
    matches!(s, "epoch" | "infinity" | "+infinity" | "-infinity")
        || (digits >= 4 && s.as_bytes().get(digits) == Some(&b'-'))
        || digits == 8
}

/// An explicit numeric offset or `Z` after the time of day.
fn has_offset(s: &str) -> bool {
    let Some(colon) = s.find(':') else { return false };
    let rest = &s[colon..];
    rest.ends_with('z')
        || rest.ends_with("utc")
        || rest.rfind(['+', '-']).is_some_and(|i| {
            rest[i + 1..].bytes().all(|b| b.is_ascii_digit() || b == b':') && i + 1 < rest.len()
        })
}

/// A constant.
pub(super) fn constant(cell: Cell, ty: Type, pos: u32) -> Expr {
    Expr { kind: ExprKind::Const(cell), ty, pos }
}

/// The constant of a value.
pub(super) fn typed(datum: &Datum, ty: Type, pos: u32) -> Result<Expr> {
    let cell = storage::encode(Codec::Identity, Type::new(ty.oid), datum).map_err(|e| e.at(pos))?;
    Ok(constant(cell, Type::new(ty.oid), pos))
}

/// Converts a constant between types where that is exact and cannot fail; None otherwise.
pub(in crate::sql) fn fold(cell: &Cell, from: u32, to: u32) -> Option<Cell> {
    let integer = |t: u32| matches!(t, oid::INT2 | oid::INT4 | oid::INT8);
    match cell {
        Cell::Null => Some(Cell::Null),
        Cell::Integer(i) if integer(from) => match to {
            oid::INT2 => i16::try_from(*i).ok().map(|v| Cell::Integer(i64::from(v))),
            oid::INT4 => i32::try_from(*i).ok().map(|v| Cell::Integer(i64::from(v))),
            oid::INT8 => Some(Cell::Integer(*i)),
            oid::OID => u32::try_from(*i).ok().map(|v| Cell::Integer(i64::from(v))),
            oid::NUMERIC => Some(Cell::Text(i.to_string())),
            // Beyond 2^53 the conversion rounds just as PostgreSQL's does.
            #[allow(clippy::cast_precision_loss)]
            oid::FLOAT8 => Some(Cell::Real(*i as f64)),
            oid::TEXT | oid::VARCHAR => Some(Cell::Text(i.to_string())),
            _ => None,
        },
        Cell::Text(t) if from == oid::NUMERIC && to == oid::FLOAT8 => {
            t.parse::<f64>().ok().filter(|f| f.is_finite()).map(Cell::Real)
        }
        _ => None,
    }
}

/// 22023 and friends are left to run time: only what is surely exact is folded.
pub(super) fn apply_typmod(cell: &Cell, ty: Type, explicit: bool) -> Option<Cell> {
    let plain = Type::new(ty.oid);
    let datum = storage::decode(Codec::Identity, plain, cell.as_ref()).ok()?;
    let datum = crate::value::coerce(datum, ty, explicit).ok()?;
    storage::encode(Codec::Identity, plain, &datum).ok()
}

/// 42601 for DEFAULT outside INSERT and UPDATE.
pub(super) fn misplaced_default(pos: u32) -> Error {
    errors::client(state::SYNTAX_ERROR, pos, "DEFAULT is not allowed in this context")
}
