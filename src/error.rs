//! What went wrong, who caused it, and what the client may read about it.
//!
//! Owns [`Error`], the one error type that crosses module borders, and the
//! SQLSTATE constants. It must never format a row value, a password or a path
//! into `message`. Start at [`Error`].

use std::borrow::Cow;
use std::fmt;

use crate::name;

/// Result with Crossfade's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A five-character SQLSTATE.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState(pub [u8; 5]);

impl SqlState {
    /// The code as text, for example `42P01`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XX000")
    }

    /// Parses a five-character code; anything else is `XX000`.
    pub fn from_code(code: &str) -> Self {
        code.as_bytes().try_into().map_or(state::INTERNAL_ERROR, Self)
    }

    /// The first two characters: the class by which errors are compared.
    pub fn class(&self) -> &str {
        &self.as_str()[..2]
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// SQLSTATE constants, named as PostgreSQL names its conditions.
pub mod state {
    use super::SqlState;

    macro_rules! states {
        ($($name:ident = $code:literal;)*) => { $(
            #[doc = concat!("SQLSTATE `", stringify!($code), "`")]
            pub const $name: SqlState = SqlState(*$code);
        )* };
    }

    states! {
        SUCCESSFUL_COMPLETION = b"00000";
        WARNING = b"01000";
        PROTOCOL_VIOLATION = b"08P01";
        CONNECTION_FAILURE = b"08006";
        FEATURE_NOT_SUPPORTED = b"0A000";
        CARDINALITY_VIOLATION = b"21000";
        DATA_EXCEPTION = b"22000";
        STRING_DATA_RIGHT_TRUNCATION = b"22001";
        STRING_DATA_LENGTH_MISMATCH = b"22026";
        NUMERIC_VALUE_OUT_OF_RANGE = b"22003";
        NULL_VALUE_NOT_ALLOWED = b"22004";
        ARRAY_SUBSCRIPT_ERROR = b"2202E";
        INVALID_DATETIME_FORMAT = b"22007";
        DATETIME_FIELD_OVERFLOW = b"22008";
        SUBSTRING_ERROR = b"22011";
        DIVISION_BY_ZERO = b"22012";
        INTERVAL_FIELD_OVERFLOW = b"22015";
        INVALID_TIME_ZONE_DISPLACEMENT = b"22009";
        INVALID_ARGUMENT_FOR_LOG = b"2201E";
        INVALID_ARGUMENT_FOR_POWER = b"2201F";
        CHARACTER_NOT_IN_REPERTOIRE = b"22021";
        INVALID_PARAMETER_VALUE = b"22023";
        INVALID_ESCAPE_SEQUENCE = b"22025";
        INVALID_TEXT_REPRESENTATION = b"22P02";
        INVALID_BINARY_REPRESENTATION = b"22P03";
        BAD_COPY_FILE_FORMAT = b"22P04";
        UNTRANSLATABLE_CHARACTER = b"22P05";
        NOT_NULL_VIOLATION = b"23502";
        FOREIGN_KEY_VIOLATION = b"23503";
        UNIQUE_VIOLATION = b"23505";
        CHECK_VIOLATION = b"23514";
        INVALID_CURSOR_STATE = b"24000";
        ACTIVE_SQL_TRANSACTION = b"25001";
        READ_ONLY_SQL_TRANSACTION = b"25006";
        NO_ACTIVE_SQL_TRANSACTION = b"25P01";
        IN_FAILED_SQL_TRANSACTION = b"25P02";
        IDLE_IN_TRANSACTION_SESSION_TIMEOUT = b"25P03";
        INVALID_SQL_STATEMENT_NAME = b"26000";
        TRIGGERED_ACTION_EXCEPTION = b"09000";
        INVALID_AUTHORIZATION = b"28000";
        INVALID_PASSWORD = b"28P01";
        DEPENDENT_OBJECTS_STILL_EXIST = b"2BP01";
        INVALID_CURSOR_NAME = b"34000";
        INVALID_SAVEPOINT = b"3B001";
        INVALID_CATALOG_NAME = b"3D000";
        INVALID_SCHEMA_NAME = b"3F000";
        TRANSACTION_ROLLBACK = b"40000";
        SERIALIZATION_FAILURE = b"40001";
        DEADLOCK_DETECTED = b"40P01";
        SYNTAX_ERROR = b"42601";
        INSUFFICIENT_PRIVILEGE = b"42501";
        CANNOT_COERCE = b"42846";
        GROUPING_ERROR = b"42803";
        DATATYPE_MISMATCH = b"42804";
        WRONG_OBJECT_TYPE = b"42809";
        INVALID_FOREIGN_KEY = b"42830";
        GENERATED_ALWAYS = b"428C9";
        INVALID_COLUMN_REFERENCE = b"42P10";
        UNDEFINED_COLUMN = b"42703";
        UNDEFINED_FUNCTION = b"42883";
        DUPLICATE_FUNCTION = b"42723";
        INVALID_FUNCTION_DEFINITION = b"42P13";
        UNDEFINED_TABLE = b"42P01";
        UNDEFINED_PARAMETER = b"42P02";
        UNDEFINED_OBJECT = b"42704";
        DUPLICATE_COLUMN = b"42701";
        DUPLICATE_CURSOR = b"42P03";
        DUPLICATE_DATABASE = b"42P04";
        DUPLICATE_PREPARED_STATEMENT = b"42P05";
        DUPLICATE_SCHEMA = b"42P06";
        DUPLICATE_TABLE = b"42P07";
        DUPLICATE_ALIAS = b"42712";
        AMBIGUOUS_ALIAS = b"42P09";
        DUPLICATE_OBJECT = b"42710";
        AMBIGUOUS_COLUMN = b"42702";
        AMBIGUOUS_FUNCTION = b"42725";
        AMBIGUOUS_PARAMETER = b"42P08";
        INDETERMINATE_DATATYPE = b"42P18";
        INVALID_TABLE_DEFINITION = b"42P16";
        WINDOWING_ERROR = b"42P20";
        COLLATION_MISMATCH = b"42P21";
        INVALID_NAME = b"42602";
        NAME_TOO_LONG = b"42622";
        RESERVED_NAME = b"42939";
        DISK_FULL = b"53100";
        OUT_OF_MEMORY = b"53200";
        TOO_MANY_CONNECTIONS = b"53300";
        CONFIGURATION_LIMIT_EXCEEDED = b"53400";
        PROGRAM_LIMIT_EXCEEDED = b"54000";
        STATEMENT_TOO_COMPLEX = b"54001";
        TOO_MANY_COLUMNS = b"54011";
        TOO_MANY_ARGUMENTS = b"54023";
        OBJECT_NOT_IN_PREREQUISITE_STATE = b"55000";
        UNSAFE_NEW_ENUM_VALUE_USAGE = b"55P04";
        OBJECT_IN_USE = b"55006";
        LOCK_NOT_AVAILABLE = b"55P03";
        QUERY_CANCELED = b"57014";
        ADMIN_SHUTDOWN = b"57P01";
        CRASH_SHUTDOWN = b"57P02";
        CANNOT_CONNECT_NOW = b"57P03";
        IO_ERROR = b"58030";
        CONFIG_FILE_ERROR = b"F0000";
        RAISE_EXCEPTION = b"P0001";
        INTERNAL_ERROR = b"XX000";
        DATA_CORRUPTED = b"XX001";
    }
}

/// Who caused an error; decides the metric label and who is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Culprit {
    /// The client asked for something impossible.
    Client,
    /// The back end that answers.
    Primary,
    /// The back end that follows; never reaches a client.
    Shadow,
    /// A fault of Crossfade itself.
    Proxy,
}

/// The error that crosses module borders. Boxed: a `Result` stays one word wide.
#[derive(Clone)]
pub struct Error(Box<Fields>);

/// The fields of an [`Error`], in the manner of PostgreSQL's ErrorResponse.
#[derive(Clone, Debug)]
pub struct Fields {
    /// Who caused it.
    pub culprit: Culprit,
    /// SQLSTATE sent to the client.
    pub sqlstate: SqlState,
    /// Lower-case primary message without a full stop, safe for the client.
    pub message: Cow<'static, str>,
    /// A full sentence with facts.
    pub detail: Option<String>,
    /// A full sentence saying what to do.
    pub hint: Option<String>,
    /// Where it happened (`COPY t, line 3, column a: "x"`); the error's CONTEXT.
    pub context: Option<String>,
    /// 1-based character position in the query text; 0 when unknown.
    pub position: u32,
    /// Object names for the error's fields.
    pub object: Object,
    /// Whether the same request may succeed when sent again.
    pub retry: bool,
    /// Whether the session must end after this error (severity FATAL).
    pub fatal: bool,
}

/// Names of the object an error is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// Schema name.
    pub schema: Option<String>,
    /// Table name.
    pub table: Option<String>,
    /// Column name.
    pub column: Option<String>,
    /// Data type name.
    pub data_type: Option<String>,
    /// Constraint name.
    pub constraint: Option<String>,
}

impl Error {
    /// An error caused by the client's request.
    pub fn client(sqlstate: SqlState, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Culprit::Client, sqlstate, message)
    }

    /// An error of the back end that answers.
    pub fn primary(sqlstate: SqlState, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Culprit::Primary, sqlstate, message)
    }

    /// An error of the back end that follows.
    pub fn shadow(sqlstate: SqlState, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Culprit::Shadow, sqlstate, message)
    }

    /// A fault of Crossfade itself (XX000).
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Culprit::Proxy, state::INTERNAL_ERROR, message)
    }

    /// A construct that cannot be translated faithfully (0A000).
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Self::client(state::FEATURE_NOT_SUPPORTED, format!("{what} is not supported"))
    }

    /// An error with every field given by the caller.
    pub fn new(
        culprit: Culprit,
        sqlstate: SqlState,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Fields {
            culprit,
            sqlstate,
            message: plain(message.into()),
            detail: None,
            hint: None,
            context: None,
            position: 0,
            object: Object::default(),
            retry: false,
            fatal: false,
        }))
    }

    /// Adds a detail sentence.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(named(detail.into()));
        self
    }

    /// Adds a hint sentence.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(named(hint.into()));
        self
    }

    /// Says where it happened, a line of the error's CONTEXT.
    #[must_use]
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.0.context = Some(context.into());
        self
    }

    /// Sets the 1-based character position unless one is known already.
    #[must_use]
    pub fn at(mut self, position: u32) -> Self {
        if self.0.position == 0 {
            self.0.position = position;
        }
        self
    }

    /// Moves a known position on by `characters`: from a statement's own text to the whole
    /// query string.
    #[must_use]
    pub fn shifted(mut self, characters: u32) -> Self {
        if self.0.position != 0 {
            self.0.position = self.0.position.saturating_add(characters);
        }
        self
    }

    /// Forgets the position: it is not one in the client's text.
    #[must_use]
    pub fn without_position(mut self) -> Self {
        self.0.position = 0;
        self
    }

    /// Names the schema of the object the error is about.
    #[must_use]
    pub fn in_schema(mut self, schema: String) -> Self {
        self.0.object.schema = Some(schema);
        self
    }

    /// Names the object the error is about.
    #[must_use]
    pub fn object(mut self, object: Object) -> Self {
        self.0.object = object;
        self
    }

    /// Marks the request as worth repeating.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.0.retry = true;
        self
    }

    /// Marks the session as over (severity FATAL).
    #[must_use]
    pub fn fatal(mut self) -> Self {
        self.0.fatal = true;
        self
    }

    /// All fields.
    pub fn fields(&self) -> &Fields {
        &self.0
    }

    /// The SQLSTATE.
    pub fn sqlstate(&self) -> SqlState {
        self.0.sqlstate
    }

    /// The primary message.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

/// A message with the names that PostgreSQL's has.
fn plain(message: Cow<'static, str>) -> Cow<'static, str> {
    match name::shown(&message) {
        Cow::Borrowed(_) => message,
        // What does not exist is named as it was written.
        Cow::Owned(shown)
            if message.starts_with("relation \"")
                && message.ends_with("\" does not exist")
                && !message.contains(" of relation") =>
        {
            Cow::Owned(shown)
        }
        Cow::Owned(_) => Cow::Owned(name::bared(&message).into_owned()),
    }
}

fn named(text: String) -> String {
    match name::bared(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(bared) => bared,
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.message, self.0.sqlstate)?;
        self.0.detail.iter().try_for_each(|d| write!(f, "; {d}"))
    }
}

impl std::error::Error for Error {}
