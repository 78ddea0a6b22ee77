//! The application's transactions.
//!
//! Products are written before customers, customers before orders, each in the order of their
//! ids: so no two transactions can lock each other out on PostgreSQL.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::try_join_all;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::Shared;
use super::client::{Fault, answered};
use crate::demo::shop::QUIET_CUSTOMERS;
use crate::demo::values::{Day, Money};

type Result<T> = std::result::Result<T, Fault>;
type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Acknowledged.
    Committed,
    /// The application gave it up and rolled it back.
    Declined,
    /// It only read.
    Read,
}

macro_rules! statements {
    ($($name:ident = $sql:literal;)*) => {
        struct Statements { $($name: Statement,)* }

        impl Statements {
            async fn prepare(shared: &Shared, client: &Client) -> Result<Self> {
                Ok(Self { $($name: answered(shared, client.prepare($sql)).await?,)* })
            }
        }
    };
}

statements! {
    take_stock = "UPDATE products SET stock = stock - $1 WHERE id = $2 AND stock >= $1 RETURNING price";
    return_stock = "UPDATE products SET stock = stock + $1 WHERE id = $2";
    take_money = "UPDATE customers SET balance = balance - $1 WHERE id = $2 AND balance >= $1";
    give_money = "UPDATE customers SET balance = balance + $1 WHERE id = $2";
    insert_order = "INSERT INTO orders (customer_id, placed_on, placed_at, status, total, gift, note) \
        VALUES ($1, $2, now(), 'paid', $3, $4, $5) RETURNING id";
    insert_item = "INSERT INTO order_items (order_id, line, product_id, quantity, price) \
        VALUES ($1, $2, $3, $4, $5)";
    insert_payment = "INSERT INTO payments (order_id, amount, method, paid_at, reference) \
        VALUES ($1, $2, $3, now(), $4)";
    insert_ledger = "INSERT INTO ledger (client, number, what) VALUES ($1, $2, $3)";
    refund_order = "UPDATE orders SET status = 'refunded' WHERE id = $1 AND status = 'paid'";
    order_head = "SELECT customer_id, total, status FROM orders WHERE id = $1";
    order_lines = "SELECT product_id, quantity FROM order_items WHERE order_id = $1 ORDER BY product_id, line";
    read_customer = "SELECT id, name, email, balance, newsletter, born, notes FROM customers WHERE id = $1";
    read_order = "SELECT o.id, o.status, o.total, i.line, i.quantity, i.price, p.name FROM orders o \
        JOIN order_items i ON i.order_id = o.id JOIN products p ON p.id = i.product_id \
        WHERE o.id = $1 ORDER BY i.line";
    read_shelf = "SELECT id, sku, name, price, stock FROM products \
        WHERE active AND price BETWEEN $1 AND $2 ORDER BY price, id LIMIT 20";
    read_status = "SELECT status, count(*) AS number, sum(total) AS revenue FROM orders \
        GROUP BY status ORDER BY status";
}

/// A client with an open connection.
pub(super) struct Worker {
    shared: Arc<Shared>,
    client: Client,
    statements: Statements,
    index: usize,
    /// Number of this client's next ledger entry.
    next: i64,
}

impl Worker {
    pub(super) async fn new(
        shared: Arc<Shared>,
        client: Client,
        index: usize,
        next: i64,
    ) -> Result<Self> {
        let statements = Statements::prepare(&shared, &client).await?;
        Ok(Self { shared, client, statements, index, next })
    }

    /// Number of the next ledger entry, for the connection after this one.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// One transaction of the mix.
    pub(super) async fn transaction(&mut self, random: &mut StdRng) -> Result<End> {
        match random.random_range(0..100) {
            0..40 => self.place_order(random).await,
            40..52 => self.transfer(random).await,
            52..60 => self.refund(random).await,
            60..68 => self.edit_profile(random).await,
            _ => self.read(random).await,
        }
    }

    /// Ends whatever is open after an error.
    pub(super) async fn roll_back(&self) -> Result<()> {
        self.batch("ROLLBACK").await
    }

    async fn batch(&self, sql: &str) -> Result<()> {
        answered(&self.shared, self.client.batch_execute(sql)).await
    }

    async fn execute(&self, statement: &Statement, values: Values<'_>) -> Result<u64> {
        answered(&self.shared, self.client.execute(statement, values)).await
    }

    async fn query(&self, statement: &Statement, values: Values<'_>) -> Result<Vec<Row>> {
        answered(&self.shared, self.client.query(statement, values)).await
    }

    async fn decline(&self) -> Result<End> {
        self.roll_back().await.map(|()| End::Declined)
    }

    /// The ledger entry and COMMIT. From here on a lost connection leaves us in doubt.
    async fn commit(&mut self, what: &str) -> Result<End> {
        let (client, number) = (i64::try_from(self.index).unwrap_or(0) + 1, self.next);
        self.next += 1;
        self.execute(&self.statements.insert_ledger, &[&client, &number, &what]).await?;
        let ended = self.batch("COMMIT").await;
        self.remember(number, &ended);
        ended.map(|()| End::Committed)
    }

    fn remember(&self, number: i64, ended: &Result<()>) {
        let Some(memory) = self.shared.memories.get(self.index) else { return };
        match ended {
            Ok(()) => memory.lock().acknowledged.insert(number),
            Err(Fault::Lost(_)) => memory.lock().in_doubt.insert(number),
            Err(Fault::Refused(_)) => false,
        };
    }

    fn customer(&self, random: &mut StdRng) -> i64 {
        random.random_range(1..=self.shared.shop.size.customers - QUIET_CUSTOMERS)
    }

    async fn place_order(&mut self, random: &mut StdRng) -> Result<End> {
        let customer = self.customer(random);
        let mut wanted: Vec<(i64, i64)> = (0..random.random_range(1..=3))
            .map(|_| (random.random_range(1..=self.shared.shop.size.products), 0))
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.iter_mut().for_each(|(_, quantity)| *quantity = random.random_range(1..=4));
        self.batch("BEGIN").await?;
        let mut lines = Vec::new();
        for (product, quantity) in &wanted {
            let taken = self.query(&self.statements.take_stock, &[quantity, product]).await?;
            let Some(row) = taken.first() else { return self.decline().await };
            lines.push((*product, *quantity, row.get::<_, Money>(0)));
        }
        let total = Money(lines.iter().map(|(_, quantity, price)| quantity * price.0).sum());
        if self.execute(&self.statements.take_money, &[&total, &customer]).await? == 0 {
            return self.decline().await;
        }
        let order = self.insert_order(random, customer, total).await?;
        // Sent together: the driver pipelines them.
        let (client, insert) = (&self.client, &self.statements.insert_item);
        let items = (1_i64..).zip(&lines).map(|(line, (product, quantity, price))| async move {
            client.execute(insert, &[&order, &line, product, quantity, price]).await
        });
        answered(&self.shared, try_join_all(items)).await?;
        let reference = random.random_bool(0.7).then(|| format!("№ {order}/¶"));
        let payment = &self.statements.insert_payment;
        self.execute(payment, &[&order, &total, &"card", &reference]).await?;
        self.commit("order").await
    }

    async fn insert_order(&self, random: &mut StdRng, customer: i64, total: Money) -> Result<i64> {
        let gift = random.random_bool(0.5).then(|| random.random_bool(0.2));
        let notes = [None, Some("leave at the door"), Some("Grüße, „bis bald“ 🎁"), Some("")];
        let note = notes.choose(random).copied().flatten();
        let values: Values<'_> = &[&customer, &today(), &total, &gift, &note];
        let rows = self.query(&self.statements.insert_order, values).await?;
        match rows.first() {
            Some(row) => Ok(row.get(0)),
            None => Err(Fault::Refused("INSERT … RETURNING id gave no row".into())),
        }
    }

    async fn transfer(&mut self, random: &mut StdRng) -> Result<End> {
        let (from, to) = (self.customer(random), self.customer(random));
        if from == to {
            return self.read(random).await;
        }
        let amount = Money(random.random_range(1..=20_000));
        let (take, give) = (&self.statements.take_money, &self.statements.give_money);
        self.batch("BEGIN").await?;
        let taken = if from < to {
            let taken = self.execute(take, &[&amount, &from]).await?;
            self.execute(give, &[&amount, &to]).await?;
            taken
        } else {
            self.execute(give, &[&amount, &to]).await?;
            self.execute(take, &[&amount, &from]).await?
        };
        if taken == 0 {
            return self.decline().await;
        }
        self.commit("transfer").await
    }

    async fn refund(&mut self, random: &mut StdRng) -> Result<End> {
        let order = self.order(random);
        self.batch("BEGIN").await?;
        let head = self.query(&self.statements.order_head, &[&order]).await?;
        let Some(head) = head.first() else { return self.decline().await };
        let (customer, total): (i64, Money) = (head.get(0), head.get(1));
        if head.get::<_, &str>(2) != "paid" {
            return self.decline().await;
        }
        for line in self.query(&self.statements.order_lines, &[&order]).await? {
            let (product, quantity): (i64, i64) = (line.get(0), line.get(1));
            self.execute(&self.statements.return_stock, &[&quantity, &product]).await?;
        }
        self.execute(&self.statements.give_money, &[&total, &customer]).await?;
        if self.execute(&self.statements.refund_order, &[&order]).await? == 0 {
            // Somebody else was faster.
            return self.decline().await;
        }
        let (back, none) = (Money(-total.0), None::<String>);
        let payment = &self.statements.insert_payment;
        self.execute(payment, &[&order, &back, &"refund", &none]).await?;
        self.commit("refund").await
    }

    /// A whole transaction in one message of the simple protocol.
    async fn edit_profile(&mut self, random: &mut StdRng) -> Result<End> {
        let customer = self.customer(random);
        let (client, number) = (self.index + 1, self.next);
        self.next += 1;
        let notes = match random.random_range(0..4) {
            0 => "NULL".to_owned(),
            1 => "''".to_owned(),
            2 => format!("'it''s note {number} by ☎ — Zoë'"),
            _ => "notes || '.'".to_owned(),
        };
        let newsletter = random.random_bool(0.5);
        let sql = format!(
            "BEGIN; UPDATE customers SET newsletter = {newsletter}, notes = {notes} \
             WHERE id = {customer}; INSERT INTO ledger (client, number, what) \
             VALUES ({client}, {number}, 'profile'); COMMIT"
        );
        let ended = self.batch(&sql).await;
        self.remember(number, &ended);
        ended.map(|()| End::Committed)
    }

    /// An order of the first ones, or about as new as any.
    fn order(&self, random: &mut StdRng) -> i64 {
        let own = self.next.max(1) * i64::try_from(self.shared.memories.len()).unwrap_or(1) / 2;
        random.random_range(1..=self.shared.shop.size.orders + own)
    }

    async fn read(&self, random: &mut StdRng) -> Result<End> {
        match random.random_range(0..10) {
            0..4 => {
                let customer = self.customer(random);
                let rows = self.query(&self.statements.read_customer, &[&customer]).await?;
                if rows.len() != 1 || rows[0].get::<_, i64>(0) != customer {
                    self.shared.meter.wrong(format!("customer {customer}: {} rows", rows.len()));
                }
            }
            4..8 => self.read_order(random).await?,
            8 => {
                let low = random.random_range(100..9_000);
                let range: Values<'_> = &[&Money(low), &Money(low + 1_000)];
                let rows = self.query(&self.statements.read_shelf, range).await?;
                if !rows.iter().map(|row| row.get::<_, Money>(3)).is_sorted() {
                    self.shared.meter.wrong("a shelf is not in the order of its prices".into());
                }
            }
            _ => drop(self.query(&self.statements.read_status, &[]).await?),
        }
        Ok(End::Read)
    }

    /// One statement sees one moment: an order's total is the sum of its lines in every answer.
    async fn read_order(&self, random: &mut StdRng) -> Result<()> {
        let order = self.order(random);
        let rows = self.query(&self.statements.read_order, &[&order]).await?;
        let sum = rows.iter().map(|r| r.get::<_, i64>(4) * r.get::<_, Money>(5).0).sum();
        if rows.first().is_some_and(|row| row.get::<_, Money>(2) != Money(sum)) {
            self.shared.meter.wrong(format!("order {order} does not add up in one answer"));
        }
        Ok(())
    }
}

/// Today in UTC.
fn today() -> Day {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    // 2000-01-01 is 10,957 days after 1970-01-01.
    Day(i32::try_from(seconds / 86_400).unwrap_or(0) - 10_957)
}
