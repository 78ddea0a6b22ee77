//! One client's life: connect, work, rest when told to, connect anew when it must.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_postgres::NoTls;

use super::work::{End, Worker};
use super::{Mode, Shared, describe};

/// No statement may take longer; a client that hangs would hide a wedged proxy.
const PATIENCE: Duration = Duration::from_secs(30);

/// What ended a statement before its answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server refused it: SQLSTATE and message.
    Refused(String),
    /// The connection is gone.
    Lost(String),
}

/// Waits for an answer, counts it and its time.
pub(super) async fn answered<T>(
    shared: &Shared,
    call: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Fault> {
    let began = Instant::now();
    let answer = timeout(PATIENCE, call).await;
    shared.meter.statement(began.elapsed());
    match answer {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) if error.as_db_error().is_some() && !error.is_closed() => {
            Err(Fault::Refused(describe(&error)))
        }
        Ok(Err(error)) => Err(Fault::Lost(describe(&error))),
        Err(_) => Err(Fault::Lost(format!("no answer for {} s", PATIENCE.as_secs()))),
    }
}

/// Runs until told to stop.
pub(super) async fn run(shared: Arc<Shared>, index: usize, mut mode: watch::Receiver<Mode>) {
    let number = i64::try_from(index).unwrap_or(0) + 1;
    let mut random = StdRng::seed_from_u64(7_919 * number.unsigned_abs());
    let mut next = 1_i64;
    let mut first = true;
    while *mode.borrow() != Mode::Stop {
        if !first {
            shared.meter.reconnect();
        }
        first = false;
        let Some(mut worker) = connect(&shared, index, next).await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        loop {
            rest(&shared, &mut mode).await;
            if *mode.borrow() == Mode::Stop {
                return;
            }
            match worker.transaction(&mut random).await {
                Ok(End::Committed) => shared.meter.committed(),
                Ok(End::Declined) => shared.meter.declined(),
                Ok(End::Read) => {}
                Err(Fault::Refused(text)) => {
                    shared.meter.failed(text);
                    if worker.roll_back().await.is_err() {
                        break;
                    }
                }
                Err(Fault::Lost(text)) => {
                    shared.meter.failed(text);
                    break;
                }
            }
            let half = shared.think / 2;
            sleep(half + half.mul_f64(random.random_range(0.0..2.0))).await;
        }
        next = worker.next();
    }
}

/// Waits while the journey wants the clients at rest.
async fn rest(shared: &Shared, mode: &mut watch::Receiver<Mode>) {
    if *mode.borrow_and_update() != Mode::Hold {
        return;
    }
    shared.resting.send_modify(|n| *n += 1);
    // The sender outlives the clients; were it gone, there is nothing to wait for.
    let _ = mode.wait_for(|m| *m != Mode::Hold).await;
    shared.resting.send_modify(|n| *n -= 1);
}

/// A connection with its statements prepared; None when that failed (counted).
async fn connect(shared: &Arc<Shared>, index: usize, next: i64) -> Option<Worker> {
    let mut config = shared.config.clone();
    config.application_name(format!("shop-{}", index + 1));
    let opened = timeout(PATIENCE, config.connect(NoTls)).await;
    let failure = match opened {
        Ok(Ok((client, connection))) => {
            // Its errors reach the client's next call.
            tokio::spawn(async move { drop(connection.await) });
            match Worker::new(Arc::clone(shared), client, index, next).await {
                Ok(worker) => return Some(worker),
                Err(Fault::Refused(text) | Fault::Lost(text)) => text,
            }
        }
        Ok(Err(error)) => describe(&error),
        Err(_) => format!("no connection for {} s", PATIENCE.as_secs()),
    };
    shared.meter.failed(failure);
    None
}
