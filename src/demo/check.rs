//! What must be true of the shop, read from either side by an ordinary client.
//!
//! Owns the invariants of the sample application: money is conserved, no stock is negative,
//! every order's total is the sum of its lines, and every acknowledged transaction is there
//! exactly once. It must never ask Crossfade's own comparison. Start at [`Found::problems`].

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::Trouble;
use super::shop::{Shop, TABLES};
use super::values::Money;

/// The sums of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Balances plus payments.
    pub(super) money: Money,
    /// Units in stock plus units sold and not given back.
    pub(super) units: i64,
    /// Lowest stock of any product.
    pub(super) lowest_stock: i64,
    /// Orders whose total is not the sum of their lines, or whose payments are not their total.
    pub(super) wrong_orders: i64,
    /// Orders.
    pub(super) orders: i64,
    /// Rows of the ledger.
    pub(super) ledger: i64,
}

impl Found {
    /// What is not as it must be; empty when all holds.
    pub(super) fn problems(&self, shop: &Shop) -> Vec<String> {
        let mut problems = Vec::new();
        if self.money != shop.money {
            problems.push(format!("money {} instead of {}", self.money, shop.money));
        }
        if self.units != shop.units {
            problems.push(format!("{} units of goods instead of {}", self.units, shop.units));
        }
        if self.lowest_stock < 0 {
            problems.push(format!("a stock of {}", self.lowest_stock));
        }
        if self.wrong_orders != 0 {
            problems.push(format!("{} orders do not add up", self.wrong_orders));
        }
        problems
    }
}

const BALANCES: &str = "SELECT sum(balance) FROM customers";
const PAYMENTS: &str = "SELECT sum(amount) FROM payments";
const STOCK: &str = "SELECT min(stock), sum(stock) FROM products";
const SOLD: &str = "SELECT coalesce(sum(i.quantity), 0) FROM order_items i \
     JOIN orders o ON o.id = i.order_id WHERE o.status <> 'refunded'";
const WRONG_TOTALS: &str = "SELECT count(*) FROM (SELECT o.id FROM orders o \
     LEFT JOIN order_items i ON i.order_id = o.id GROUP BY o.id, o.total \
     HAVING coalesce(sum(i.quantity * i.price), -1) <> o.total) AS wrong";
const WRONG_PAYMENTS: &str = "SELECT count(*) FROM (SELECT o.id FROM orders o \
     LEFT JOIN payments p ON p.order_id = o.id GROUP BY o.id, o.total, o.status \
     HAVING coalesce(sum(p.amount), -1) <> \
     CASE WHEN o.status = 'refunded' THEN 0 ELSE o.total END) AS wrong";
const ORDERS: &str = "SELECT count(*) FROM orders";
const LEDGER_SIZE: &str = "SELECT count(*) FROM ledger";
const LEDGER: &str = "SELECT client, number FROM ledger ORDER BY client, number";

/// Reads the sums over the PostgreSQL protocol.
pub(super) async fn sums(client: &Client) -> Result<Found, Trouble> {
    let balances = amount(client, BALANCES).await?;
    let payments = amount(client, PAYMENTS).await?;
    let stock = rows(client, STOCK).await?;
    let column = |at: usize| {
        stock
            .first()
            .and_then(|row| row.get(at))
            .and_then(|v| v.as_deref())
            .and_then(|v| v.parse::<i64>().ok())
            .ok_or_else(|| Trouble::Broken(format!("no number in the answer of {STOCK}")))
    };
    Ok(Found {
        money: Money(balances.0 + payments.0),
        units: column(1)? + number(client, SOLD).await?,
        lowest_stock: column(0)?,
        wrong_orders: number(client, WRONG_TOTALS).await? + number(client, WRONG_PAYMENTS).await?,
        orders: number(client, ORDERS).await?,
        ledger: number(client, LEDGER_SIZE).await?,
    })
}

/// Reads the sums from the file, with SQLite alone.
pub(super) fn file(path: &Path) -> rusqlite::Result<Found> {
    let connection = open(path)?;
    // All of one moment: the proxy may be writing.
    connection.execute_batch("BEGIN")?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let cents = |table: &str, column: &str| {
        number(&format!("SELECT sum(CAST(round({column} * 100) AS INTEGER)) FROM {table}"))
    };
    let in_cents = |sql: &str| {
        sql.replace("i.price", "CAST(round(i.price * 100) AS INTEGER)")
            .replace("p.amount", "CAST(round(p.amount * 100) AS INTEGER)")
            .replace("<> o.total", "<> CAST(round(o.total * 100) AS INTEGER)")
            .replace("ELSE o.total", "ELSE CAST(round(o.total * 100) AS INTEGER)")
    };
    Ok(Found {
        money: Money(cents("customers", "balance")? + cents("payments", "amount")?),
        units: number("SELECT sum(stock) FROM products")? + number(SOLD)?,
        lowest_stock: number("SELECT min(stock) FROM products")?,
        wrong_orders: number(&in_cents(WRONG_TOTALS))? + number(&in_cents(WRONG_PAYMENTS))?,
        orders: number(ORDERS)?,
        ledger: number(LEDGER_SIZE)?,
    })
}

/// SQLite's own check of the file: `ok`, or what is wrong.
pub(super) fn integrity(path: &Path) -> rusqlite::Result<String> {
    open(path)?.query_row("PRAGMA integrity_check", [], |row| row.get(0))
}

/// The ledger's keys in the file.
pub(super) fn file_ledger(path: &Path) -> rusqlite::Result<BTreeSet<(i64, i64)>> {
    let connection = open(path)?;
    let mut statement = connection.prepare(LEDGER)?;
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    found.collect()
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    Ok(connection)
}

/// The ledger's keys over the PostgreSQL protocol.
pub(super) async fn ledger(client: &Client) -> Result<BTreeSet<(i64, i64)>, Trouble> {
    let mut keys = BTreeSet::new();
    for row in rows(client, LEDGER).await? {
        let number = |at: usize| row.get(at).and_then(|v| v.as_deref()?.parse::<i64>().ok());
        let key = number(0).zip(number(1));
        let key = key.ok_or_else(|| Trouble::Broken("a ledger key is not a number".into()))?;
        if !keys.insert(key) {
            return Err(Trouble::NotHeld(format!("ledger entry {key:?} is there twice")));
        }
    }
    Ok(keys)
}

/// Reads every table on both sides, as text in key order. The number of rows when they are
/// the same; else the first difference.
pub(super) async fn same_rows(proxy: &Client, direct: &Client) -> Result<u64, Trouble> {
    let mut total = 0;
    for (table, key) in TABLES {
        let sql = format!("SELECT * FROM {table} ORDER BY {key}");
        let (left, right) = (rows(proxy, &sql).await?, rows(direct, &sql).await?);
        if let Some(at) =
            (0..left.len().max(right.len())).find(|at| left.get(*at) != right.get(*at))
        {
            return Err(Trouble::NotHeld(format!(
                "{table}, row {}: proxy {:?}, PostgreSQL {:?}",
                at + 1,
                left.get(at),
                right.get(at)
            )));
        }
        total += u64::try_from(left.len()).unwrap_or(0);
    }
    Ok(total)
}

/// The rows of a simple query, as text.
pub(super) async fn rows(client: &Client, sql: &str) -> Result<Vec<Vec<Option<String>>>, Trouble> {
    let messages = client
        .simple_query(sql)
        .await
        .map_err(|error| Trouble::NotHeld(format!("{}: {sql}", super::load::describe(&error))))?;
    let mut rows = Vec::new();
    for message in messages {
        if let SimpleQueryMessage::Row(row) = message {
            rows.push((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect());
        }
    }
    Ok(rows)
}

async fn scalar(client: &Client, sql: &str) -> Result<String, Trouble> {
    let value = rows(client, sql).await?.into_iter().next().and_then(|r| r.into_iter().next());
    value.flatten().ok_or_else(|| Trouble::NotHeld(format!("no value from {sql}")))
}

async fn number(client: &Client, sql: &str) -> Result<i64, Trouble> {
    let text = scalar(client, sql).await?;
    text.parse().map_err(|_| Trouble::NotHeld(format!("{text} is not a number: {sql}")))
}

async fn amount(client: &Client, sql: &str) -> Result<Money, Trouble> {
    let text = scalar(client, sql).await?;
    Money::parse(&text).ok_or_else(|| Trouble::NotHeld(format!("{text} is no amount: {sql}")))
}
