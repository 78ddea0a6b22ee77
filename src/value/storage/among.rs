//! Values in a column whose affinity makes numbers of texts that look like one.
//!
//! To SQLite a column declared `STRING`, `JSON`, `FLOAT` or `DECIMAL` is one of numbers: `01234`
//! becomes 1234 there, `1.0` becomes 1, whole numbers in a column of REAL become REAL. Owns the cell
//! that is read back as what was written: the number where its text is the very same, else the
//! text's bytes, which no affinity touches. What cannot be kept is refused; it must never become
//! another value. Start at [`encode`].

use super::{decode, utf8};
use crate::error::{Error, Result, state};
use crate::value::codec::Among;
use crate::value::{Cell, Datum, Type, oid};

/// The cell to store for a value; 0A000 (22003 for a numeric) where none keeps it.
pub(super) fn encode(among: Among, ty: Type, datum: &Datum) -> Result<Cell> {
    let cell = super::encode(among.plain(), ty, datum)?;
    let text = match cell {
        Cell::Null | Cell::Blob(_) => return Ok(cell),
        Cell::Text(text) if number(text.as_bytes()).is_none() => return Ok(Cell::Text(text)),
        Cell::Text(text) => {
            let number = number(text.as_bytes()).unwrap_or(Cell::Null);
            if means(among, ty, &number, datum) {
                return Ok(number);
            }
            text
        }
        number if means(among, ty, &number, datum) => return Ok(number),
        _ => return Err(lost(ty)),
    };
    let bytes = Cell::Blob(text.into_bytes());
    match among.blobs && means(among, ty, &bytes, datum) {
        true => Ok(bytes),
        false => Err(lost(ty)),
    }
}

/// Whether a cell is read back as a value, once the column's affinity was applied to it.
fn means(among: Among, ty: Type, cell: &Cell, datum: &Datum) -> bool {
    let stored = applied(cell, among.real);
    decode(among.plain(), ty, stored.as_ref()).is_ok_and(|read| read == *datum)
}

/// What a column of numbers makes of a number.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn applied(cell: &Cell, real: bool) -> Cell {
    /// From here on SQLite leaves a REAL that is whole as it is.
    const WHOLE_MAX: f64 = 9_223_372_036_854_774_784.0;
    match cell {
        Cell::Integer(i) if real => Cell::Real(*i as f64),
        Cell::Real(r) if !real && r.trunc() == *r && r.abs() <= WHOLE_MAX => {
            Cell::Integer(*r as i64)
        }
        other => other.clone(),
    }
}

/// The number that SQLite makes of a text; None for text that stays text. Of a number with more
/// digits than a double has, one near to it.
fn number(text: &[u8]) -> Option<Cell> {
    let blank = |b: &u8| matches!(b, b' ' | 9..=13);
    let from = text.iter().position(|b| !blank(b))?;
    let to = text.iter().rposition(|b| !blank(b))?;
    let text = utf8(&text[from..=to]).ok()?;
    let digits = |t: &str| t.bytes().take_while(u8::is_ascii_digit).count();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = digits(unsigned);
    let mut rest = &unsigned[whole..];
    let mut fraction = 0;
    if let Some(after) = rest.strip_prefix('.') {
        fraction = digits(after);
        rest = &after[fraction..];
    }
    if whole + fraction == 0 {
        return None;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        rest = &exponent[digits(exponent)..];
        if exponent.len() == rest.len() {
            return None;
        }
    }
    if !rest.is_empty() {
        return None;
    }
    match text.parse::<i64>() {
        Ok(whole) => Some(Cell::Integer(whole)),
        Err(_) => text.parse::<f64>().ok().map(Cell::Real),
    }
}

fn lost(ty: Type) -> Error {
    if ty.oid == oid::NUMERIC {
        return Error::client(
            state::NUMERIC_VALUE_OUT_OF_RANGE,
            "numeric value has more digits than its column can hold exactly",
        );
    }
    let what = "this value in a column that SQLite keeps numbers in";
    Error::unsupported(what).hint(
        "SQLite would make another value of it. Give the column the type TEXT (ALTER TABLE … \
         ALTER COLUMN … TYPE text).",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::numeric::Numeric;
    use crate::value::{Codec, json};

    const TEXTS: [&str; 34] = [
        "",
        " ",
        "0",
        "7",
        "-7",
        "+7",
        "07",
        "-0",
        "1234",
        "01234",
        " 12",
        "12 ",
        "1.0",
        "1.5",
        "1.50",
        ".5",
        "5.",
        "1e3",
        "1.0e+20",
        "1E3",
        "1e",
        "1e+",
        "e3",
        ".",
        "-",
        "0x10",
        "1_000",
        "2020-01-01",
        "9223372036854775807",
        "9223372036854775808",
        "0.1",
        "0.30000000000000004",
        "inf",
        "nan",
    ];

    /// What SQLite itself gives back of a cell that a column of this declaration was given.
    fn through(declared: &str, cell: &Cell) -> Cell {
        use rusqlite::types::Value;
        let db = rusqlite::Connection::open_in_memory().unwrap();
        db.execute_batch(&format!("CREATE TABLE t(c {declared})")).unwrap();
        let given = match cell {
            Cell::Null => Value::Null,
            Cell::Integer(i) => Value::from(*i),
            Cell::Real(r) => Value::from(*r),
            Cell::Text(t) => Value::from(t.clone()),
            Cell::Blob(b) => Value::from(b.clone()),
        };
        db.execute("INSERT INTO t VALUES (?1)", [given]).unwrap();
        match db.query_row("SELECT c FROM t", [], |row| row.get(0)).unwrap() {
            Value::Null => Cell::Null,
            Value::Integer(i) => Cell::Integer(i),
            Value::Real(r) => Cell::Real(r),
            Value::Text(t) => Cell::Text(t),
            Value::Blob(b) => Cell::Blob(b),
        }
    }

    fn comes_back(text: &str) {
        for (declared, real) in [("STRING", false), ("POINT", false), ("FLOAT", true)] {
            let ty = Type::new(oid::TEXT);
            let datum = Datum::Text(text.to_owned());
            let codec = Codec::TextLoose.among(ty, real, true);
            let cell = super::super::encode(codec, ty, &datum).unwrap();
            let stored = through(declared, &cell);
            assert_eq!(decode(codec, ty, stored.as_ref()).unwrap(), datum, "{declared} {cell:?}");
            // Bytes only where there is no other way.
            let stays = through(declared, &Cell::Text(text.to_owned()));
            let same = decode(codec, ty, stays.as_ref()).unwrap() == datum;
            let few = text.len() < 16;
            assert!(!same || !few || !matches!(stored, Cell::Blob(_)), "{declared} {text:?}");
        }
    }

    #[test]
    fn texts_that_look_like_numbers_come_back() {
        TEXTS.into_iter().for_each(comes_back);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "[-+.eE0-9 \t]{0,24}") {
            comes_back(&text);
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let refused = |codec: Codec, ty: Type, datum: Datum| {
            let error = super::super::encode(codec, ty, &datum).unwrap_err();
            error.sqlstate()
        };
        let text = Type::new(oid::TEXT);
        let codec = Codec::TextLoose.among(text, false, false);
        let zip = Datum::Text("01234".to_owned());
        assert_eq!(refused(codec, text, zip), state::FEATURE_NOT_SUPPORTED);
        let plain = Datum::Text("1234".to_owned());
        assert_eq!(super::super::encode(codec, text, &plain).unwrap(), Cell::Integer(1234));
        let wide = Datum::Numeric(Numeric::parse("12345678901234567890.5").unwrap());
        let numeric = Type::new(oid::NUMERIC);
        for codec in [Codec::NumericAny, Codec::Coerced] {
            let codec = codec.among(numeric, false, true);
            assert_eq!(refused(codec, numeric, wide.clone()), state::NUMERIC_VALUE_OUT_OF_RANGE);
        }
        let int = Type::new(oid::INT8);
        let codec = Codec::Identity.among(int, true, true);
        let datum = Datum::Int(9_007_199_254_740_993);
        assert_eq!(refused(codec, int, datum), state::FEATURE_NOT_SUPPORTED);
    }

    #[test]
    fn documents_keep_their_digits() {
        for document in ["7", "1.0", "12345678901234567890123", "[1.0]", "\"01\"", "-0.0"] {
            let cases = [
                (oid::JSON, Codec::TextLoose, Datum::Json(document.to_owned())),
                (oid::JSONB, Codec::Identity, Datum::Jsonb(json::canonical(document).unwrap())),
            ];
            for (type_oid, codec, datum) in cases {
                let ty = Type::new(type_oid);
                let codec = codec.among(ty, false, true);
                let cell = super::super::encode(codec, ty, &datum).unwrap();
                let stored = through("JSON", &cell);
                assert_eq!(decode(codec, ty, stored.as_ref()).unwrap(), datum, "{cell:?}");
            }
        }
    }
}
