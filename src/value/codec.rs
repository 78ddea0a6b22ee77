//! How SQLite stores a column's logical values.

use serde::{Deserialize, Serialize};

use super::{Type, oid};

/// Storage form of one column. Encoding and decoding live in `value::storage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Codec {
    /// The logical cell itself (see the table in `value`): nothing to encode.
    Identity,
    /// numeric(p ≤ 15, s) in a column of numeric or real affinity: INTEGER or REAL, exact
    /// through the shortest decimal; read with s digits.
    NumericNative,
    /// numeric(p ≤ 18, s): INTEGER, the value times 10^s.
    NumericScaled,
    /// numeric(p, s): TEXT with exactly s digits after the point.
    NumericText,
    /// numeric without a declared scale: TEXT, any scale.
    NumericAny,
    /// bool stored by a foreign program as 0/1, 't'/'f', 'true'/'false'.
    BoolLoose,
    /// date, time, timestamp(tz) as text in any of the forms SQLite programs use
    /// (`T` separator, `Z` or an offset, trailing zeros, slashes).
    DateTimeLoose,
    /// timestamp(tz) as whole or fractional seconds since 1970.
    UnixSeconds,
    /// timestamp(tz) as milliseconds since 1970.
    UnixMillis,
    /// interval as microseconds in an INTEGER (Django's DurationField).
    IntervalMicros,
    /// interval as the moment it leads to from 1970 on, as text (SQLAlchemy's Interval).
    IntervalEpoch,
    /// uuid as 32 hexadecimal digits (Django's char(32)).
    UuidHex,
    /// uuid as a 16-byte BLOB.
    UuidBlob,
    /// uuid in any spelling, as TEXT or as a BLOB.
    UuidLoose,
    /// bytea column in which a foreign program also stored TEXT or numbers: the bytes of the
    /// text.
    BytesLoose,
    /// text column in which a foreign program also stored numbers: SQLite's text form of them.
    TextLoose,
    /// jsonb as JSON text in whatever form a foreign program writes it.
    JsonLoose,
    /// Any type, of which a person wants values in other forms changed to it: see
    /// `value::storage`.
    Coerced,
    /// The same, and empty text is NULL.
    CoercedEmpty,
    /// citext: TEXT that the file compares by NOCASE. Letters beyond ASCII are small, so that
    /// this is what citext compares by.
    Caseless,
    /// Another form, in a column whose affinity makes numbers of texts that look like one.
    Among(Among),
}

/// A form within a column of INTEGER, NUMERIC or REAL affinity: see `value::storage::among`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Among {
    /// The form that the column would have without its affinity.
    pub form: Form,
    /// REAL affinity: whole numbers become REAL. Otherwise REALs that are whole become INTEGER.
    pub real: bool,
    /// Text that SQLite would change may be stored as BLOB. Not where the file itself computes
    /// with the column: it expects none.
    pub blobs: bool,
}

/// The codecs whose cells an affinity of numbers may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Form {
    Plain,
    Number,
    Decimal,
    DecimalText,
    Text,
    Json,
    Coerced,
    CoercedEmpty,
}

const FORMS: [(Form, Codec); 8] = [
    (Form::Plain, Codec::Identity),
    (Form::Number, Codec::NumericNative),
    (Form::Decimal, Codec::NumericAny),
    (Form::DecimalText, Codec::NumericText),
    (Form::Text, Codec::TextLoose),
    (Form::Json, Codec::JsonLoose),
    (Form::Coerced, Codec::Coerced),
    (Form::CoercedEmpty, Codec::CoercedEmpty),
];

impl Among {
    /// The codec of the form alone.
    pub fn plain(self) -> Codec {
        FORMS.iter().find(|(form, _)| *form == self.form).map_or(Codec::Identity, |(_, c)| *c)
    }

    /// As one number, for the function that encodes inside SQL.
    pub fn number(self) -> i64 {
        let form = FORMS.iter().position(|(form, _)| *form == self.form).unwrap_or_default();
        let form = i64::try_from(form).unwrap_or_default();
        form * 4 + i64::from(self.real) * 2 + i64::from(self.blobs)
    }

    /// What [`Among::number`] gave.
    pub fn of_number(number: i64) -> Option<Self> {
        let form = usize::try_from(number / 4).ok()?;
        let (form, _) = *FORMS.get(form)?;
        Some(Self { form, real: number & 2 != 0, blobs: number & 1 != 0 })
    }
}

impl Codec {
    /// The codec of a column that Crossfade creates.
    pub fn for_new(ty: Type) -> Self {
        match (ty.oid, ty.precision_scale()) {
            (oid::NUMERIC, Some((p, _))) if p <= 15 => Self::NumericNative,
            (oid::NUMERIC, Some((p, s))) if p <= 18 && s >= 0 => Self::NumericScaled,
            (oid::NUMERIC, Some((_, s))) if s >= 0 => Self::NumericText,
            (oid::NUMERIC, _) => Self::NumericAny,
            (oid::CITEXT, _) => Self::Caseless,
            _ => Self::Identity,
        }
    }

    /// The same without the column's affinity.
    pub fn plain(self) -> Self {
        match self {
            Self::Among(among) => among.plain(),
            codec => codec,
        }
    }

    /// This form in a column of an affinity of numbers; the same where none of its cells can be
    /// changed by it.
    #[must_use]
    pub fn among(self, ty: Type, real: bool, blobs: bool) -> Self {
        let text = matches!(
            ty.oid,
            oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::JSON | oid::NAME | oid::BIT | oid::VARBIT
        );
        let whole = matches!(ty.oid, oid::INT8 | oid::OID);
        let form = match self.plain() {
            Self::TextLoose => Form::Text,
            Self::Identity if text => Form::Text,
            Self::Identity if ty.oid == oid::JSONB => Form::Json,
            Self::JsonLoose => Form::Json,
            Self::Identity if whole && real => Form::Plain,
            Self::NumericNative if real => Form::Number,
            Self::NumericAny => Form::Decimal,
            Self::NumericText => Form::DecimalText,
            Self::Coerced => Form::Coerced,
            Self::CoercedEmpty => Form::CoercedEmpty,
            _ => return self,
        };
        Self::Among(Among { form, real, blobs })
    }

    /// Equal logical values have equal cells: `=`, DISTINCT, GROUP BY, joins and UNIQUE may
    /// use what is stored. (NumericNative: 5 and 5.0 compare equal in SQLite.)
    pub fn preserves_equality(self, ty: Type) -> bool {
        match self.plain() {
            _ if ty.is_unfilled() => false,
            // Of a numeric bound the text shows the scale too.
            Self::Identity => {
                !matches!(ty.oid, oid::NUMERIC | oid::INTERVAL | oid::CITEXT)
                    && !super::range::shows_scale(ty.oid)
                    && !super::is_composite(ty.oid)
            }
            Self::NumericNative
            | Self::NumericScaled
            | Self::NumericText
            | Self::IntervalMicros
            | Self::UuidHex
            | Self::UuidBlob
            | Self::UnixSeconds
            | Self::UnixMillis
            | Self::Caseless => true,
            _ => false,
        }
    }

    /// Whatever program stored it, a value has one cell only.
    pub fn has_one_form(self, ty: Type) -> bool {
        match self {
            Self::Identity => matches!(
                ty.oid,
                oid::BOOL
                    | oid::INT2
                    | oid::INT4
                    | oid::INT8
                    | oid::FLOAT8
                    | oid::TEXT
                    | oid::VARCHAR
                    | oid::BYTEA
            ),
            Self::NumericScaled | Self::IntervalMicros => true,
            _ => false,
        }
    }

    /// Stored cells sort as the logical values do.
    pub fn preserves_order(self, ty: Type) -> bool {
        match self.plain() {
            _ if ty.is_unfilled() => false,
            Self::Identity => {
                !matches!(
                    ty.oid,
                    oid::NUMERIC
                        | oid::INTERVAL
                        | oid::JSON
                        | oid::JSONB
                        | oid::INET
                        | oid::CIDR
                        | oid::TIMETZ
                        | oid::CITEXT
                        | oid::HSTORE
                ) && !super::is_enum(ty.oid)
                    && !super::is_range(ty.oid)
                    && !super::is_composite(ty.oid)
            }
            Self::NumericNative
            | Self::NumericScaled
            | Self::IntervalMicros
            | Self::UuidHex
            | Self::UuidBlob
            | Self::UnixSeconds
            | Self::UnixMillis
            | Self::Caseless => true,
            _ => false,
        }
    }

    /// The declared type to write in the file, chosen so that SQLite's affinity can never
    /// change a value.
    pub fn sqlite_declaration(self, ty: Type) -> &'static str {
        match self {
            Self::Among(among) => among.plain().sqlite_declaration(ty),
            Self::NumericNative => "NUMERIC",
            Self::Coerced | Self::CoercedEmpty => Self::for_new(ty).sqlite_declaration(ty),
            Self::NumericScaled | Self::IntervalMicros | Self::UnixMillis => "INTEGER",
            Self::NumericText
            | Self::NumericAny
            | Self::UuidHex
            | Self::UuidLoose
            | Self::Caseless => "TEXT",
            Self::UuidBlob | Self::BytesLoose => "BLOB",
            Self::UnixSeconds => "NUMERIC",
            Self::BoolLoose
            | Self::DateTimeLoose
            | Self::IntervalEpoch
            | Self::TextLoose
            | Self::JsonLoose => "TEXT",
            Self::Identity => match ty.oid {
                oid::BOOL
                | oid::INT2
                | oid::INT4
                | oid::INT8
                | oid::OID
                | oid::REGCLASS
                | oid::REGTYPE
                | oid::REGPROC
                | oid::REGNAMESPACE => "INTEGER",
                oid::FLOAT4 | oid::FLOAT8 => "REAL",
                oid::BYTEA => "BLOB",
                _ => "TEXT",
            },
        }
    }

    /// The collation that a column of the file has for it, when it is not BINARY.
    pub fn collation(self) -> Option<&'static str> {
        (self == Self::Caseless).then_some("NOCASE")
    }

    /// Whether values that do not fit the type as they are stored are changed to it.
    pub fn coerces(self) -> bool {
        matches!(self.plain(), Self::Coerced | Self::CoercedEmpty)
    }

    /// Its name in configuration and reports.
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(codec, _)| *codec == self.plain()).map_or("plain", |(_, word)| word)
    }

    /// The codec of a name in the configuration.
    pub fn from_word(word: &str) -> Option<Self> {
        WORDS.iter().find(|(_, known)| *known == word).map(|(codec, _)| *codec)
    }

    /// The forms in which programs store a type, strictest first; the last one reads most.
    pub fn forms(type_oid: u32) -> &'static [Self] {
        match type_oid {
            oid::BOOL => &[Self::Identity, Self::BoolLoose],
            oid::NUMERIC => &[Self::NumericNative, Self::NumericAny],
            oid::TEXT | oid::VARCHAR => &[Self::Identity, Self::TextLoose],
            oid::BYTEA => &[Self::Identity, Self::BytesLoose],
            oid::DATE | oid::TIMESTAMP | oid::TIMESTAMPTZ => {
                &[Self::Identity, Self::UnixSeconds, Self::UnixMillis, Self::DateTimeLoose]
            }
            oid::TIME => &[Self::Identity, Self::DateTimeLoose],
            oid::INTERVAL => &[Self::Identity, Self::IntervalEpoch, Self::IntervalMicros],
            oid::UUID => &[Self::Identity, Self::UuidBlob, Self::UuidHex, Self::UuidLoose],
            oid::CITEXT => &[Self::Caseless],
            oid::JSON => &[Self::Identity, Self::TextLoose],
            oid::JSONB => &[Self::Identity, Self::JsonLoose],
            _ => &[Self::Identity],
        }
    }

    /// Whether a column of this type may be declared to be stored so.
    pub fn stores(self, ty: Type) -> bool {
        let scaled = ty.precision_scale().is_some_and(|(p, s)| p <= 18 && s >= 0);
        match self {
            Self::NumericScaled => ty.oid == oid::NUMERIC && scaled,
            Self::NumericText => ty.oid == oid::NUMERIC && ty.precision_scale().is_some(),
            Self::Identity => !matches!(ty.oid, oid::NUMERIC | oid::CITEXT),
            Self::Coerced | Self::CoercedEmpty => true,
            _ => Self::forms(ty.oid).contains(&self),
        }
    }
}

const WORDS: [(Codec, &str); 20] = [
    (Codec::Identity, "plain"),
    (Codec::NumericNative, "number"),
    (Codec::NumericScaled, "scaled-integer"),
    (Codec::NumericText, "decimal-text"),
    (Codec::NumericAny, "any-decimal"),
    (Codec::BoolLoose, "words"),
    (Codec::DateTimeLoose, "iso-text"),
    (Codec::UnixSeconds, "unix-seconds"),
    (Codec::UnixMillis, "unix-milliseconds"),
    (Codec::IntervalMicros, "microseconds"),
    (Codec::IntervalEpoch, "moment-from-1970"),
    (Codec::UuidHex, "hex"),
    (Codec::UuidBlob, "bytes"),
    (Codec::UuidLoose, "any-uuid"),
    (Codec::BytesLoose, "mixed-bytes"),
    (Codec::TextLoose, "mixed-text"),
    (Codec::JsonLoose, "json-text"),
    (Codec::Coerced, "coerced"),
    (Codec::CoercedEmpty, "coerced-or-null"),
    (Codec::Caseless, "caseless"),
];
