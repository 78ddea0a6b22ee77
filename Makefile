.PHONY: demo test unit lint fmt bench bench-applier bench-backfill bench-mirror bench-relay bench-sessions load switch-load plan-bench compat fuzz fuzz-faults soak docs
demo:        ## the whole journey on an embedded sample application
	./scripts/demo
test:        ## everything: rules of the house, unit, integration
	./scripts/test
unit:        ## unit tests only
	cargo test --lib
lint:        ## formatting, clippy, licences, documentation
	./scripts/lint
fmt:
	cargo fmt --all
bench:       ## ratios against PostgreSQL, measured in one run
	./scripts/bench
bench-applier: ## one-row transactions a second that reach PostgreSQL, beside one connection that compares nothing
	./scripts/bench-applier
bench-backfill: ## copy and verify beside pgloader and psql, in one run (ROWS=5000000)
	./scripts/bench-backfill $(or $(ROWS),5000000)
bench-relay: ## the promoted proxy beside pgbouncer: rate and processor time
	./scripts/bench-relay
bench-sessions: ## memory of a session and the time of a log-in, beside pgbouncer
	./scripts/bench-sessions
bench-mirror: ## what a client waits with mirror and comparing on, beside off
	./scripts/bench-mirror
load:        ## 50 users of a small web application, beside PostgreSQL direct
	./scripts/load
switch-load: ## TPC-B at scale 10: on SQLite in each protocol, then while it promotes, rolls back and promotes
	./scripts/switch-load
plan-bench:  ## what a statement costs before SQLite sees it
	cargo bench --locked --bench plan
fuzz:        ## random statements on both back ends (N=20000 SEED=1); make fuzz-faults proves that it finds faults
	FUZZ_N=$${N:-20000} FUZZ_SEED=$${SEED:-1} cargo test --features failpoints --test it -- --ignored --nocapture --exact fuzz::many_random_statements_differ_nowhere
fuzz-faults:
	cargo test --features failpoints --test it -- --ignored --nocapture --exact fuzz::every_seeded_fault_is_found
compat:      ## corpora of real SQL (CORPORA=folder or files), replayed and compared with PostgreSQL
	./scripts/compat $(CORPORA)
soak:        ## long crash and switch runs (CROSSFADE_SOAK_ROUNDS of each, default 500; CROSSFADE_SOAK_PAIRS at once; goes on where it ended), precision and recall runs, then TPC-B at scale 10
	CROSSFADE_SOAK_ROUNDS=$${CROSSFADE_SOAK_ROUNDS:-500} cargo test --release --features failpoints --test it -- crash --nocapture
	CROSSFADE_PRECISION_SECONDS=$${CROSSFADE_PRECISION_SECONDS:-3600} cargo test --release --features failpoints --test it -- precision --nocapture
	CROSSFADE_RECALL_EACH=$${CROSSFADE_RECALL_EACH:-5} cargo test --release --features failpoints --test it -- recall --nocapture
	for mode in simple extended prepared; do ./scripts/switch-load --mode $$mode || exit 1; done
docs:        ## API documentation, private items included
	cargo doc --no-deps --document-private-items
