//! The two query protocols, message by message.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::common::{Pg, Proxy, Raw, same};

#[test]
fn simple_queries_answer_as_postgresql_does() {
    same(
        r#"
        Q select 1, 'x' as b, null::text, true
        Q
        Q ;
        Q ;;
        Q -- only a comment
        Q /* another */
        Q select 1;; select 2;
        Q select 1; select nope; select 3
        Q selec 1
        Q select 1 where
        Q select 'it''s; here' as a, $$ ; $$ as b, E'\x41' as c
        Q create table t(a int primary key, b text)
        Q insert into t values (1, 'one'); insert into t values (2, 'two'); select * from t order by a
        Q insert into t values (3, 'three'); insert into t values (1, 'dup'); insert into t values (4, 'four')
        Q select count(*) from t
        Q insert into t values (5, 'x') returning a, b
        Q update t set b = b || '!' where a < 3
        Q delete from t where a = 5 returning *
        Q select count(*), sum(a), max(b), avg(a) from t
        Q select * from t where false
        Q select
        "#,
    );
}

#[test]
fn statements_and_portals_live_as_long_as_on_postgresql() {
    same(
        r#"
        Q create table t(a int, b text)
        # unnamed statement, described, run
        P |insert into t values ($1, $2)
        D S
        B ||1,one
        D P
        E |0
        S
        # describing never executes, also with RETURNING
        P ins|insert into t values ($1, $2) returning a, b
        D Sins
        S
        Q select count(*) from t
        B |ins|2,two
        D P
        E |0
        S
        Q select count(*) from t
        # a portal ends with its transaction
        B p|ins|3,three
        S
        E p|0
        S
        # inside a block it lives on
        Q begin
        P sel|select a from t order by a
        B p|sel|
        E p|1
        S
        E p|1
        S
        E p|5
        S
        E p|0
        S
        Q commit
        # names
        P ins|select 1
        S
        B |nope|
        S
        E nope|0
        S
        D Pnope
        S
        C Sins
        C Snope
        C Pnope
        S
        B |ins|
        S
        # parameters that do not fit
        P |select $1::int, $2::text
        B ||1
        S
        B ||x,y
        S
        # a new simple query ends the unnamed statement
        P |select 1
        S
        Q select 2
        B ||
        S
        # empty texts
        P |
        D S
        B ||
        D P
        E |0
        S
        # several commands
        P |select 1; select 2
        S
        "#,
    );
}

#[test]
fn errors_skip_to_sync_and_undo_the_run() {
    same(
        r#"
        Q create table t(a int primary key)
        # an error in the middle: what follows is skipped, what preceded is undone
        P |insert into t values (1)
        B ||
        E |0
        P |insert into t values (1)
        B ||
        E |0
        P |insert into t values (2)
        B ||
        E |0
        S
        Q select count(*) from t
        # two runs in one packet
        P |insert into t values (3)
        B ||
        E |0
        S
        P |insert into t values (3)
        B ||
        E |0
        S
        Q select count(*) from t
        # the error arrives at a Flush, before Sync
        P |select nope
        H
        S
        # rows arrive at a Flush
        P |select a from t
        B ||
        E |0
        H
        S
        # a run that ends in an error inside a block
        Q begin
        P |select 1/(a - a) from t
        B ||
        E |0
        S
        P |select 1
        S
        Q rollback
        # BEGIN in the middle of a run takes over what came before
        P |insert into t values (10)
        B ||
        E |0
        P |begin
        B ||
        E |0
        S
        Q rollback
        Q select count(*) from t
        "#,
    );
}

#[test]
fn row_limits_suspend_portals() {
    same(
        r#"
        Q create table t(a int); insert into t values (1), (2), (3), (4), (5)
        P |select a from t order by a
        B ||
        E |2
        E |2
        E |2
        S
        Q begin
        P s|select a from t order by a
        B p|s|
        E p|2
        S
        # another statement in between, even one that changes the table
        Q update t set a = a + 10
        E p|2
        S
        Q select a from t order by a
        E p|0
        S
        Q rollback
        # RETURNING is done at once, its rows are handed out
        Q begin
        P |insert into t select a + 100 from t returning a
        B r||
        E r|2
        S
        Q select count(*) from t
        E r|2
        S
        E r|9
        S
        Q rollback
        # exactly as many rows as the limit
        P |select a from t order by a
        B ||
        E |5
        E |5
        S
        "#,
    );
}

#[test]
fn formats_are_chosen_per_column() {
    same(
        r#"
        P |select 1::int4 as a, 'x'::text as b, true as c, 5::int8 as d, 1.5::float8 as e
        B |||1
        D P
        E |0
        S
        B |||0,1,1,0,1
        E |0
        S
        B |||1,0
        S
        P |select $1::bool, $2::int2, $3::numeric, $4::bytea, $5::uuid, $6::date
        D S
        B ||t,7,12.50,\x0102,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,2024-02-29
        E |0
        S
        B ||t,7,12.50,\x0102,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,2024-02-29|1
        E |0
        S
        P |select $1 + 1, $2 \p\p 'x', $3
        D S
        B ||41,abc,zzz
        E |0
        S
        "#,
    );
}

#[test]
fn sql_prepare_and_cursors() {
    same(
        r#"
        Q create table t(a int, b text); insert into t select g, 'row ' || g from generate_series(1, 10) g
        Q prepare p(int) as select b from t where a = $1
        Q execute p(3)
        Q execute p(1 + 1)
        Q execute p('4')
        Q execute p(1, 2)
        Q prepare p as select 1
        Q deallocate p
        Q execute p(1)
        Q deallocate nope
        Q prepare i(int, text) as insert into t values ($1, $2)
        Q execute i(11, 'eleven')
        Q deallocate all
        Q declare c cursor for select 1
        Q begin
        Q declare c scroll cursor for select a from t order by a
        Q fetch c
        Q fetch 3 from c
        Q move 2 in c
        Q fetch backward 2 from c
        Q fetch absolute 5 from c
        Q fetch relative -1 from c
        Q fetch last from c
        Q fetch next from c
        Q fetch prior from c
        Q fetch first from c
        Q fetch all from c
        Q move backward all in c
        Q fetch 0 from c
        Q close c
        Q fetch c
        Q rollback
        Q begin
        Q declare h cursor with hold for select a from t order by a limit 3
        Q commit
        Q fetch all from h
        Q close h
        Q close all
        Q begin
        Q declare n no scroll cursor for select a from t order by a
        Q fetch 2 from n
        Q fetch backward 1 from n
        Q rollback
        "#,
    );
}

#[test]
fn standard_parameters_are_told_at_start_and_on_change() {
    let proxy = Proxy::direct();
    let mut raw = Raw::connect(
        proxy.port,
        "alice",
        "anything",
        &[("application_name", "probe"), ("options", "-c statement_timeout=5s -c geqo=off")],
    );
    let told: Vec<&str> = raw.parameters.iter().map(|(n, _)| n.as_str()).collect();
    for name in [
        "application_name",
        "client_encoding",
        "DateStyle",
        "default_transaction_read_only",
        "in_hot_standby",
        "integer_datetimes",
        "IntervalStyle",
        "is_superuser",
        "server_encoding",
        "server_version",
        "session_authorization",
        "standard_conforming_strings",
        "TimeZone",
    ] {
        assert!(told.contains(&name), "{name} is missing in {told:?}");
    }
    let database = Pg::shared().database("parameters");
    let theirs = Raw::postgres(&database).parameters;
    let names =
        |all: &[(String, String)]| all.iter().map(|(n, _)| n.clone()).collect::<BTreeSet<_>>();
    assert_eq!(names(&raw.parameters), names(&theirs), "those of PostgreSQL, and no others");
    let own =
        ["application_name", "is_superuser", "server_version", "session_authorization", "TimeZone"];
    for parameter in theirs.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
        assert!(raw.parameters.contains(parameter), "{parameter:?}: {:?}", raw.parameters);
    }
    assert_eq!(raw.query("show statement_timeout")[1], "D 5s");
    assert_eq!(raw.query("show geqo")[1], "D off");
    assert_eq!(
        raw.query("select current_user, current_database(), session_user")[1],
        "D alice | anything | alice"
    );
    raw.start("set timezone = 'Europe/Berlin'");
    assert!(raw.soon().iter().any(|m| m == "S \"TimeZone\\0Europe/Berlin\\0\""));
    raw.start("begin; set application_name = 'x'; rollback");
    assert!(!raw.soon().iter().any(|m| m.contains("application_name")), "nothing changed");
}

#[test]
fn a_running_statement_and_a_waiting_writer_can_be_cancelled() {
    let proxy = Proxy::direct();
    proxy.sql("create table t(a int); insert into t values (1)");
    let mut holder = Raw::proxy(&proxy);
    holder.query("begin; update t set a = 2");
    let mut waiter = Raw::proxy(&proxy);
    waiter.start("update t set a = 3");
    std::thread::sleep(Duration::from_millis(200));
    cancel(&proxy, &waiter);
    let answer = waiter.answers();
    assert_eq!(answer[0], "E ERROR 57014 canceling statement due to user request");
    assert_eq!(answer[1], "Z I");

    let mut busy = Raw::proxy(&proxy);
    busy.start(
        "with recursive c(n) as (select 1 union all select n + 1 from c) select count(*) from c",
    );
    std::thread::sleep(Duration::from_millis(300));
    cancel(&proxy, &busy);
    let answer = busy.answers();
    assert!(answer.iter().any(|m| m.starts_with("E ERROR 57014")), "{answer:?}");
    assert_eq!(busy.query("select 1")[1], "D 1");
    let sleeping = Instant::now();
    assert!(
        busy.query("set statement_timeout = 200; select pg_sleep(20)")
            .iter()
            .any(|m| m == "E ERROR 57014 canceling statement due to statement timeout")
    );
    assert!(sleeping.elapsed() < Duration::from_secs(5));
}

/// A request that came while nothing ran does not end the wait of a later statement.
#[test]
fn a_late_cancel_does_not_hurt_a_statement_that_waits_at_the_gate() {
    let proxy = Proxy::direct();
    let mut idle = Raw::proxy(&proxy);
    assert_eq!(idle.query("select 1")[1], "D 1");
    Raw::cancel(proxy.port, idle.pid, &idle.secret);
    assert_eq!(proxy.cli(&["pause"]).0, 0);
    idle.start("select 2");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(proxy.cli(&["resume"]).0, 0);
    assert_eq!(idle.answers()[1], "D 2");
}

fn cancel(proxy: &Proxy, session: &Raw) {
    use std::io::Write as _;
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
    let mut packet = 16_u32.to_be_bytes().to_vec();
    packet.extend(80_877_102_u32.to_be_bytes());
    packet.extend(session.pid.to_be_bytes());
    packet.extend(&session.secret);
    stream.write_all(&packet).unwrap();
}

#[test]
fn notifications_reach_listeners_when_they_commit() {
    let proxy = Proxy::direct();
    let mut listener = Raw::proxy(&proxy);
    let mut sender = Raw::proxy(&proxy);
    listener.query("listen ch");
    sender.query("begin; notify ch, 'one'; notify ch, 'one'");
    assert!(listener.soon().is_empty(), "not committed yet");
    sender.query("commit");
    assert_eq!(listener.soon(), ["A \"ch\\0one\\0\""]);
    sender.query("select pg_notify('ch', 'two'); notify other, 'x'");
    assert_eq!(listener.soon(), ["A \"ch\\0two\\0\""]);
    listener.query("begin");
    sender.query("notify ch, 'three'");
    assert!(listener.soon().is_empty(), "not inside a transaction");
    let answers = listener.query("commit");
    assert!(answers.contains(&"A \"ch\\0three\\0\"".to_owned()), "{answers:?}");
    listener.query("unlisten *");
    sender.query("notify ch, 'four'");
    assert!(listener.soon().is_empty());
}

#[test]
fn another_database_is_refused_only_when_one_is_configured() {
    let proxy = Proxy::on_new_file(&["--set", "listen.database=shop"]);
    let (code, _, stderr) = proxy.psql("select 1");
    assert_ne!(code, 0);
    assert!(stderr.contains("database \"app\" does not exist"), "{stderr}");
    assert_eq!(Raw::connect(proxy.port, "app", "shop", &[]).query("select 1")[1], "D 1");
}
