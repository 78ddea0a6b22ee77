//! Operators and scalar functions: the six comparisons, then the registry's templates.

use super::Value;
use super::codec::{key, logical};
use super::compare::{compare_values, comparison};
use super::names::Printer;
use super::registry::{Kind, lookup, signature};
use crate::error::{Error, Result};
use crate::sql::ir::{Call, Expr, ExprKind, Op};
use crate::sql::types;
use crate::value::{Type, element_of, is_composite, oid};

impl Printer {
    /// An operator.
    pub(super) fn operator(&mut self, op: &Op, ty: Type) -> Result<String> {
        let Some(left) = &op.left else {
            let right = self.value(&op.right)?;
            let args = [right.ty.oid];
            let template = lookup(Kind::Operator, &op.name, &args)
                .ok_or_else(|| unsupported_operator(&op.name, &args))?;
            return expand(template, &[right], ty);
        };
        // Typed like: the pattern decides whether an index may serve.
        if let Some(printed) = self.like(&op.name, left, &op.right)? {
            return Ok(printed);
        }
        let (a, b) = (self.value(left)?, self.value(&op.right)?);
        let args = [operand_type(left, &a), operand_type(&op.right, &b)];
        if let Some(template) = lookup(Kind::Operator, &op.name, &args) {
            return expand(template, &[a, b], ty);
        }
        if let Some(comparison) = comparison(&op.name) {
            return compare_values(comparison, a, b);
        }
        Err(unsupported_operator(&op.name, &args))
    }

    /// A call's arguments; rows only for functions that make JSON of them.
    pub(super) fn arguments(&mut self, call: &Call) -> Result<Vec<Value>> {
        let json = types::makes_json(&call.name);
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            self.takes_row = json && matches!(arg.kind, ExprKind::Record(..));
            let rows = types::element(arg.ty.oid).is_some_and(is_composite);
            if json && (rows || !self.takes_row && is_composite(arg.ty.oid)) {
                return Err(Error::unsupported("JSON of this row"));
            }
            args.push(self.value(arg)?);
        }
        Ok(args)
    }

    /// A scalar function.
    pub(super) fn scalar_call(&mut self, call: &Call, ty: Type) -> Result<Value> {
        if call.lite {
            return self.lite_call(call, ty);
        }
        if let Some(drawn) = self.drawn(call, ty) {
            return Ok(drawn);
        }
        let args = self.arguments(call)?;
        let types: Vec<u32> =
            call.args.iter().zip(&args).map(|(e, v)| operand_type(e, v)).collect();
        if matches!(call.name.as_str(), "nextval" | "setval") && !self.may_draw {
            return Err(Error::unsupported(format_args!("{}() here", call.name)));
        }
        let template = lookup(Kind::Function, &call.name, &types)
            .ok_or_else(|| unsupported_function(&call.name, &types))?;
        Ok(Value::logical(expand(template, &args, ty)?, ty))
    }
}

/// The type that decides on the signature: the expression's, after relabelling.
fn operand_type(expr: &Expr, value: &Value) -> u32 {
    if expr.ty.oid == 0 { value.ty.oid } else { expr.ty.oid }
}

pub(super) fn unsupported_function(name: &str, args: &[u32]) -> Error {
    Error::unsupported(format_args!("function {}", signature(name, args)))
}

fn unsupported_operator(name: &str, args: &[u32]) -> Error {
    let names: Vec<String> = args.iter().map(|a| crate::sql::types::sql_name(*a)).collect();
    let text = match names.as_slice() {
        [right] => format!("{name} {right}"),
        [left, right] => format!("{left} {name} {right}"),
        _ => name.to_owned(),
    };
    Error::unsupported(format_args!("operator {text}"))
}

/// A value's text, as its type's output function gives it.
fn as_output(value: &Value) -> Result<String> {
    if value.ty.oid == oid::INET {
        return Ok(logical(value));
    }
    if value.ty.oid == oid::BOOL {
        let cell = logical(value);
        return Ok(format!("(CASE WHEN {cell} THEN 't' WHEN NOT {cell} THEN 'f' END)"));
    }
    as_text(value)
}

/// A value's text, as a cast gives it.
pub(super) fn as_text(value: &Value) -> Result<String> {
    let cell = logical(value);
    if value.ty.oid == oid::BPCHAR {
        return Ok(format!("pg_bpchar_pad({cell}, {})", value.ty.typmod));
    }
    super::cast::convert(&cell, value.ty, Type::new(oid::TEXT), true)
}

/// Fills a template in; see `registry` for its marks.
pub(super) fn expand(template: &str, args: &[Value], result: Type) -> Result<String> {
    let mut out = String::with_capacity(template.len() + 16 * args.len());
    let told = result.oid != oid::BPCHAR && template.contains("@1");
    let mut rest = template;
    while let Some(at) = rest.find(['$', '@', '#']) {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let (text, used) = mark(tail, args, result, told)?;
        out.push_str(&text);
        rest = &tail[used..];
    }
    out.push_str(rest);
    Ok(out)
}

fn mark(tail: &str, args: &[Value], result: Type, told: bool) -> Result<(String, usize)> {
    let bytes = tail.as_bytes();
    let sigil = bytes[0];
    let mut used = 1;
    let letter = match bytes.get(used) {
        Some(c @ (b'k' | b't' | b'u' | b'e' | b'o')) if sigil != b'#' => {
            used += 1;
            *c
        }
        _ => 0,
    };
    let nth = bytes.get(used).copied().unwrap_or(b' ');
    used += 1;
    if nth == b'*' {
        let mut items = Vec::with_capacity(args.len());
        for arg in args {
            items.push(match letter {
                b't' => as_text(arg)?,
                b'u' => as_output(arg)?,
                b'o' => format!("{}, {}", json_ready(arg)?, arg.ty.oid),
                _ => logical(arg),
            });
        }
        return Ok((items.join(", "), used));
    }
    if nth == b'r' {
        let n = if sigil == b'#' { i64::from(result.typmod) } else { i64::from(result.oid) };
        return Ok((n.to_string(), used));
    }
    if !nth.is_ascii_digit() {
        // Not a mark: `@>` and the like.
        return Ok((tail[..1].to_owned(), 1));
    }
    let mut number = usize::from(nth - b'0');
    while let Some(digit) = bytes.get(used).filter(|b| b.is_ascii_digit()) {
        number = number * 10 + usize::from(digit - b'0');
        used += 1;
    }
    let arg = number
        .checked_sub(1)
        .and_then(|n| args.get(n))
        .ok_or_else(|| Error::internal("a template names an argument that is not there"))?;
    let text = match (sigil, letter) {
        (b'$', b'k') => key(&logical(arg), arg.ty),
        (b'$', b't') => as_text(arg)?,
        (b'$', b'u') => as_output(arg)?,
        // A function that is told the type sees the value as it looks.
        (b'$', _) if told || result.oid == oid::BPCHAR_ARRAY => json_ready(arg)?,
        (b'$', _) => logical(arg),
        (b'@', b'e') => element_of(arg.ty.oid).unwrap_or(arg.ty.oid).to_string(),
        (b'@', _) => arg.ty.oid.to_string(),
        _ => arg.ty.typmod.to_string(),
    };
    Ok((text, used))
}

/// A value whose cell a function can turn into JSON by its type's OID alone.
pub(super) fn json_ready(value: &Value) -> Result<String> {
    if value.ty.oid == oid::BPCHAR { as_text(value) } else { Ok(logical(value)) }
}
