//! PostgreSQL's types by OID, and their modifiers.

/// A PostgreSQL type with its modifier, as RowDescription reports them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// OID in pg_type.
    pub oid: u32,
    /// Type modifier; -1 when there is none.
    pub typmod: i32,
}

/// OIDs of the built-in types Crossfade names in code. The full table is data (`sql::types`).
pub mod oid {
    #![allow(missing_docs)]
    pub const BOOL: u32 = 16;
    pub const BYTEA: u32 = 17;
    pub const CHAR: u32 = 18;
    pub const NAME: u32 = 19;
    pub const INT8: u32 = 20;
    pub const INT2: u32 = 21;
    pub const INT2VECTOR: u32 = 22;
    pub const INT4: u32 = 23;
    pub const REGPROC: u32 = 24;
    pub const TEXT: u32 = 25;
    pub const OID: u32 = 26;
    pub const TID: u32 = 27;
    pub const XID: u32 = 28;
    pub const CID: u32 = 29;
    pub const OIDVECTOR: u32 = 30;
    pub const JSON: u32 = 114;
    pub const XML: u32 = 142;
    pub const PG_NODE_TREE: u32 = 194;
    pub const JSON_ARRAY: u32 = 199;
    pub const FLOAT4: u32 = 700;
    pub const FLOAT8: u32 = 701;
    pub const UNKNOWN: u32 = 705;
    pub const CIDR: u32 = 650;
    pub const CIDR_ARRAY: u32 = 651;
    pub const MACADDR: u32 = 829;
    pub const INET: u32 = 869;
    pub const BOOL_ARRAY: u32 = 1000;
    pub const BYTEA_ARRAY: u32 = 1001;
    pub const CHAR_ARRAY: u32 = 1002;
    pub const NAME_ARRAY: u32 = 1003;
    pub const INT2_ARRAY: u32 = 1005;
    pub const INT4_ARRAY: u32 = 1007;
    pub const TEXT_ARRAY: u32 = 1009;
    pub const BPCHAR_ARRAY: u32 = 1014;
    pub const VARCHAR_ARRAY: u32 = 1015;
    pub const INT8_ARRAY: u32 = 1016;
    pub const FLOAT4_ARRAY: u32 = 1021;
    pub const FLOAT8_ARRAY: u32 = 1022;
    pub const OID_ARRAY: u32 = 1028;
    pub const ACLITEM_ARRAY: u32 = 1034;
    pub const BPCHAR: u32 = 1042;
    pub const VARCHAR: u32 = 1043;
    pub const DATE: u32 = 1082;
    pub const TIME: u32 = 1083;
    pub const TIMESTAMP: u32 = 1114;
    pub const TIMESTAMP_ARRAY: u32 = 1115;
    pub const DATE_ARRAY: u32 = 1182;
    pub const TIME_ARRAY: u32 = 1183;
    pub const TIMESTAMPTZ: u32 = 1184;
    pub const TIMESTAMPTZ_ARRAY: u32 = 1185;
    pub const ACLITEM: u32 = 1033;
    pub const INTERVAL: u32 = 1186;
    pub const INTERVAL_ARRAY: u32 = 1187;
    pub const NUMERIC_ARRAY: u32 = 1231;
    pub const TIMETZ: u32 = 1266;
    pub const TIMETZ_ARRAY: u32 = 1270;
    pub const BIT: u32 = 1560;
    pub const VARBIT: u32 = 1562;
    pub const NUMERIC: u32 = 1700;
    pub const REFCURSOR: u32 = 1790;
    pub const REGCLASS: u32 = 2205;
    pub const REGTYPE: u32 = 2206;
    pub const UUID: u32 = 2950;
    pub const UUID_ARRAY: u32 = 2951;
    pub const TSVECTOR: u32 = 3614;
    pub const TSQUERY: u32 = 3615;
    pub const REGCONFIG: u32 = 3734;
    pub const JSONB: u32 = 3802;
    pub const JSONB_ARRAY: u32 = 3807;
    pub const REGNAMESPACE: u32 = 4089;
    pub const RECORD: u32 = 2249;
    pub const VOID: u32 = 2278;
    // Of extensions: see `value::extension`.
    pub const CITEXT: u32 = 15_001;
    pub const CITEXT_ARRAY: u32 = 15_002;
    pub const HSTORE: u32 = 15_501;
    pub const HSTORE_ARRAY: u32 = 15_502;
    // Pseudo-types that appear in signatures.
    pub const CSTRING: u32 = 2275;
    pub const ANY: u32 = 2276;
    pub const ANYARRAY: u32 = 2277;
    pub const ANYELEMENT: u32 = 2283;
    pub const ANYNONARRAY: u32 = 2776;
    pub const ANYENUM: u32 = 3500;
    pub const ANYCOMPATIBLE: u32 = 5077;
    pub const ANYCOMPATIBLEARRAY: u32 = 5078;
    pub const ANYCOMPATIBLENONARRAY: u32 = 5079;
}

impl Type {
    /// A type without a modifier.
    pub const fn new(oid: u32) -> Self {
        Self { oid, typmod: -1 }
    }

    /// A type with a modifier.
    pub const fn with_typmod(oid: u32, typmod: i32) -> Self {
        Self { oid, typmod }
    }

    /// `varchar(n)` and `char(n)`: n, when given.
    pub fn length(self) -> Option<usize> {
        matches!(self.oid, oid::VARCHAR | oid::BPCHAR)
            .then_some(self.typmod)
            .filter(|t| *t >= 4)
            .and_then(|t| usize::try_from(t - 4).ok())
    }

    /// `character` without a length: blanks at its end are part of the value, though none of what
    /// it is compared by.
    pub fn is_unfilled(self) -> bool {
        self.oid == oid::BPCHAR && self.length().is_none()
    }

    /// Text as a value of this type holds it: that of a `char(n)` without the blanks that fill it.
    pub fn without_fill(self, text: &str) -> &str {
        let filled = self.oid == oid::BPCHAR && self.length().is_some();
        if filled { text.trim_end_matches(' ') } else { text }
    }

    /// `numeric(p, s)`: precision and scale, when given.
    pub fn precision_scale(self) -> Option<(u32, i32)> {
        if self.oid != oid::NUMERIC || self.typmod < 4 {
            return None;
        }
        let packed = self.typmod - 4;
        // The scale is an 11-bit signed number since PostgreSQL 15.
        let scale = ((packed & 0x7ff) ^ 1024) - 1024;
        Some(((packed >> 16 & 0xffff) as u32, scale))
    }

    /// The typmod of `numeric(p, s)`.
    pub const fn numeric_typmod(precision: u32, scale: i32) -> i32 {
        (((precision as i32) << 16) | (scale & 0x7ff)) + 4
    }

    /// `pg_type.typlen` as RowDescription reports it (-1 for varlena, -2 for cstring).
    pub fn len(self) -> i16 {
        match self.oid {
            oid::BOOL | oid::CHAR => 1,
            oid::INT2 => 2,
            oid::INT4 | oid::OID | oid::FLOAT4 | oid::DATE | oid::XID | oid::CID => 4,
            oid::REGPROC | oid::REGCLASS | oid::REGTYPE | oid::REGNAMESPACE | oid::VOID => 4,
            oid::TID | oid::MACADDR => 6,
            oid::INT8 | oid::FLOAT8 | oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ => 8,
            oid::TIMETZ => 12,
            oid::UUID | oid::INTERVAL => 16,
            oid::NAME => 64,
            ty if super::is_enum(ty) => 4,
            oid::UNKNOWN => -2,
            _ => -1,
        }
    }

    /// Never zero-sized; for clippy's sake beside [`Type::len`].
    pub fn is_empty(self) -> bool {
        false
    }
}

const ARRAYS: &[(u32, u32)] = &[
    (oid::TEXT_ARRAY, oid::TEXT),
    (oid::INT4_ARRAY, oid::INT4),
    (oid::INT8_ARRAY, oid::INT8),
    (oid::INT2_ARRAY, oid::INT2),
    (oid::VARCHAR_ARRAY, oid::VARCHAR),
    (oid::BOOL_ARRAY, oid::BOOL),
    (oid::FLOAT8_ARRAY, oid::FLOAT8),
    (oid::FLOAT4_ARRAY, oid::FLOAT4),
    (oid::NUMERIC_ARRAY, oid::NUMERIC),
    (oid::UUID_ARRAY, oid::UUID),
    (oid::JSONB_ARRAY, oid::JSONB),
    (oid::JSON_ARRAY, oid::JSON),
    (oid::TIMESTAMPTZ_ARRAY, oid::TIMESTAMPTZ),
    (oid::TIMESTAMP_ARRAY, oid::TIMESTAMP),
    (oid::DATE_ARRAY, oid::DATE),
    (oid::TIME_ARRAY, oid::TIME),
    (oid::INTERVAL_ARRAY, oid::INTERVAL),
    (oid::BYTEA_ARRAY, oid::BYTEA),
    (oid::BPCHAR_ARRAY, oid::BPCHAR),
    (oid::NAME_ARRAY, oid::NAME),
    (oid::OID_ARRAY, oid::OID),
    (oid::CHAR_ARRAY, oid::CHAR),
    (oid::ACLITEM_ARRAY, oid::ACLITEM),
    (oid::CIDR_ARRAY, oid::CIDR),
    (oid::TIMETZ_ARRAY, oid::TIMETZ),
    // The others have no constants of their own as arrays.
    (1040, oid::MACADDR),
    (1561, oid::BIT),
    (1563, oid::VARBIT),
    (2210, oid::REGCLASS),
    (2211, oid::REGTYPE),
    (1008, oid::REGPROC),
    (4090, oid::REGNAMESPACE),
    (1041, oid::INET),
    (1011, oid::XID),
    (1012, oid::CID),
    (2287, oid::RECORD),
    (3905, 3904),
    (3907, 3906),
    (3909, 3908),
    (3911, 3910),
    (3913, 3912),
    (3927, 3926),
    (6150, 4451),
    (6151, 4532),
    (6152, 4533),
    (6153, 4534),
    (6155, 4535),
    (6157, 4536),
    (oid::CITEXT_ARRAY, oid::CITEXT),
    (oid::HSTORE_ARRAY, oid::HSTORE),
];

/// The element type of an array type (int2vector and oidvector included); `None` otherwise.
pub fn element_of(array: u32) -> Option<u32> {
    match array {
        oid::INT2VECTOR => Some(oid::INT2),
        oid::OIDVECTOR => Some(oid::OID),
        _ => ARRAYS
            .iter()
            .find(|(a, _)| *a == array)
            .map(|(_, e)| *e)
            .or_else(|| super::enums::enum_of_array(array))
            .or_else(|| super::composite::composite_of_array(array)),
    }
}

/// The array type over an element type.
pub fn array_of(element: u32) -> Option<u32> {
    let built_in = ARRAYS.iter().find(|(_, e)| *e == element).map(|(a, _)| *a);
    built_in
        .or_else(|| super::enums::array_of_enum(element))
        .or_else(|| super::composite::array_of_composite(element))
}

/// The SQL name of a built-in type, as `format_type(oid, NULL)` gives it; `???` when unknown.
pub fn type_name(type_oid: u32) -> &'static str {
    match type_oid {
        oid::BOOL => "boolean",
        oid::BYTEA => "bytea",
        oid::CHAR => "\"char\"",
        oid::NAME => "name",
        oid::INT8 => "bigint",
        oid::INT2 => "smallint",
        oid::INT4 => "integer",
        oid::TEXT => "text",
        oid::OID => "oid",
        oid::JSON => "json",
        oid::FLOAT4 => "real",
        oid::FLOAT8 => "double precision",
        oid::UNKNOWN => "unknown",
        oid::BPCHAR => "character",
        oid::VARCHAR => "character varying",
        oid::DATE => "date",
        oid::TIME => "time without time zone",
        oid::TIMETZ => "time with time zone",
        oid::TIMESTAMP => "timestamp without time zone",
        oid::TIMESTAMPTZ => "timestamp with time zone",
        oid::INTERVAL => "interval",
        oid::NUMERIC => "numeric",
        oid::UUID => "uuid",
        oid::TSVECTOR => "tsvector",
        oid::TSQUERY => "tsquery",
        oid::REGCONFIG => "regconfig",
        oid::JSONB => "jsonb",
        oid::REGCLASS => "regclass",
        oid::REGTYPE => "regtype",
        oid::REGPROC => "regproc",
        oid::REGNAMESPACE => "regnamespace",
        oid::VOID => "void",
        oid::RECORD => "record",
        oid::INET => "inet",
        oid::CIDR => "cidr",
        oid::MACADDR => "macaddr",
        oid::INT2VECTOR => "int2vector",
        oid::OIDVECTOR => "oidvector",
        oid::XML => "xml",
        oid::CITEXT => "citext",
        oid::HSTORE => "hstore",
        600 => "point",
        601 => "lseg",
        602 => "path",
        603 => "box",
        604 => "polygon",
        628 => "line",
        718 => "circle",
        774 => "macaddr8",
        790 => "money",
        3220 => "pg_lsn",
        4072 => "jsonpath",
        5069 => "xid8",
        oid::TID => "tid",
        oid::XID => "xid",
        oid::CID => "cid",
        oid::BIT => "bit",
        oid::VARBIT => "bit varying",
        oid::PG_NODE_TREE => "pg_node_tree",
        oid::ANY => "\"any\"",
        oid::ANYARRAY => "anyarray",
        oid::ANYELEMENT => "anyelement",
        oid::BOOL_ARRAY => "boolean[]",
        oid::BYTEA_ARRAY => "bytea[]",
        oid::CHAR_ARRAY => "\"char\"[]",
        oid::NAME_ARRAY => "name[]",
        oid::INT2_ARRAY => "smallint[]",
        oid::INT4_ARRAY => "integer[]",
        oid::INT8_ARRAY => "bigint[]",
        oid::TEXT_ARRAY => "text[]",
        oid::BPCHAR_ARRAY => "character[]",
        oid::VARCHAR_ARRAY => "character varying[]",
        oid::FLOAT4_ARRAY => "real[]",
        oid::FLOAT8_ARRAY => "double precision[]",
        oid::OID_ARRAY => "oid[]",
        oid::NUMERIC_ARRAY => "numeric[]",
        oid::UUID_ARRAY => "uuid[]",
        oid::JSON_ARRAY => "json[]",
        oid::JSONB_ARRAY => "jsonb[]",
        oid::DATE_ARRAY => "date[]",
        oid::TIME_ARRAY => "time without time zone[]",
        oid::TIMESTAMP_ARRAY => "timestamp without time zone[]",
        oid::TIMESTAMPTZ_ARRAY => "timestamp with time zone[]",
        oid::INTERVAL_ARRAY => "interval[]",
        oid::TIMETZ_ARRAY => "time with time zone[]",
        oid::CIDR_ARRAY => "cidr[]",
        oid::ACLITEM_ARRAY => "aclitem[]",
        oid::CITEXT_ARRAY => "citext[]",
        oid::HSTORE_ARRAY => "hstore[]",
        other => super::range::name_of(other).unwrap_or("???"),
    }
}
