//! Seats of the HTTP interface: who keeps a connection when there are too many.
//!
//! Owns [`Seats`]. A connection that is silent too long gives its seat back; when none is left,
//! the address with most of them loses the one that has been silent longest. So whoever opens many
//! and says nothing shuts out himself, never others. It must never hold more than its number of
//! seats. Start at [`Seats::take`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Every seat.
pub(super) struct Seats {
    max: usize,
    /// How long a connection may take until it is answered something.
    first: Duration,
    /// How long it may be silent, in both directions, after that.
    silent: Duration,
    began: Instant,
    taken: Mutex<(u64, HashMap<u64, Holder>)>,
}

/// Who holds a seat.
struct Holder {
    peer: IpAddr,
    life: Arc<Life>,
    leave: CancellationToken,
}

/// When something was said last, in milliseconds since the seats are there.
struct Life {
    last: AtomicU64,
    answered: AtomicBool,
}

/// A seat; given back when dropped.
pub(super) struct Seat {
    seats: Arc<Seats>,
    number: u64,
    life: Arc<Life>,
    opened: Instant,
    leave: CancellationToken,
    left: Pin<Box<WaitForCancellationFutureOwned>>,
    look: Pin<Box<Sleep>>,
}

impl Seats {
    pub(super) fn new(max: usize, first: Duration, silent: Duration) -> Arc<Self> {
        Arc::new(Self { max, first, silent, began: Instant::now(), taken: Mutex::default() })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A seat for a connection from there; somebody else's when there is none left.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Seat {
        let peer = peer.to_canonical();
        let life =
            Arc::new(Life { last: AtomicU64::new(self.now()), answered: AtomicBool::new(false) });
        let leave = CancellationToken::new();
        let mut taken = self.taken.lock();
        if taken.1.len() >= self.max
            && let Some(number) = longest_silent(&taken.1)
            && let Some(holder) = taken.1.remove(&number)
        {
            holder.leave.cancel();
        }
        taken.0 += 1;
        let number = taken.0;
        let holder = Holder { peer, life: Arc::clone(&life), leave: leave.clone() };
        taken.1.insert(number, holder);
        drop(taken);
        Seat {
            seats: Arc::clone(self),
            number,
            life,
            opened: Instant::now(),
            left: Box::pin(leave.clone().cancelled_owned()),
            leave,
            look: Box::pin(tokio::time::sleep(self.first.min(self.silent))),
        }
    }
}

/// Of the address that holds most, the one that has been silent longest; one that was never
/// answered goes first.
fn longest_silent(taken: &HashMap<u64, Holder>) -> Option<u64> {
    let mut count: HashMap<IpAddr, usize> = HashMap::new();
    for holder in taken.values() {
        *count.entry(holder.peer).or_default() += 1;
    }
    let (greedy, _) = count.into_iter().max_by_key(|(peer, count)| (*count, *peer))?;
    let of = |holder: &Holder| {
        let answered = holder.life.answered.load(Ordering::Relaxed);
        (answered, holder.life.last.load(Ordering::Relaxed))
    };
    let theirs = taken.iter().filter(|(_, holder)| holder.peer == greedy);
    theirs.min_by_key(|(number, holder)| (of(holder), **number)).map(|(number, _)| *number)
}

impl Seat {
    /// Resolves when the seat is another's.
    pub(super) fn leave(&self) -> WaitForCancellationFutureOwned {
        self.leave.clone().cancelled_owned()
    }

    /// Something came in.
    pub(super) fn heard(&self) {
        self.life.last.store(self.seats.now(), Ordering::Relaxed);
    }

    /// Something went out.
    pub(super) fn answered(&self) {
        self.life.answered.store(true, Ordering::Relaxed);
        self.heard();
    }

    /// Ready when the connection has to end: the seat is another's, or it has been silent too
    /// long.
    pub(super) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.left.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        while self.look.as_mut().poll(context).is_ready() {
            let end = if self.life.answered.load(Ordering::Relaxed) {
                let last = Duration::from_millis(self.life.last.load(Ordering::Relaxed));
                self.seats.began + last + self.seats.silent
            } else {
                self.opened + self.seats.first
            };
            if end <= Instant::now() {
                return Poll::Ready(());
            }
            self.look.as_mut().reset(end);
        }
        Poll::Pending
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken.lock().1.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    async fn ended(seat: &mut Seat) -> bool {
        poll_fn(|context| Poll::Ready(seat.poll_end(context).is_ready())).await
    }

    #[tokio::test]
    async fn whoever_takes_many_loses_them_to_others() {
        let seats = Seats::new(5, LONG, LONG);
        let mut theirs: Vec<Seat> = (0..3).map(|_| seats.take(peer(1))).collect();
        let mut ours: Vec<Seat> = (0..2).map(|_| seats.take(peer(2))).collect();
        theirs[0].answered();
        ours.push(seats.take(peer(2)));
        assert!(ended(&mut theirs[1]).await, "never answered, and the oldest of those");
        assert!(!ended(&mut theirs[0]).await && !ended(&mut theirs[2]).await);
        drop(ours.pop());
        for _ in 0..20 {
            let mut next = seats.take(peer(1));
            assert!(!ended(&mut next).await);
            theirs.push(next);
        }
        assert!(!ended(&mut ours[0]).await && !ended(&mut ours[1]).await, "they took their own");
        assert_eq!(seats.taken.lock().1.len(), 5);
        drop((theirs, ours));
        assert!(seats.taken.lock().1.is_empty());
    }

    #[tokio::test]
    async fn silence_ends_and_a_stream_does_not() {
        let seats = Seats::new(4, Duration::ZERO, LONG);
        let (mut slow, mut stream) = (seats.take(peer(1)), seats.take(peer(1)));
        slow.heard();
        stream.answered();
        // The clock of the timers goes in milliseconds.
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(ended(&mut slow).await, "a head that comes byte by byte");
        assert!(!ended(&mut stream).await);
        let seats = Seats::new(4, LONG, Duration::ZERO);
        let (mut begun, mut silent) = (seats.take(peer(1)), seats.take(peer(1)));
        silent.answered();
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(!ended(&mut begun).await);
        assert!(ended(&mut silent).await);
    }
}
