//! What PostgreSQL says when it refuses: every field of the error, for some four hundred
//! statements.

use crate::common::same_in_full;

#[test]
fn refusals_are_postgresqls_in_every_field() {
    let statements = include_str!("errors.sql");
    let script: Vec<String> = statements.lines().map(|line| format!("Q {line}")).collect();
    same_in_full(&script.join("\n"));
}

#[test]
fn the_refused_row_is_named_in_the_extended_protocol_and_in_blocks() {
    same_in_full(
        r"
        Q create table p(id int primary key, name text not null unique)
        Q create table c(id serial primary key, pid int not null references p(id), n numeric(5,2))
        Q insert into p values (1, 'a'), (2, 'b')
        P |insert into p values ($1, $2)|23,25
        B |||
        B ||1,x
        E
        S
        P |insert into p values ($1, $2)|23,25
        B ||3,NULL
        E
        S
        P |insert into c(pid, n) values ($1, $2)|23,1700
        B ||7,1.5
        E
        S
        Q begin
        Q insert into p values (5, 'e')
        Q savepoint s
        Q insert into p values (6, 'e')
        Q rollback to s
        Q insert into p select id, 'z' || id from p
        Q rollback
        Q insert into p values (8, 'h'), (9, 'i'), (8, 'j')
        Q insert into c(pid) values (1)
        Q delete from p
        Q update p set id = id + 10 where id = 1
        Q update p set name = 'b'
        Q update p set name = null where id = 2
        ",
    );
}
