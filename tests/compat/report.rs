//! What a replay found, as a table for people and as a list to work from.
//!
//! Start at [`Totals::of`] and [`findings`].

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::replay::{Agreement, Record, Verdict};
use super::text;

/// A corpus's line in the table.
#[derive(Default)]
pub struct Totals {
    pub corpus: String,
    pub statements: usize,
    pub excluded: usize,
    pub no_context: usize,
    pub equal: usize,
    pub unstable: usize,
    pub order: usize,
    pub types: usize,
    pub refused: usize,
    pub blocked: usize,
    pub wrong: usize,
    pub agreement: Agreement,
}

impl Totals {
    pub fn of(corpus: &str, records: &[Record], agreement: Agreement) -> Self {
        let mut totals = Self {
            corpus: corpus.to_owned(),
            statements: records.len(),
            agreement,
            ..Self::default()
        };
        for record in records {
            *match record.verdict {
                Verdict::Equal | Verdict::EqualRefusal => &mut totals.equal,
                Verdict::Unstable => &mut totals.unstable,
                Verdict::Order(_) => &mut totals.order,
                Verdict::Types(_) => &mut totals.types,
                Verdict::NoContext(_) => &mut totals.no_context,
                Verdict::Refused(_) => &mut totals.refused,
                Verdict::Blocked(_) => &mut totals.blocked,
                Verdict::Wrong(_) => &mut totals.wrong,
                Verdict::Excluded(_) => &mut totals.excluded,
            } += 1;
        }
        totals
    }

    /// Statements that say something: not excluded, and PostgreSQL could run them here.
    pub fn measured(&self) -> usize {
        self.statements - self.excluded - self.no_context
    }

    pub fn accepted(&self) -> usize {
        self.measured() - self.refused - self.blocked
    }

    fn add(&mut self, other: &Self) {
        self.statements += other.statements;
        self.excluded += other.excluded;
        self.no_context += other.no_context;
        self.equal += other.equal;
        self.unstable += other.unstable;
        self.order += other.order;
        self.types += other.types;
        self.refused += other.refused;
        self.blocked += other.blocked;
        self.wrong += other.wrong;
        let (sum, more) = (&mut self.agreement, &other.agreement);
        sum.columns += more.columns;
        sum.columns_equal += more.columns_equal;
        sum.typmods_equal += more.typmods_equal;
        sum.parameters += more.parameters;
        sum.parameters_equal += more.parameters_equal;
        sum.statements += more.statements;
        sum.refused += more.refused;
    }
}

#[allow(clippy::cast_precision_loss)]
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.2}", part as f64 * 100.0 / whole as f64) }
}

/// One line per corpus and their sum.
pub fn table(all: &[Totals]) -> String {
    let mut sum = Totals { corpus: "all".to_owned(), ..Totals::default() };
    all.iter().for_each(|t| sum.add(t));
    let mut out = String::from(
        "| corpus | statements | excluded | no context | measured | accepted % | equal % | \
         refused | blocked | WRONG | order | types | unstable | Describe: columns % | typmods % | \
         parameters % | refused |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for t in all.iter().chain([&sum]) {
        let measured = t.measured() as u64;
        let a = &t.agreement;
        writeln!(
            out,
            "| {} | {} | {} ({} %) | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} of {} |",
            t.corpus,
            t.statements,
            t.excluded,
            percent(t.excluded as u64, t.statements as u64),
            t.no_context,
            measured,
            percent(t.accepted() as u64, measured),
            percent((t.equal + t.unstable) as u64, measured),
            t.refused,
            t.blocked,
            t.wrong,
            t.order,
            t.types,
            t.unstable,
            percent(a.columns_equal, a.columns),
            percent(a.typmods_equal, a.columns),
            percent(a.parameters_equal, a.parameters),
            a.refused,
            a.statements,
        )
        .unwrap();
    }
    out
}

fn short(sql: &str) -> String {
    let flat = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    flat.chars().take(700).collect()
}

/// Everything that is not equal, most frequent reason first.
pub fn findings(corpora: &[(String, Vec<Record>, Vec<String>)]) -> String {
    let mut out = String::new();
    let mut groups: BTreeMap<(&str, String), Vec<(String, &Record, String)>> = BTreeMap::new();
    for (corpus, records, _) in corpora {
        for record in records {
            let (section, reason, detail) = match &record.verdict {
                Verdict::Wrong(d) => ("1 WRONG", wrong_reason(d), d.clone()),
                Verdict::Order(d) => ("2 ORDER (ties?)", "order".to_owned(), d.clone()),
                Verdict::Types(d) => ("3 TYPES", text::normalised(d), d.clone()),
                Verdict::Refused(f) => (
                    "4 REFUSED",
                    format!("{} {}", f.code, text::normalised(&f.message)),
                    format!("{} {}", f.message, f.detail),
                ),
                Verdict::Blocked(d) => ("6 BLOCKED", text::normalised(d), d.clone()),
                Verdict::NoContext(f) => (
                    "7 NO CONTEXT (PostgreSQL refuses it in the replay)",
                    format!("{} {}", f.code, text::normalised(&f.message)),
                    f.message.clone(),
                ),
                Verdict::Excluded(reason) => ("9 EXCLUDED", reason.clone(), String::new()),
                _ => match &record.texts {
                    Some((e, g)) => (
                        "5 ERROR TEXTS (same SQLSTATE)",
                        format!("{} {}", e.code, text::normalised(&e.message)),
                        format!("got {g:?}\n      expected {e:?}"),
                    ),
                    None => continue,
                },
            };
            groups.entry((section, reason)).or_default().push((corpus.clone(), record, detail));
        }
    }
    let mut ordered: Vec<_> = groups.into_iter().collect();
    ordered.sort_by_key(|((section, _), list)| (*section, std::cmp::Reverse(list.len())));
    let mut section = "";
    for ((now, reason), list) in &ordered {
        if *now != section {
            section = now;
            let total: usize =
                ordered.iter().filter(|((s, _), _)| s == now).map(|(_, l)| l.len()).sum();
            writeln!(out, "\n\n######## {section}: {total} statements\n").unwrap();
        }
        let executions: u64 = list.iter().map(|(_, r, _)| r.statement.executions).sum();
        writeln!(out, "== {} statements, {executions} executions: {reason}", list.len()).unwrap();
        let most = if section.starts_with("1 ") || section.starts_with("2 ") { 25 } else { 6 };
        for (corpus, record, detail) in list.iter().take(most) {
            let s = &record.statement;
            writeln!(out, "   {corpus} #{} {}", s.number, short(&s.sql)).unwrap();
            if let Some(params) = &s.params {
                writeln!(out, "      with {params:?}").unwrap();
            }
            let detail: String = detail.chars().take(1500).collect();
            writeln!(out, "      {detail}").unwrap();
        }
    }
    writeln!(out, "\n\n######## 10 DESCRIBE DIFFERENCES\n").unwrap();
    for (corpus, _, differences) in corpora {
        for difference in differences {
            let text: String = difference.chars().take(1200).collect();
            writeln!(out, "   {corpus} {text}").unwrap();
        }
    }
    out
}

/// Wrong answers are grouped by their kind, not by their values.
fn wrong_reason(detail: &str) -> String {
    let line = detail.lines().next().unwrap_or_default();
    let line = text::normalised(line);
    line.chars().take(120).collect()
}
