//! What one tokio-postgres connection writes that compares nothing: updates by key, pipelined, so
//! many in a transaction. `scripts/bench-applier` shows it beside the applier.
//!
//!   cargo bench --bench plain -- URL COUNT BATCH
//!
//! Prints transactions a second, where each update stands for one of a client.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Instant;

use futures_util::future::join_all;
use tokio_postgres::NoTls;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let Some(url) = arguments.next() else {
        println!("usage: cargo bench --bench plain -- URL COUNT BATCH");
        return;
    };
    let mut number =
        |default: usize| arguments.next().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (count, batch) = (number(100_000), number(256));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(&url, count, batch));
}

async fn run(url: &str, count: usize, batch: usize) {
    let (client, driver) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(driver);
    client.batch_execute("SET synchronous_commit = off").await.unwrap();
    let update = client.prepare("UPDATE small SET n = n + 1 WHERE id = $1").await.unwrap();
    let rows: i64 = client.query_one("SELECT count(*) FROM small", &[]).await.unwrap().get(0);
    let rows = i32::try_from(rows).unwrap();
    let (began, mut id) = (Instant::now(), 0_i32);
    for _ in 0..count.div_ceil(batch) {
        client.batch_execute("BEGIN").await.unwrap();
        let ids: Vec<i32> = (0..batch)
            .map(|_| {
                id = (id + 7919) % rows;
                id + 1
            })
            .collect();
        let update = &update;
        let client = &client;
        let each = ids.iter().map(|id| async move { client.execute(update, &[id]).await.unwrap() });
        assert_eq!(join_all(each).await.iter().sum::<u64>(), batch as u64);
        client.batch_execute("COMMIT").await.unwrap();
    }
    let done = count.div_ceil(batch) * batch;
    #[allow(clippy::cast_precision_loss)]
    let rate = done as f64 / began.elapsed().as_secs_f64();
    println!("{rate:.0}");
}
