//! The sample application's file, as a legacy application would have left it.
//!
//! Owns the tables and their first rows: decimals, dates, booleans, unicode, NULLs, composite
//! and foreign keys, a CHECK. Made with SQLite directly, never through the proxy. The rows are
//! the same on every run. Start at [`build`].

use std::path::Path;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rusqlite::{Connection, params};

use super::values::Money;

const TABLES_SQL: &str = "
CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    name VARCHAR(80) NOT NULL,
    email TEXT NOT NULL UNIQUE,
    balance DECIMAL(12,2) NOT NULL DEFAULT 0,
    newsletter BOOLEAN NOT NULL DEFAULT 0,
    born DATE,
    notes TEXT,
    created_at TIMESTAMP NOT NULL
);
CREATE TABLE products (
    id INTEGER PRIMARY KEY,
    sku VARCHAR(16) NOT NULL UNIQUE,
    name TEXT NOT NULL,
    price DECIMAL(10,2) NOT NULL,
    stock INTEGER NOT NULL CHECK (stock >= 0),
    active BOOLEAN NOT NULL DEFAULT 1,
    description TEXT
);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    placed_on DATE NOT NULL,
    placed_at TIMESTAMP,
    status VARCHAR(12) NOT NULL DEFAULT 'paid',
    total DECIMAL(12,2) NOT NULL,
    gift BOOLEAN,
    note TEXT
);
CREATE INDEX orders_customer ON orders (customer_id);
CREATE TABLE order_items (
    order_id INTEGER NOT NULL REFERENCES orders (id),
    line INTEGER NOT NULL,
    product_id INTEGER NOT NULL REFERENCES products (id),
    quantity INTEGER NOT NULL,
    price DECIMAL(10,2) NOT NULL,
    PRIMARY KEY (order_id, line)
);
CREATE TABLE payments (
    id INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    amount DECIMAL(12,2) NOT NULL,
    method VARCHAR(16) NOT NULL,
    paid_at TIMESTAMP,
    reference TEXT
);
CREATE INDEX payments_order ON payments (order_id);
CREATE TABLE ledger (
    client INTEGER NOT NULL,
    number INTEGER NOT NULL,
    what TEXT NOT NULL,
    PRIMARY KEY (client, number)
);
";

/// Every table with its key columns.
pub(super) const TABLES: &[(&str, &str)] = &[
    ("customers", "id"),
    ("products", "id"),
    ("orders", "id"),
    ("order_items", "order_id, line"),
    ("payments", "id"),
    ("ledger", "client, number"),
];

/// Customers at the end of the table that the load never touches, so that a difference
/// planted there stays until it is repaired.
pub(super) const QUIET_CUSTOMERS: i64 = 10;

const FIRST: &[&str] = &[
    "Zoë",
    "Jürgen",
    "Анна",
    "小龍",
    "Søren",
    "Łukasz",
    "Renée",
    "محمد",
    "D'Arcy",
    "Ngọc",
    "Ada",
    "Émile",
    "Ιωάννης",
    "さくら",
    "José",
    "Gwen",
];
const LAST: &[&str] = &[
    "Åström",
    "Müller",
    "Иванова",
    "李",
    "Kierkegaard",
    "Wójcik",
    "L'Hôpital",
    "الخوارزمي",
    "O'Neill",
    "Nguyễn",
    "Lovelace",
    "Œuvrard",
    "Παπαδόπουλος",
    "山田",
    "Núñez",
    "Smith",
];
const GOODS: &[&str] = &[
    "Teapot, ½ l",
    "Naïve café mug",
    "Notebook \"Kraft\"",
    "Lamp 10 W – warm",
    "Füllfeder",
    "Backpack 20 ℓ",
    "抹茶 (tin)",
    "Chess set",
    "Wool socks 🧦",
    "Bicycle bell",
];
const NOTES: &[Option<&str>] = &[
    None,
    None,
    Some("prefers e-mail"),
    Some("line one\nline two\ttabbed"),
    Some("pays \"on time\"; it's fine"),
    Some("☎ only after 5 pm \\ backslash"),
    Some(""),
];

/// How many rows to make.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) customers: i64,
    pub(super) products: i64,
    pub(super) orders: i64,
}

/// What the file holds, and what must stay true of it.
#[derive(Clone, Copy)]
pub(super) struct Shop {
    pub(super) size: Size,
    /// Rows in all tables.
    pub(super) rows: u64,
    /// Balances plus payments: nothing the load does changes this sum.
    pub(super) money: Money,
    /// Units in stock plus units sold and not given back: constant too.
    pub(super) units: i64,
}

/// Makes the file.
pub(super) fn build(path: &Path, size: Size) -> rusqlite::Result<Shop> {
    let mut connection = Connection::open(path)?;
    // The old default: the proxy has to switch write-ahead logging on by itself.
    connection.pragma_update(None, "journal_mode", "delete")?;
    connection.execute_batch(TABLES_SQL)?;
    let mut random = StdRng::seed_from_u64(20_240_229);
    let transaction = connection.transaction()?;
    customers(&transaction, size.customers, &mut random)?;
    let prices = products(&transaction, size.products, &mut random)?;
    let lines = orders(&transaction, size, &prices, &mut random)?;
    transaction.commit()?;
    let rows = size.customers + size.products + 2 * size.orders + lines;
    let checked = super::check::file(path)?;
    Ok(Shop {
        size,
        rows: u64::try_from(rows).unwrap_or(0),
        money: checked.money,
        units: checked.units,
    })
}

/// Cents as the legacy application bound them: a binary floating-point number.
#[allow(clippy::cast_precision_loss)]
fn float(cents: i64) -> f64 {
    cents as f64 / 100.0
}

fn customers(connection: &Connection, count: i64, random: &mut StdRng) -> rusqlite::Result<()> {
    let mut insert = connection.prepare(
        "INSERT INTO customers (id, name, email, balance, newsletter, born, notes, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for id in 1..=count {
        let first = FIRST.choose(random).copied().unwrap_or_default();
        let last = LAST.choose(random).copied().unwrap_or_default();
        let balance = 2_000_000 + random.random_range(0..100_000);
        let born = random.random_bool(0.8).then(|| day(random, 1940, 2006));
        let notes = if id > count - QUIET_CUSTOMERS {
            Some("a quiet customer: nobody writes here")
        } else {
            NOTES.choose(random).copied().flatten()
        };
        insert.execute(params![
            id,
            format!("{first} {last}"),
            format!("customer.{id}@shop.example"),
            float(balance),
            random.random_bool(0.3),
            born,
            notes,
            moment(random),
        ])?;
    }
    Ok(())
}

/// The prices in cents, by id - 1.
fn products(
    connection: &Connection,
    count: i64,
    random: &mut StdRng,
) -> rusqlite::Result<Vec<i64>> {
    let mut insert = connection.prepare(
        "INSERT INTO products (id, sku, name, price, stock, active, description)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let mut prices = Vec::new();
    for id in 1..=count {
        let price = random.random_range(99..9_999);
        // Some goods are nearly gone, so that the load meets empty shelves.
        let stock: i64 = if id % 10 == 0 { random.random_range(0..20) } else { 100_000 };
        let name = GOODS.choose(random).copied().unwrap_or_default();
        let description = NOTES.choose(random).copied().flatten();
        insert.execute(params![
            id,
            format!("SKU-{id:05}"),
            format!("{name} #{id}"),
            float(price),
            stock,
            random.random_bool(0.95),
            description,
        ])?;
        prices.push(price);
    }
    Ok(prices)
}

/// Orders with lines and a payment each; the number of lines.
fn orders(
    connection: &Connection,
    size: Size,
    prices: &[i64],
    random: &mut StdRng,
) -> rusqlite::Result<i64> {
    let mut order = connection.prepare(
        "INSERT INTO orders (id, customer_id, placed_on, placed_at, status, total, gift, note)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let mut item = connection.prepare(
        "INSERT INTO order_items (order_id, line, product_id, quantity, price)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut payment = connection.prepare(
        "INSERT INTO payments (order_id, amount, method, paid_at, reference)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut lines = 0;
    for id in 1..=size.orders {
        let picked: Vec<(i64, i64)> = (0..random.random_range(1..=4))
            .map(|_| (random.random_range(1..=size.products), random.random_range(1..=5)))
            .collect();
        let price_of = |p: i64| usize::try_from(p - 1).ok().and_then(|p| prices.get(p)).copied();
        let total: i64 = picked.iter().map(|(p, n)| price_of(*p).unwrap_or(0) * n).sum();
        let moment = moment(random);
        order.execute(params![
            id,
            random.random_range(1..=size.customers),
            moment.get(..10),
            random.random_bool(0.9).then_some(&moment),
            if random.random_bool(0.1) { "shipped" } else { "paid" },
            float(total),
            random.random_bool(0.5).then(|| random.random_bool(0.2)),
            NOTES.choose(random).copied().flatten(),
        ])?;
        for (line, (product, quantity)) in (1_i64..).zip(&picked) {
            let price = float(price_of(*product).unwrap_or(0));
            item.execute(params![id, line, product, quantity, price])?;
            lines += 1;
        }
        let method = ["card", "transfer", "voucher"].choose(random).copied();
        let reference = random.random_bool(0.7).then(|| format!("№ {id:06}/¶"));
        payment.execute(params![id, float(total), method, moment, reference])?;
    }
    Ok(lines)
}

fn day(random: &mut StdRng, from: i32, to: i32) -> String {
    let (year, month) = (random.random_range(from..=to), random.random_range(1..=12));
    format!("{year:04}-{month:02}-{:02}", random.random_range(1..=28))
}

fn moment(random: &mut StdRng) -> String {
    let day = day(random, 2019, 2024);
    let (hour, minute) = (random.random_range(0..24), random.random_range(0..60));
    format!("{day} {hour:02}:{minute:02}:{:02}", random.random_range(0..60))
}
