//! What the catalogs tell of domains: their checks, and information_schema's views of them.

use super::classes::namespace_of_type;
use super::information::{data_type, database, sizes};
use super::rows::{Maker, Row, int, maybe, text};
use super::types::facts;
use super::{Core, Snapshot};
use crate::schema::Relation;
use crate::value::Cell;
use crate::value::domain::{Domain, Rule};

/// Every check with its domain.
fn rules(core: &Core) -> impl Iterator<Item = (&Domain, &Rule)> {
    core.catalog.enums.domains().flat_map(|d| d.own_rules().iter().map(move |r| (d.as_ref(), r)))
}

fn schema(domain: &Domain) -> Cell {
    text(if domain.temporary { "pg_temp_1" } else { crate::name::schema(&domain.name) })
}

/// pg_constraint's rows of domains.
pub(super) fn constraints(core: &Core, shape: &Relation) -> Vec<Row> {
    const COLUMNS: [&str; 14] = [
        "oid",
        "conname",
        "connamespace",
        "contype",
        "convalidated",
        "confupdtype",
        "confdeltype",
        "confmatchtype",
        "conislocal",
        "conbin",
        "contypid",
        "condeferrable",
        "condeferred",
        "connoinherit",
    ];
    let maker = Maker::new(shape, &COLUMNS);
    let row = |(domain, rule): (&Domain, &Rule)| {
        let (yes, no) = (Cell::Integer(1), || Cell::Integer(0));
        maker.row([
            int(rule.oid),
            text(&rule.name),
            int(namespace_of_type(core, &domain.name, domain.temporary)),
            text("c"),
            yes.clone(),
            text(" "),
            text(" "),
            text(" "),
            yes,
            text(&rule.expression),
            int(domain.oid),
            no(),
            no(),
            no(),
        ])
    };
    rules(core).map(row).collect()
}

/// The condition of a domain's check by the check's OID.
pub(super) fn condition(core: &Core, wanted: i64) -> Option<&str> {
    let found = rules(core).find(|(_, rule)| i64::from(rule.oid) == wanted);
    found.map(|(_, rule)| rule.expression.as_str())
}

/// information_schema.domains
pub(super) fn domains(snapshot: &Snapshot, shape: &Relation) -> Vec<Row> {
    const COLUMNS: [&str; 15] = [
        "domain_catalog",
        "domain_schema",
        "domain_name",
        "data_type",
        "character_maximum_length",
        "character_octet_length",
        "numeric_precision",
        "numeric_precision_radix",
        "numeric_scale",
        "datetime_precision",
        "domain_default",
        "udt_catalog",
        "udt_schema",
        "udt_name",
        "dtd_identifier",
    ];
    let maker = Maker::new(shape, &COLUMNS);
    let row = |domain: &Domain| {
        let sizes = sizes(domain.base_type());
        maker.row([
            database(snapshot),
            schema(domain),
            text(&domain.name),
            text(data_type(domain.base_type())),
            sizes.characters,
            sizes.octets,
            sizes.precision,
            sizes.radix,
            sizes.scale,
            sizes.datetime,
            maybe(domain.default.as_deref()),
            database(snapshot),
            text(super::information::udt_schema(domain.base)),
            maybe(facts(domain.base).map(|f| f.name.clone())),
            text("1"),
        ])
    };
    snapshot.catalog.enums.domains().map(|domain| row(domain)).collect()
}

/// information_schema.domain_constraints
pub(super) fn domain_constraints(snapshot: &Snapshot, shape: &Relation) -> Vec<Row> {
    const COLUMNS: [&str; 8] = [
        "constraint_catalog",
        "constraint_schema",
        "constraint_name",
        "domain_catalog",
        "domain_schema",
        "domain_name",
        "is_deferrable",
        "initially_deferred",
    ];
    let maker = Maker::new(shape, &COLUMNS);
    let row = |(domain, rule): (&Domain, &Rule)| {
        maker.row([
            database(snapshot),
            schema(domain),
            text(&rule.name),
            database(snapshot),
            schema(domain),
            text(&domain.name),
            text("NO"),
            text("NO"),
        ])
    };
    rules(snapshot).map(row).collect()
}

/// Name, schema and condition of every check, for information_schema.check_constraints.
pub(super) fn checks(snapshot: &Snapshot) -> Vec<(Cell, String, String)> {
    let all = rules(snapshot);
    all.map(|(d, r)| (schema(d), r.name.clone(), format!("(({}))", r.expression))).collect()
}
