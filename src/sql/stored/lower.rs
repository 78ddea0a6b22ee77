//! sqlite3-parser's tree into the plain model.

use std::convert::Infallible;

use sqlite3_parser::ast::{
    self, Cmd, ColumnConstraint, CreateTableBody, Expr, Literal, NamedColumnConstraint, RefAct,
    RefArg, ResolveType, SortOrder, SortedColumn, Stmt, TabFlags, TableConstraint, TypeSize,
    UnaryOperator,
    fmt::{ToTokens, TokenStream},
};
use sqlite3_parser::dialect::TokenType;
use sqlite3_parser::lexer::sql::Parser;
use sqlite3_parser::{Bump, FallibleIterator as _};

use super::{
    Column, ColumnKey, ColumnUnique, Conflict, Constraint, ConstraintKind, Default, ForeignKey,
    Generated, Index, Key, NotNull, Object, Table, Trigger, TriggerEvent, TriggerTime, View,
    Virtual,
};
use crate::error::{Error, state};
use crate::schema::Action;
use crate::sql::pg::deep;

pub(super) fn read(sql: &str) -> Result<Object, Error> {
    deep::with_stack(sql, || {
        let arena = Bump::new();
        let mut parser = Parser::new(&arena, sql.as_bytes());
        match parser.next() {
            Ok(Some(Cmd::Stmt(statement))) => object(&statement),
            Ok(_) => Err(not_create()),
            Err(error) => Err(Error::client(state::SYNTAX_ERROR, error.to_string())),
        }
    })
}

fn not_create() -> Error {
    Error::unsupported("a schema entry that is not a CREATE statement")
}

fn object(statement: &Stmt<'_>) -> Result<Object, Error> {
    Ok(match statement {
        Stmt::CreateTable { tbl_name, body, .. } => Object::Table(table(&tbl_name.name, body)),
        Stmt::CreateVirtualTable { tbl_name, module_name, args, .. } => Object::Virtual(Virtual {
            name: unquote(tbl_name.name.0),
            module: unquote(module_name.0).to_ascii_lowercase(),
            args: args.unwrap_or_default().iter().map(|arg| (*arg).to_owned()).collect(),
        }),
        Stmt::CreateIndex { unique, idx_name, tbl_name, columns, where_clause, .. } => {
            Object::Index(Index {
                name: unquote(idx_name.name.0),
                table: unquote(tbl_name.0),
                unique: *unique,
                keys: columns.iter().map(key).collect(),
                filter: where_clause.as_ref().map(expression),
            })
        }
        Stmt::CreateView { view_name, columns, select, .. } => Object::View(View {
            name: unquote(view_name.name.0),
            columns: columns
                .unwrap_or_default()
                .iter()
                .map(|column| unquote(column.col_name.0))
                .collect(),
            query: text(select),
        }),
        Stmt::CreateTrigger {
            trigger_name, time, event, tbl_name, when_clause, commands, ..
        } => Object::Trigger(Trigger {
            name: unquote(trigger_name.name.0),
            table: unquote(tbl_name.name.0),
            time: match time {
                Some(ast::TriggerTime::After) => TriggerTime::After,
                Some(ast::TriggerTime::InsteadOf) => TriggerTime::InsteadOf,
                Some(ast::TriggerTime::Before) | None => TriggerTime::Before,
            },
            event: match event {
                ast::TriggerEvent::Delete => TriggerEvent::Delete,
                ast::TriggerEvent::Insert => TriggerEvent::Insert,
                ast::TriggerEvent::Update | ast::TriggerEvent::UpdateOf(_) => TriggerEvent::Update,
            },
            columns: match event {
                ast::TriggerEvent::UpdateOf(names) => {
                    names.iter().map(|name| unquote(name.0)).collect()
                }
                _ => Vec::new(),
            },
            when: when_clause.as_ref().map(expression),
            statements: commands.iter().map(text).collect(),
        }),
        _ => return Err(not_create()),
    })
}

fn table(name: &ast::Name<'_>, body: &CreateTableBody<'_>) -> Table {
    let mut table = Table { name: unquote(name.0), ..Table::default() };
    if let CreateTableBody::ColumnsAndConstraints { columns, constraints, flags } = body {
        table.columns = columns.iter().map(column).collect();
        table.constraints = constraints
            .unwrap_or_default()
            .iter()
            .map(|c| Constraint { name: name_of(c.name.as_ref()), kind: constraint(&c.constraint) })
            .collect();
        table.without_rowid = flags.contains(TabFlags::WithoutRowid);
        table.strict = flags.contains(TabFlags::Strict);
    }
    table
}

fn column(definition: &ast::ColumnDefinition<'_>) -> Column {
    let mut column = Column { name: unquote(definition.col_name.0), ..Column::default() };
    if let Some(ty) = &definition.col_type {
        let name = unquote(ty.name);
        column.type_args = match &ty.size {
            None => Vec::new(),
            Some(TypeSize::MaxSize(size)) => vec![signed(size)],
            Some(TypeSize::TypeSize(first, second)) => vec![signed(first), signed(second)],
        };
        column.type_name = name.to_ascii_uppercase();
        column.declared = Some(if column.type_args.is_empty() {
            name
        } else {
            format!("{name}({})", column.type_args.join(","))
        });
    }
    for constraint in definition.constraints {
        column_constraint(&mut column, constraint);
    }
    column
}

fn column_constraint(column: &mut Column, constraint: &NamedColumnConstraint<'_>) {
    let name = name_of(constraint.name.as_ref());
    match &constraint.constraint {
        ColumnConstraint::PrimaryKey { order, conflict_clause, auto_increment } => {
            column.primary_key = Some(ColumnKey {
                name,
                descending: *order == Some(SortOrder::Desc),
                autoincrement: *auto_increment,
                conflict: conflict_clause.map(conflict),
            });
        }
        ColumnConstraint::NotNull { nullable: false, conflict_clause } => {
            column.not_null = Some(NotNull { name, conflict: conflict_clause.map(conflict) });
        }
        ColumnConstraint::NotNull { nullable: true, .. } => {}
        ColumnConstraint::Unique(clause) => {
            column.unique.push(ColumnUnique { name, conflict: clause.map(conflict) });
        }
        ColumnConstraint::Check(expr) => column.checks.push((name, expression(expr))),
        ColumnConstraint::Default(expr) => column.default = Some(default(expr)),
        ColumnConstraint::Collate { collation_name } => {
            column.collation = Some(unquote(collation_name.0).to_ascii_uppercase());
        }
        ColumnConstraint::ForeignKey { clause, defer_clause } => {
            let mut key = foreign_key(vec![column.name.clone()], clause);
            key.name = name;
            defer(&mut key, defer_clause.as_ref());
            column.references.push(key);
        }
        ColumnConstraint::Defer(clause) => {
            if let Some(key) = column.references.last_mut() {
                defer(key, Some(clause));
            }
        }
        ColumnConstraint::Generated { expr, typ } => {
            column.generated = Some(Generated {
                expression: expression(expr),
                stored: typ.as_ref().is_some_and(|ty| ty.0.eq_ignore_ascii_case("STORED")),
            });
        }
    }
}

fn constraint(constraint: &TableConstraint<'_>) -> ConstraintKind {
    match constraint {
        TableConstraint::PrimaryKey { columns, auto_increment, conflict_clause } => {
            ConstraintKind::PrimaryKey {
                keys: columns.iter().map(key).collect(),
                autoincrement: *auto_increment,
                conflict: conflict_clause.map(conflict),
            }
        }
        TableConstraint::Unique { columns, conflict_clause } => ConstraintKind::Unique {
            keys: columns.iter().map(key).collect(),
            conflict: conflict_clause.map(conflict),
        },
        TableConstraint::Check(expr, clause) => {
            ConstraintKind::Check { expression: expression(expr), conflict: clause.map(conflict) }
        }
        TableConstraint::ForeignKey { columns, clause, defer_clause } => {
            let own = columns.iter().map(|column| unquote(column.col_name.0)).collect();
            let mut key = foreign_key(own, clause);
            defer(&mut key, defer_clause.as_ref());
            ConstraintKind::ForeignKey(key)
        }
    }
}

fn foreign_key(columns: Vec<String>, clause: &ast::ForeignKeyClause<'_>) -> ForeignKey {
    let mut key = ForeignKey {
        columns,
        table: unquote(clause.tbl_name.0),
        referenced: clause
            .columns
            .unwrap_or_default()
            .iter()
            .map(|column| unquote(column.col_name.0))
            .collect(),
        ..ForeignKey::default()
    };
    for arg in clause.args {
        match arg {
            RefArg::OnDelete(act) => key.on_delete = action(*act),
            RefArg::OnUpdate(act) => key.on_update = action(*act),
            RefArg::OnInsert(_) => {}
            RefArg::Match(name) => key.match_name = Some(unquote(name.0)),
        }
    }
    key
}

fn defer(key: &mut ForeignKey, clause: Option<&ast::DeferSubclause>) {
    if let Some(clause) = clause {
        key.deferrable = clause.deferrable;
        key.deferred = clause.deferrable
            && clause.init_deferred == Some(ast::InitDeferredPred::InitiallyDeferred);
    }
}

fn action(act: RefAct) -> Action {
    match act {
        RefAct::SetNull => Action::SetNull,
        RefAct::SetDefault => Action::SetDefault,
        RefAct::Cascade => Action::Cascade,
        RefAct::Restrict => Action::Restrict,
        RefAct::NoAction => Action::NoAction,
    }
}

fn conflict(clause: ResolveType) -> Conflict {
    match clause {
        ResolveType::Rollback => Conflict::Rollback,
        ResolveType::Abort => Conflict::Abort,
        ResolveType::Fail => Conflict::Fail,
        ResolveType::Ignore => Conflict::Ignore,
        ResolveType::Replace => Conflict::Replace,
    }
}

fn key(column: &SortedColumn<'_>) -> Key {
    let (expr, collation) = match &column.expr {
        Expr::Collate(inner, name) => (*inner, Some(unquote(name).to_ascii_uppercase())),
        other => (other, None),
    };
    Key {
        column: plain_column(expr),
        expression: expression(expr),
        collation,
        descending: column.order == Some(SortOrder::Desc),
    }
}

/// A key that is a column; SQLite reads a string there as a name too.
fn plain_column(expr: &Expr<'_>) -> Option<String> {
    match expr {
        Expr::Id(id) => Some(unquote(id.0)),
        Expr::Name(name) => Some(unquote(name.0)),
        Expr::Literal(Literal::String(text)) => Some(unquote(text)),
        _ => None,
    }
}

fn default(expr: &Expr<'_>) -> Default {
    match expr {
        Expr::Parenthesized(list) if list.len() == 1 => match default(&list[0]) {
            // A bare word in parentheses is a name, not a string.
            Default::Text(_) if !matches!(list[0], Expr::Literal(_)) => {
                Default::Expression(text(&list[0]))
            }
            inner => inner,
        },
        Expr::Literal(literal) => literal_default(literal).unwrap_or_else(|| other_default(expr)),
        Expr::Id(id) => word(id.0),
        Expr::Name(name) => word(name.0),
        Expr::Unary(sign @ (UnaryOperator::Negative | UnaryOperator::Positive), inner) => {
            match inner {
                Expr::Literal(Literal::Numeric(digits)) => {
                    number(digits, *sign == UnaryOperator::Negative)
                }
                _ => other_default(expr),
            }
        }
        _ => other_default(expr),
    }
}

fn other_default(expr: &Expr<'_>) -> Default {
    Default::Expression(expression(expr))
}

fn literal_default(literal: &Literal<'_>) -> Option<Default> {
    Some(match literal {
        Literal::Numeric(digits) => number(digits, false),
        Literal::String(text) => Default::Text(unquote(text)),
        Literal::Blob(hex) => Default::Blob(bytes(hex)?),
        Literal::Null => Default::Null,
        Literal::CurrentDate => Default::CurrentDate,
        Literal::CurrentTime => Default::CurrentTime,
        Literal::CurrentTimestamp => Default::CurrentTimestamp,
        Literal::Keyword(keyword) => word(keyword),
    })
}

/// A bare or double-quoted word as a default: a truth value or a string.
fn word(raw: &str) -> Default {
    if raw.eq_ignore_ascii_case("true") {
        Default::Bool(true)
    } else if raw.eq_ignore_ascii_case("false") {
        Default::Bool(false)
    } else {
        Default::Text(unquote(raw))
    }
}

fn number(digits: &str, negative: bool) -> Default {
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    let hex = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X"));
    let value = match hex {
        // Hexadecimal wraps as two's complement.
        Some(hex) => u64::from_str_radix(hex, 16)
            .ok()
            .map(u64::cast_signed)
            .and_then(|v| if negative { v.checked_neg() } else { Some(v) }),
        None if negative => format!("-{plain}").parse().ok(),
        None => plain.parse().ok(),
    };
    match value {
        Some(value) => Default::Integer(value),
        None if negative => Default::Number(format!("-{plain}")),
        None => Default::Number(plain),
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// A number in a type's parentheses.
fn signed(expr: &Expr<'_>) -> String {
    text(expr).replace(' ', "")
}

/// An expression's text without outer parentheses.
fn expression(expr: &Expr<'_>) -> String {
    match expr {
        Expr::Parenthesized(list) if list.len() == 1 => expression(&list[0]),
        _ => text(expr),
    }
}

/// A node's tokens as text.
pub(crate) fn token_text(node: &impl ToTokens) -> String {
    text(node)
}

/// A node's tokens as text.
fn text(node: &impl ToTokens) -> String {
    let mut writer = Writer::default();
    match node.to_tokens(&mut writer) {
        Ok(()) => writer.out,
        Err(never) => match never {},
    }
}

/// Puts tokens together with the spaces that a person would write.
#[derive(Default)]
struct Writer {
    out: String,
    /// No space before the next token.
    tight: bool,
    /// The last token was a name: a parenthesis follows it at once.
    name: bool,
}

impl TokenStream for Writer {
    type Error = Infallible;

    fn append(&mut self, ty: TokenType, value: Option<&str>) -> Result<(), Infallible> {
        let closing = matches!(
            ty,
            TokenType::TK_COMMA | TokenType::TK_SEMI | TokenType::TK_RP | TokenType::TK_DOT
        );
        let call = ty == TokenType::TK_LP && self.name;
        if !(self.out.is_empty() || self.tight || closing || call) {
            self.out.push(' ');
        }
        self.tight = matches!(ty, TokenType::TK_LP | TokenType::TK_DOT);
        self.name = matches!(ty, TokenType::TK_ID);
        match (ty, value) {
            (TokenType::TK_BLOB, Some(hex)) => {
                self.out.push_str("x'");
                self.out.push_str(hex);
                self.out.push('\'');
            }
            (_, Some(value)) => {
                self.out.push_str(ty.as_str().unwrap_or_default());
                self.out.push_str(value);
            }
            (_, None) => self.out.push_str(ty.as_str().unwrap_or_default()),
        }
        Ok(())
    }
}

fn name_of(name: Option<&ast::Name<'_>>) -> Option<String> {
    name.map(|name| unquote(name.0))
}

/// A name or string without its quotes: `"a""b"`, `[a]`, `` `a` ``, `'a'`.
pub fn unquote(raw: &str) -> String {
    let quote = match raw.chars().next() {
        Some(c @ ('"' | '`' | '\'')) => c,
        Some('[') => ']',
        _ => return raw.to_owned(),
    };
    let Some(inner) = raw.get(1..).and_then(|rest| rest.strip_suffix(quote)) else {
        return raw.to_owned();
    };
    if quote == ']' {
        return inner.to_owned();
    }
    let doubled: String = [quote, quote].iter().collect();
    inner.replace(&doubled, quote.encode_utf8(&mut [0; 4]))
}
