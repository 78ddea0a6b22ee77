//! pgbench: its own tables, and the four invariants of TPC-B.

use crate::common::{Pg, Proxy};

#[test]
fn tpc_b_keeps_its_balances_in_every_protocol() {
    let proxy = Proxy::direct();
    let run = |arguments: &[&str]| {
        let output = Pg::shared()
            .tool("pgbench")
            .args(["-h", "127.0.0.1", "-p", &proxy.port.to_string(), "-U", "app"])
            .args(arguments)
            .arg("app")
            .output()
            .expect("pgbench runs");
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "pgbench {arguments:?}: {text}\n{}", proxy.log());
        text
    };
    run(&["-i", "-s", "1"]);
    let mut done = 0;
    for mode in ["simple", "extended", "prepared"] {
        let text = run(&["-n", "-c", "8", "-j", "2", "-t", "40", "-M", mode]);
        assert!(text.contains("number of failed transactions: 0 "), "{text}");
        assert!(text.contains("number of transactions actually processed: 320/320"), "{text}");
        done += 320;
    }
    let sums = proxy.sql(
        "select (select sum(abalance) from pgbench_accounts), \
                (select sum(tbalance) from pgbench_tellers), \
                (select sum(bbalance) from pgbench_branches), \
                (select sum(delta) from pgbench_history), \
                (select count(*) from pgbench_history)",
    );
    let sums: Vec<&str> = sums.split('|').collect();
    assert!(sums[..4].iter().all(|s| *s == sums[0]), "{sums:?}");
    assert_eq!(sums[4], done.to_string());
}
