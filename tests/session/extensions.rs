//! Types, functions and operators of citext and hstore, compared with PostgreSQL.

use crate::common::same;

#[test]
fn citext_looks_at_no_case() {
    same(
        r#"
        Q create table early(a citext)
        Q create extension citext
        Q create extension if not exists citext
        Q create table t(id serial primary key, email citext not null unique, name citext, note text)
        Q create index t_name on t(name)
        Q insert into t(email, name, note) values ('Bob@Example.com', 'Bob', 'x'), ('ann@example.com', 'ANN', 'Bob'), ('carl@example.com', null, 'ann')
        Q insert into t(email) values ('BOB@example.COM')
        Q insert into t(email) values (null)
        Q select id, email from t where email = 'bob@example.com'
        Q select id from t where email in ('BOB@EXAMPLE.COM', 'ANN@example.com') order by id
        Q select id from t where email <> 'bob@example.com' order by id
        Q select id from t where email::text = 'bob@example.com'
        Q select id from t where email::text = 'Bob@Example.com'
        Q select id from t where 'BOB' = name
        Q select id from t where name = note order by id
        Q select a.id, b.id from t a join t b on a.name = b.note::citext order by 1, 2
        Q select id from t where name = any(array['bob','ann']::citext[]) order by id
        Q select id from t where name = any('{bob,ann}') order by id
        Q select id from t where name is not distinct from 'bOB'
        Q select id from t where name like 'b%'
        Q select id from t where name not like 'B%'
        Q select id from t where name ~ '^b', name is null
        Q select id, name ~ '^b', name ~* '^B', name !~ 'X', name ilike 'BO_' from t order by id
        Q select name from t order by name
        Q select name from t order by name desc nulls last
        Q select min(name), max(name), count(distinct name), min(email) from t
        Q select lower(name), upper(name), length(name), name || '!', coalesce(name, 'none'), strpos(name, 'B') from t order by id
        Q select pg_typeof(name), pg_typeof(name || 'x'), pg_typeof(coalesce(name, 'x')), pg_typeof(lower(name)) from t limit 1
        Q select 'A'::citext = 'a', 'A'::citext < 'b', 'B' > 'a'::citext, 'a'::citext = 'A'::text, 'a'::citext = 'A'::varchar
        Q select 'a'::citext between 'A' and 'B', greatest('a'::citext, 'B'), nullif('a'::citext, 'A')
        Q select case 'A'::citext when 'a' then 1 else 2 end
        Q select distinct lower(v::text) from (values ('a'::citext), ('A'), ('b')) x(v) order by 1
        Q select count(*) from (select distinct v from (values ('a'::citext), ('A'), ('b')) x(v)) y
        Q select count(*) from (select v from (values ('a'::citext), ('A'), ('b')) x(v) group by v) y
        Q select lower(v::text), count(*) from (values ('a'::citext), ('A'), ('b')) x(v) group by lower(v::text) order by 1
        Q select count(*) from (select 'a'::citext union select 'A') x
        Q select array['a','B']::citext[] = array['A','b']::citext[], 'a' = any(array['A']::citext[])
        Q select array_agg(email order by email) from t
        Q select string_agg(name, ',' order by name) from t
        Q select regexp_replace('aBc'::citext, 'b', 'x'), regexp_match('aBc'::citext, 'B(.)'), true::citext, 1::citext
        Q insert into t(email, name) values ('ANN@EXAMPLE.COM', 'new') on conflict (email) do update set name = excluded.name returning id, email, name
        Q insert into t(email, name) values ('ann@EXAMPLE.COM', 'newer') on conflict do nothing returning id
        Q update t set name = upper(name) where email = 'ANN@example.com' returning name
        Q delete from t where name = 'NEW' returning id
        Q create table key(k citext primary key, v int)
        Q create table child(k citext references key(k) on delete cascade)
        Q insert into key values ('One', 1), ('two', 2)
        Q insert into key values ('ONE', 3)
        Q insert into child values ('one'), ('TWO')
        Q insert into child values ('three')
        Q select * from key where k = 'oNe'
        Q delete from key where k = 'Two'
        Q select * from child
        Q select k, v from key k1 where exists (select 1 from child c where c.k = k1.k)
        Q create unique index on key (v, k)
        Q alter table t add column tag citext default 'None'
        Q select id, tag, tag = 'NONE' from t order by id
        Q alter table t alter column note type citext
        Q select id from t where note = 'BOB' order by id
        Q alter table t alter column note type text
        Q select id from t where note = 'BOB' order by id
        Q create table arr(id int, tags citext[])
        Q insert into arr values (1, '{a,B}'), (2, array['x','y']::citext[])
        Q select id, tags, 'b' = any(tags), tags @> array['A']::citext[] from arr order by id
        Q create view v as select id, email, name from t
        Q select id from v where email = 'BOB@EXAMPLE.COM'
        Q create table checked(c citext check (c <> 'bad'), d varchar(5))
        Q insert into checked values ('BAD', 'x')
        Q insert into checked values ('good', 'x')
        Q insert into checked(d) select c from checked
        Q select * from checked where c = d
        Q select format_type(atttypid, atttypmod), attname from pg_attribute where attrelid = 't'::regclass and attnum > 0 and not attisdropped order by attnum
        Q select column_name, data_type, udt_schema, udt_name from information_schema.columns where table_name = 't' order by ordinal_position
        Q select typname, typtype, typcategory, typispreferred, typlen, nspname from pg_type t join pg_namespace n on n.oid = typnamespace where typname like '%citext' order by 1
        Q select 'citext'::regtype, to_regtype('citext[]'), to_regtype('public.citext'), 'citext'::regtype::oid = oid from pg_type where typname = 'citext'
        Q select pg_get_indexdef(indexrelid) from pg_index where indrelid = 't'::regclass order by 1
        Q drop table t, key, child, checked cascade
        Q drop extension citext
        Q select extname, extversion from pg_extension order by 1
        Q drop table arr
        Q drop extension citext
        Q select 'a'::citext
        "#,
    );
}

#[test]
fn citext_is_compared_by_prepared_statements() {
    same(
        r"
        Q create extension citext
        Q create table t(id int primary key, email citext unique)
        Q insert into t values (1, 'Bob'), (2, 'ann')
        P s|select id, email from t where email = $1
        B |s|BOB
        E
        B |s|Ann
        E
        S
        P |insert into t values ($1, $2) on conflict (email) do update set email = excluded.email returning id, email
        B ||3,BOB
        E
        S
        Q prepare p as select id from t where email = any($1::citext[]) order by id
        Q execute p('{BOB,ANN}')
        Q select id from t where lower(email) = 'bob'
        ",
    );
}

#[test]
fn hstore_is_read_written_and_asked() {
    same(
        r#"
        Q create table early(a hstore)
        Q select hstore('a', 'b')
        Q select akeys('a=>1')
        Q create extension hstore
        Q select 'a=>1,b=>2'::hstore, 'bb=>1, a=>NULL, c=>"NULL"'::hstore, ''::hstore, '  "a b" => "x\"y\\z" , '::hstore
        Q select 'a=>1,a=>2'::hstore
        Q select 'a'::hstore
        Q select 'a=1'::hstore
        Q select 'a=>'::hstore
        Q select '=>1'::hstore
        Q select 'a=>1 b'::hstore
        Q select '"a'::hstore
        Q create table t(id serial primary key, h hstore, d hstore not null default '', hs hstore[])
        Q insert into t(h) values ('a=>1,b=>2'), ('a=>2,c=>NULL'), (''), (null), (hstore('x', null))
        Q insert into t(h, hs) values (hstore(array['k','v','l','w']), array['a=>1','b=>2']::hstore[])
        Q select * from t order by id
        Q select id, h -> 'a', h['a'], h -> array['a','b','z'], h ? 'a', h ?| array['a','z'], h ?& array['a','b'] from t order by id
        Q select id from t where h @> 'a=>1' order by id
        Q select id from t where h @> 'c=>NULL' order by id
        Q select id from t where 'a=>1' <@ h
        Q select id from t where h -> 'a' = '2'
        Q select id from t where h = 'b=>2, a=>1'
        Q select id from t where h <> '' order by id
        Q select id, h || 'z=>9,a=>0', h - 'a'::text, h - array['a','b'], h - 'a=>1'::hstore from t order by id
        Q select id, akeys(h), avals(h), hstore_to_array(h), %% h from t order by id
        Q select id, skeys(h) from t order by id, 2
        Q select t.id, e.key, e.value from t, each(t.h) e order by 1, 2
        Q select (each('a=>1,b=>NULL'::hstore)).key
        Q select key, count(*) from (select (each(h)).key from t) s group by key order by key
        Q select exist(h, 'a'), defined(h, 'c'), delete(h, 'a'), slice(h, array['a','c']), slice_array(h, array['a','c']) from t order by id
        Q select hstore_to_json(h), hstore_to_jsonb(h), h::json, h::jsonb, hstore_to_json_loose('a=>1,b=>t,c=>x,d=>"01"') from t order by id
        Q select hstore(array['a','b'], array['1',null]), hstore(array['a','b'], null), hstore(array[['a','1'],['b','2']]), array['a','1']::hstore
        Q select hstore(array['a'])
        Q select hstore(array['a','b'], array['1'])
        Q select hstore('a', null), hstore(null, 'a')
        Q update t set h = h || hstore('n', id::text), d = coalesce(h, '') where id < 3 returning h, d
        Q update t set h = delete(h, 'n') where h ? 'n' returning id, h
        Q select count(*) from (select distinct h from t) x
        Q select h::text, h::text like '%a%' from t order by id
        Q select 'a=>1'::text::hstore, pg_typeof('a=>1'::hstore), pg_typeof('a=>1'::hstore -> 'a')
        Q select null::hstore -> 'a', 'a=>1'::hstore -> null, 'a=>1'::hstore || null
        Q select h from t order by h, id
        Q select h from (values (''::hstore), ('a=>1'), ('a=>2'), ('a=>NULL'), ('b=>1'), ('aa=>1'), ('a=>1,b=>2'), ('""=>NULL'), ('a=>"1b"'), ('a1=>""')) v(h) order by h
        Q select array['a=>1','b=>2']::hstore[] = array['a=>1','b=>2']::hstore[], array['a=>1']::hstore[] @> array['a=>1']::hstore[]
        Q create index on t using gin (h)
        Q create index on t using gist (h)
        Q select indexdef from pg_indexes where tablename = 't' order by 1
        Q select typname, typtype, typcategory, typlen, nspname from pg_type t join pg_namespace n on n.oid = typnamespace where typname in ('hstore', '_hstore') order by 1
        Q select t.oid > 0, t.typarray = to_regtype('hstore[]') from pg_type t where t.oid = to_regtype('hstore')
        Q select column_name, data_type, udt_name from information_schema.columns where table_name = 't' order by ordinal_position
        Q drop extension hstore
        Q drop table t
        Q drop extension hstore
        Q select 'a=>1'::hstore
        "#,
    );
}

#[test]
fn texts_are_compared_and_digested_by_extensions() {
    same(
        r#"
        Q select similarity('word', 'two words')
        Q select 'a'::text <-> 'b'::text
        Q select 'a'::text <->>> 'b'::text, 'a'::text <% 'b'::text
        Q create extension pg_trgm
        Q create extension unaccent
        Q create extension pgcrypto
        Q create extension fuzzystrmatch
        Q create table t(id serial primary key, name text, v varchar(40))
        Q insert into t(name, v) values ('Matthew', 'Matthew'), ('Cat sat on mat.', 'Cat sat on mat.'), ('Dog sat on rug.', 'Dog sat on rug.'), (null, ''), ('word', 'two words'), ('a-b c3po', 'AB C3PO')
        Q select id, similarity(name, 'Mathew'), name % 'Mathew', name <-> 'cat', similarity(v, name) from t order by id
        Q select name from t where v % 'Mathew'
        Q select name from t where 'dog' <% name order by id
        Q select id, word_similarity('word', v), word_similarity(v, 'word'), strict_word_similarity('word', v), 'sat on' <% v, v %> 'sat', 'sat' <<% v, v %>> 'rug' from t order by id
        Q select id, 'two' <<-> v, v <->> 'two', 'two' <<<-> v, v <->>> 'mat' from t order by id
        Q select word_similarity('sat on the mat', name), strict_word_similarity('on rug sat', name), word_similarity('aaa', 'aa aaab aaa') from t order by id
        Q select name from t where name is not null order by name <-> 'mat', id limit 2
        Q create index on t using gin (name gin_trgm_ops)
        Q create index on t using gist (name gist_trgm_ops)
        Q select unaccent('Hôtel Ærø straße ½ “x” Ωmega'), unaccent(''), unaccent(null), unaccent(v) from t where id = 1
        Q select encode(digest('abc', 'sha1'), 'hex'), encode(digest('abc', 'sha256'), 'hex'), encode(digest('abc'::bytea, 'md5'), 'hex'), encode(digest('', 'SHA512'), 'hex'), encode(digest('abc', 'sha224'), 'hex'), encode(digest('abc', 'sha384'), 'hex')
        Q select digest('abc', 'nope')
        Q select encode(hmac('data', 'key', 'sha256'), 'hex'), encode(hmac('data'::bytea, 'key'::bytea, 'sha1'), 'hex'), encode(hmac('data', repeat('k', 200), 'sha512'), 'hex')
        Q select levenshtein('kitten', 'sitting'), levenshtein('', 'abc'), levenshtein('GUMBO', 'GAMBOL', 2, 1, 1), levenshtein('GUMBO', 'GAM', 2, 3, 4)
        Q select soundex('hello world!'), soundex('Anne'), soundex('Andrew'), soundex('Margaret'), soundex(''), soundex('Tymczak'), soundex('Pfister'), soundex('Ashcraft'), difference('Anne', 'Andrew'), difference('Anne', 'Margaret')
        Q select '5' % 3, 7 % 3
        "#,
    );
}
