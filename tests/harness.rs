//! The harness itself: the throw-away PostgreSQL starts, crashes and comes back.

use crate::common::Pg;

#[test]
fn a_cluster_survives_an_immediate_stop() {
    let mut pg = Pg::start();
    let db = pg.database("harness");
    pg.cluster.psql(&db, "CREATE TABLE t(a int); INSERT INTO t VALUES (1)").unwrap();
    pg.cluster.stop(true).unwrap();
    assert!(pg.cluster.psql(&db, "SELECT 1").is_err(), "the server is down");
    pg.cluster.resume().unwrap();
    assert_eq!(pg.cluster.psql(&db, "SELECT count(*) FROM t").unwrap(), "1");
}
