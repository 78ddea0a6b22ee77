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

#[test]
fn documents_are_ranked_by_their_words() {
    same(
        r"
        Q create table d(id int primary key, v tsvector)
        Q insert into d select 1, to_tsvector('english', 'The fat cats sat on a mat and ate a fat rat; cats like rats')
        Q insert into d select 2, setweight(to_tsvector('english', 'Cat and rat'), 'A') || setweight(to_tsvector('english', 'a long tale of a cat without any rat, told twice: cat, cat'), 'D')
        Q insert into d values (3, 'cat rat'), (4, 'cat:3 category:9,12 rat'), (5, ''), (6, null), (7, 'rat:1A,2B,3C,4 cat:200')
        Q select id, ts_rank(v, 'cat'), ts_rank(v, 'cat & rat'), ts_rank(v, 'cat | rat'), ts_rank(v, 'nope') from d order by id
        Q select id, ts_rank(v, 'fat <-> cat'), ts_rank(v, 'cat:*'), ts_rank(v, 'cat:* & rat'), ts_rank(v, 'rat & cat:*'), ts_rank(v, '!cat'), ts_rank(v, 'cat & !rat') from d order by id
        Q select id, ts_rank(v, 'cat & rat & mat'), ts_rank(v, 'cat | rat & mat'), ts_rank(v, 'cat & cat'), ts_rank(v, 'cat:A') from d order by id
        Q select id, f, ts_rank(v, 'cat & rat', f), ts_rank(v, 'cat', f) from d, unnest(array[1,2,8,16,32,63]) f order by id, f
        Q select id, ts_rank(array[0.2, 0.3, 0.5, 0.9], v, 'cat'), ts_rank('{0, 0.1, -1, 1}', v, 'cat | rat', 1) from d order by id
        Q select id from d where v @@ 'cat' order by ts_rank(v, 'cat') desc, id
        Q select ts_rank('{0.1}', v, 'cat') from d
        ",
    );
}
