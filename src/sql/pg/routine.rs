//! CREATE FUNCTION, CREATE TRIGGER and COMMENT ON.

use pg_query::protobuf::{self, FunctionParameterMode, ObjectType, node::Node as N};

use super::ddl::object_kind;
use super::types::option_truth;
use super::{Lower, Lowered, deparse, missing, qualified, string, strings, text_of};
use crate::sql::ast::{
    CreateFunction, CreateTrigger, Ddl, ExprKind, Parameter, RoutineKind, RoutineName, Statement,
};

type Node = protobuf::Node;

/// Bits of a trigger's timing and events, as the parse tree numbers them.
mod trigger {
    pub(super) const BEFORE: i32 = 1 << 1;
    pub(super) const INSERT: i32 = 1 << 2;
    pub(super) const DELETE: i32 = 1 << 3;
    pub(super) const UPDATE: i32 = 1 << 4;
    pub(super) const TRUNCATE: i32 = 1 << 5;
    pub(super) const INSTEAD: i32 = 1 << 6;
}

impl Lower<'_> {
    pub(super) fn create_function(&mut self, f: protobuf::CreateFunctionStmt) -> Lowered<Ddl> {
        let text = function_text(&f)?;
        let mut returns = f.return_type;
        let set = returns.as_mut().is_some_and(|ty| std::mem::take(&mut ty.setof));
        let mut function = CreateFunction {
            name: qualified(f.funcname, 0)?,
            replace: f.replace,
            procedure: f.is_procedure,
            parameters: Vec::with_capacity(f.parameters.len()),
            returns: returns.map(|ty| self.type_name(ty)).transpose()?,
            set,
            language: "sql".to_owned(),
            body: String::new(),
            volatility: 'v',
            strict: false,
            refused: f.sql_body.is_some().then_some("a function body in SQL-standard form"),
            text,
        };
        for node in f.parameters {
            let Some(N::FunctionParameter(parameter)) = node.node else { return Err(missing()) };
            let mode = match FunctionParameterMode::try_from(parameter.mode) {
                Ok(FunctionParameterMode::FuncParamOut) => 'o',
                Ok(FunctionParameterMode::FuncParamInout) => 'b',
                Ok(FunctionParameterMode::FuncParamTable) => 't',
                Ok(FunctionParameterMode::FuncParamVariadic) => {
                    function.refused = Some("a function with VARIADIC arguments");
                    'v'
                }
                _ => 'i',
            };
            let ty = self.some_type(parameter.arg_type)?;
            let default = match parameter.defexpr {
                None => None,
                node => Some(self.with_text(node)?),
            };
            let name = text_of(parameter.name);
            function.parameters.push(Parameter { name, ty, mode, default });
        }
        for node in f.options {
            let Some(N::DefElem(option)) = node.node else { return Err(missing()) };
            function_option(&mut function, *option);
        }
        Ok(Ddl::CreateFunction(Box::new(function)))
    }

    /// DROP FUNCTION, PROCEDURE, ROUTINE and AGGREGATE.
    pub(super) fn drop_routines(
        &mut self,
        kind: RoutineKind,
        drop: protobuf::DropStmt,
    ) -> Lowered<Ddl> {
        let mut routines = Vec::with_capacity(drop.objects.len());
        for node in drop.objects {
            let Some(N::ObjectWithArgs(object)) = node.node else { return Err(missing()) };
            routines.push(self.routine_name(object)?);
        }
        let cascade = drop.behavior == protobuf::DropBehavior::DropCascade as i32;
        Ok(Ddl::DropRoutines { kind, routines, if_exists: drop.missing_ok, cascade })
    }

    fn routine_name(&mut self, object: protobuf::ObjectWithArgs) -> Lowered<RoutineName> {
        let mut arguments = Vec::with_capacity(object.objargs.len());
        for node in object.objargs {
            let Some(N::TypeName(ty)) = node.node else { return Err(missing()) };
            arguments.push(self.type_name(ty)?);
        }
        let arguments = (!object.args_unspecified).then_some(arguments);
        Ok(RoutineName { name: qualified(object.objname, 0)?, arguments })
    }

    /// CALL
    pub(super) fn call_procedure(&mut self, call: protobuf::CallStmt) -> Lowered<Statement> {
        match self.call(*call.funccall.ok_or_else(missing)?)? {
            ExprKind::Call(call) => Ok(Statement::Call(call)),
            _ => Err(missing()),
        }
    }

    pub(super) fn create_trigger(&mut self, t: protobuf::CreateTrigStmt) -> Lowered<Ddl> {
        let refused = if t.isconstraint || t.deferrable {
            Some("CREATE CONSTRAINT TRIGGER")
        } else if !t.row {
            Some("a trigger FOR EACH STATEMENT")
        } else if t.timing & trigger::INSTEAD != 0 {
            Some("an INSTEAD OF trigger")
        } else if t.events & trigger::TRUNCATE != 0 {
            Some("a trigger on TRUNCATE")
        } else if !t.transition_rels.is_empty() {
            Some("a trigger with transition tables")
        } else {
            None
        };
        let event = |bit: i32| t.events & bit != 0;
        let when = match t.when_clause {
            None => None,
            node => Some(self.with_text(node)?),
        };
        Ok(Ddl::CreateTrigger(Box::new(CreateTrigger {
            name: t.trigname,
            replace: t.replace,
            table: self.relation(t.relation)?,
            function: qualified(t.funcname, 0)?,
            before: t.timing & trigger::BEFORE != 0,
            events: [event(trigger::INSERT), event(trigger::UPDATE), event(trigger::DELETE)],
            columns: strings(t.columns),
            when,
            arguments: strings(t.args),
            refused,
        })))
    }

    pub(super) fn comment(&mut self, comment: protobuf::CommentStmt) -> Lowered<Ddl> {
        let ty = ObjectType::try_from(comment.objtype).unwrap_or(ObjectType::Undefined);
        let text = text_of(comment.comment);
        let kind = object_kind(comment.objtype);
        let object = comment.object.map(|node| *node).ok_or_else(missing)?;
        let of_table = matches!(
            ty,
            ObjectType::ObjectColumn | ObjectType::ObjectTabconstraint | ObjectType::ObjectTrigger
        );
        let (name, part) = match object.node {
            Some(N::List(mut list)) if of_table => {
                let part = list.items.pop().and_then(string).ok_or_else(missing)?;
                (qualified(list.items, 0)?, Some(part))
            }
            node => (super::ddl::object_name(Node { node })?, None),
        };
        Ok(Ddl::Comment { kind, name, part, text })
    }
}

/// The statement as PostgreSQL is to run it: in schema public, and over a former one.
fn function_text(f: &protobuf::CreateFunctionStmt) -> Lowered<String> {
    let mut own = f.clone();
    own.replace = true;
    if own.funcname.len() == 1 {
        let schema = protobuf::String { sval: "public".to_owned() };
        own.funcname.insert(0, Node { node: Some(N::String(schema)) });
    }
    deparse::statement(N::CreateFunctionStmt(Box::new(own)))
}

fn function_option(function: &mut CreateFunction, option: protobuf::DefElem) {
    let name = option.defname;
    let word = |arg: &Option<Box<Node>>| arg.clone().and_then(|node| string(*node));
    match name.as_str() {
        "as" => match option.arg.and_then(|node| node.node) {
            Some(N::List(list)) if list.items.len() == 1 => {
                function.body = strings(list.items).pop().unwrap_or_default();
            }
            _ => function.refused = Some("a function in a library"),
        },
        "language" => {
            function.language = word(&option.arg).unwrap_or_default().to_ascii_lowercase();
        }
        "volatility" => {
            let word = word(&option.arg).unwrap_or_default();
            function.volatility = match word.as_str() {
                "immutable" => 'i',
                "stable" => 's',
                _ => 'v',
            };
        }
        "strict" => function.strict = option_truth(option.arg.map(|node| *node)),
        "security" => {
            if option_truth(option.arg.map(|node| *node)) {
                function.refused = Some("SECURITY DEFINER");
            }
        }
        "leakproof" | "cost" | "rows" | "parallel" | "support" => {}
        _ => function.refused = Some("this option of CREATE FUNCTION"),
    }
}
