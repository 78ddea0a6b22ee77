//! Comparisons, IN, LIKE and GLOB of SQLite's.

use super::{Held, Printer, cannot, constant_text, has_window, held, quote};
use crate::error::Result;
use crate::sql::ir::{Expr, ExprKind};
use crate::value::Cell;

/// Place of a kind in SQLite's order of kinds.
fn class(kind: Held) -> Option<u8> {
    match kind {
        Held::Bool | Held::Int | Held::Real | Held::Num(_) => Some(0),
        Held::Text => Some(1),
        Held::Blob => Some(2),
        Held::Any => None,
    }
}

/// What a comparison of different kinds always says.
fn settled(op: &str, less: bool) -> bool {
    match op {
        "<" | "<=" => less,
        ">" | ">=" => !less,
        "<>" | "IS NOT" => true,
        _ => false,
    }
}

fn null_constant(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Const(Cell::Null))
}

impl Printer<'_> {
    pub(super) fn lite_comparison(&mut self, op: &str, a: &Expr, b: &Expr) -> Result<String> {
        let (ka, kb) = (held(a.ty), held(b.ty));
        if ka == Held::Any || kb == Held::Any {
            return self.any_comparison(op, a, b);
        }
        let (ca, cb) = (class(ka), class(kb));
        if ca != cb && !null_constant(a) && !null_constant(b) {
            let (x, y) = (self.expr(a)?, self.expr(b)?);
            let answer = settled(op, ca < cb);
            if op.starts_with("IS") {
                let both = format!("({x} IS NULL AND {y} IS NULL)");
                return Ok(if answer { format!("(NOT {both})") } else { both });
            }
            return Ok(format!(
                "(CASE WHEN {x} IS NOT NULL AND {y} IS NOT NULL THEN {answer} END)"
            ));
        }
        let (x, y) = (self.comparable(a, kb)?, self.comparable(b, ka)?);
        let symbol = match op {
            "IS" => "IS NOT DISTINCT FROM",
            "IS NOT" => "IS DISTINCT FROM",
            op => op,
        };
        if ka == Held::Text && kb == Held::Text && matches!(op, "<" | "<=" | ">" | ">=") {
            return Ok(format!("(({x}) COLLATE \"C\" {symbol} ({y}) COLLATE \"C\")"));
        }
        Ok(format!("({x} {symbol} {y})"))
    }

    /// A number in the type in which it is compared with the other side.
    fn comparable(&mut self, expr: &Expr, other: Held) -> Result<String> {
        let sql = self.expr(expr)?;
        Ok(match (held(expr.ty), other) {
            (Held::Bool, Held::Bool) => sql,
            (Held::Bool, _) => format!("({sql})::int4"),
            (Held::Int, Held::Real | Held::Num(_)) => format!("({sql})::float8"),
            _ => sql,
        })
    }

    /// A comparison with a value whose kind the data decide.
    fn any_comparison(&mut self, op: &str, a: &Expr, b: &Expr) -> Result<String> {
        if op.starts_with("IS") || has_window(a) || has_window(b) {
            return Err(cannot("IS over a value whose kind the data decide"));
        }
        let (ka, kb) = (held(a.ty), held(b.ty));
        let as_json = |p: &mut Self, e: &Expr, k: Held| -> Result<String> {
            let sql = p.expr(e)?;
            Ok(match k {
                Held::Any => sql,
                Held::Bool => format!("to_jsonb(({sql})::int4)"),
                Held::Blob => return Err(cannot("a blob beside a value of unknown kind")),
                _ => format!("to_jsonb({sql})"),
            })
        };
        let (x, y) = (as_json(self, a, ka)?, as_json(self, b, kb)?);
        if matches!(op, "=" | "<>") {
            return Ok(format!("({x} {op} {y})"));
        }
        Ok(format!(
            "(SELECT CASE WHEN jsonb_typeof(v.x) = 'number' AND jsonb_typeof(v.y) = 'number' \
             THEN v.x::text::float8 {op} v.y::text::float8 \
             WHEN jsonb_typeof(v.x) = 'string' AND jsonb_typeof(v.y) = 'string' \
             THEN (v.x #>> '{{}}') COLLATE \"C\" {op} (v.y #>> '{{}}') COLLATE \"C\" \
             WHEN jsonb_typeof(v.x) = 'number' AND jsonb_typeof(v.y) = 'string' THEN {} \
             WHEN jsonb_typeof(v.x) = 'string' AND jsonb_typeof(v.y) = 'number' THEN {} END \
             FROM (SELECT {x} AS x, {y} AS y) AS v)",
            settled(op, true),
            settled(op, false)
        ))
    }

    /// `x IN (…)`, all of one class.
    pub(super) fn lite_in(&mut self, x: &Expr, list: &[Expr]) -> Result<String> {
        let real =
            std::iter::once(x).chain(list).any(|e| matches!(held(e.ty), Held::Real | Held::Num(_)));
        let item = |p: &mut Self, e: &Expr| -> Result<String> {
            let sql = p.expr(e)?;
            Ok(match held(e.ty) {
                Held::Bool if real => format!("({sql})::int4::float8"),
                Held::Bool => format!("({sql})::int4"),
                Held::Int if real => format!("({sql})::float8"),
                _ => sql,
            })
        };
        let left = item(self, x)?;
        let list = list.iter().map(|e| item(self, e)).collect::<Result<Vec<_>>>()?;
        Ok(format!("({left} IN ({}))", list.join(", ")))
    }

    /// LIKE without regard to the case of ASCII letters, and GLOB.
    pub(super) fn lite_like(
        &mut self,
        op: &str,
        x: &Expr,
        pattern: &Expr,
        escape: Option<&Expr>,
    ) -> Result<String> {
        if op == "GLOB" {
            let value = self.expr(x)?;
            let pattern = constant_text(pattern)
                .ok_or_else(|| cannot("GLOB with a pattern that is no constant"))?;
            let regex = quote(&glob_regex(pattern)?);
            return Ok(format!("(({value}) COLLATE \"C\" ~ {regex})"));
        }
        let (value, pattern) = (self.folded(x)?, self.folded(pattern)?);
        let escape = match escape {
            None => "''".to_owned(),
            Some(escape) => match constant_text(escape) {
                Some(one) if one.chars().count() == 1 => quote(&one.to_ascii_lowercase()),
                _ => return Err(cannot("this ESCAPE")),
            },
        };
        Ok(format!("({value} LIKE {pattern} ESCAPE {escape})"))
    }
}

/// A GLOB pattern as a regular expression of PostgreSQL's.
fn glob_regex(pattern: &str) -> Result<String> {
    let mut out = "^".to_owned();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '[' => {
                out.push('[');
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
                let mut first = true;
                loop {
                    match chars.next() {
                        Some(']') if !first => break,
                        Some(c @ (']' | '-')) => out.push(c),
                        Some(c @ ('[' | '\\' | '^')) => {
                            out.push('\\');
                            out.push(c);
                        }
                        Some(c) => out.push(c),
                        None => return Err(cannot("a GLOB pattern with an open bracket")),
                    }
                    first = false;
                }
                out.push(']');
            }
            c if c.is_alphanumeric() || c == '_' || c == ' ' || !c.is_ascii() => out.push(c),
            c => {
                out.push('\\');
                out.push(c);
            }
        }
    }
    out.push('$');
    Ok(out)
}
