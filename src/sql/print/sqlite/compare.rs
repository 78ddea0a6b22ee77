//! Comparisons: `=`, `<` and kin, IS DISTINCT FROM, IN lists, NULLIF, rows.

use super::Value;
use super::cast;
use super::codec::{Class, Rounding, bare, encode_for, key, logical, same_form, suits};
use super::names::Printer;
use crate::error::{Error, Result};
use crate::schema::Codec;
use crate::sql::fault;
use crate::sql::ir::{Comparison, Expr};
use crate::value::{Type, is_enum, is_range, oid};

/// The SQL text of a comparison operator, when it is one of the six.
pub(super) fn symbol(op: Comparison) -> Option<&'static str> {
    Some(match op {
        Comparison::Eq => "=",
        Comparison::Ne => "<>",
        Comparison::Lt => "<",
        Comparison::Le => "<=",
        Comparison::Gt => ">",
        Comparison::Ge => ">=",
        _ => return None,
    })
}

/// The comparison an operator name stands for.
pub(super) fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        "=" => Comparison::Eq,
        "<>" => Comparison::Ne,
        "<" => Comparison::Lt,
        "<=" => Comparison::Le,
        ">" => Comparison::Gt,
        ">=" => Comparison::Ge,
        _ => return None,
    })
}

/// Whether the six operators on this type are SQL's (not those of box, tid …).
fn comparable_type(type_oid: u32) -> bool {
    crate::value::is_composite(type_oid)
        || matches!(
            type_oid,
            oid::BOOL
                | oid::BYTEA
                | oid::CHAR
                | oid::NAME
                | oid::INT8
                | oid::INT2
                | oid::INT4
                | oid::REGPROC
                | oid::TEXT
                | oid::OID
                | oid::FLOAT4
                | oid::FLOAT8
                | oid::UNKNOWN
                | oid::BPCHAR
                | oid::VARCHAR
                | oid::DATE
                | oid::TIME
                | oid::TIMESTAMP
                | oid::TIMESTAMPTZ
                | oid::INTERVAL
                | oid::NUMERIC
                | oid::REGCLASS
                | oid::REGTYPE
                | oid::UUID
                | oid::JSONB
                | oid::REGNAMESPACE
                | oid::XID
                | oid::CID
                | oid::INT2VECTOR
                | oid::OIDVECTOR
                | oid::TIMETZ
                | oid::INET
                | oid::CIDR
                | oid::MACADDR
                | oid::BIT
                | oid::VARBIT
                | oid::CITEXT
                | oid::HSTORE
        )
        || crate::value::element_of(type_oid).is_some()
        || is_enum(type_oid)
        || is_range(type_oid)
}

fn flip(rounding: Rounding) -> Rounding {
    match rounding {
        Rounding::Exact => Rounding::Exact,
        Rounding::Down => Rounding::Up,
        Rounding::Up => Rounding::Down,
    }
}

/// How a constant right of the operator is rounded.
fn rounding(op: Comparison) -> Rounding {
    match op {
        Comparison::Le | Comparison::Gt => Rounding::Down,
        Comparison::Lt | Comparison::Ge => Rounding::Up,
        _ => Rounding::Exact,
    }
}

fn class(op: Comparison) -> Class {
    match op {
        Comparison::Eq | Comparison::Ne => Class::Equality,
        _ => Class::Order,
    }
}

/// The type in which a date or timestamp is compared with another such type.
fn common_time(a: u32, b: u32) -> Option<u32> {
    let rank = |o| match o {
        oid::DATE => 1,
        oid::TIMESTAMP => 2,
        oid::TIMESTAMPTZ => 3,
        _ => 0,
    };
    let (ra, rb) = (rank(a), rank(b));
    if ra == 0 || rb == 0 || ra == rb {
        return None;
    }
    Some(if ra > rb { a } else { b })
}

/// Both operands in forms that SQLite compares rightly with each other.
pub(super) fn align(a: Value, b: Value, class: Class, round: Rounding) -> Result<(String, String)> {
    let (a, b) = of_one_time(a, b)?;
    let (sa, sb) = (suits(a.codec, a.ty, class), suits(b.codec, b.ty, class));
    if sa && sb && same_form(&a, &b) {
        return Ok((bare(&a), bare(&b)));
    }
    if sa && a.codec != Codec::Identity {
        let right = encode_for(&a, &logical(&b), round);
        return Ok((bare(&a), right));
    }
    if sb && b.codec != Codec::Identity {
        let left = encode_for(&b, &logical(&a), flip(round));
        return Ok((left, bare(&b)));
    }
    let (la, lb) = (decoded(&a), decoded(&b));
    if needs_key(la.ty) || needs_key(lb.ty) {
        return Ok((keyed(&la), keyed(&lb)));
    }
    Ok((bare(&la), bare(&lb)))
}

/// Dates and timestamps of two types as values of one; others as they are.
pub(super) fn of_one_time(a: Value, b: Value) -> Result<(Value, Value)> {
    match common_time(a.ty.oid, b.ty.oid) {
        Some(common) => Ok((to_time(a, common)?, to_time(b, common)?)),
        None => Ok((a, b)),
    }
}

/// A value by what it is equal to: its key, or the logical cell compared byte by byte.
pub(super) fn keyed(value: &Value) -> String {
    let plain = decoded(value);
    let key = key(&plain.sql, plain.ty);
    if key == plain.sql { bare(&plain) } else { key }
}

fn needs_key(ty: Type) -> bool {
    matches!(
        ty.oid,
        oid::NUMERIC
            | oid::INTERVAL
            | oid::JSONB
            | oid::INET
            | oid::CIDR
            | oid::TIMETZ
            | oid::CITEXT
            | oid::HSTORE
    ) || ty.is_unfilled()
        || crate::value::element_of(ty.oid).is_some()
        || is_enum(ty.oid)
        || is_range(ty.oid)
}

fn decoded(value: &Value) -> Value {
    let collated = value.collated && value.codec == Codec::Identity;
    Value { sql: logical(value), codec: Codec::Identity, ty: value.ty, collated, not_null: false }
}

fn to_time(value: Value, common: u32) -> Result<Value> {
    if value.ty.oid == common {
        return Ok(value);
    }
    let sql = cast::convert(&logical(&value), value.ty, Type::new(common), true)?;
    Ok(Value::logical(sql, Type::new(common)))
}

impl Printer {
    /// `a op b` for one of the six operators.
    pub(super) fn compare(&mut self, op: Comparison, a: &Expr, b: &Expr) -> Result<String> {
        let (va, vb) = (self.value(a)?, self.value(b)?);
        compare_values(op, va, vb)
    }

    /// IS [NOT] DISTINCT FROM.
    pub(super) fn is_distinct(&mut self, a: &Expr, b: &Expr, not: bool) -> Result<String> {
        let (va, vb) = (self.value(a)?, self.value(b)?);
        check(&va)?;
        let (l, r) = align(va, vb, Class::Equality, Rounding::Exact)?;
        if fault::on("is_distinct") {
            return Ok(format!("({l} {} {r})", if not { "=" } else { "<>" }));
        }
        Ok(format!("({l} {} {r})", if not { "IS" } else { "IS NOT" }))
    }

    /// `expr [NOT] IN (list)`
    pub(super) fn in_list(&mut self, expr: &Expr, list: &[Expr], not: bool) -> Result<String> {
        let value = self.value(expr)?;
        check(&value)?;
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            items.push(self.value(item)?);
        }
        let mixed = items.iter().any(|i| common_time(i.ty.oid, value.ty.oid).is_some());
        if mixed {
            // Rare: dates against timestamps; one comparison each.
            let mut parts = Vec::with_capacity(items.len());
            for item in items {
                parts.push(compare_values(Comparison::Eq, value.clone(), item)?);
            }
            let any = format!("({})", parts.join(" OR "));
            return Ok(if not { format!("(NOT {any})") } else { any });
        }
        let same = suits(value.codec, value.ty, Class::Equality)
            && (value.codec != Codec::Identity || items.iter().all(|i| plain_like(&value, i)));
        let left = if same { bare(&value) } else { keyed(&value) };
        let right: Vec<String> = items
            .iter()
            .map(|i| {
                if same && (same_form(&value, i) || value.codec == Codec::Identity) {
                    i.sql.clone()
                } else if same {
                    encode_for(&value, &logical(i), Rounding::Exact)
                } else {
                    key(&logical(i), i.ty)
                }
            })
            .collect();
        let not = if not && !fault::on("not_in") { "NOT " } else { "" };
        Ok(format!("({left} {not}IN ({}))", right.join(", ")))
    }

    /// NULLIF
    pub(super) fn null_if(&mut self, a: &Expr, b: &Expr, ty: Type) -> Result<String> {
        let equal = self.compare(Comparison::Eq, a, b)?;
        let value = self.as_one(a, ty)?;
        Ok(format!("(CASE WHEN {equal} THEN NULL ELSE {value} END)"))
    }

    /// `(a, b) op (c, d)`, by SQL's rules for NULL.
    pub(super) fn row_compare(
        &mut self,
        left: &[Expr],
        op: Comparison,
        right: &[Expr],
    ) -> Result<String> {
        if left.len() != right.len() || left.is_empty() {
            return Err(Error::internal("rows of unequal length"));
        }
        let pairs: Vec<(&Expr, &Expr)> = left.iter().zip(right).collect();
        match op {
            Comparison::Eq | Comparison::Ne => {
                let joined = if op == Comparison::Eq { " AND " } else { " OR " };
                let parts = pairs
                    .iter()
                    .map(|(a, b)| self.compare(op, a, b))
                    .collect::<Result<Vec<_>>>()?;
                Ok(format!("({})", parts.join(joined)))
            }
            Comparison::Lt | Comparison::Le | Comparison::Gt | Comparison::Ge => {
                self.row_order(&pairs, op)
            }
            _ => Err(Error::unsupported("this comparison of rows")),
        }
    }

    fn row_order(&mut self, pairs: &[(&Expr, &Expr)], op: Comparison) -> Result<String> {
        if let Some(native) = self.native_rows(pairs, op)? {
            return Ok(native);
        }
        let strict = match op {
            Comparison::Lt | Comparison::Le => Comparison::Lt,
            _ => Comparison::Gt,
        };
        let Some(((a, b), rest)) = pairs.split_first() else {
            return Err(Error::internal("rows of unequal length"));
        };
        if rest.is_empty() {
            return self.compare(op, a, b);
        }
        let before = self.compare(strict, a, b)?;
        let equal = self.compare(Comparison::Eq, a, b)?;
        let tail = self.row_order(rest, op)?;
        Ok(format!("({before} OR ({equal} AND {tail}))"))
    }

    /// SQLite's own row comparison, which indexes serve, where every pair compares bare.
    fn native_rows(&mut self, pairs: &[(&Expr, &Expr)], op: Comparison) -> Result<Option<String>> {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for (a, b) in pairs {
            let (va, vb) = (self.value(a)?, self.value(b)?);
            let plain =
                |v: &Value| v.codec == Codec::Identity && suits(v.codec, v.ty, Class::Order);
            if !plain(&va) || !plain(&vb) || common_time(va.ty.oid, vb.ty.oid).is_some() {
                return Ok(None);
            }
            left.push(bare(&va));
            right.push(bare(&vb));
        }
        let Some(symbol) = symbol(op) else { return Ok(None) };
        Ok(Some(format!("(({}) {symbol} ({}))", left.join(", "), right.join(", "))))
    }
}

/// Whether a logical item can be compared bare with a logical value of equality-safe form.
fn plain_like(value: &Value, item: &Value) -> bool {
    item.codec == Codec::Identity
        && suits(item.codec, item.ty, Class::Equality)
        && (value.ty.oid != oid::NUMERIC || same_form(value, item))
}

fn check(value: &Value) -> Result<()> {
    if comparable_type(value.ty.oid) {
        Ok(())
    } else {
        Err(Error::unsupported(format_args!(
            "comparing values of type {}",
            crate::sql::types::sql_name(value.ty.oid)
        )))
    }
}

/// `a op b` for one of the six operators, over printed values.
pub(super) fn compare_values(op: Comparison, a: Value, b: Value) -> Result<String> {
    check(&a)?;
    let symbol = symbol(op).ok_or_else(|| Error::unsupported("this comparison"))?;
    let (l, r) = align(a, b, class(op), rounding(op))?;
    Ok(format!("({l} {symbol} {r})"))
}
