//! One assertion for each decision of the lowering that is not a plain copy.

use super::{one, refused};
use crate::schema::Action;
use crate::sql::ast::*;

fn expr(text: &str) -> ExprKind {
    match one(&format!("select {text}")) {
        Statement::Select(select) => match select.body {
            SelectBody::Simple(mut simple) => simple.targets.remove(0).expr.kind,
            other => panic!("{text}: {other:?}"),
        },
        other => panic!("{text}: {other:?}"),
    }
}

fn ddl(text: &str) -> Ddl {
    match one(text) {
        Statement::Ddl(ddl) => *ddl,
        other => panic!("{text}: {other:?}"),
    }
}

fn call(text: &str) -> Call {
    match expr(text) {
        ExprKind::Call(call) => *call,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn literals() {
    let literal = |text: &str| match expr(text) {
        ExprKind::Literal(literal) => literal,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(literal("null"), Literal::Null);
    assert_eq!(literal("true"), Literal::Bool(true));
    assert_eq!(literal("0"), Literal::Integer(0));
    assert_eq!(literal("-2147483648"), Literal::Number("-2147483648".into()));
    assert_eq!(literal("2147483648"), Literal::Number("2147483648".into()));
    assert_eq!(literal("1.50"), Literal::Number("1.50".into()));
    assert_eq!(literal("''"), Literal::String(String::new()));
    assert_eq!(literal("E'a\\nb'"), Literal::String("a\nb".into()));
    assert_eq!(literal("B'01'"), Literal::Bits("b01".into()));
}

#[test]
fn operators_and_tests() {
    assert!(matches!(expr("- a"), ExprKind::Op { left: None, .. }));
    assert!(matches!(expr("a OPERATOR(pg_catalog.~) 'x'"), ExprKind::Op { op, .. } if op == "~"));
    assert!(matches!(expr("a not ilike 'x'"), ExprKind::Op { op, .. } if op == "!~~*"));
    assert!(matches!(expr("a and b and c"), ExprKind::And(list) if list.len() == 3));
    assert!(matches!(expr("not a"), ExprKind::Not(_)));
    assert!(matches!(expr("a is not null"), ExprKind::IsNull(_, true)));
    assert!(matches!(expr("a is not unknown"), ExprKind::IsBool(_, None, true)));
    assert!(matches!(expr("a is distinct from b"), ExprKind::IsDistinct(_, _, false)));
    assert!(matches!(
        expr("a not between symmetric 1 and 2"),
        ExprKind::Between { not: true, symmetric: true, .. }
    ));
    assert!(
        matches!(expr("a not in (1, 2)"), ExprKind::InList { not: true, list, .. } if list.len() == 2)
    );
    assert!(matches!(expr("a <> all ($1)"), ExprKind::AnyAll { op, all: true, .. } if op == "<>"));
    assert!(matches!(
        expr("a in (select 1)"),
        ExprKind::SubqueryCompare { op, all: false, .. } if op == "="
    ));
    assert!(matches!(
        expr("(a, b) > all (select 1, 2)"),
        ExprKind::SubqueryCompare { all: true, .. }
    ));
}

#[test]
fn special_calls_keep_pg_catalog() {
    for (text, name, count) in [
        ("extract(year from a)", "extract", 2),
        ("position('a' in b)", "position", 2),
        ("substring(a from 1 for 2)", "substring", 3),
        ("trim(both 'x' from a)", "btrim", 2),
        ("overlay(a placing 'x' from 1)", "overlay", 3),
        ("a at time zone 'UTC'", "timezone", 2),
    ] {
        let call = call(text);
        assert_eq!(call.name.schema.as_deref(), Some("pg_catalog"), "{text}");
        assert_eq!((call.name.name.as_str(), call.args.len()), (name, count), "{text}");
    }
    assert!(matches!(expr("a similar to 'x'"), ExprKind::Op { op, .. } if op == "~"));
    let c = call("string_agg(distinct a, ',' order by b desc nulls last) filter (where c)");
    assert!(c.distinct && c.filter.is_some());
    assert_eq!(c.order_by[0].nulls_first, Some(false));
    assert!(call("count(*)").star);
    assert_eq!(call("f(a => 1)").args[0].0.as_deref(), Some("a"));
}

#[test]
fn windows_and_frames() {
    let over = |text: &str| call(text).over.unwrap();
    assert!(over("f() over w").reference);
    let window = over(
        "f() over (w order by a rows between 1 preceding and unbounded following exclude ties)",
    );
    assert_eq!((window.base.as_deref(), window.reference), (Some("w"), false));
    let frame = window.frame.unwrap();
    assert_eq!((frame.mode, frame.exclude), ("ROWS", Some("TIES")));
    assert!(matches!(frame.start, Bound::Preceding(_)));
    assert!(matches!(frame.end, Bound::UnboundedFollowing));
    assert!(over("f() over (order by a)").frame.is_none());
}

#[test]
fn types_and_subscripts() {
    let ty = |text: &str| match expr(text) {
        ExprKind::Cast(_, ty) => ty,
        other => panic!("{text}: {other:?}"),
    };
    let t = ty("a::numeric(10, 2)[]");
    assert_eq!(
        (t.schema.as_deref(), t.name.as_str(), t.array),
        (Some("pg_catalog"), "numeric", true)
    );
    assert_eq!(t.modifiers, [10, 2]);
    assert_eq!(ty("timestamp with time zone '2020-01-01'").name, "timestamptz");
    assert_eq!(ty("cast(a as \"Foo\".\"Bar\")").schema.as_deref(), Some("Foo"));
    assert!(matches!(
        expr("a[1]"),
        ExprKind::Subscript { lower: Some(_), upper: None, slice: false, .. }
    ));
    assert!(matches!(
        expr("a[1:]"),
        ExprKind::Subscript { lower: Some(_), upper: None, slice: true, .. }
    ));
    assert!(matches!(expr("(a).b"), ExprKind::Field(_, field) if field == "b"));
    assert!(matches!(
        expr("current_timestamp(3)"),
        ExprKind::ValueFunction("current_timestamp", Some(3))
    ));
}

#[test]
fn queries() {
    let Statement::Select(s) = one(
        "with recursive r(a) as not materialized (select 1) select distinct on (a) t.*, b as x \
         from t, lateral (select 1) as q(z), generate_series(1, 2) with ordinality g \
         left join u using (a) natural join v where c group by a having d window w as (order by a) \
         order by 1 desc limit all offset 2 for no key update of t skip locked",
    ) else {
        panic!()
    };
    assert_eq!(s.with.as_ref().unwrap().ctes[0].materialized, Some(false));
    assert_eq!((s.limit.is_none(), s.offset.is_some()), (true, true));
    assert!(s.locking[0].update && s.locking[0].skip_locked && s.order_by[0].descending);
    let SelectBody::Simple(body) = s.body else { panic!() };
    assert_eq!(body.distinct.unwrap().len(), 1);
    assert!(matches!(&body.targets[0].expr.kind, ExprKind::Star(parts) if parts == &["t"]));
    assert!(matches!(&body.from[1], TableRef::Subquery { lateral: true, .. }));
    assert!(matches!(&body.from[2], TableRef::Join { condition: JoinCondition::Natural, .. }));
    let Statement::Select(s) = one("select 1 union all select 2 except select 3 limit 1") else {
        panic!()
    };
    assert!(matches!(s.body, SelectBody::SetOperation { op: SetOp::Except, all: false, .. }));
    assert!(s.limit.is_some());
    assert_eq!(refused("select * from (select 1 into x) y").0, "42601");
    assert!(matches!(
        one("select 1 from t tablesample system (1)"),
        Statement::Unsupported("TABLESAMPLE")
    ));
    assert!(matches!(expr("f(a) group by rollup (a)"), ExprKind::Call(_)));
}

#[test]
fn writes() {
    let Statement::Insert(i) =
        one("insert into s.t as x (a, b) overriding system value values (1, default) \
         on conflict (a, lower(b)) where c do update set b = excluded.b where x.a > 1 returning *")
    else {
        panic!()
    };
    assert_eq!((i.table.schema.as_deref(), i.alias.as_deref()), (Some("s"), Some("x")));
    assert_eq!(i.overriding, Some(Overriding::System));
    let conflict = i.on_conflict.unwrap();
    assert_eq!((conflict.keys.len(), conflict.filter.is_some()), (2, true));
    assert!(conflict.update.unwrap().1.is_some());
    let Statement::Insert(i) = one("insert into t default values") else { panic!() };
    assert!(i.source.is_none());
    let Statement::Update(u) =
        one("update t set (a, b) = (select 1, 2), c = default from u where d")
    else {
        panic!()
    };
    assert_eq!(u.assignments.len(), 2);
    assert_eq!(u.assignments[0].columns, ["a", "b"]);
    assert!(matches!(u.assignments[0].value.kind, ExprKind::Subquery(_)));
    let Statement::Update(u) = one("update t set (a, b) = (1, 2)") else { panic!() };
    assert!(matches!(u.assignments[0].value.kind, ExprKind::Row(_)));
    assert!(matches!(one("update t set a[1] = 2"), Statement::Update(_)));
    assert!(
        matches!(one("delete from t using u where t.a = u.a"), Statement::Delete(d) if d.using.len() == 1)
    );
    assert!(matches!(
        one("merge into t using s on true when matched then delete"),
        Statement::Merge(merge) if merge.clauses.len() == 1
    ));
}

#[test]
fn tables() {
    let Ddl::CreateTable(t) = ddl(
        "create temp table if not exists t (id bigserial primary key, a numeric(5) default 1 + 2 \
         not null check (a > 0), b text collate \"C\" references u (x) on delete cascade \
         deferrable initially deferred, c int generated always as (id * 2) stored, \
         d int generated by default as identity (start 5), like v including defaults, \
         constraint k unique nulls not distinct (a, b)) on commit drop",
    ) else {
        panic!()
    };
    assert!(t.temporary && t.if_not_exists && t.on_commit == Some("DROP"));
    assert_eq!(t.columns[0].ty.name, "bigserial");
    let kinds = |i: usize| t.columns[i].constraints.iter().map(|c| &c.kind).collect::<Vec<_>>();
    assert!(matches!(kinds(1)[0], ConstraintKind::Default(_, text) if text == "1 + 2"));
    assert!(matches!(kinds(1)[2], ConstraintKind::Check(_, text) if text == "a > 0"));
    let foreign = &t.columns[2].constraints[0];
    assert!(foreign.deferrable && foreign.deferred);
    assert!(matches!(&foreign.kind, ConstraintKind::ForeignKey { on_delete: Action::Cascade, .. }));
    assert!(matches!(kinds(3)[0], ConstraintKind::Generated(..)));
    assert!(matches!(kinds(4)[0], ConstraintKind::Identity(false, o) if o.start == Some(5)));
    assert!(t.like[0].defaults && !t.like[0].indexes);
    assert!(
        matches!(&t.constraints[0].kind, ConstraintKind::Unique(columns, None, true) if columns.len() == 2)
    );
    assert_eq!(
        refused("create table t (a int default 1 deferrable)").1,
        "misplaced DEFERRABLE clause"
    );
    assert!(matches!(
        one("create table t (a int) partition by list (a)"),
        Statement::Unsupported(_)
    ));
    assert!(matches!(ddl("select 1 as a into temp x"), Ddl::CreateTableAs { temporary: true, .. }));
}

#[test]
fn other_ddl() {
    let Ddl::CreateIndex(i) = ddl(
        "create unique index concurrently i on s.t using gin (a, lower(b) collate \"C\" desc nulls last) \
         include (c) where a > 0",
    ) else {
        panic!()
    };
    assert!(i.unique && i.concurrently);
    assert_eq!(i.method, "gin");
    assert_eq!(i.keys[1].1, "lower(b) COLLATE \"C\"");
    assert_eq!(i.filter.unwrap().1, "a > 0");
    let Ddl::CreateView { text, .. } = ddl("create view v as select  a from t -- x\n") else {
        panic!()
    };
    assert_eq!(text, "SELECT a FROM t");
    assert!(
        matches!(ddl("drop table if exists a, s.b cascade"), Ddl::Drop { names, cascade: true, .. } if names.len() == 2)
    );
    assert!(matches!(
        ddl("alter table t rename column a to b"),
        Ddl::Rename { what: RenameWhat::Column(_), .. }
    ));
    assert!(
        matches!(ddl("alter schema a rename to b"), Ddl::Rename { kind: ObjectKind::Schema, name, .. } if name.name == "a")
    );
    let Ddl::AlterTable { actions, .. } =
        ddl("alter table only t add column if not exists a int, alter b type text using b::text, \
         alter c set default now(), alter d drop default, owner to x, drop constraint if exists k, \
         alter e set generated always restart 5, enable row level security")
    else {
        panic!()
    };
    assert!(matches!(actions[0], AlterAction::AddColumn(_, true)));
    assert!(matches!(actions[1], AlterAction::AlterType(_, _, None, Some(_))));
    assert!(matches!(&actions[2], AlterAction::SetDefault(_, Some((_, text))) if text == "now()"));
    assert!(matches!(actions[3], AlterAction::SetDefault(_, None)));
    assert!(matches!(actions[4], AlterAction::NoEffect("OWNER TO")));
    assert!(matches!(actions[5], AlterAction::DropConstraint(_, true, false)));
    assert!(
        matches!(&actions[6], AlterAction::SetIdentity(_, Some(true), o) if o.restart == Some(Some(5)))
    );
    assert!(matches!(actions[7], AlterAction::Unsupported(_)));
    assert!(matches!(ddl("alter sequence s owner to x"), Ddl::NoEffect("ALTER SEQUENCE")));
    assert!(matches!(
        ddl("create sequence s as int no minvalue maxvalue 9223372036854775807 owned by t.a"),
        Ddl::CreateSequence { options, .. } if options.min == Some(None)
            && options.max == Some(Some(i64::MAX))
            && options.owned_by == Some(Some(("t".into(), "a".into())))
    ));
}

#[test]
fn transactions_and_settings() {
    let t = |text: &str| match one(text) {
        Statement::Transaction(t) => t,
        other => panic!("{text}: {other:?}"),
    };
    assert!(matches!(
        t("begin isolation level serializable, read only, not deferrable"),
        Transaction::Begin(m) if m.isolation.as_deref() == Some("serializable")
            && m.read_only == Some(true) && m.deferrable == Some(false)
    ));
    assert_eq!(t("commit and chain"), Transaction::Commit(true));
    assert_eq!(t("abort"), Transaction::Rollback(false));
    assert_eq!(t("rollback to a"), Transaction::RollbackTo("a".into()));
    assert!(
        matches!(t("set session characteristics as transaction read write"), Transaction::SetCharacteristics(m) if m.read_only == Some(false))
    );
    assert_eq!(
        t("set constraints a, s.b immediate"),
        Transaction::SetConstraints(vec!["a".into(), "b".into()], false)
    );
    let set = |text: &str| match one(text) {
        Statement::Session(s) => s,
        other => panic!("{text}: {other:?}"),
    };
    let value = |name: &str, values: &[&str], local| SessionCommand::Set {
        name: name.into(),
        values: Some(values.iter().map(|v| (*v).to_owned()).collect()),
        local,
    };
    assert_eq!(set("set search_path = a, \"B\""), value("search_path", &["a", "B"], false));
    assert_eq!(set("set local Work_Mem to 5"), value("work_mem", &["5"], true));
    assert_eq!(set("set time zone 'UTC'"), value("timezone", &["UTC"], false));
    assert_eq!(
        set("set x to default"),
        SessionCommand::Set { name: "x".into(), values: None, local: false }
    );
    assert_eq!(
        set("show transaction isolation level"),
        SessionCommand::Show(Some("transaction_isolation".into()))
    );
    assert_eq!(set("reset all"), SessionCommand::Reset(None));
    assert_eq!(set("discard temp"), SessionCommand::Discard("TEMP"));
}

#[test]
fn cursors_copy_and_the_rest() {
    assert!(matches!(
        one("declare c binary no scroll cursor with hold for select 1"),
        Statement::Declare { hold: true, scroll: Some(false), binary: true, .. }
    ));
    let fetch = |text: &str| match one(text) {
        Statement::Fetch { direction, .. } => direction,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(fetch("fetch c"), FetchDirection::Relative(1));
    assert_eq!(fetch("fetch all in c"), FetchDirection::Relative(i64::MAX));
    assert_eq!(fetch("move backward 3 c"), FetchDirection::Relative(-3));
    assert_eq!(fetch("fetch last c"), FetchDirection::Absolute(-1));
    assert_eq!(fetch("fetch relative -2 c"), FetchDirection::Offset(-2));
    let Statement::Copy(c) =
        one("copy t (a, b) from stdin with (format csv, header, force_null (a, b))")
    else {
        panic!()
    };
    assert!(c.from && c.stdio);
    assert_eq!(c.options[0], ("format".into(), Some("csv".into())));
    assert_eq!(c.options[1], ("header".into(), None));
    assert_eq!(c.options[2], ("force_null".into(), Some("a,b".into())));
    assert!(matches!(one("copy (select 1) to stdout"), Statement::Copy(c) if c.query.is_some()));
    let Statement::Prepare { text, types, .. } = one("prepare p (int, text) as  select $1 as as_x")
    else {
        panic!()
    };
    assert_eq!((text.as_str(), types.len()), ("select $1 as as_x", 2));
    let analyze = |text: &str| match one(text) {
        Statement::Explain(_, explain) => explain.analyze,
        _ => panic!("{text}"),
    };
    assert!(analyze("explain (analyze, costs off) select 1"));
    assert!(!analyze("explain (analyze off) select 1"));
    assert!(matches!(one("deallocate all"), Statement::Deallocate(None)));
    assert!(matches!(one("unlisten *"), Statement::Unlisten(None)));
    assert!(
        matches!(one("lock t in share mode nowait"), Statement::Lock { nowait: true, mode, .. } if mode == "SHARE")
    );
    assert!(matches!(one("analyze t"), Statement::Maintenance("ANALYZE")));
    assert!(matches!(one("do $$ begin end $$"), Statement::Do(_)));
}
