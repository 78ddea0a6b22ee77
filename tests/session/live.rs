//! System tables that show what sessions do.

use crate::common::{Proxy, Raw, same};

#[test]
fn cursors_statements_locks_and_settings_are_shown() {
    same(
        r"
        Q begin; declare c scroll cursor for select 1; declare d cursor with hold for select 2
        Q select name, is_holdable, is_binary from pg_cursors order by name
        Q commit
        Q select name, is_holdable from pg_cursors
        Q close all
        Q prepare p(int, text) as select $1
        Q select name, parameter_types, from_sql from pg_prepared_statements
        Q deallocate all
        Q select count(*) from pg_prepared_statements
        Q select pg_advisory_lock(4294967301), pg_advisory_xact_lock_shared(1, 2)
        Q select classid, objid, objsubid, mode, granted from pg_locks where locktype = 'advisory' order by 1, 2
        Q select pg_advisory_unlock_all()
        Q set work_mem = '8MB'
        Q select setting, source from pg_settings where name = 'work_mem'
        Q select count(*) from pg_stat_activity where pid = pg_backend_pid() and state = 'active'
        Q select pg_advisory_lock(abs(-5)), pg_try_advisory_lock(1 + 1)
        Q select pg_advisory_unlock(length('abcde')), pg_advisory_unlock(2)
        Q select set_config('work_mem', (4 * 1024)::text || 'kB', false)
        ",
    );
}

#[test]
fn a_session_ends_itself_and_others_see_who_is_there() {
    let proxy = Proxy::direct();
    let (mut one, mut two) = (Raw::proxy(&proxy), Raw::proxy(&proxy));
    let seen = one.query("select pid, state from pg_stat_activity where pid <> pg_backend_pid()");
    assert!(seen.contains(&format!("D {} | idle", two.pid)), "{seen:?}");
    let ended = two.query("select pg_terminate_backend(pg_backend_pid())");
    assert!(ended.iter().any(|m| m.contains("57P01")), "{ended:?}");
}

#[test]
fn a_write_does_not_wait_for_ever_for_a_silent_one() {
    let folder = tempfile::tempdir().unwrap();
    let wait = [("CROSSFADE_SQLITE_WRITER_WAIT_MS", "200")];
    let proxy = Proxy::on_file_with(&folder.path().join("app.db"), &[], &wait);
    let (mut one, mut two) = (Raw::proxy(&proxy), Raw::proxy(&proxy));
    one.query("create table t(a int)");
    one.query("begin; insert into t values (1)");
    let refused = two.query("insert into t values (2)");
    assert!(refused[0].contains("55P03"), "{refused:?}");
    one.query("commit");
    assert_eq!(two.query("insert into t values (2)")[0], "C INSERT 0 1");
}
