//! Functions in PL/pgSQL of the temporary schema, without arguments: a client makes one, calls
//! it as the only item of a SELECT's FROM, and drops it (Sequelize does, to insert a row or to be
//! told why not).
//!
//! The body runs as that of DO; then the SELECT runs over what its OUT variables hold. It must
//! never let one be seen by another session. Start at [`Session::call_temporary`].

use std::collections::HashMap;
use std::sync::Arc;

use super::super::plans::Entry;
use super::super::{Session, Step};
use super::{Running, named};
use crate::error::{Error, Result, state};
use crate::schema::Catalog;
use crate::sql::ast::{
    CreateFunction, Ddl, Dialect, ExprKind, Name, Parsed, Script, Select, SelectBody, Statement,
    TableRef, TypeName,
};
use crate::sql::pg::plpgsql;
use crate::sql::plan::Plan;
use crate::sql::types::sql_name_with_typmod;

/// Functions that a session may have.
const MOST: usize = 100;

/// A session's own functions, by name.
#[derive(Default)]
pub(in crate::session) struct Temporaries(HashMap<String, Arc<Function>>);

struct Function {
    outs: Vec<(String, TypeName)>,
    script: Script,
}

/// Whether a schema change is about a function of the temporary schema.
pub(in crate::session) fn concerns(change: &Ddl) -> bool {
    let own = |name: &Name| name.schema.as_deref() == Some("pg_temp");
    match change {
        Ddl::CreateFunction(create) => own(&create.name) && create.language == "plpgsql",
        Ddl::DropRoutines { routines, .. } => routines.iter().all(|r| own(&r.name)),
        _ => false,
    }
}

impl Session {
    /// CREATE FUNCTION and DROP FUNCTION in the temporary schema.
    pub(in crate::session) fn change_temporary(&mut self, change: &Ddl) -> Result<&'static str> {
        match change {
            Ddl::CreateFunction(create) => self.create_temporary(create),
            Ddl::DropRoutines { routines, if_exists, .. } => {
                for name in routines.iter().map(|r| &r.name) {
                    if self.functions.0.remove(&name.name).is_some() {
                        continue;
                    }
                    let message = format!("function pg_temp.{}() does not exist", name.name);
                    if !if_exists {
                        return Err(Error::client(state::UNDEFINED_FUNCTION, message));
                    }
                    let notice =
                        Error::client(state::SUCCESSFUL_COMPLETION, format!("{message}, skipping"));
                    self.notice(crate::wire::Severity::Notice, &notice);
                }
                Ok("DROP FUNCTION")
            }
            _ => Err(Error::internal("not a function")),
        }
    }

    fn create_temporary(&mut self, create: &CreateFunction) -> Result<&'static str> {
        let outs: Vec<(String, TypeName)> = create
            .parameters
            .iter()
            .filter(|p| p.mode == 'o')
            .map(|p| (p.name.clone().unwrap_or_default(), p.ty.clone()))
            .collect();
        let others = outs.len() < create.parameters.len() || create.set || create.procedure;
        if outs.is_empty() || others || create.strict {
            return Err(Error::unsupported("this function in the temporary schema"));
        }
        if self.functions.0.len() >= MOST && !self.functions.0.contains_key(&create.name.name) {
            let message = "too many functions in the temporary schema";
            return Err(Error::client(state::PROGRAM_LIMIT_EXCEEDED, message));
        }
        let script = plpgsql::script(&create.body).map_err(Error::without_position)?;
        let function = Function { outs, script };
        self.functions.0.insert(create.name.name.clone(), Arc::new(function));
        Ok("CREATE FUNCTION")
    }

    /// Runs the function that a SELECT reads from; the plan of the SELECT over its result. None
    /// for every other statement.
    pub(in crate::session) async fn call_temporary(
        &mut self,
        entry: &Entry,
    ) -> Step<Option<Arc<Plan>>> {
        if self.functions.0.is_empty() {
            return Ok(None);
        }
        let Some((select, name, alias)) = called(&entry.parsed.statement) else { return Ok(None) };
        let Some(function) = self.functions.0.get(name).cloned() else { return Ok(None) };
        let (select, alias) = (select.clone(), alias.to_owned());
        let context = format!("PL/pgSQL function pg_temp.{name}()");
        let mut running = Running { context, ..Running::default() };
        running.variables.enter();
        running.variables.declare("found", named("bool"), Some("f".to_owned()));
        running.variables.enter();
        let catalog = self.catalog();
        for (name, ty) in &function.outs {
            running.variables.declare_out(name, ty, &catalog)?;
        }
        Box::pin(self.script(&function.script, &mut running)).await?;
        let mut select = select;
        let SelectBody::Simple(body) = &mut select.body else { return Ok(None) };
        body.from.clear();
        for target in &mut body.targets {
            let column = match &target.expr.kind {
                ExprKind::Field(_, field) => Some(field.clone()),
                ExprKind::Column(parts) => parts.last().cloned(),
                _ => None,
            };
            target.alias = target.alias.take().or(column);
        }
        let select = running.variables.put_outs(&select, &alias)?;
        let parsed = Parsed {
            statement: Statement::Select(Box::new(select)),
            text: String::new(),
            offset: 0,
            dialect: Dialect::Postgres,
        };
        self.plan(&Entry::new(parsed), &[]).map(Some).map_err(Into::into)
    }
}

/// A SELECT from one function of the temporary schema: the function's name, and the name its
/// columns go by.
fn called(statement: &Statement) -> Option<(&Select, &str, &str)> {
    let Statement::Select(select) = statement else { return None };
    let SelectBody::Simple(body) = &select.body else { return None };
    let [TableRef::Function { call, alias, ordinality: false, columns, .. }] = body.from.as_slice()
    else {
        return None;
    };
    let ExprKind::Call(call) = &call.kind else { return None };
    let own = call.name.schema.as_deref() == Some("pg_temp") && call.args.is_empty();
    let renamed = alias.as_ref().is_some_and(|a| !a.columns.is_empty());
    if !own || renamed || !columns.is_empty() || select.with.is_some() {
        return None;
    }
    let alias = alias.as_ref().map_or(call.name.name.as_str(), |a| a.name.as_str());
    Some((select, &call.name.name, alias))
}

/// The columns of a type that is a table's row; None when it is none.
pub(super) fn row_type(
    ty: &TypeName,
    catalog: &Catalog,
) -> Result<Option<Vec<(String, TypeName)>>> {
    let public = matches!(ty.schema.as_deref(), None | Some("public"));
    let Some(relation) = catalog.relations.get(&ty.name).filter(|_| public && !ty.array) else {
        return Ok(None);
    };
    let mut columns = Vec::with_capacity(relation.columns.len());
    for column in &relation.columns {
        columns.push((column.name.clone(), plpgsql::type_name(&sql_name_with_typmod(column.ty))?));
    }
    Ok(Some(columns))
}
