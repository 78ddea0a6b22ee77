//! Aggregates and window functions: DISTINCT, ORDER BY and FILTER around the registry's templates.

use super::Value;
use super::call::{expand, unsupported_function};
use super::codec::{Class, bare, comparable, element, key, logical, suits};
use super::names::Printer;
use super::registry::{Kind, lookup};
use crate::error::{Error, Result};
use crate::schema::Codec;
use crate::sql::fault;
use crate::sql::ir::{Call, Expr, Sort};
use crate::sql::types::array_of;
use crate::value::Type;

impl Printer {
    /// An aggregate call, over a window or not.
    pub(super) fn aggregate(&mut self, call: &Call, ty: Type) -> Result<Value> {
        if call.lite {
            return self.lite_aggregate(call, ty);
        }
        let mut args = self.arguments(call)?;
        let mut types: Vec<u32> = call.args.iter().map(|e| e.ty.oid).collect();
        if crate::sql::types::ordered_set(&call.name, call.oid) {
            for sort in &call.order_by {
                args.push(self.value(&sort.expr)?);
                types.push(sort.expr.ty.oid);
            }
        }
        let mut value = self.aggregate_core(call, &args, &types, ty)?;
        if let Some(filter) = &call.filter
            && !fault::on("aggregate_filter")
        {
            value.sql.push_str(&format!(" FILTER (WHERE {})", self.logical(filter)?));
        }
        if let Some(over) = &call.over {
            if call.distinct || !call.order_by.is_empty() {
                return Err(Error::unsupported("DISTINCT or ORDER BY in a window aggregate"));
            }
            value.sql.push_str(&self.over(over)?);
        }
        Ok(value)
    }

    fn aggregate_core(
        &mut self,
        call: &Call,
        args: &[Value],
        types: &[u32],
        ty: Type,
    ) -> Result<Value> {
        if call.star {
            return Ok(Value::logical("count(*)", ty));
        }
        if let (name @ ("min" | "max"), [value]) = (call.name.as_str(), args) {
            return Ok(extreme(name, value, ty));
        }
        if call.name == "array_agg" && types.iter().any(|t| element(*t).is_some()) {
            return Err(Error::unsupported("an array of more than one dimension"));
        }
        let template = lookup(Kind::Aggregate, &call.name, types)
            .ok_or_else(|| unsupported_function(&call.name, types))?;
        if call.distinct && !fault::on("aggregate_distinct") {
            return self.distinct_aggregate(call, args, template, ty);
        }
        let mut sql = expand(template, args, ty)?;
        let order = self.sorts(&call.order_by)?;
        if !order.is_empty() {
            let end = sql.rfind(')').unwrap_or(sql.len());
            sql.insert_str(end, &format!(" ORDER BY {order}"));
        }
        Ok(Value::logical(sql, ty))
    }

    fn distinct_aggregate(
        &mut self,
        call: &Call,
        args: &[Value],
        template: &str,
        ty: Type,
    ) -> Result<Value> {
        let Some(first) = args.first() else {
            return Err(Error::unsupported("DISTINCT without an argument"));
        };
        if let ("jsonb_agg", None, Some(array)) =
            (call.name.as_str(), &call.filter, array_of(first.ty.oid))
        {
            // The list of what array_agg() would gather.
            let call = Call { name: "array_agg".to_owned(), ..call.clone() };
            let array = Type::new(array);
            let gathered = self.distinct_aggregate(&call, args, "pg_array_agg($1)", array)?;
            let template = lookup(Kind::Function, "to_jsonb", &[array.oid])
                .ok_or_else(|| unsupported_function("to_jsonb", &[array.oid]))?;
            return Ok(Value::logical(expand(template, &[gathered], ty)?, ty));
        }
        // PostgreSQL sorts to find duplicates, so these come out sorted.
        if matches!(call.name.as_str(), "string_agg" | "array_agg") {
            let descending = sorted_by_argument(&call.order_by, &call.args)
                .ok_or_else(|| Error::unsupported("this ORDER BY in a DISTINCT aggregate"))?;
            let mut items = vec![u8::from(descending).to_string(), key(&logical(first), first.ty)];
            items.extend(args.iter().map(logical));
            return Ok(Value::logical(
                format!("pg_{}_distinct({})", call.name, items.join(", ")),
                ty,
            ));
        }
        let further = template.contains(',');
        if args.len() > 1 || further || !call.order_by.is_empty() {
            return Err(Error::unsupported("this DISTINCT aggregate"));
        }
        if call.name == "count" {
            let sql = format!("count(DISTINCT {})", comparable(first, Class::Equality));
            return Ok(Value::logical(sql, ty));
        }
        let logical_safe = suits(Codec::Identity, first.ty, Class::Equality);
        if !logical_safe || first.collated {
            return Err(Error::unsupported("this DISTINCT aggregate over this type"));
        }
        let sql = expand(template, args, ty)?;
        Ok(Value::logical(sql.replacen('(', "(DISTINCT ", 1), ty))
    }
}

/// min and max: SQLite's own over what sorts as stored, else by key.
fn extreme(name: &str, value: &Value, ty: Type) -> Value {
    if suits(value.codec, value.ty, Class::Order) {
        let sql = format!("{name}({})", bare(value));
        return Value { sql, collated: false, not_null: false, ..value.clone() };
    }
    let cell = logical(value);
    Value::logical(format!("pg_{name}_by({}, {cell})", key(&cell, value.ty)), ty)
}

/// ORDER BY absent or over the first argument itself: whether it descends.
fn sorted_by_argument(order: &[Sort], args: &[Expr]) -> Option<bool> {
    match order {
        [] => Some(false),
        [one] if args.first() == Some(&one.expr) => Some(one.descending),
        _ => None,
    }
}
