//! DO: PL/pgSQL as migrations send it, compared with PostgreSQL.

use crate::common::{Proxy, Raw, same};

#[test]
fn bodies_run_statement_by_statement() {
    same(
        r#"
        Q DO $$ BEGIN CREATE TYPE "public"."role" AS ENUM('admin', 'user'); EXCEPTION WHEN duplicate_object THEN null; END $$
        Q DO $$ BEGIN CREATE TYPE "public"."role" AS ENUM('admin', 'user'); EXCEPTION WHEN duplicate_object THEN null; END $$
        Q CREATE TABLE IF NOT EXISTS "users" ("id" serial PRIMARY KEY NOT NULL, "role" "role" DEFAULT 'user' NOT NULL, "email" text NOT NULL)
        Q CREATE TABLE IF NOT EXISTS "posts" ("id" serial PRIMARY KEY NOT NULL, "user_id" integer NOT NULL, n int)
        Q DO $$ BEGIN ALTER TABLE "posts" ADD CONSTRAINT "posts_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE no action ON UPDATE no action; EXCEPTION WHEN duplicate_object THEN null; END $$
        Q DO $$ BEGIN ALTER TABLE "posts" ADD CONSTRAINT "posts_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE no action ON UPDATE no action; EXCEPTION WHEN duplicate_object THEN null; END $$
        Q DO $$ BEGIN IF NOT EXISTS ( SELECT 1 FROM pg_type t JOIN pg_namespace n ON t.typnamespace = n.oid WHERE t.typname = 'mood' AND n.nspname = ANY (current_schemas(false)) ) THEN CREATE TYPE "mood" AS ENUM ('sad', 'ok'); END IF; END $$
        Q DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'mood') THEN CREATE TYPE "mood" AS ENUM ('sad', 'ok', 'happy'); END IF; END $$ LANGUAGE plpgsql
        Q select enumlabel from pg_enum e join pg_type t on t.oid = e.enumtypid where typname = 'mood' order by enumsortorder
        Q DO $do$ DECLARE v_n int; v_t text := 'x'; r record; v_total bigint := 0; BEGIN INSERT INTO users(email) VALUES ('a@b') RETURNING id INTO v_n; RAISE NOTICE 'user % %', v_n, v_t; FOR i IN 1..3 LOOP INSERT INTO posts(user_id, n) VALUES (v_n, i * 10); END LOOP; FOR i IN REVERSE 3..1 BY 2 LOOP RAISE NOTICE 'i %', i; END LOOP; FOR r IN SELECT id AS pid, n AS num FROM posts ORDER BY id LOOP v_total := v_total + r.num; CONTINUE WHEN r.num = 20; UPDATE posts SET n = r.num + 1 WHERE posts.id = r.pid; GET DIAGNOSTICS v_n = ROW_COUNT; RAISE INFO 'row % % found % count %', r.pid, r.num, FOUND, v_n; END LOOP; SELECT count(*), max(email) INTO v_n, v_t FROM users; RAISE WARNING 'total % users % %', v_total, v_n, v_t; EXECUTE 'INSERT INTO posts(user_id, n) VALUES ($1, $2)' USING 1, 99; EXECUTE format('UPDATE %I SET n = n WHERE n = %L', 'posts', 99); EXECUTE 'SELECT count(*) FROM posts' INTO v_n; RAISE NOTICE 'posts %', v_n; IF v_n > 100 THEN RAISE NOTICE 'many'; ELSIF v_n = 4 THEN RAISE NOTICE 'four'; ELSE RAISE NOTICE 'other'; END IF; CASE v_n WHEN 4 THEN NULL; ELSE RAISE EXCEPTION 'never'; END CASE; WHILE v_n > 0 LOOP v_n := v_n - 1; EXIT WHEN v_n = 2; END LOOP; RAISE NOTICE 'left %', v_n; BEGIN INSERT INTO posts(user_id, n) VALUES (1, 1000); INSERT INTO posts(user_id, n) VALUES (777, 1); EXCEPTION WHEN foreign_key_violation THEN RAISE NOTICE 'caught % %', SQLSTATE, SQLERRM; END; BEGIN PERFORM 1/0; EXCEPTION WHEN others THEN RAISE NOTICE 'caught %', SQLERRM; END; END $do$
        Q select * from posts order by id
        Q select id, email from users
        Q DO $$ BEGIN INSERT INTO users(email) VALUES ('lost'); RAISE EXCEPTION 'no %', 1 USING ERRCODE = '22012', HINT = 'h', DETAIL = 'd'; END $$
        Q select count(*) from users
        Q begin
        Q DO $$ BEGIN INSERT INTO users(email) VALUES ('kept'); END $$
        Q savepoint a
        Q DO $$ BEGIN INSERT INTO users(email) VALUES ('not'); END $$
        Q DO $$ BEGIN SELECT 1; END $$
        Q rollback to a
        Q commit
        Q select email from users order by id
        Q DO $$ BEGIN CREATE TABLE x(a int); INSERT INTO x VALUES (1); ALTER TABLE x ADD b int DEFAULT 5; UPDATE x SET b = b + 1; END $$
        Q select * from x
        Q DO $$ DECLARE r record; BEGIN FOR r IN (SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1) LOOP EXECUTE 'DROP TABLE IF EXISTS ' || quote_ident(r.tablename) || ' CASCADE'; END LOOP; END $$
        Q DO $$ BEGIN ALTER TYPE mood ADD VALUE 'new'; END $$
        Q DO $$ BEGIN ALTER TABLE nope ADD COLUMN a int; EXCEPTION WHEN undefined_table OR duplicate_column THEN RAISE NOTICE 'skipped: %', SQLERRM; END $$
        Q DO LANGUAGE plpgsql $$ BEGIN BEGIN RAISE EXCEPTION 'inner'; EXCEPTION WHEN raise_exception THEN RAISE; END; END $$
        "#,
    );
}

#[test]
fn a_body_is_one_statement_of_the_extended_protocol() {
    same(
        r#"
        Q create table t(a int primary key)
        P |do $$ begin insert into t values (1); insert into t values (2); end $$
        B ||
        E |0
        S
        Q select * from t order by a
        P |do $$ begin insert into t values (3); insert into t values (1); end $$
        B ||
        E |0
        S
        Q select * from t order by a
        "#,
    );
}

#[test]
fn a_function_of_the_temporary_schema_tells_how_an_insert_went() {
    const CALL: &str = r#"Q create or replace function pg_temp.testfunc(out response "Users", out caught text) returns record as $f$ begin insert into "Users" (email, n) values ('EMAIL', NUMBER) returning * into response; exception when unique_violation then get stacked diagnostics caught = pg_exception_detail; end $f$ language plpgsql; select (testfunc.response)."id", (testfunc.response)."email", (testfunc.response)."n" as "number", testfunc.caught from pg_temp.testfunc(); drop function if exists pg_temp.testfunc()"#;
    let call = |email: &str, n: &str| CALL.replace("EMAIL", email).replace("NUMBER", n);
    same(&format!(
        r#"
        Q create table "Users"(id serial primary key, email varchar(20) unique, n numeric(5,2))
        {}
        {}
        {}
        Q begin
        {}
        {}
        Q rollback
        Q select * from "Users"
        Q drop function if exists pg_temp.testfunc()
        Q drop function pg_temp.testfunc()
        "#,
        call("a", "1.5"),
        call("a", "2"),
        call("b", "null"),
        call("c", "7"),
        call("b", "8"),
    ));
}

#[test]
fn what_cannot_be_run_is_refused() {
    let proxy = Proxy::direct();
    let mut raw = Raw::proxy(&proxy);
    raw.run("Q create table t(a int primary key, n int)\nQ insert into t values (1, 1)");
    for body in [
        "declare n int := 5; begin update t set n = n + 1; end",
        "begin commit; end",
        "<<here>> begin null; end",
        "declare c cursor for select 1; begin open c; end",
        "begin foreach x slice 1 in array '{1}'::int[] loop null; end loop; end",
        "begin call p(); end",
    ] {
        let found = raw.run(&format!("Q do $${body}$$"));
        assert!(found.contains("0A000"), "{body}\n{found}");
    }
    for body in ["begin nonsense here; end", "begin if true then null; end"] {
        let found = raw.run(&format!("Q do $${body}$$"));
        assert!(found.contains("42601"), "{body}\n{found}");
    }
    let found = raw.run("Q select n from t");
    assert!(found.contains("D 1"), "{found}");
}

/// What could end the proxy, or never end.
#[test]
fn bodies_without_end_are_ended() {
    let proxy = Proxy::direct();
    let mut raw = Raw::proxy(&proxy);
    raw.run("Q create table x(b text)\nQ create table t(a int)");
    raw.query("insert into x values ('do $$ begin execute (select b from x); end $$')");
    let found = raw.query("do $$ begin execute (select b from x); end $$");
    assert!(found[0].contains(" 0A000 "), "{found:?}");
    let deep = vec!["1"; 380].join("+");
    let found = raw.query(&format!("do $$ declare n int; begin n := {deep}; end $$"));
    assert_eq!(found, ["C DO", "Z I"]);
    raw.query("set statement_timeout = 300");
    for body in [
        "for i in 1..2147483647 loop null; end loop",
        "loop null; end loop",
        "while true loop perform 1; end loop",
    ] {
        let found = raw.query(&format!("do $$ begin {body}; end $$"));
        assert!(found[0].contains(" 57014 "), "{body}: {found:?}");
    }
    raw.query("set statement_timeout = 0");
    // PostgreSQL says 42883; never another value than the one that was given.
    let found =
        raw.query("do $$ begin execute 'insert into t values (ifnull($1, 7))' using 5; end $$");
    assert!(found[0].starts_with("E ERROR "), "{found:?}");
    assert_eq!(raw.query("select count(*) from t")[1], "D 0");
}
