//! `crossfade top`: the running proxy, live, on a terminal.
//!
//! Owns the screen and the terminal's mode while it lasts. What is not known is a dash, never
//! zero; a state is a word, never only a colour. It must never order anything. Start at
//! [`top`]; what is shown is made by [`screen`].

use std::collections::VecDeque;
use std::io::{IsTerminal as _, Read as _};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use serde_json::Value;

use super::client::{Client, Failure, Result};
use super::paint::Paint;
use super::{TopArgs, exit, out};
use crate::count::counted;

/// Points of the lag's line kept.
const POINTS: usize = 60;
/// How often the statements are asked for.
const STATEMENTS_EVERY: Duration = Duration::from_secs(3);
/// Pause before a lost stream is asked for again.
const AGAIN: Duration = Duration::from_secs(1);
/// Screen of a terminal that does not tell its size.
const SIZE: (usize, usize) = (100, 30);

/// What the threads tell the screen.
enum Event {
    Tick(Box<Value>),
    Statements(Vec<Value>),
    Lost(String),
    Key(u8),
}

/// What is known.
#[derive(Default)]
struct View {
    tick: Option<Value>,
    statements: Vec<Value>,
    lags: VecDeque<Option<u64>>,
    lost: Option<String>,
}

/// A line: its text, and whether it stands out.
struct Line(String, Look);

#[derive(Clone, Copy, PartialEq)]
enum Look {
    Plain,
    Head,
    Bad,
}

/// The terminal as it was, given back at the end.
struct Raw(Termios);

impl Raw {
    fn take() -> Option<Self> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(std::io::stdin(), SetArg::TCSANOW, &raw).ok()?;
        // The other screen, no cursor.
        out::data("\x1b[?1049h\x1b[?25l");
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        out::data("\x1b[?25h\x1b[?1049l");
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.0);
    }
}

/// Runs the verb.
pub(super) fn top(args: &TopArgs) -> Result<u8> {
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if !terminal {
        return Err(Failure {
            code: exit::USAGE,
            message: "top needs a terminal".to_owned(),
            hint: Some("crossfade status --watch --json is for programs.".to_owned()),
            body: None,
        });
    }
    let client = Client::new(args.admin_url.as_deref())?;
    // A proxy that is not there is told before the screen changes.
    let _: Value = client.get("/api/v1/version")?;
    let (send, receive) = channel();
    follow(client.again(), send.clone());
    ask_statements(client, send.clone());
    read_keys(send);
    let _raw = Raw::take();
    Ok(run(&receive))
}

fn run(events: &Receiver<Event>) -> u8 {
    let mut view = View::default();
    let paint = Paint(out::colours());
    while let Ok(event) = events.recv() {
        match event {
            Event::Key(b'q' | b'Q') => return exit::DONE,
            // Ctrl-C, Ctrl-D: the terminal sends them as they are.
            Event::Key(3 | 4) => return exit::INTERRUPTED,
            Event::Key(_) => {}
            Event::Tick(tick) => view.tick(*tick),
            Event::Statements(list) => view.statements = list,
            Event::Lost(why) => view.lost = Some(why),
        }
        let size = terminal_size::terminal_size()
            .map_or(SIZE, |(w, h)| (usize::from(w.0), usize::from(h.0)));
        if !out::data(screen(&view, size, &paint)) {
            return exit::DONE;
        }
    }
    exit::DONE
}

/// Reads the stream of events, again and again.
fn follow(client: Client, send: Sender<Event>) {
    std::thread::spawn(move || {
        loop {
            let why = match client.lines("/api/v1/stream") {
                Ok(lines) => match pass_on(lines, &send) {
                    Some(why) => why,
                    None => return,
                },
                Err(failure) => failure.message,
            };
            if send.send(Event::Lost(why)).is_err() {
                return;
            }
            std::thread::park_timeout(AGAIN);
        }
    });
}

/// Why the stream ended; None when nobody looks any more.
fn pass_on(
    lines: impl Iterator<Item = std::io::Result<String>>,
    send: &Sender<Event>,
) -> Option<String> {
    let mut name = String::new();
    for line in lines {
        let line = match line {
            Ok(line) => line,
            Err(error) => return Some(format!("the stream ended: {error}")),
        };
        if let Some(event) = line.strip_prefix("event:") {
            event.trim().clone_into(&mut name);
        } else if let (Some(data), "tick") = (line.strip_prefix("data:"), name.as_str())
            && let Ok(value) = serde_json::from_str(data)
        {
            send.send(Event::Tick(Box::new(value))).ok()?;
        }
    }
    Some("the proxy has ended".to_owned())
}

fn ask_statements(client: Client, send: Sender<Event>) {
    std::thread::spawn(move || {
        loop {
            if let Ok(Value::Object(mut body)) = client.get::<Value>("/api/v1/statements")
                && let Some(Value::Array(list)) = body.remove("statements")
                && send.send(Event::Statements(list)).is_err()
            {
                return;
            }
            std::thread::park_timeout(STATEMENTS_EVERY);
        }
    });
}

fn read_keys(send: Sender<Event>) {
    std::thread::spawn(move || {
        for byte in std::io::stdin().lock().bytes() {
            let Ok(byte) = byte else { return };
            if send.send(Event::Key(byte)).is_err() {
                return;
            }
        }
    });
}

impl View {
    fn tick(&mut self, tick: Value) {
        if self.lags.len() >= POINTS {
            self.lags.pop_front();
        }
        self.lags.push_back(tick["point"]["lag_ms"].as_u64());
        self.lost = None;
        self.tick = Some(tick);
    }
}

/// A number, or a dash.
fn number(value: &Value, digits: usize) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |v| format!("{v:.digits$}"))
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

/// Bars of eight heights, the highest being the largest; a gap where it is not known.
fn sparkline(points: &VecDeque<Option<u64>>) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = points.iter().flatten().copied().max().unwrap_or(0).max(1);
    let bar = |lag: u64| BARS[usize::try_from(lag * 7 / most).unwrap_or(7).min(7)];
    points.iter().map(|p| p.map_or(' ', bar)).collect()
}

/// The whole screen, from the top, never more than fits.
fn screen(view: &View, (columns, rows): (usize, usize), paint: &Paint) -> String {
    let mut lines = Vec::new();
    match &view.tick {
        None => lines.push(Line("waiting for the proxy".to_owned(), Look::Plain)),
        Some(tick) => {
            head(tick, &mut lines);
            traffic(&tick["point"], &mut lines);
            mirror(view, tick, &mut lines);
            gates(tick, &mut lines);
            statements(&view.statements, &mut lines);
        }
    }
    lines.truncate(rows.saturating_sub(2));
    let last = match &view.lost {
        Some(why) => Line(format!("{why}; these are the last numbers. q ends it"), Look::Bad),
        None => Line("q ends it".to_owned(), Look::Head),
    };
    lines.push(last);
    let mut text = String::from("\x1b[H");
    for Line(line, look) in &lines {
        let cut: String = line.chars().filter(|c| !c.is_control()).take(columns).collect();
        text.push_str(&match look {
            Look::Plain => cut,
            Look::Head => paint.dim(&cut),
            Look::Bad => paint.bad(&cut),
        });
        text.push_str("\x1b[K\r\n");
    }
    text.push_str("\x1b[J");
    text
}

fn head(tick: &Value, lines: &mut Vec<Line>) {
    let status = &tick["status"];
    lines.push(Line(
        format!(
            "crossfade  {}   primary {}   shadow {}   epoch {}   sessions {}",
            word(&status["phase"]),
            word(&status["primary"]),
            status["shadow"].as_str().unwrap_or("none"),
            number(&status["epoch"], 0),
            number(&status["sessions"], 0),
        ),
        Look::Plain,
    ));
    let health = word(&status["health"]);
    let reason = status["reason"].as_str().map(|r| format!(": {r}")).unwrap_or_default();
    let look = if health == "ok" { Look::Plain } else { Look::Bad };
    lines.push(Line(format!("health {health}{reason}"), look));
}

fn traffic(point: &Value, lines: &mut Vec<Line>) {
    lines.push(Line(String::new(), Look::Plain));
    let header = format!(
        "{:<10}{:>12}{:>12}{:>12}{:>12}",
        "BACK END", "PER SECOND", "ERRORS/S", "P50 MS", "P99 MS"
    );
    lines.push(Line(header, Look::Head));
    for name in ["sqlite", "postgres"] {
        let side = &point[name];
        let text = format!(
            "{name:<10}{:>12}{:>12}{:>12}{:>12}",
            number(&side["per_second"], 1),
            number(&side["errors_per_second"], 1),
            number(&side["p50_ms"], 2),
            number(&side["p99_ms"], 2),
        );
        let failing = side["errors_per_second"].as_f64().is_some_and(|e| e > 0.0);
        lines.push(Line(text, if failing { Look::Bad } else { Look::Plain }));
    }
}

fn mirror(view: &View, tick: &Value, lines: &mut Vec<Line>) {
    let (status, point) = (&tick["status"], &tick["point"]);
    lines.push(Line(String::new(), Look::Plain));
    let lag = format!(
        "lag        {} ms, {} commits   {}",
        number(&status["lag_ms"], 0),
        number(&status["lag_commits"], 0),
        sparkline(&view.lags)
    );
    lines.push(Line(lag, Look::Plain));
    lines.push(Line(
        format!(
            "journal    {} of {} bytes   position {}   applied {}",
            number(&status["journal_bytes"], 0),
            number(&status["journal_bytes_max"], 0),
            number(&status["position"], 0),
            number(&status["applied"], 0),
        ),
        Look::Plain,
    ));
    lines.push(Line(
        format!(
            "compared   {} a second   diverged {}   not compared {}   coverage {}",
            number(&point["matched"], 1),
            number(&point["diverged"], 1),
            number(&point["skipped"], 1),
            status["coverage"]
                .as_f64()
                .map_or_else(|| "-".to_owned(), |c| format!("{:.1} %", c * 100.0)),
        ),
        Look::Plain,
    ));
    let open = status["diverged_open"].as_u64().unwrap_or(0);
    let look = if open > 0 { Look::Bad } else { Look::Plain };
    let verified = word(&status["verified"]["state"]);
    lines.push(Line(
        format!("open       {}   verified {verified}", counted(open, "divergence")),
        look,
    ));
}

fn gates(tick: &Value, lines: &mut Vec<Line>) {
    let Some(gates) = tick["gates"].as_array().filter(|g| !g.is_empty()) else { return };
    let status = &tick["status"];
    lines.push(Line(String::new(), Look::Plain));
    let count = format!("GATES {} of {} ok", number(&status["gates_ok"], 0), gates.len());
    lines.push(Line(count, Look::Head));
    for gate in gates.iter().filter(|g| g["ok"] != true) {
        let text = format!(
            "  NOT MET {:<14} {} (needed: {})   {}",
            word(&gate["name"]),
            word(&gate["actual"]),
            word(&gate["limit"]),
            word(&gate["reason"]),
        );
        lines.push(Line(text, Look::Bad));
    }
}

fn statements(list: &[Value], lines: &mut Vec<Line>) {
    if list.is_empty() {
        return;
    }
    lines.push(Line(String::new(), Look::Plain));
    let header =
        format!("{:>10}{:>8}{:>10}{:>10}  STATEMENT", "CALLS", "ERRORS", "P99 MS", "SHADOW");
    lines.push(Line(header, Look::Head));
    for statement in list {
        let text = format!(
            "{:>10}{:>8}{:>10}{:>10}  {}",
            number(&statement["calls"], 0),
            number(&statement["errors"], 0),
            number(&statement["primary_p99_ms"], 2),
            number(&statement["shadow_p99_ms"], 2),
            word(&statement["statement"]),
        );
        lines.push(Line(text, Look::Plain));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn view() -> View {
        let mut view = View::default();
        view.tick(json!({
            "status": {"phase": "mirroring", "health": "degraded", "reason": "no\u{1b}[2Jroute",
                "primary": "sqlite", "shadow": "postgres", "epoch": 1, "gates_ok": 1,
                "lag_ms": null, "verified": {"state": "fresh"}, "diverged_open": 1},
            "gates": [{"name": "lag", "ok": false, "actual": "unknown", "limit": "1000 ms",
                "reason": "not known"}, {"name": "quiet", "ok": true}],
            "point": {"sqlite": {"per_second": 12.5}, "postgres": {}},
        }));
        view.statements = vec![json!({"calls": 7, "statement": "select\n1"}); 100];
        view
    }

    #[test]
    fn it_fits_and_tells_unknown_from_zero() {
        let text = screen(&view(), (60, 24), &Paint(false));
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(lines.len(), 24, "one row is left for the cursor");
        for line in &lines {
            let shown = line.replace("\x1b[K", "").replace("\x1b[H", "").replace("\x1b[J", "");
            assert!(shown.chars().count() <= 60 && !shown.contains('\x1b'), "{shown:?}");
        }
        assert!(text.contains("lag        - ms"), "{text}");
        assert!(text.contains("NOT MET lag") && text.contains("12.5"));
        assert!(text.contains("health degraded: no[2Jroute"), "control characters are left out");
        for size in [(0, 0), (1, 1), (20, 3)] {
            screen(&view(), size, &Paint(true));
        }
    }

    #[test]
    fn a_lost_proxy_is_told() {
        let mut view = view();
        view.lost = Some("no answer".to_owned());
        assert!(screen(&view, (100, 40), &Paint(false)).contains("no answer; these are the last"));
    }

    #[test]
    fn lines_have_gaps_where_nothing_is_known() {
        assert_eq!(sparkline(&[Some(0), None, Some(8)].into()), "▁ █");
    }
}
