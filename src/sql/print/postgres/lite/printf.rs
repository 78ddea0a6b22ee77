//! printf() and format() with a constant format: the directives applications use.

use super::{Held, Printer, cannot, constant_text, held, over, quote};
use crate::error::Result;
use crate::sql::ir::Expr;

/// One directive: flags, width, precision.
#[derive(Debug, Default)]
struct Directive {
    left: bool,
    zero: bool,
    comma: bool,
    width: usize,
    precision: Option<usize>,
}

/// Digits that a double surely has.
pub(super) const DIGITS_MAX: usize = 15;

/// A real with so many digits behind the point, as SQLite rounds it: its exact value, a tie away
/// from zero. to_char() looks at the exact value but takes ties to the even digit; what is a tie
/// has few binary digits, and its shortest decimal form is exact.
pub(super) fn rounded(value: &str, digits: usize) -> String {
    let point = if digits == 0 { String::new() } else { format!(".{}", "0".repeat(digits)) };
    let whole = DIGITS_MAX - digits;
    let shape = format!("FM{}0{point}", "9".repeat(whole));
    format!(
        "(SELECT CASE WHEN v.x * {scale} = floor(v.x * {scale}) OR abs(v.x) >= 1e{whole} \
         THEN round(v.x::text::numeric, {digits})::text ELSE to_char(v.x, '{shape}') END \
         FROM (SELECT ({value})::float8 AS x) AS v)",
        scale = 1_u64 << (digits + 1),
    )
}

impl Printer<'_> {
    pub(super) fn printf(&mut self, format: &Expr, args: &[Expr]) -> Result<String> {
        let format = constant_text(format)
            .ok_or_else(|| cannot("printf() with a format that is no constant"))?;
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut chars = format.chars().peekable();
        let mut args = args.iter();
        while let Some(c) = chars.next() {
            if c != '%' {
                plain.push(c);
                continue;
            }
            let mut directive = Directive::default();
            while let Some(flag) = chars.next_if(|c| matches!(*c, '-' | '0' | ',')) {
                match flag {
                    '-' => directive.left = true,
                    '0' => directive.zero = true,
                    _ => directive.comma = true,
                }
            }
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                directive.width = appended(directive.width, digit)?;
            }
            if chars.next_if_eq(&'.').is_some() {
                let mut n = 0;
                while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                    n = appended(n, digit)?;
                }
                directive.precision = Some(n);
            }
            while chars.next_if_eq(&'l').is_some() {}
            let letter = chars.next().unwrap_or(' ');
            if letter == '%' {
                plain.push('%');
                continue;
            }
            let arg = args.next().ok_or_else(|| cannot("printf() with too few arguments"))?;
            let sql = self.directive(letter, &directive, arg)?;
            if !plain.is_empty() {
                parts.push(quote(&std::mem::take(&mut plain)));
            }
            parts.push(sql);
        }
        if !plain.is_empty() || parts.is_empty() {
            parts.push(quote(&plain));
        }
        Ok(format!("({})", parts.join(" || ")))
    }

    fn directive(&mut self, letter: char, how: &Directive, arg: &Expr) -> Result<String> {
        let kind = held(arg.ty);
        let number = matches!(kind, Held::Bool | Held::Int | Held::Real | Held::Num(_));
        let text = match letter {
            'd' | 'i' if number && how.precision.is_none() => {
                let value = self.expr(arg)?;
                let value = match kind {
                    Held::Bool => format!("({value})::int4"),
                    Held::Int => value,
                    _ => format!("trunc({value})"),
                };
                let shape = if how.comma {
                    "FM999,999,999,999,999,999,990"
                } else {
                    "FM9999999999999999990"
                };
                format!("coalesce(to_char(({value})::int8, '{shape}'), '0')")
            }
            'f' if number && !how.comma => {
                let value = self.expr(arg)?;
                let value = if kind == Held::Bool { format!("({value})::int4") } else { value };
                let digits = how.precision.unwrap_or(6);
                let zero =
                    if digits == 0 { "0".to_owned() } else { format!("0.{}", "0".repeat(digits)) };
                if digits > DIGITS_MAX {
                    return Err(cannot(format_args!("printf() with {digits} digits here")));
                }
                format!("coalesce({}, '{zero}')", rounded(&value, digits))
            }
            's' => {
                let value = self.as_text(arg)?;
                let value = format!("coalesce({value}, '')");
                match how.precision {
                    // Its bytes are counted: of others than ASCII one could be cut in two.
                    Some(n) => over(
                        &value,
                        &format!(
                            "CASE WHEN octet_length(v.x) = length(v.x) THEN substr(v.x, 1, {n}) \
                             ELSE (v.x || ' cannot be translated')::int4::text END"
                        ),
                    ),
                    None => value,
                }
            }
            'x' if kind == Held::Int => format!("to_hex(coalesce({}, 0)::int8)", self.expr(arg)?),
            'X' if kind == Held::Int => {
                format!("upper(to_hex(coalesce({}, 0)::int8))", self.expr(arg)?)
            }
            _ => return Err(cannot(format_args!("printf() with %{letter} here"))),
        };
        if how.width == 0 {
            return Ok(text);
        }
        let width = how.width;
        // The width counts bytes.
        let blanks = format!("repeat(' ', greatest({width} - octet_length(v.x), 0))");
        let body = match (how.left, how.zero && letter != 's') {
            (true, _) => format!("v.x || {blanks}"),
            (false, true) => format!(
                "(CASE WHEN v.x LIKE '-%' THEN '-' || lpad(substr(v.x, 2), \
                 greatest({width} - 1, length(v.x) - 1), '0') \
                 ELSE lpad(v.x, greatest({width}, length(v.x)), '0') END)"
            ),
            (false, false) => format!("{blanks} || v.x"),
        };
        Ok(over(&text, &body))
    }
}

/// A width or precision with one more digit: both are written out in the text made here.
fn appended(number: usize, digit: char) -> Result<usize> {
    const MAX: usize = 1000;
    let number = number * 10 + digit.to_digit(10).map_or(0, |d| d as usize);
    if number > MAX {
        return Err(cannot(format_args!("printf() with a width or precision above {MAX}")));
    }
    Ok(number)
}
