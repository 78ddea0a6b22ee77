//! SET, SHOW, RESET and their kin.

use crate::common::{Proxy, Raw, same};

#[test]
fn settings_are_checked_shown_and_undone() {
    same(
        r#"
        Q set work_mem = '64MB'
        Q show work_mem
        Q set work_mem = 4
        Q set statement_timeout = '1.5s'
        Q show statement_timeout
        Q set statement_timeout = abc
        Q set enable_seqscan = maybe
        Q set enable_seqscan = off; show enable_seqscan
        Q set bytea_output = foo
        Q set server_version = '1'
        Q set max_connections = 3
        Q set fsync = off
        Q set foo = 1
        Q show foo
        Q set foo.bar = 'x'; show foo.bar
        Q show foo.baz
        Q reset foo.bar; show foo.bar
        Q set time zone '+3'; show timezone
        Q set time zone -5; show timezone
        Q set time zone '+05:30'; show timezone; select '2024-01-01 00:00+00'::timestamptz
        Q set time zone '-2:15'; show timezone; select '2024-01-01 00:00+00'::timestamptz
        Q set time zone interval '+05:30' hour to minute; show timezone; select '2024-01-01 00:00+00'::timestamptz
        Q set time zone interval '-3' hour; show timezone; select '2024-01-01 00:00+00'::timestamptz
        Q set timezone = 'europe/berlin'; show timezone
        Q set timezone = 'Foo/Bar'
        Q set datestyle = 'iso, ymd'; show datestyle
        Q set datestyle = foo
        Q set search_path = a, "B c", '$user'; show search_path
        Q set search_path to public; show search_path
        Q reset search_path; show search_path
        Q begin; set work_mem = '8MB'; show work_mem; rollback
        Q show work_mem
        Q begin; set local work_mem = '9MB'; show work_mem; commit
        Q show work_mem
        Q set local work_mem = '9MB'
        Q begin; set work_mem = '10MB'; savepoint s; set work_mem = '11MB'; rollback to s; show work_mem; commit
        Q show work_mem
        Q select set_config('work_mem', '12MB', false), current_setting('work_mem')
        Q select current_setting('nope')
        Q select current_setting('nope', true)
        Q select set_config('my.thing', 'v', true)
        Q show my.thing
        Q reset all
        Q show work_mem
        Q discard all
        Q begin; discard all
        Q rollback
        Q set names 'utf8'
        Q set transaction_isolation = 'serializable'
        Q set role none
        Q show is_superuser
        Q show server_encoding
        Q show standard_conforming_strings
        Q set session authorization default
        Q set extra_float_digits = 0; select 0.1::float8 + 0.2::float8
        Q reset extra_float_digits; select 0.1::float8 + 0.2::float8
        Q set intervalstyle = iso_8601; select interval '1 day 02:03:04'
        Q vacuum
        Q begin; vacuum
        Q rollback
        Q analyze
        "#,
    );
}

#[test]
fn encodings_are_checked() {
    same(
        r#"
        Q show client_encoding
        Q set client_encoding to 'nope'
        Q set client_encoding to 'utf-8'
        Q select pg_client_encoding()
        Q set client_encoding to sql_ascii
        Q select pg_client_encoding(), 'é'
        Q show client_encoding
        Q reset client_encoding
        "#,
    );
    let refused = Raw::proxy(&Proxy::direct()).run("Q set client_encoding to 'LATIN1'");
    assert!(refused.contains("0A000"), "{refused}");
}
