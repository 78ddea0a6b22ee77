//! One look at the data of a table: which candidate type serves every value of each column.
//!
//! A pass tests only the best candidate left for each column; when one fails, the column
//! moves to its next candidate and another pass tests the rows before. Clean tables take one
//! pass.

use super::planning::Bounds;
use super::types::Choice;
use super::walk::{Looked, Walk};
use crate::backend::sqlite::Connection;
use crate::error::Result;
use crate::schema::Codec;
use crate::value::{CellRef, Datum, Style, Type, oid, storage, text};

/// Columns read by one statement.
const COLUMNS_MAX: usize = 200;
/// Seconds since 1970 are fewer, milliseconds of moments after 1973 more.
const UNIX_SECONDS_BELOW: i64 = 100_000_000_000;
/// Numbers this near to 1970 are counters rather than moments.
const UNIX_FROM: i64 = 10_000_000;
/// Milliseconds beyond the year 5138.
const UNIX_MILLIS_BELOW: i64 = 100_000_000_000_000;
/// 1 January 1971 and 1969, the year around which lengths of time are stored as moments.
const EPOCH_INTERVAL: i64 = 366 * 86_400_000_000;
/// Microseconds: a shorter length of time is more likely another unit.
const MICROS_FROM: u64 = 1_000_000;

/// What was found in one column.
#[derive(Clone, Debug)]
pub(crate) struct Scanned {
    /// Type and codec that serve every value.
    pub(crate) chosen: (Type, Codec),
    /// NULLs.
    pub(crate) nulls: u64,
    /// Values that are not NULL.
    pub(crate) values: u64,
    /// Integers, reals, texts, blobs.
    counts: [u64; 4],
}

impl Scanned {
    /// The storage classes found, for a finding.
    pub(crate) fn classes(&self) -> String {
        let names = ["integer", "real", "text", "blob"];
        let found: Vec<String> = names
            .iter()
            .zip(self.counts)
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        if found.is_empty() { "no values".to_owned() } else { found.join(", ") }
    }
}

/// What was found in a table.
pub(crate) struct ScannedTable {
    pub(crate) columns: Vec<Scanned>,
    pub(crate) looked: Looked,
}

struct Progress<'a> {
    choice: &'a Choice,
    /// Candidate being tested.
    at: usize,
    /// Rows before this one have not been tested against the candidate.
    tested_from: u64,
    done: bool,
    scanned: Scanned,
}

/// A table or view to be looked at.
pub(crate) struct Subject<'a> {
    pub(crate) connection: &'a Connection,
    /// SQLite's name.
    pub(crate) table: &'a str,
    /// Its columns' names in the file.
    pub(crate) columns: &'a [&'a str],
    /// The name by which its rowid can be read.
    pub(crate) rowid: Option<&'static str>,
    pub(crate) bounds: Bounds,
}

/// Looks at a table or view.
pub(crate) fn table(subject: &Subject<'_>, choices: &[Choice]) -> Result<ScannedTable> {
    let mut result = ScannedTable { columns: Vec::new(), looked: Looked::default() };
    for (names, choices) in subject.columns.chunks(COLUMNS_MAX).zip(choices.chunks(COLUMNS_MAX)) {
        let mut progress: Vec<Progress<'_>> = choices.iter().map(Progress::new).collect();
        let looked = pass(subject, names, &mut progress, true)?;
        result.looked = Looked { partial: looked.partial || result.looked.partial, ..looked };
        for column in &mut progress {
            column.settle();
        }
        while progress.iter().any(|p| !p.done) {
            pass(subject, names, &mut progress, false)?;
            for column in &mut progress {
                column.settle();
            }
        }
        result.columns.extend(progress.into_iter().map(|p| p.scanned));
    }
    Ok(result)
}

/// Reads what is looked at once.
fn pass(
    subject: &Subject<'_>,
    names: &[&str],
    progress: &mut [Progress<'_>],
    first: bool,
) -> Result<Looked> {
    let Subject { connection, table, rowid, bounds, .. } = subject;
    let mut walk = Walk::open(connection, table, names, *rowid, bounds)?;
    let mut row = 0;
    while walk.step()? {
        row += 1;
        for (position, column) in progress.iter_mut().enumerate() {
            if !column.done {
                column.look(walk.cell(position), row, first);
            }
        }
    }
    walk.looked()
}

impl<'a> Progress<'a> {
    fn new(choice: &'a Choice) -> Self {
        let scanned = Scanned { chosen: choice.empty, nulls: 0, values: 0, counts: [0; 4] };
        Self { choice, at: 0, tested_from: 0, done: false, scanned }
    }

    fn candidate(&self) -> (Type, Codec) {
        let last = self.choice.candidates.len().saturating_sub(1);
        self.choice.candidates.get(self.at.min(last)).copied().unwrap_or(self.choice.empty)
    }

    fn look(&mut self, cell: CellRef<'_>, row: u64, first: bool) {
        if first {
            self.count(cell);
        }
        if matches!(cell, CellRef::Null) {
            return;
        }
        // The last candidate takes whatever is left.
        while self.at + 1 < self.choice.candidates.len() {
            let (ty, codec) = self.candidate();
            let fitting = if self.at < self.choice.certain {
                reads(ty, codec, cell)
            } else {
                fits(ty, codec, cell)
            };
            if fitting {
                return;
            }
            self.at += 1;
            self.tested_from = row;
        }
    }

    fn count(&mut self, cell: CellRef<'_>) {
        let class = match cell {
            CellRef::Null => {
                self.scanned.nulls += 1;
                return;
            }
            CellRef::Integer(_) => 0,
            CellRef::Real(_) => 1,
            CellRef::Text(_) => 2,
            CellRef::Blob(_) => 3,
        };
        self.scanned.values += 1;
        self.scanned.counts[class] += 1;
    }

    /// After a pass: done when the candidate was tested on every row.
    fn settle(&mut self) {
        if self.done {
            return;
        }
        if self.scanned.values == 0 {
            self.scanned.chosen = self.choice.empty;
            self.done = true;
            return;
        }
        let (ty, codec) = self.candidate();
        let doubtful = self.at < self.choice.guesses
            && self.choice.candidates.len() > self.choice.guesses
            && self.scanned.values < self.choice.evidence;
        if doubtful {
            self.at = self.choice.guesses;
            self.tested_from = u64::MAX;
        }
        let last = self.at + 1 >= self.choice.candidates.len();
        if self.tested_from == 0 || last {
            self.scanned.chosen = if doubtful { self.candidate() } else { (ty, codec) };
            self.done = true;
        }
        self.tested_from = 0;
    }
}

/// Whether a value can be read as a type that is known to be meant.
fn reads(ty: Type, codec: Codec, cell: CellRef<'_>) -> bool {
    match (codec.plain(), cell) {
        (_, CellRef::Null) => true,
        (Codec::UuidHex, CellRef::Text(t)) => hex_digits(t),
        (Codec::UuidBlob, _) => fits(ty, codec, cell),
        (Codec::DateTimeLoose, CellRef::Text(t)) => iso_moment(ty, t).is_some(),
        (Codec::Identity, CellRef::Text(_)) | (Codec::NumericNative, _) => fits(ty, codec, cell),
        (Codec::UnixSeconds, CellRef::Integer(i)) => {
            i.unsigned_abs() < UNIX_SECONDS_BELOW.unsigned_abs()
        }
        _ => storage::decode(codec, ty, cell).is_ok(),
    }
}

/// Whether a type with its codec gives back exactly what is stored.
pub(crate) fn fits(ty: Type, codec: Codec, cell: CellRef<'_>) -> bool {
    match (codec.plain(), ty.oid, cell) {
        (_, _, CellRef::Null) => true,
        (Codec::Identity, oid::INT8, CellRef::Integer(_)) => true,
        (Codec::Identity, oid::INT4, CellRef::Integer(i)) => i32::try_from(i).is_ok(),
        (Codec::Identity, oid::INT2, CellRef::Integer(i)) => i16::try_from(i).is_ok(),
        (Codec::Identity, oid::BOOL, CellRef::Integer(i)) => i == 0 || i == 1,
        (Codec::Identity, oid::FLOAT8, CellRef::Real(_)) => true,
        (Codec::Identity, oid::BYTEA, CellRef::Blob(_)) => true,
        (Codec::Identity, oid::TEXT | oid::VARCHAR, CellRef::Text(t)) => text_fits(t, ty.length()),
        (Codec::Identity | Codec::TextLoose, oid::JSON, CellRef::Text(t)) => json(t),
        (Codec::Identity, _, CellRef::Text(t)) => canonical(ty, t),
        (Codec::Identity, ..) => false,
        (Codec::TextLoose, oid::JSON, CellRef::Real(r)) => r.is_finite(),
        (Codec::NumericNative, _, CellRef::Integer(_) | CellRef::Real(_)) => numeric(ty, cell),
        (Codec::NumericNative, ..) => false,
        (Codec::TextLoose, _, CellRef::Text(t)) => text_fits(t, None),
        (Codec::DateTimeLoose, _, CellRef::Text(t)) => moment(ty, t),
        (Codec::DateTimeLoose, ..) => false,
        (Codec::UuidHex, _, CellRef::Text(t)) => uuid_digits(t),
        // A constant becomes bytes, and equals no text.
        (Codec::UuidBlob, _, CellRef::Blob(b)) => b.len() == 16,
        (Codec::UuidBlob, ..) => false,
        (Codec::UnixSeconds, _, CellRef::Integer(i)) => {
            i == 0 || (UNIX_FROM..UNIX_SECONDS_BELOW).contains(&i)
        }
        (Codec::UnixMillis, _, CellRef::Integer(i)) => {
            i == 0 || (UNIX_SECONDS_BELOW..UNIX_MILLIS_BELOW).contains(&i)
        }
        (Codec::UnixSeconds | Codec::UnixMillis, ..) => false,
        (Codec::IntervalMicros, _, CellRef::Integer(i)) => {
            i == 0 || i.unsigned_abs() >= MICROS_FROM
        }
        (Codec::IntervalEpoch, _, CellRef::Text(_)) => near_1970(cell),
        _ => storage::decode(codec, ty, cell).is_ok(),
    }
}

fn text_fits(bytes: &[u8], length: Option<usize>) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    !text.contains('\0') && length.is_none_or(|n| text.len() <= n || text.chars().count() <= n)
}

fn json(bytes: &[u8]) -> bool {
    let Ok(document) = std::str::from_utf8(bytes) else { return false };
    text::parse(Type::new(oid::JSON), document, &Style::default()).is_ok()
}

/// Whether text is exactly the logical cell of a type.
fn canonical(ty: Type, bytes: &[u8]) -> bool {
    if is_moment(ty.oid) && !bytes.first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    let cell = CellRef::Text(bytes);
    storage::decode(Codec::Identity, ty, cell)
        .and_then(|datum| storage::encode(Codec::Identity, ty, &datum))
        .is_ok_and(|back| back.as_ref() == cell)
}

fn is_moment(type_oid: u32) -> bool {
    matches!(type_oid, oid::DATE | oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ)
}

/// A date or time in one of the forms SQLite programs use. A zone must be there for
/// timestamptz and must not be for timestamp: none is invented, none is dropped.
fn moment(ty: Type, bytes: &[u8]) -> bool {
    let Some(text) = iso_moment(ty, bytes) else { return false };
    match ty.oid {
        oid::TIMESTAMPTZ => has_zone(text),
        oid::DATE => !text.contains(':'),
        _ => !has_zone(text),
    }
}

/// What Rails writes before a time of day.
const NO_DAY: &str = "2000-01-01 ";

/// The text of a date or time that begins as ISO has it. Other spellings are ambiguous, and
/// words such as `now` are never evaluated.
fn iso_moment(ty: Type, bytes: &[u8]) -> Option<&str> {
    let whole = std::str::from_utf8(bytes).ok()?;
    let text = match ty.oid {
        oid::TIME => whole.strip_prefix(NO_DAY).unwrap_or(whole),
        _ => whole,
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let after = text.as_bytes().get(digits).copied();
    let iso = match ty.oid {
        oid::TIME => digits <= 2 && after == Some(b':') && !text.contains(char::is_alphabetic),
        _ => digits == 4 && matches!(after, Some(b'-' | b'/')),
    };
    let readable = iso && storage::decode(Codec::DateTimeLoose, ty, CellRef::Text(bytes)).is_ok();
    readable.then_some(text)
}

/// A moment so near to 1970 that it is a length of time.
fn near_1970(cell: CellRef<'_>) -> bool {
    let decoded = storage::decode(Codec::IntervalEpoch, Type::new(oid::INTERVAL), cell);
    let Ok(Datum::Interval(span)) = decoded else { return false };
    let micros = i64::from(span.days) * 86_400_000_000 + span.micros;
    micros.abs() < EPOCH_INTERVAL
}

fn has_zone(text: &str) -> bool {
    let Some(time) = text.find(':') else { return false };
    let rest = &text[time..];
    rest.ends_with(['Z', 'z'])
        || rest.contains(['+', '-'])
        || rest.contains(|c: char| c.is_ascii_alphabetic())
}

fn numeric(ty: Type, cell: CellRef<'_>) -> bool {
    let Ok(Datum::Numeric(number)) =
        storage::decode(Codec::NumericNative, Type::new(oid::NUMERIC), cell)
    else {
        return false;
    };
    let Some((precision, scale)) = ty.precision_scale() else { return true };
    let digits = number.min_scale().is_some_and(|s| i64::from(s) <= i64::from(scale));
    digits && number.with_typmod(precision, scale).is_ok()
}

/// 32 lower-case hexadecimal digits.
fn hex_digits(bytes: &[u8]) -> bool {
    bytes.len() == 32 && bytes.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b))
}

/// Such digits with a UUID's version and variant.
fn uuid_digits(bytes: &[u8]) -> bool {
    hex_digits(bytes)
        && (b'1'..=b'8').contains(&bytes[12])
        && matches!(bytes[16], b'8' | b'9' | b'a' | b'b')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_seen() {
        assert!(has_zone("2021-03-04 05:06:07+02:00"));
        assert!(has_zone("2021-03-04T05:06:07Z"));
        assert!(!has_zone("2021-03-04 05:06:07.123"));
        assert!(!has_zone("2021-03-04"));
    }

    #[test]
    fn uuids_need_version_and_variant() {
        assert!(uuid_digits(b"550e8400e29b41d4a716446655440000"));
        assert!(!uuid_digits(b"d41d8cd98f00b204e9800998ecf8427e"));
    }
}
