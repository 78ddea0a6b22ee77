//! CREATE FUNCTION, CREATE TRIGGER and COMMENT ON.

use pg_query::protobuf::{self, FunctionParameterMode, ObjectType, node::Node as N};

use super::ddl::object_kind;
use super::types::option_truth;
use super::{Lower, Lowered, Stop, deparse, missing, qualified, string, strings, text_of};
use crate::sql::ast::{CreateFunction, CreateTrigger, Ddl};

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
        if f.is_procedure {
            return Err(Stop::Unsupported("CREATE PROCEDURE"));
        }
        let text = function_text(&f)?;
        let mut function = CreateFunction {
            name: qualified(f.funcname, 0)?,
            replace: f.replace,
            arguments: Vec::with_capacity(f.parameters.len()),
            outs: Vec::new(),
            returns: f.return_type.map(|ty| self.type_name(ty)).transpose()?,
            language: "sql".to_owned(),
            body: String::new(),
            volatility: 'v',
            strict: false,
            refused: f.sql_body.is_some().then_some("a function body in SQL-standard form"),
            text,
        };
        for node in f.parameters {
            let Some(N::FunctionParameter(parameter)) = node.node else { return Err(missing()) };
            let plain = matches!(
                FunctionParameterMode::try_from(parameter.mode),
                Ok(FunctionParameterMode::FuncParamIn | FunctionParameterMode::FuncParamDefault)
            );
            if !plain || parameter.defexpr.is_some() {
                function.refused = Some("a function with OUT, VARIADIC or DEFAULT arguments");
            }
            let ty = self.some_type(parameter.arg_type)?;
            let is_out = FunctionParameterMode::try_from(parameter.mode)
                == Ok(FunctionParameterMode::FuncParamOut);
            if is_out {
                function.outs.push((parameter.name, ty));
                continue;
            }
            function.arguments.push((text_of(parameter.name), ty));
        }
        for node in f.options {
            let Some(N::DefElem(option)) = node.node else { return Err(missing()) };
            function_option(&mut function, *option);
        }
        Ok(Ddl::CreateFunction(Box::new(function)))
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
