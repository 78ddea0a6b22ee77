//! Values that are read and computed to the last character as PostgreSQL does.

use crate::common::raw::{Raw, assert_same};
use crate::common::{Pg, Proxy};

/// Runs a script on both sides: the values, and the SQLSTATEs of errors, must be equal. Columns are
/// left out, as it hangs on the plan whether they are told before an error is seen; so is the line of
/// a JSON text in which it was found.
fn same(script: &str) {
    let proxy = Proxy::direct();
    let database = Pg::shared().database("values");
    let told = |mut raw: Raw| -> String {
        let lines = raw.run(script);
        let code = |l: &str| l.splitn(4, ' ').take(3).collect::<Vec<_>>().join(" ");
        let short = |l: &str| if l.starts_with("E ") { code(l) } else { l.to_owned() };
        let lines = lines.lines().filter(|l| !l.starts_with("T "));
        lines.map(|l| short(l) + "\n").collect()
    };
    let (expected, found) = (told(Raw::postgres(&database)), told(Raw::proxy(&proxy)));
    assert_same(&expected, &found, &proxy);
}

/// Templates of to_number, and texts for each of them.
const TEMPLATES: [&str; 58] = [
    "999.9",
    "999",
    "9",
    "0",
    "000",
    "9.9",
    "9D9",
    "99G999",
    "9,999",
    "99,999.99",
    "S999",
    "999S",
    "MI999",
    "999MI",
    "PL999",
    "999PL",
    "SG999",
    "999SG",
    "999PR",
    "L999",
    "999L",
    "999V9",
    "99V99",
    "RN",
    "EEEE",
    "9.9EEEE",
    "FM999",
    "FM999.9",
    "FM0.99",
    "FM9,999",
    "TH",
    "999th",
    "999TH",
    "999.9th",
    " 999",
    "\"x\"999",
    "x999",
    "$999",
    "999%",
    "9 9 9",
    "",
    "G",
    "D",
    ".",
    "9.",
    ".9",
    "9..9",
    "099.90",
    "9.99999999999999999999",
    "S9.9",
    "9.9S",
    "9.9MI",
    "L9G999D99",
    "B999",
    "999sp",
    "9PR9",
    "SMI9",
    "fm9é9",
];
const VALUES: [&str; 48] = [
    "7",
    "1.50",
    "-7",
    "+7",
    "12",
    "123",
    "1234",
    "1,234",
    "1.5",
    ".5",
    "-1.5",
    "1,234.56",
    "$12",
    "12-",
    "<12>",
    "<-5>",
    "  7",
    " -7 ",
    "",
    "abc",
    "7x",
    "x7",
    "1e3",
    "12345678901234567890",
    "0.000001",
    "007",
    "1.",
    "12+",
    "7%",
    "1 2 3",
    "-",
    "NaN",
    "12th",
    "XIV",
    "1-",
    "- 7",
    "-0",
    "0.10",
    "00.5",
    "12.345",
    "1,2,3",
    "9,9",
    "é7",
    "7é8",
    "1.5-",
    "5 -",
    "+-7",
    "--1",
];

#[test]
fn to_number_reads_along_its_template() {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let mut script = String::new();
    for template in TEMPLATES {
        for value in VALUES {
            script += &format!("Q SELECT to_number({}, {})\n", quoted(value), quoted(template));
        }
    }
    same(&script);
}

#[test]
fn characters_without_a_length_keep_their_blanks() {
    same(
        "Q CREATE TABLE bp(id int PRIMARY KEY, c char(5), d char(3), u bpchar, v varchar(8))
        Q INSERT INTO bp VALUES (1,'ab','ab','ab','ab'), (2,'ab  ','x','ab  ','ab  '), (3,'  ',' ',' ',' '), (4,null,null,null,null), (5,'abcde','abc','abcdefgh','abc   ')
        Q SELECT id, c||'|', d||'|', u||'|', v||'|' FROM bp ORDER BY 1
        Q SELECT id, u, array[u], row(u), length(u), octet_length(u) FROM bp ORDER BY 1
        Q SELECT id, c, array[c], row(c), length(c), octet_length(c), char_length(u), character_length(c) FROM bp ORDER BY 1
        Q SELECT max(u) FROM bp
        Q SELECT coalesce(c,d), coalesce(d,'x'), coalesce(c,u), nullif(c,'zz'), nullif(u,'ab') FROM bp ORDER BY id
        Q SELECT CASE WHEN id=1 THEN c ELSE d END, CASE id WHEN 1 THEN u ELSE c END FROM bp ORDER BY id
        Q SELECT id FROM bp WHERE c IN ('ab','x') ORDER BY id
        Q SELECT id FROM bp WHERE c=d ORDER BY id
        Q SELECT id FROM bp WHERE c=u ORDER BY id
        Q SELECT id FROM bp WHERE v=u ORDER BY id
        Q SELECT id FROM bp WHERE v=c OR c=v ORDER BY id
        Q SELECT id FROM bp WHERE u='ab' ORDER BY id
        Q SELECT id FROM bp WHERE u='ab   ' ORDER BY id
        Q SELECT id FROM bp WHERE u IN ('ab   ', 'x') ORDER BY id
        Q SELECT id FROM bp WHERE u=v::text ORDER BY id
        Q SELECT count(DISTINCT u), count(DISTINCT c) FROM bp
        Q SELECT length(u), count(*) FROM bp GROUP BY u ORDER BY u
        Q SELECT array_agg(u ORDER BY id), array_agg(c ORDER BY id), string_agg(u,',' ORDER BY id), json_agg(u ORDER BY id), json_agg(c ORDER BY id) FROM bp
        Q SELECT row_to_json(bp), to_json(c), concat(c,'|'), concat(u,'|'), format('%s|',c), c::text||'|', u::text||'|' FROM bp ORDER BY id
        Q SELECT c LIKE 'ab', c LIKE 'ab   ', u LIKE 'ab', u LIKE 'ab  ', c LIKE 'ab%', c ~ '^ab$', u ~ '^ab  $' FROM bp ORDER BY id
        Q SELECT upper(c)||'|', c::varchar||'|', c::char(7), c::char(2), u::char(3), c::bpchar, u::char(7) FROM bp ORDER BY id
        Q SELECT greatest(c,d), least(c,u), c BETWEEN 'a' AND 'b', c < d, c > v, first_value(u) OVER (ORDER BY id DESC) FROM bp ORDER BY id
        Q SELECT reverse(c), left(c,4)||'|', substr(u,1,4)||'|', trim(u)||'|', replace(u,' ','_'), lpad(u,7,'*'), md5(u), position('b' in u) FROM bp ORDER BY id
        Q COPY (SELECT c, u FROM bp ORDER BY id) TO STDOUT
        P p|SELECT id FROM bp WHERE v = $1 OR u = $1 ORDER BY 1|1042
        P q|SELECT $1, $1 || '|', length($1)|1042
        B |p|ab   |\nE |0\nB |q|ab   |\nE |0\nS
        Q SELECT 'ab   '::char(8) = 'ab'::varchar, cast('ab   ' AS char), cast('ab   ' AS varchar(4))||'|', 'ab   '::varchar::bpchar, 'ab  '::varchar::bpchar || '|'
        Q UPDATE bp SET v=c, u=c WHERE id=2
        Q SELECT v||'|', u, u||'|' FROM bp WHERE id=2
        Q INSERT INTO bp(id,u,v,c) VALUES (9,'q   '::varchar,'q   '::bpchar,'q  '::text)
        Q SELECT v||'|', u, u||'|', c FROM bp WHERE id=9
        Q WITH x AS (SELECT u FROM bp) SELECT u FROM x WHERE u='ab' ORDER BY length(u)
        Q WITH x AS (SELECT 'ab  '::bpchar u) SELECT u, u='ab', length(u), octet_length(u) FROM x
        Q SELECT 'a '::bpchar IN ('a'), 'a '::bpchar = ANY (array['a']), array['a '::bpchar] = array['a'::bpchar], row('a '::bpchar) = row('a'::bpchar), 'a ' IS DISTINCT FROM 'a'::bpchar",
    );
}

#[test]
fn json_that_cannot_be_read_is_refused_where_postgresql_reads_it() {
    let mut script = String::new();
    for document in [
        r#"{"a":"\u0000"}"#,
        r#"{"b":"\u0000","a":1}"#,
        r#"{"\u0000":1}"#,
        r#"["\u0000"]"#,
        r#""\u0000""#,
        r#"{"a":{"b":"\u0000"}}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\udc00x"}"#,
        r#"["\ud83d\ude00"]"#,
        r#"{"a":"\\u0000"}"#,
        r#"{"a":"\u00"}"#,
    ] {
        for asked in [
            "$::json",
            "$::jsonb",
            "$::json->'a'",
            "$::json->>'a'",
            "$::json->0",
            "$::json->>0",
            "$::json#>'{a,b}'",
            "$::json#>>'{a,b}'",
            "$::json#>>'{}'",
            "json_typeof($)",
            "json_array_length($)",
            "json_strip_nulls($)",
            "$::json::text",
            "$::json::jsonb",
            "json_extract_path($,'a')",
            "json_extract_path_text($,'a')",
            "json_build_object('x', $::json)",
        ] {
            script += &format!("Q SELECT {}\n", asked.replace('$', &format!("'{document}'")));
        }
        let (lists, objects) = (
            ["json_array_elements", "json_array_elements_text"].as_slice(),
            ["json_each", "json_each_text", "json_object_keys"].as_slice(),
        );
        for rows in if document.starts_with('{') { objects } else { lists } {
            script += &format!("Q SELECT * FROM {rows}('{document}')\n");
        }
        if document.starts_with('{') {
            script += &format!("Q SELECT * FROM json_to_record('{document}') AS r(a text)\n");
        }
    }
    same(&script);
}

#[test]
fn floats_that_leave_their_range_are_an_error() {
    let mut script = String::new();
    for values in [
        "(1e308::float8,1::float8),(1e308,2)",
        "(1e200::float8,1e200::float8),(-1e200,1)",
        "(1e160::float8,3::float8),(1e155,3)",
        "('inf'::float8,1::float8),(1e308,2),(1e308,3)",
        "(1e308,1::float8),(1e308,2),('inf'::float8,3)",
        "('inf'::float8,1::float8),('-inf',2)",
        "('nan'::float8,1::float8),(1,2)",
        "(1::float8,2::float8)",
        "(1::float8,'inf'::float8)",
        "(0.1::float8,2::float8),(0.2,3),(0.3,5)",
        "(NULL::float8,2::float8)",
        "(-0.0::float8,1::float8)",
    ] {
        for aggregate in [
            "sum(x)",
            "avg(x)",
            "variance(x)",
            "var_pop(x)",
            "stddev(x)",
            "stddev_pop(x)",
            "corr(x,y)",
            "covar_pop(x,y)",
            "covar_samp(x,y)",
            "regr_avgx(x,y)",
            "regr_avgy(x,y)",
            "regr_sxx(x,y)",
            "regr_syy(x,y)",
            "regr_sxy(x,y)",
            "regr_slope(x,y)",
            "regr_r2(x,y)",
            "regr_intercept(x,y)",
        ] {
            script += &format!("Q SELECT {aggregate} FROM (VALUES {values}) v(x, y)\n");
        }
        for window in ["sum(x)", "avg(x)", "stddev(x)"] {
            script += &format!(
                "Q SELECT array_agg(a), array_agg(b) FROM (SELECT {window} OVER (ORDER BY y) AS a, {window} OVER (ORDER BY y ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS b FROM (VALUES {values}) v(x, y)) w\n"
            );
        }
    }
    for values in [
        "(3e38::float4),(3e38)",
        "(3e38::float4),(3e38),('inf')",
        "('inf'::float4),(3e38),(3e38)",
        "(0.1::float4),(0.2)",
    ] {
        script += &format!(
            "Q SELECT sum(x) FROM (VALUES {values}) v(x)\nQ SELECT avg(x), stddev(x) FROM (VALUES {values}) v(x)\n"
        );
    }
    same(&script);
}
