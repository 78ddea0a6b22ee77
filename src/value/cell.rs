//! What SQLite holds: the five storage classes, owned and borrowed.

/// An owned SQLite value.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Cell {
    /// NULL
    #[default]
    Null,
    /// INTEGER
    Integer(i64),
    /// REAL; never NaN (SQLite turns NaN into NULL).
    Real(f64),
    /// TEXT
    Text(String),
    /// BLOB
    Blob(Vec<u8>),
}

/// A borrowed SQLite value. TEXT is bytes: files hold invalid UTF-8.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CellRef<'a> {
    /// NULL
    Null,
    /// INTEGER
    Integer(i64),
    /// REAL
    Real(f64),
    /// TEXT as stored, not yet checked for UTF-8.
    Text(&'a [u8]),
    /// BLOB
    Blob(&'a [u8]),
}

impl Cell {
    /// Borrows the value.
    pub fn as_ref(&self) -> CellRef<'_> {
        match self {
            Self::Null => CellRef::Null,
            Self::Integer(i) => CellRef::Integer(*i),
            Self::Real(r) => CellRef::Real(*r),
            Self::Text(t) => CellRef::Text(t.as_bytes()),
            Self::Blob(b) => CellRef::Blob(b),
        }
    }

    /// Whether this is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl CellRef<'_> {
    /// The value, owned; what is no UTF-8 becomes another text.
    pub fn to_cell(self) -> Cell {
        match self {
            Self::Null => Cell::Null,
            Self::Integer(i) => Cell::Integer(i),
            Self::Real(r) => Cell::Real(r),
            Self::Text(t) => Cell::Text(String::from_utf8_lossy(t).into_owned()),
            Self::Blob(b) => Cell::Blob(b.to_vec()),
        }
    }

    /// SQLite's name of the storage class, as `typeof()` gives it.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Integer(_) => "integer",
            Self::Real(_) => "real",
            Self::Text(_) => "text",
            Self::Blob(_) => "blob",
        }
    }
}
