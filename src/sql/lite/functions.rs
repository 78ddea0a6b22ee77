//! SQLite's functions: what they take, what they give, and PostgreSQL's expression of the
//! same meaning.
//!
//! Data, one line a function. Those whose arguments decide more than that (dates, JSON,
//! printf, substr) are printed by `print::postgres::lite`. Start at [`find`].

/// A function of SQLite's.
#[derive(Debug)]
pub(crate) struct Function {
    /// Name.
    pub(crate) name: &'static str,
    /// Fewest arguments.
    pub(crate) min: usize,
    /// Most arguments.
    pub(crate) max: usize,
    /// What each argument is made: `t` text, `n` a number, `r` a real, `i` an integer, `N` and
    /// `R` the same of numbers only (SQLite's answer to a text is NULL), `*` left as it is. The last letter stands for all that follow.
    pub(crate) args: &'static str,
    /// The result: `t`, `i`, `r`, `b` (blob), `n` the kind of the first argument, `j` decided
    /// by the data.
    pub(crate) result: u8,
    /// PostgreSQL's expression over `$1` …; empty when it is not a plain one.
    pub(crate) postgres: &'static str,
}

const fn f(
    name: &'static str,
    min: usize,
    max: usize,
    args: &'static str,
    result: u8,
    postgres: &'static str,
) -> Function {
    Function { name, min, max, args, result, postgres }
}

/// Functions of one value.
pub(crate) const SCALAR: &[Function] = &[
    f("abs", 1, 1, "n", b'n', "abs($1)"),
    f("acos", 1, 1, "R", b'r', "(CASE WHEN abs($1) <= 1 THEN acos($1) END)"),
    f("acosh", 1, 1, "R", b'r', "(CASE WHEN $1 >= 1 THEN acosh($1) END)"),
    f("asin", 1, 1, "R", b'r', "(CASE WHEN abs($1) <= 1 THEN asin($1) END)"),
    f("asinh", 1, 1, "R", b'r', "asinh($1)"),
    f("atan", 1, 1, "R", b'r', "atan($1)"),
    f("atan2", 2, 2, "R", b'r', "atan2($1, $2)"),
    f("atanh", 1, 1, "R", b'r', "(CASE WHEN abs($1) < 1 THEN atanh($1) END)"),
    f("ceil", 1, 1, "N", b'n', "ceil($1)"),
    f("ceiling", 1, 1, "N", b'n', "ceil($1)"),
    f("char", 1, 100, "i", b't', ""),
    f("concat", 1, 100, "t", b't', ""),
    f("concat_ws", 2, 100, "t", b't', ""),
    f("cos", 1, 1, "R", b'r', "cos($1)"),
    f("cosh", 1, 1, "R", b'r', "cosh($1)"),
    f("degrees", 1, 1, "R", b'r', "degrees($1)"),
    f("exp", 1, 1, "R", b'r', "exp($1)"),
    f("floor", 1, 1, "N", b'n', "floor($1)"),
    f("format", 1, 100, "t*", b't', ""),
    f("printf", 1, 100, "t*", b't', ""),
    f("hex", 1, 1, "*", b't', ""),
    f("instr", 2, 2, "tt", b'i', "strpos($1, $2)::int8"),
    f("length", 1, 1, "*", b'i', ""),
    f("octet_length", 1, 1, "t", b'i', "octet_length($1)::int8"),
    f("ln", 1, 1, "R", b'r', "(CASE WHEN $1 > 0 THEN ln($1) END)"),
    f("log", 1, 1, "R", b'r', "(CASE WHEN $1 > 0 THEN log($1) END)"),
    f("log10", 1, 1, "R", b'r', "(CASE WHEN $1 > 0 THEN log($1) END)"),
    f("log2", 1, 1, "R", b'r', "(CASE WHEN $1 > 0 THEN ln($1) / ln(2::float8) END)"),
    f("log", 2, 2, "R", b'r', "(CASE WHEN $1 > 1 AND $2 > 0 THEN ln($2) / ln($1) END)"),
    f("lower", 1, 1, "t", b't', "lower(($1) COLLATE \"C\")"),
    f("upper", 1, 1, "t", b't', "upper(($1) COLLATE \"C\")"),
    f("ltrim", 1, 1, "t", b't', "ltrim($1)"),
    f("ltrim", 2, 2, "tt", b't', "ltrim($1, $2)"),
    f("rtrim", 1, 1, "t", b't', "rtrim($1)"),
    f("rtrim", 2, 2, "tt", b't', "rtrim($1, $2)"),
    f("trim", 1, 1, "t", b't', "btrim($1)"),
    f("trim", 2, 2, "tt", b't', "btrim($1, $2)"),
    f("mod", 2, 2, "R", b'r', "mod(($1)::numeric, nullif($2, 0)::numeric)::float8"),
    f("pi", 0, 0, "", b'r', "pi()"),
    f("pow", 2, 2, "R", b'r', "power($1, $2)"),
    f("power", 2, 2, "R", b'r', "power($1, $2)"),
    f("quote", 1, 1, "*", b't', ""),
    f("radians", 1, 1, "R", b'r', "radians($1)"),
    f("replace", 3, 3, "ttt", b't', "(CASE WHEN $2 = '' THEN $1 ELSE replace($1, $2, $3) END)"),
    f("round", 1, 1, "r", b'r', "(sign($1) * floor(abs($1) + 0.5))"),
    f("round", 2, 2, "ri", b'r', ""),
    f("sign", 1, 1, "N", b'i', "sign($1)::int8"),
    f("sin", 1, 1, "R", b'r', "sin($1)"),
    f("sinh", 1, 1, "R", b'r', "sinh($1)"),
    f("sqrt", 1, 1, "R", b'r', "(CASE WHEN $1 >= 0 THEN sqrt($1) END)"),
    f("substr", 2, 3, "tii", b't', ""),
    f("substring", 2, 3, "tii", b't', ""),
    f("tan", 1, 1, "R", b'r', "tan($1)"),
    f("tanh", 1, 1, "R", b'r', "tanh($1)"),
    f("trunc", 1, 1, "N", b'n', "trunc($1)"),
    f("typeof", 1, 1, "*", b't', ""),
    f("unicode", 1, 1, "t", b'i', "nullif(ascii($1), 0)::int8"),
    f("zeroblob", 1, 1, "i", b'b', "decode(repeat('00', ($1)::int4), 'hex')"),
    f(
        "random",
        0,
        0,
        "",
        b'i',
        "((floor(random() * 4294967296)::int8 << 32) | floor(random() * 4294967296)::int8)",
    ),
    f(
        "randomblob",
        1,
        1,
        "i",
        b'b',
        "(SELECT substring(decode(string_agg(md5(random()::text || r.n::text), ''), 'hex') \
         FROM 1 FOR greatest($1, 1)::int4) FROM generate_series(0, greatest($1, 1) / 16) AS r(n))",
    ),
    // Dates and times.
    f("date", 0, 100, "*", b't', ""),
    f("time", 0, 100, "*", b't', ""),
    f("datetime", 0, 100, "*", b't', ""),
    f("julianday", 0, 100, "*", b'r', ""),
    f("unixepoch", 0, 100, "*", b'i', ""),
    f("strftime", 1, 100, "t*", b't', ""),
    // JSON.
    f("json", 1, 1, "t", b't', ""),
    f("json_valid", 1, 1, "t", b'i', ""),
    f("json_type", 1, 2, "tt", b't', ""),
    f("json_array_length", 1, 2, "tt", b'i', ""),
    f("json_extract", 2, 2, "tt", b'j', ""),
    f("json_quote", 1, 1, "*", b't', ""),
    f("json_array", 0, 100, "*", b't', ""),
    f("json_object", 0, 100, "*", b't', ""),
    f("json_set", 3, 100, "tt*", b't', ""),
    f("json_insert", 3, 100, "tt*", b't', ""),
    f("json_replace", 3, 100, "tt*", b't', ""),
    f("json_remove", 2, 100, "tt", b't', ""),
    f("json_patch", 2, 2, "tt", b't', ""),
];

/// Functions of many rows; `args` and `result` as above.
pub(crate) const AGGREGATE: &[Function] = &[
    f("count", 1, 1, "*", b'i', "count($1)"),
    f("sum", 1, 1, "n", b'n', ""),
    f("avg", 1, 1, "r", b'r', "avg($1)"),
    f("total", 1, 1, "r", b'r', "sum($1)"),
    f("min", 1, 1, "*", b'n', ""),
    f("max", 1, 1, "*", b'n', ""),
    f("group_concat", 1, 1, "t", b't', "string_agg($1, ',')"),
    f("group_concat", 2, 2, "tt", b't', "string_agg($1, $2)"),
    f("string_agg", 2, 2, "tt", b't', "string_agg($1, $2)"),
    f("json_group_array", 1, 1, "*", b't', ""),
    f("json_group_object", 2, 2, "t*", b't', ""),
];

/// Functions of a window only.
pub(crate) const WINDOW: &[Function] = &[
    f("row_number", 0, 0, "", b'i', "row_number()"),
    f("rank", 0, 0, "", b'i', "rank()"),
    f("dense_rank", 0, 0, "", b'i', "dense_rank()"),
    f("percent_rank", 0, 0, "", b'r', "percent_rank()"),
    f("cume_dist", 0, 0, "", b'r', "cume_dist()"),
    f("ntile", 1, 1, "i", b'i', "ntile(($1)::int4)"),
    f("lag", 1, 1, "*", b'n', "lag($1)"),
    f("lag", 2, 2, "*i", b'n', "lag($1, ($2)::int4)"),
    f("lag", 3, 3, "*i*", b'n', "lag($1, ($2)::int4, $3)"),
    f("lead", 1, 1, "*", b'n', "lead($1)"),
    f("lead", 2, 2, "*i", b'n', "lead($1, ($2)::int4)"),
    f("lead", 3, 3, "*i*", b'n', "lead($1, ($2)::int4, $3)"),
    f("first_value", 1, 1, "*", b'n', "first_value($1)"),
    f("last_value", 1, 1, "*", b'n', "last_value($1)"),
    f("nth_value", 2, 2, "*i", b'n', "nth_value($1, ($2)::int4)"),
];

/// The function of a name with so many arguments.
pub(crate) fn find(
    list: &'static [Function],
    name: &str,
    args: usize,
) -> Option<&'static Function> {
    list.iter().find(|f| f.name == name && (f.min..=f.max).contains(&args))
}

impl Function {
    /// What the n-th (0-based) argument is made.
    pub(crate) fn argument(&self, n: usize) -> u8 {
        let letters = self.args.as_bytes();
        letters.get(n).or(letters.last()).copied().unwrap_or(b'*')
    }
}
