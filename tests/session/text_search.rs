//! Full text search without a vector at hand, compared with PostgreSQL.

use crate::common::same;

#[test]
fn a_text_is_searched_as_it_is() {
    same(
        r"
        Q create table t(id int primary key, a text, b varchar(80), config text)
        Q insert into t values (1, 'The fat cats sat', 'rats run', 'english'), (2, 'A rat', 'cat', 'simple'), (3, null, '', 'english')
        Q select id, a @@ to_tsquery('cat'), b @@ to_tsquery('simple', 'cat'), a @@ 'fat cat', a @@ b from t order by id
        Q select id from t where a @@ plainto_tsquery('english', 'sitting cats')
        Q select id, to_tsvector(config::regconfig, a) from t order by id
        P |select to_tsvector($1::regconfig, 'The cats') @@ to_tsquery($1::regconfig, 'cat')|0
        B ||english
        E
        B ||pg_catalog.simple
        E
        B ||nope
        E
        S
        ",
    );
}
