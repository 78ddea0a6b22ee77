//! Expressions.

use pg_query::protobuf::{
    self, AExprKind, BoolExprType, BoolTestType, GroupingSetKind, MinMaxOp, NullTestType,
    SqlValueFunctionOp, SubLinkType, a_const, node::Node as N,
};

use super::{Lower, Lowered, Stop, missing, qualified, string, strings};
use crate::sql::ast::{Expr, ExprKind, GroupingSet, Literal, Name};

type Node = protobuf::Node;
type Boxed = Option<Box<Node>>;

impl Lower<'_> {
    /// An expression that the grammar always gives.
    pub(super) fn expr(&mut self, node: Node) -> Lowered<Expr> {
        self.nested(|lower| lower.expr_here(node))
    }

    /// A boxed expression that the grammar always gives.
    pub(super) fn some(&mut self, node: Boxed) -> Lowered<Expr> {
        self.expr(*node.ok_or_else(missing)?)
    }

    pub(super) fn boxed(&mut self, node: Boxed) -> Lowered<Box<Expr>> {
        Ok(Box::new(self.some(node)?))
    }

    /// An optional expression.
    pub(super) fn maybe(&mut self, node: Boxed) -> Lowered<Option<Expr>> {
        node.map(|node| self.expr(*node)).transpose()
    }

    pub(super) fn exprs(&mut self, nodes: Vec<Node>) -> Lowered<Vec<Expr>> {
        nodes.into_iter().map(|node| self.expr(node)).collect()
    }

    fn expr_here(&mut self, node: Node) -> Lowered<Expr> {
        let node = node.node.ok_or_else(missing)?;
        let (location, kind) = match node {
            N::ColumnRef(c) => (c.location, column(c.fields)),
            N::AConst(c) => {
                self.refuse_newer_number(&c)?;
                (c.location, ExprKind::Literal(literal(c)?))
            }
            N::ParamRef(p) => {
                self.refuse_parameter_junk(p.location)?;
                (p.location, ExprKind::Param(u32::try_from(p.number).unwrap_or(0)))
            }
            N::AExpr(e) => (e.location, self.operator(*e)?),
            N::BoolExpr(e) => (e.location, self.boolean(*e)?),
            N::FuncCall(call) => (call.location, self.call(*call)?),
            N::TypeCast(cast) => {
                let cast = *cast;
                self.refuse_typed_parameter(&cast)?;
                let arg = self.boxed(cast.arg)?;
                (cast.location, ExprKind::Cast(arg, self.some_type(cast.type_name)?))
            }
            N::NullTest(test) => {
                let test = *test;
                let not = test.nulltesttype == NullTestType::IsNotNull as i32;
                (test.location, ExprKind::IsNull(self.boxed(test.arg)?, not))
            }
            N::BooleanTest(test) => {
                let test = *test;
                let (value, not) = truth_test(test.booltesttype);
                (test.location, ExprKind::IsBool(self.boxed(test.arg)?, value, not))
            }
            N::CaseExpr(case) => (case.location, self.case(*case)?),
            N::SubLink(link) => (link.location, self.sublink(*link)?),
            N::RowExpr(row) => (row.location, ExprKind::Row(self.exprs(row.args)?)),
            N::AArrayExpr(array) => (array.location, ExprKind::Array(self.exprs(array.elements)?)),
            N::CoalesceExpr(c) => (c.location, ExprKind::Coalesce(self.exprs(c.args)?)),
            N::MinMaxExpr(m) => {
                let greatest = m.op == MinMaxOp::IsGreatest as i32;
                (m.location, ExprKind::MinMax(greatest, self.exprs(m.args)?))
            }
            N::CollateClause(c) => {
                let c = *c;
                let pos = self.pos(c.location);
                let arg = self.boxed(c.arg)?;
                (c.location, ExprKind::Collate(arg, qualified(c.collname, pos)?))
            }
            N::AIndirection(i) => return self.indirection(*i),
            N::SqlvalueFunction(f) => {
                let precision = (f.typmod >= 0).then_some(f.typmod);
                (f.location, ExprKind::ValueFunction(value_function(f.op)?, precision))
            }
            N::SetToDefault(d) => (d.location, ExprKind::Default),
            N::GroupingFunc(g) => {
                let g = *g;
                (g.location, ExprKind::Grouping(self.exprs(g.args)?))
            }
            N::GroupingSet(g) => {
                let kind = match GroupingSetKind::try_from(g.kind) {
                    Ok(GroupingSetKind::GroupingSetRollup) => GroupingSet::Rollup,
                    Ok(GroupingSetKind::GroupingSetCube) => GroupingSet::Cube,
                    Ok(GroupingSetKind::GroupingSetSets) => GroupingSet::Sets,
                    _ => GroupingSet::Empty,
                };
                (g.location, ExprKind::GroupingSet(kind, self.exprs(g.content)?))
            }
            other => (-1, ExprKind::Unsupported(other_name(&other))),
        };
        Ok(Expr { kind, pos: self.pos(location) })
    }

    fn boolean(&mut self, expr: protobuf::BoolExpr) -> Lowered<ExprKind> {
        let and = expr.boolop == BoolExprType::AndExpr as i32;
        let or = expr.boolop == BoolExprType::OrExpr as i32;
        let mut args = self.exprs(expr.args)?;
        Ok(match (and, or) {
            (true, _) => ExprKind::And(args),
            (_, true) => ExprKind::Or(args),
            _ => ExprKind::Not(Box::new(args.pop().ok_or_else(missing)?)),
        })
    }

    fn operator(&mut self, e: protobuf::AExpr) -> Lowered<ExprKind> {
        let kind = AExprKind::try_from(e.kind).unwrap_or(AExprKind::Undefined);
        match kind {
            AExprKind::AexprBetween
            | AExprKind::AexprNotBetween
            | AExprKind::AexprBetweenSym
            | AExprKind::AexprNotBetweenSym => self.between(e, kind),
            AExprKind::AexprIn => {
                let not = strings(e.name).first().is_some_and(|name| name == "<>");
                let expr = self.boxed(e.lexpr)?;
                let list = self.exprs(items(e.rexpr)?)?;
                Ok(ExprKind::InList { expr, list, not })
            }
            AExprKind::AexprDistinct | AExprKind::AexprNotDistinct => {
                let not = kind == AExprKind::AexprNotDistinct;
                Ok(ExprKind::IsDistinct(self.boxed(e.lexpr)?, self.boxed(e.rexpr)?, not))
            }
            AExprKind::AexprNullif => {
                Ok(ExprKind::NullIf(self.boxed(e.lexpr)?, self.boxed(e.rexpr)?))
            }
            AExprKind::AexprOpAny | AExprKind::AexprOpAll => {
                let op = operator_name(e.name)?;
                let expr = self.boxed(e.lexpr)?;
                let array = self.boxed(e.rexpr)?;
                Ok(ExprKind::AnyAll { expr, op, array, all: kind == AExprKind::AexprOpAll })
            }
            AExprKind::AexprOp
            | AExprKind::AexprLike
            | AExprKind::AexprIlike
            | AExprKind::AexprSimilar => {
                let op = operator_name(e.name)?;
                let left = e.lexpr.map(|node| self.boxed(Some(node))).transpose()?;
                Ok(ExprKind::Op { op, left, right: self.boxed(e.rexpr)? })
            }
            AExprKind::Undefined => Err(missing()),
        }
    }

    fn between(&mut self, e: protobuf::AExpr, kind: AExprKind) -> Lowered<ExprKind> {
        let expr = self.boxed(e.lexpr)?;
        let mut bounds = items(e.rexpr)?.into_iter();
        let low = Box::new(self.expr(bounds.next().ok_or_else(missing)?)?);
        let high = Box::new(self.expr(bounds.next().ok_or_else(missing)?)?);
        let not = matches!(kind, AExprKind::AexprNotBetween | AExprKind::AexprNotBetweenSym);
        let symmetric = matches!(kind, AExprKind::AexprBetweenSym | AExprKind::AexprNotBetweenSym);
        Ok(ExprKind::Between { expr, low, high, not, symmetric })
    }

    fn case(&mut self, case: protobuf::CaseExpr) -> Lowered<ExprKind> {
        let operand = case.arg.map(|node| self.boxed(Some(node))).transpose()?;
        let mut branches = Vec::with_capacity(case.args.len());
        for arg in case.args {
            let Some(N::CaseWhen(when)) = arg.node else { return Err(missing()) };
            let when = *when;
            branches.push((self.some(when.expr)?, self.some(when.result)?));
        }
        let otherwise = case.defresult.map(|node| self.boxed(Some(node))).transpose()?;
        Ok(ExprKind::Case { operand, branches, otherwise })
    }

    fn sublink(&mut self, link: protobuf::SubLink) -> Lowered<ExprKind> {
        let query = Box::new(self.subquery(link.subselect)?);
        let kind = SubLinkType::try_from(link.sub_link_type).unwrap_or(SubLinkType::Undefined);
        Ok(match kind {
            SubLinkType::ExistsSublink => ExprKind::Exists(query),
            SubLinkType::ExprSublink => ExprKind::Subquery(query),
            SubLinkType::ArraySublink => ExprKind::ArraySubquery(query),
            SubLinkType::AnySublink | SubLinkType::AllSublink => {
                let op = if link.oper_name.is_empty() {
                    "=".to_owned()
                } else {
                    operator_name(link.oper_name)?
                };
                let all = kind == SubLinkType::AllSublink;
                ExprKind::SubqueryCompare { expr: self.boxed(link.testexpr)?, op, query, all }
            }
            _ => ExprKind::Unsupported("this form of subquery"),
        })
    }

    /// `x[i]`, `(x).f` and chains of them.
    fn indirection(&mut self, i: protobuf::AIndirection) -> Lowered<Expr> {
        let mut expr = self.some(i.arg)?;
        for step in i.indirection {
            let pos = expr.pos;
            let inner = Box::new(expr);
            let kind = match step.node {
                Some(N::AIndices(indices)) => {
                    let indices = *indices;
                    let lower = indices.lidx.map(|n| self.boxed(Some(n))).transpose()?;
                    let upper = indices.uidx.map(|n| self.boxed(Some(n))).transpose()?;
                    if indices.is_slice {
                        ExprKind::Subscript { expr: inner, lower, upper, slice: true }
                    } else {
                        // The tree has a plain subscript as the upper index.
                        ExprKind::Subscript { expr: inner, lower: upper, upper: None, slice: false }
                    }
                }
                Some(N::String(field)) => ExprKind::Field(inner, field.sval),
                Some(N::AStar(_)) => ExprKind::Unsupported("(row).*"),
                _ => return Err(missing()),
            };
            expr = Expr { kind, pos };
        }
        Ok(expr)
    }
}

/// The items of a list node.
pub(super) fn items(node: Boxed) -> Lowered<Vec<Node>> {
    match node.and_then(|node| node.node) {
        Some(N::List(list)) => Ok(list.items),
        _ => Err(missing()),
    }
}

fn column(fields: Vec<Node>) -> ExprKind {
    let star = matches!(fields.last().and_then(|f| f.node.as_ref()), Some(N::AStar(_)));
    let parts = strings(fields);
    if star { ExprKind::Star(parts) } else { ExprKind::Column(parts) }
}

/// A constant.
pub(super) fn literal(c: protobuf::AConst) -> Lowered<Literal> {
    if c.isnull {
        return Ok(Literal::Null);
    }
    Ok(match c.val.ok_or_else(missing)? {
        a_const::Val::Ival(i) => Literal::Integer(i.ival),
        a_const::Val::Fval(f) => Literal::Number(f.fval),
        a_const::Val::Boolval(b) => Literal::Bool(b.boolval),
        a_const::Val::Sval(s) => Literal::String(s.sval),
        a_const::Val::Bsval(b) => Literal::Bits(b.bsval),
    })
}

/// An operator's name; a schema other than pg_catalog cannot be represented.
fn operator_name(mut nodes: Vec<Node>) -> Lowered<String> {
    let name = nodes.pop().and_then(string).ok_or_else(missing)?;
    match nodes.pop().and_then(string) {
        Some(schema) if schema != "pg_catalog" => {
            Err(Stop::Unsupported("an operator in a schema of its own"))
        }
        _ => Ok(name),
    }
}

/// IS [NOT] TRUE | FALSE | UNKNOWN as (value, NOT).
fn truth_test(kind: i32) -> (Option<bool>, bool) {
    match BoolTestType::try_from(kind).unwrap_or(BoolTestType::IsTrue) {
        BoolTestType::IsNotTrue => (Some(true), true),
        BoolTestType::IsFalse => (Some(false), false),
        BoolTestType::IsNotFalse => (Some(false), true),
        BoolTestType::IsUnknown => (None, false),
        BoolTestType::IsNotUnknown => (None, true),
        BoolTestType::IsTrue | BoolTestType::Undefined => (Some(true), false),
    }
}

fn value_function(op: i32) -> Lowered<&'static str> {
    use SqlValueFunctionOp as F;
    Ok(match F::try_from(op).unwrap_or(F::SqlvalueFunctionOpUndefined) {
        F::SvfopCurrentDate => "current_date",
        F::SvfopCurrentTime | F::SvfopCurrentTimeN => "current_time",
        F::SvfopCurrentTimestamp | F::SvfopCurrentTimestampN => "current_timestamp",
        F::SvfopLocaltime | F::SvfopLocaltimeN => "localtime",
        F::SvfopLocaltimestamp | F::SvfopLocaltimestampN => "localtimestamp",
        F::SvfopCurrentRole => "current_role",
        F::SvfopCurrentUser => "current_user",
        F::SvfopUser => "user",
        F::SvfopSessionUser => "session_user",
        F::SvfopCurrentCatalog => "current_catalog",
        F::SvfopCurrentSchema => "current_schema",
        F::SqlvalueFunctionOpUndefined => return Err(missing()),
    })
}

/// Names of the expression nodes that the tree of ours has no place for.
fn other_name(node: &N) -> &'static str {
    match node {
        N::XmlExpr(_) | N::XmlSerialize(_) => "XML",
        N::CurrentOfExpr(_) => "WHERE CURRENT OF",
        N::MultiAssignRef(_) => "assignment of a row",
        N::MergeSupportFunc(_) => "MERGE_ACTION",
        N::JsonObjectConstructor(_)
        | N::JsonArrayConstructor(_)
        | N::JsonArrayQueryConstructor(_)
        | N::JsonObjectAgg(_)
        | N::JsonArrayAgg(_)
        | N::JsonFuncExpr(_)
        | N::JsonParseExpr(_)
        | N::JsonScalarExpr(_)
        | N::JsonSerializeExpr(_)
        | N::JsonIsPredicate(_)
        | N::JsonExpr(_) => "an SQL/JSON expression",
        _ => "this expression",
    }
}

/// A column by name alone, for keys of indexes and constraints.
pub(super) fn plain_column(name: String, pos: u32) -> Expr {
    Expr { kind: ExprKind::Column(vec![name]), pos }
}

/// A collation's name out of a list of strings.
pub(super) fn collation(nodes: Vec<Node>, pos: u32) -> Lowered<Option<Name>> {
    if nodes.is_empty() { Ok(None) } else { qualified(nodes, pos).map(Some) }
}
