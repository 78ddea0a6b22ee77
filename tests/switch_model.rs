//! The switch as a model: every interleaving of client writes, promote, rollback, crashes,
//! late messages, restored backups and a second proxy on a copy of the file, within small bounds,
//! against the recovery function that ships. Never two primaries, never an acknowledged write
//! dropped.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crossfade::cutover::recovery::{Attach, Pause, Step, WayBack, next_step};
use crossfade::cutover::state::{
    Epoch, Point, PostgresState, PostgresView, Record, SqliteRole, SqliteState, System, Witness,
};

/// A history of writes; its point's hash is the list itself, so equal means equal.
type History = Vec<u8>;

fn point(history: &[u8]) -> Point {
    let mut hash = [0; 32];
    hash[..history.len()].copy_from_slice(history);
    Point { position: history.len() as u64, hash }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Sqlite {
    state: SqliteState,
    data: History,
    /// How far PostgreSQL has been followed: the stored place in its log.
    place: usize,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Postgres {
    system: System,
    records: BTreeMap<Epoch, Record>,
    data: History,
    /// The part of `data` that came from SQLite's journal.
    applied: History,
    fenced: bool,
    /// What the slot of the way back need not send again. It only goes forward.
    confirmed: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum Message {
    /// By whom.
    Decide(u8, Epoch, Point),
    Abandon(Epoch),
    Return(Epoch, Point),
    /// A client's write on its way to PostgreSQL, not acknowledged.
    Write(u8),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Proxy {
    Down,
    Recovering,
    Paused(Pause),
    ServeSqlite(Attach),
    ServePostgres(WayBack),
    /// SQLite is fenced; the applier catches up.
    Promoting,
    /// PostgreSQL is fenced; SQLite catches up.
    RollingBack,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    sqlite: Sqlite,
    postgres: Postgres,
    sqlite_backup: Option<Sqlite>,
    postgres_backup: Option<Postgres>,
    network: BTreeSet<Message>,
    proxy: Proxy,
    witness: Witness,
    acked: BTreeSet<u8>,
    /// Acknowledged writes that a person's restore of the primary itself took away.
    excused: BTreeSet<u8>,
    written: u8,
    crashes: u8,
    switches: u8,
    sqlite_restores: u8,
    postgres_restores: u8,
    /// The second proxy, on a copy of the file.
    other: Option<Box<Installation>>,
    /// Which of the two acts now: 0 is the first. Its parts are those above.
    acting: u8,
    /// Who holds the claim on the pair.
    claim: Option<u8>,
    /// Who held it last, as PostgreSQL stores it.
    owner: Option<u8>,
    /// Whose clients were served last.
    served: u8,
    copies: u8,
    losses: u8,
}

/// What each proxy has of its own.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Installation {
    sqlite: Sqlite,
    proxy: Proxy,
    witness: Witness,
}

#[derive(Clone, Copy)]
struct Bounds {
    writes: u8,
    crashes: u8,
    switches: u8,
    restores: u8,
    /// Second proxies.
    copies: u8,
    /// Connections that hold the claim and are lost.
    losses: u8,
}

impl Proxy {
    fn serves(self) -> bool {
        matches!(self, Self::ServeSqlite(_) | Self::ServePostgres(_))
    }

    /// It serves, or is in the middle of a switch: it looks after its claim.
    fn is_up(self) -> bool {
        self.serves() || matches!(self, Self::Promoting | Self::RollingBack)
    }
}

impl World {
    fn new(bounds: Bounds) -> Self {
        let system = System { identifier: 7, timeline: 1 };
        Self {
            sqlite: Sqlite {
                state: SqliteState { epoch: 1, role: SqliteRole::Primary },
                data: History::new(),
                place: 0,
            },
            postgres: Postgres {
                system,
                records: BTreeMap::new(),
                data: History::new(),
                applied: History::new(),
                fenced: false,
                confirmed: 0,
            },
            sqlite_backup: None,
            postgres_backup: None,
            network: BTreeSet::new(),
            proxy: Proxy::Down,
            witness: Witness { attempted: 1, served: 1 },
            acked: BTreeSet::new(),
            excused: BTreeSet::new(),
            written: 0,
            crashes: bounds.crashes,
            switches: bounds.switches,
            sqlite_restores: bounds.restores,
            postgres_restores: bounds.restores,
            other: None,
            acting: 0,
            claim: None,
            owner: None,
            served: 0,
            copies: bounds.copies,
            losses: bounds.losses,
        }
    }

    /// The same world with the other proxy acting.
    fn swapped(&self) -> Option<Self> {
        let mut world = self.clone();
        let other = world.other.as_mut()?;
        std::mem::swap(&mut other.sqlite, &mut world.sqlite);
        std::mem::swap(&mut other.proxy, &mut world.proxy);
        std::mem::swap(&mut other.witness, &mut world.witness);
        world.acting = 1 - world.acting;
        Some(world)
    }

    /// Asks for the claim, as `Claim::look` does. None: it waits. Whoever held it last takes it at
    /// once; anybody else waits for longer than the last owner, if it runs, needs to come back.
    fn claimed(&self) -> Option<Result<Self, Pause>> {
        match self.claim {
            Some(holder) if holder != self.acting => return Some(Err(Pause::SecondProxy)),
            Some(_) => return Some(Ok(self.clone())),
            None => {}
        }
        let last_is_up = self.other.as_ref().is_some_and(|other| other.proxy.is_up());
        if last_is_up {
            assert_ne!(self.owner, Some(self.acting), "two have served: {self:#?}");
            return None;
        }
        let mut world = self.clone();
        (world.claim, world.owner) = (Some(self.acting), Some(self.acting));
        Some(Ok(world))
    }

    fn loses_claim(&mut self) {
        if self.claim == Some(self.acting) {
            self.claim = None;
        }
    }

    /// The other file goes on: what it lacks of what the first has acknowledged on SQLite is the
    /// doing of the person who started it. What PostgreSQL has acknowledged in its reign is not.
    fn excuse_copy(&mut self, serves: &History) {
        if self.served != self.acting {
            let kept: BTreeSet<u8> = serves.iter().copied().collect();
            self.excused.extend(self.acked.difference(&kept));
        }
        self.served = self.acting;
    }

    fn postgres_reigns(&self) -> bool {
        matches!(self.postgres.records.last_key_value(), Some((_, Record::Decided)))
    }

    fn view(&self) -> PostgresView {
        PostgresView::Reachable(PostgresState {
            system: self.postgres.system,
            records: self.postgres.records.clone(),
            applied: point(&self.postgres.applied),
            applied_is_known: self.sqlite.data.starts_with(&self.postgres.applied),
            fenced: self.postgres.fenced,
            disowned: false,
            place_is_known: !matches!(self.sqlite.state.role, SqliteRole::Shadow { .. })
                || self.sqlite.place <= self.postgres.data.len(),
        })
    }

    /// Whether SQLite is the side whose data count: it was not handed over.
    fn sqlite_reigns(&self) -> bool {
        match self.sqlite.state.role {
            SqliteRole::Primary | SqliteRole::Returned(_) => true,
            SqliteRole::Fenced { .. } => self
                .postgres
                .records
                .get(&(self.sqlite.state.epoch + 1))
                .is_none_or(|r| *r != Record::Decided),
            SqliteRole::Shadow { .. } => false,
        }
    }

    fn deliver(&mut self, message: Message) {
        let pg = &mut self.postgres;
        match message {
            Message::Decide(from, epoch, at) => {
                // Whoever decides holds the claim.
                let claimed = self.claim == Some(from);
                if claimed && !pg.records.contains_key(&epoch) && point(&pg.applied) == at {
                    pg.records.insert(epoch, Record::Decided);
                    pg.fenced = false;
                }
            }
            Message::Abandon(epoch) => {
                pg.records.entry(epoch).or_insert(Record::Abandoned);
            }
            Message::Return(epoch, at) => {
                // Only while shut out: an old message must not end a reign that goes on. It names
                // a commit of SQLite's and takes its word that the rows are equal.
                if pg.fenced && !pg.records.contains_key(&epoch) {
                    pg.records.insert(epoch, Record::Returned);
                    let length = usize::try_from(at.position).expect("small");
                    pg.applied = at.hash[..length].to_vec();
                }
            }
            Message::Write(id) => {
                if !pg.fenced {
                    pg.data.push(id);
                }
            }
        }
    }

    fn recover(&self, view: &PostgresView, next: &mut Vec<Self>) -> Step {
        let step = next_step(&self.sqlite.state, view, self.witness);
        let mut world = self.clone();
        match step {
            Step::ServeSqlite(attach) => {
                if !world.postgres_reigns() {
                    world.excuse_copy(&self.sqlite.data);
                }
                world.proxy = Proxy::ServeSqlite(attach);
                world.witness.serve(world.sqlite.state.epoch);
            }
            Step::ServePostgres(way_back) => {
                world.excuse_copy(&self.postgres.data);
                world.proxy = Proxy::ServePostgres(way_back);
                world.witness.serve(world.sqlite.state.epoch);
            }
            Step::InsertAbandoned(epoch) => {
                world.network.insert(Message::Abandon(epoch));
            }
            Step::StoreReturn(epoch, at) => {
                world.network.insert(Message::Return(epoch, at));
            }
            Step::UnfenceSqlite(epoch) => {
                world.sqlite.state = SqliteState { epoch, role: SqliteRole::Primary };
            }
            Step::RecordPromoted(epoch, system) => {
                // Following begins at the decision: what the mirror wrote is not sent.
                world.sqlite.place = self.postgres.applied.len();
                world.postgres.confirmed = self.postgres.confirmed.max(self.postgres.applied.len());
                world.sqlite.state = SqliteState { epoch, role: SqliteRole::Shadow { system } };
            }
            Step::UnfencePostgres => world.postgres.fenced = false,
            Step::Pause(pause) => {
                if pause == Pause::SecondProxy {
                    world.loses_claim();
                }
                world.proxy = Proxy::Paused(pause);
            }
        }
        next.push(world);
        step
    }

    fn recovering(&self, bounds: Bounds, next: &mut Vec<Self>) {
        match self.claimed() {
            None => {}
            Some(Err(_)) => drop(self.recover(&PostgresView::Locked, next)),
            Some(Ok(world)) => {
                let step = world.recover(&world.view(), next);
                let disturbed = self.sqlite_restores < bounds.restores
                    || self.postgres_restores < bounds.restores
                    || self.other.is_some();
                assert!(
                    disturbed || !matches!(step, Step::Pause(_)),
                    "without a restore, a reachable PostgreSQL always settles it: {self:?}"
                );
            }
        }
        // Who cannot ask PostgreSQL cannot know of the other one: written down, not modelled.
        if bounds.copies == 0 {
            self.recover(&PostgresView::Unreachable, next);
        }
    }

    /// A running proxy looks after its claim, also in the middle of a switch.
    fn keep_claim(&self, next: &mut Vec<Self>) {
        match self.claim {
            Some(holder) if holder == self.acting => {}
            None => {
                let mut world = self.clone();
                (world.claim, world.owner) = (Some(self.acting), Some(self.acting));
                next.push(world);
            }
            Some(_) => next.push(Self { proxy: Proxy::Recovering, ..self.clone() }),
        }
    }

    fn proxy_actions(&self, bounds: Bounds, next: &mut Vec<Self>) {
        if bounds.copies > 0 && self.proxy.is_up() {
            self.keep_claim(next);
        }
        match self.proxy {
            Proxy::Down => next.push(Self { proxy: Proxy::Recovering, ..self.clone() }),
            Proxy::Paused(_) => next.push(Self { proxy: Proxy::Recovering, ..self.clone() }),
            Proxy::Recovering => self.recovering(bounds, next),
            Proxy::ServeSqlite(attach) => self.serve_sqlite(attach, bounds, next),
            Proxy::ServePostgres(way_back) => self.serve_postgres(way_back, bounds, next),
            Proxy::Promoting => self.promoting(next),
            Proxy::RollingBack => self.rolling_back(next),
        }
    }

    /// The applier's transaction: checks that PostgreSQL's point lies on our history.
    fn apply_one(&self, next: &mut Vec<Self>) {
        let done = self.postgres.applied.len();
        if self.sqlite.data.starts_with(&self.postgres.applied) && done < self.sqlite.data.len() {
            let mut world = self.clone();
            world.postgres.applied.push(self.sqlite.data[done]);
            world.postgres.data.push(self.sqlite.data[done]);
            next.push(world);
        }
    }

    fn serve_sqlite(&self, attach: Attach, bounds: Bounds, next: &mut Vec<Self>) {
        if self.written < bounds.writes {
            let mut world = self.clone();
            world.sqlite.data.push(self.written);
            world.acked.insert(self.written);
            world.written += 1;
            next.push(world);
        }
        match attach {
            Attach::Continue => {
                self.apply_one(next);
                if self.switches > 0 {
                    let mut world = self.clone();
                    world.switches -= 1;
                    world.sqlite.state.role = SqliteRole::Fenced {
                        at: point(&self.sqlite.data),
                        system: self.postgres.system,
                    };
                    world.proxy = Proxy::Promoting;
                    next.push(world);
                }
            }
            // Looks again when PostgreSQL answers.
            Attach::Later => next.push(Self { proxy: Proxy::Recovering, ..self.clone() }),
            Attach::CopyAnew => {
                // Copying empties PostgreSQL first and ends whatever reign is open there.
                let mut world = self.clone();
                world.postgres.data = self.sqlite.data.clone();
                world.postgres.applied = self.sqlite.data.clone();
                world.postgres.confirmed = 0;
                world.postgres.records.entry(self.sqlite.state.epoch).or_insert(Record::Returned);
                world.proxy = Proxy::Recovering;
                next.push(world);
            }
        }
    }

    fn promoting(&self, next: &mut Vec<Self>) {
        self.apply_one(next);
        let epoch = self.sqlite.state.epoch + 1;
        let SqliteRole::Fenced { at, .. } = self.sqlite.state.role else {
            unreachable!("promoting starts with the fence");
        };
        if self.witness.attempted < epoch {
            let mut world = self.clone();
            world.witness.attempted = epoch;
            next.push(world);
        } else if point(&self.postgres.applied) == at {
            let mut world = self.clone();
            world.network.insert(Message::Decide(self.acting, epoch, at));
            world.proxy = Proxy::Recovering;
            next.push(world);
        }
        // Given up before a decision was sent: the number is burned all the same.
        let mut world = self.clone();
        world.sqlite.state = SqliteState { epoch, role: SqliteRole::Primary };
        world.proxy = Proxy::Recovering;
        next.push(world);
    }

    /// The slot sends what comes after both the place that is asked for and what it was told it
    /// may forget: over the difference it goes silently.
    fn follow_one(&self, next: &mut Vec<Self>) {
        let (place, confirmed) = (self.sqlite.place, self.postgres.confirmed);
        if confirmed > place {
            // The way back is closed: this file has never seen what is between them.
            return;
        }
        if let Some(write) = self.postgres.data.get(place.max(confirmed)) {
            let mut world = self.clone();
            world.sqlite.data.push(*write);
            world.sqlite.place = place.max(confirmed) + 1;
            next.push(world);
        }
        // Told only what SQLite has stored and synced. It matters to a file put back later alone.
        if confirmed < place && self.sqlite_backup.is_some() && self.sqlite_restores > 0 {
            let mut world = self.clone();
            world.postgres.confirmed = place;
            next.push(world);
        }
    }

    /// What a rollback waits for, as it can be seen: the place, not the rows.
    fn caught_up(&self) -> bool {
        self.sqlite.place == self.postgres.data.len()
            && self.postgres.confirmed <= self.sqlite.place
    }

    fn serve_postgres(&self, way_back: WayBack, bounds: Bounds, next: &mut Vec<Self>) {
        if self.written < bounds.writes {
            let mut world = self.clone();
            world.postgres.data.push(self.written);
            world.acked.insert(self.written);
            world.written += 1;
            next.push(world);
            // Sent, not answered yet.
            let mut world = self.clone();
            world.network.insert(Message::Write(self.written));
            world.written += 1;
            next.push(world);
        }
        if way_back == WayBack::Open {
            self.follow_one(next);
            if self.switches > 0 && self.postgres.confirmed <= self.sqlite.place {
                let mut world = self.clone();
                world.switches -= 1;
                world.postgres.fenced = true;
                // Remaining back ends are terminated: what they had not committed is gone.
                world.network.retain(|m| !matches!(m, Message::Write(_)));
                world.proxy = Proxy::RollingBack;
                next.push(world);
            }
        }
    }

    fn rolling_back(&self, next: &mut Vec<Self>) {
        self.follow_one(next);
        if self.caught_up() {
            let mut world = self.clone();
            world.sqlite.state = SqliteState {
                epoch: self.sqlite.state.epoch + 1,
                role: SqliteRole::Returned(point(&self.sqlite.data)),
            };
            world.proxy = Proxy::Recovering;
            next.push(world);
        }
        next.push(Self { proxy: Proxy::Recovering, ..self.clone() });
    }

    fn surroundings(&self, next: &mut Vec<Self>) {
        for message in &self.network {
            let mut world = self.clone();
            world.network.remove(message);
            next.push(world.clone());
            world.deliver(*message);
            next.push(world);
        }
        self.second_proxy(next);
        if self.sqlite_restores > 0 {
            self.sqlite_backups(next);
        }
        if self.postgres_restores > 0 {
            self.postgres_backups(next);
        }
    }

    /// Crashes of whoever acts, copies of the file, and connections that are lost.
    fn crashes(&self, next: &mut Vec<Self>) {
        if self.crashes > 0 && self.proxy != Proxy::Down {
            let mut world = Self { proxy: Proxy::Down, crashes: self.crashes - 1, ..self.clone() };
            world.loses_claim();
            next.push(world);
        }
    }

    fn second_proxy(&self, next: &mut Vec<Self>) {
        if self.copies > 0 {
            // With Crossfade's own state file, or without it.
            for witness in [self.witness, Witness::default()] {
                let sqlite = self.sqlite.clone();
                let copy = Installation { sqlite, proxy: Proxy::Down, witness };
                let other = Some(Box::new(copy));
                next.push(Self { other, copies: self.copies - 1, ..self.clone() });
            }
        }
        if self.losses > 0 && self.claim.is_some() {
            next.push(Self { claim: None, losses: self.losses - 1, ..self.clone() });
        }
    }

    fn sqlite_backups(&self, next: &mut Vec<Self>) {
        match &self.sqlite_backup {
            None => {
                let backup = Some(self.sqlite.clone());
                next.push(Self { sqlite_backup: backup, ..self.clone() });
            }
            Some(backup) if self.proxy == Proxy::Down && *backup != self.sqlite => {
                let mut world = self.clone();
                if self.sqlite_reigns() {
                    let kept: BTreeSet<u8> = backup.data.iter().copied().collect();
                    world.excused.extend(self.acked.difference(&kept));
                }
                world.sqlite = backup.clone();
                if !world.sqlite_reigns() {
                    // Both sides were restored: the person named PostgreSQL's data the truth.
                    let kept: BTreeSet<u8> = self.postgres.data.iter().copied().collect();
                    world.excused.extend(self.acked.difference(&kept));
                }
                world.sqlite_restores -= 1;
                next.push(world);
            }
            Some(_) => {}
        }
    }

    fn postgres_backups(&self, next: &mut Vec<Self>) {
        match &self.postgres_backup {
            None => {
                let backup = Some(self.postgres.clone());
                next.push(Self { postgres_backup: backup, ..self.clone() });
            }
            Some(backup) if *backup != self.postgres => {
                let mut world = self.clone();
                if !self.sqlite_reigns() {
                    let kept: BTreeSet<u8> = backup.data.iter().copied().collect();
                    world.excused.extend(self.acked.difference(&kept));
                }
                world.postgres = backup.clone();
                world.postgres.system.timeline += 1;
                world.postgres_restores -= 1;
                // Connections to the old server are gone with what was on its way.
                world.network.clear();
                if world.proxy != Proxy::Down {
                    world.proxy = Proxy::Recovering;
                }
                next.push(world);
            }
            Some(_) => {}
        }
    }

    fn check(&self) {
        if let Some(other) = &self.other {
            assert!(!(self.proxy.serves() && other.proxy.serves()), "two serve: {self:#?}");
        }
        let data = match self.proxy {
            Proxy::ServeSqlite(_) => &self.sqlite.data,
            Proxy::ServePostgres(_) => &self.postgres.data,
            _ => return,
        };
        let held: BTreeSet<u8> = data.iter().copied().collect();
        let dropped: Vec<u8> =
            self.acked.difference(&self.excused).filter(|w| !held.contains(w)).copied().collect();
        assert!(dropped.is_empty(), "acknowledged writes {dropped:?} dropped: {self:#?}");
        assert!(data.len() == held.len(), "a write is there twice: {self:#?}");
        if let Proxy::ServeSqlite(_) = self.proxy {
            assert!(
                matches!(self.sqlite.state.role, SqliteRole::Primary),
                "SQLite serves without being primary: {self:#?}"
            );
        }
        if let Proxy::ServePostgres(_) = self.proxy {
            let latest = self.postgres.records.last_key_value();
            assert!(
                matches!(latest, Some((_, Record::Decided))),
                "PostgreSQL serves without a decision: {self:#?}"
            );
        }
    }
}

/// Visits every reachable world; returns how many there are and which steps were seen.
fn explore(bounds: Bounds) -> (usize, HashMap<&'static str, usize>) {
    let start = World::new(bounds);
    let mut seen: std::collections::HashSet<World> = std::iter::once(start.clone()).collect();
    let mut queue = VecDeque::from([start]);
    let mut kinds: HashMap<&'static str, usize> = HashMap::new();
    let mut next = Vec::new();
    while let Some(world) = queue.pop_front() {
        world.check();
        let kind = match world.proxy {
            Proxy::ServeSqlite(Attach::CopyAnew) => "copy anew",
            Proxy::ServeSqlite(_) if world.sqlite.state.epoch > 2 => "returned",
            Proxy::ServePostgres(WayBack::Open) => "promoted",
            Proxy::ServePostgres(WayBack::Unproven) => "failover",
            Proxy::Paused(Pause::SqliteRestored) => "sqlite restored",
            Proxy::Paused(Pause::PostgresRestored) => "postgres restored",
            Proxy::Paused(Pause::PostgresUnreachable) => "unreachable",
            Proxy::Paused(Pause::SecondProxy) => "second proxy",
            _ => "other",
        };
        *kinds.entry(kind).or_default() += 1;
        world.proxy_actions(bounds, &mut next);
        world.crashes(&mut next);
        if let Some(swapped) = world.swapped() {
            swapped.check();
            let mut there = Vec::new();
            swapped.proxy_actions(bounds, &mut there);
            swapped.crashes(&mut there);
            next.extend(there.iter().filter_map(World::swapped));
        }
        world.surroundings(&mut next);
        for candidate in next.drain(..) {
            if !seen.contains(&candidate) {
                seen.insert(candidate.clone());
                queue.push_back(candidate);
            }
        }
    }
    (seen.len(), kinds)
}

#[test]
fn crashes_and_late_messages() {
    let (worlds, kinds) =
        explore(Bounds { writes: 3, crashes: 2, switches: 3, restores: 0, copies: 0, losses: 0 });
    println!("{worlds} worlds, {kinds:?}");
    for kind in ["promoted", "returned", "unreachable"] {
        assert!(kinds.contains_key(kind), "the model never reaches: {kind}");
    }
}

#[test]
fn either_side_restored() {
    let (worlds, kinds) =
        explore(Bounds { writes: 2, crashes: 1, switches: 2, restores: 1, copies: 0, losses: 0 });
    println!("{worlds} worlds, {kinds:?}");
    for kind in ["copy anew", "sqlite restored", "postgres restored", "failover"] {
        assert!(kinds.contains_key(kind), "the model never reaches: {kind}");
    }
}

#[test]
fn a_second_proxy_on_a_copy() {
    let bounds = Bounds { writes: 1, crashes: 1, switches: 2, restores: 0, copies: 1, losses: 1 };
    let (worlds, kinds) = explore(bounds);
    println!("{worlds} worlds, {kinds:?}");
    for kind in ["promoted", "returned", "second proxy", "sqlite restored", "copy anew"] {
        assert!(kinds.contains_key(kind), "the model never reaches: {kind}");
    }
}
