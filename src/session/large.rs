//! Large objects: the function call message, and their functions in SQL.
//!
//! Owns the session's descriptors, which end with the transaction. Large objects cannot be
//! carried to PostgreSQL by the mirror, so they are served only while none is attached.
//! Start at [`Session::function_call`].

use bytes::{BufMut, Bytes};
use tokio::task::block_in_place;

use super::{Session, Step};
use crate::backend::sqlite::{Connection, large};
use crate::error::{Error, Result, state};
use crate::sql::plan::QueryKind;
use crate::sql::types::tables;
use crate::value::{Cell, Format};
use crate::wire::{FunctionCall, write};

const INV_WRITE: i64 = 0x0002_0000;
const INV_READ: i64 = 0x0004_0000;

/// An open large object.
#[derive(Clone, Debug)]
pub(super) struct Descriptor {
    oid: u32,
    at: i64,
    reads: bool,
    writes: bool,
}

/// An argument or a result.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Int4(i64),
    Int8(i64),
    Oid(i64),
    Bytes(Vec<u8>),
    Void,
}

impl Value {
    fn number(&self) -> i64 {
        match self {
            Self::Int4(n) | Self::Int8(n) | Self::Oid(n) => *n,
            Self::Bytes(_) | Self::Void => 0,
        }
    }

    fn oid(&self) -> u32 {
        u32::try_from(self.number()).unwrap_or(0)
    }

    fn write(&self, format: Format) -> Option<Vec<u8>> {
        Some(match (self, format) {
            (Self::Void, _) => return None,
            (Self::Bytes(bytes), Format::Binary) => bytes.clone(),
            (Self::Bytes(bytes), Format::Text) => {
                let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
                format!("\\x{hex}").into_bytes()
            }
            (Self::Int8(n), Format::Binary) => n.to_be_bytes().to_vec(),
            (Self::Int4(n) | Self::Oid(n), Format::Binary) => {
                n.to_be_bytes().get(4..).unwrap_or_default().to_vec()
            }
            (_, Format::Text) => self.number().to_string().into_bytes(),
        })
    }
}

impl Session {
    /// FunctionCall: only the functions of large objects, which is what drivers call so.
    pub(super) async fn function_call(&mut self, call: &FunctionCall) -> Step<()> {
        self.start_clock();
        self.enter().await?;
        let proc = tables().proc_by_oid(call.oid).ok_or_else(|| {
            let message = format!("function with OID {} does not exist", call.oid);
            Error::client(state::UNDEFINED_FUNCTION, message)
        })?;
        if !is_large(proc.name) || proc.arguments.len() != call.arguments.len() {
            let what = format!("calling function {} by its OID", proc.name);
            return Err(Error::unsupported(what).into());
        }
        let mut arguments = Vec::with_capacity(call.arguments.len());
        let mut null = false;
        for ((format, bytes), ty) in call.arguments.iter().zip(proc.arguments.iter()) {
            match bytes {
                Some(bytes) => arguments.push(argument(*ty, *format, bytes)?),
                None => null = true,
            }
        }
        let result = match null {
            true => Value::Void,
            false => self.large_function(proc.name, &arguments).await?,
        };
        if self.transaction.block == super::transaction::Block::Implicit {
            self.commit().await?;
        }
        let out = self.io.out();
        let mark = write::begin(out, b'V');
        match result.write(call.result) {
            Some(bytes) => {
                out.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
                out.put_slice(&bytes);
            }
            None => out.put_i32(-1),
        }
        write::end(out, &mark);
        self.leave_gate();
        self.ready();
        self.flush().await
    }

    /// One function of large objects in SQL; None for another function.
    pub(super) async fn large_call(&mut self, name: &str, values: &[Option<String>]) -> Step<Cell> {
        let mut arguments = Vec::with_capacity(values.len());
        for value in values {
            let Some(value) = value else { return Ok(Cell::Null) };
            arguments.push(match (value.strip_prefix("\\x"), value.parse()) {
                (Some(hex), _) => Value::Bytes(from_hex(hex)),
                (None, Ok(number)) => Value::Int8(number),
                (None, Err(_)) => Value::Bytes(value.as_bytes().to_vec()),
            });
        }
        Ok(match self.large_function(name, &arguments).await? {
            Value::Bytes(bytes) => Cell::Blob(bytes),
            Value::Void => Cell::Text(String::new()),
            number => Cell::Integer(number.number()),
        })
    }

    async fn large_function(&mut self, name: &str, arguments: &[Value]) -> Step<Value> {
        let number = |i: usize| arguments.get(i).map_or(0, Value::number);
        let oid = arguments.first().map_or(0, Value::oid);
        let bytes = |i: usize| match arguments.get(i) {
            Some(Value::Bytes(bytes)) => bytes.clone(),
            _ => Vec::new(),
        };
        Ok(match name {
            "lo_create" | "lo_creat" => {
                let wanted = if name == "lo_creat" { 0 } else { oid };
                let made = self.with_writer(|c| large::create(c, wanted)).await?;
                Value::Oid(i64::from(made))
            }
            "lo_from_bytea" => {
                let data = bytes(1);
                let made = self
                    .with_writer(|c| {
                        let made = large::create(c, oid)?;
                        large::write(c, made, 0, &data)?;
                        Ok(made)
                    })
                    .await?;
                Value::Oid(i64::from(made))
            }
            "lo_unlink" => {
                let found = self.with_writer(|c| large::unlink(c, oid)).await?;
                if !found {
                    return Err(missing(oid).into());
                }
                Value::Int4(1)
            }
            "lo_get" => {
                let (at, length) = match arguments.len() {
                    3 => (number(1), number(2)),
                    _ => (0, i64::MAX),
                };
                self.must_exist(oid).await?;
                Value::Bytes(self.with_reader(|c| large::read(c, oid, at, length)).await?)
            }
            "lo_put" => {
                self.must_exist(oid).await?;
                let (at, data) = (number(1), bytes(2));
                self.with_writer(|c| large::write(c, oid, at, &data)).await?;
                Value::Void
            }
            "lo_open" => self.large_open(oid, number(1)).await?,
            "lo_close" => {
                let slot = self.descriptor_slot(number(0))?;
                *slot = None;
                Value::Int4(0)
            }
            "loread" => self.large_read(number(0), number(1)).await?,
            "lowrite" => self.large_write(number(0), &bytes(1)).await?,
            "lo_lseek" | "lo_lseek64" => {
                let at = self.large_seek(number(0), number(1), number(2)).await?;
                sized(name, at)?
            }
            "lo_tell" | "lo_tell64" => sized(name, self.descriptor(number(0))?.at)?,
            "lo_truncate" | "lo_truncate64" => {
                let descriptor = self.descriptor(number(0))?;
                may_write(number(0), &descriptor)?;
                let length = number(1);
                self.with_writer(|c| large::truncate(c, descriptor.oid, length)).await?;
                Value::Int4(0)
            }
            _ => return Err(Error::unsupported(format_args!("function {name}")).into()),
        })
    }

    async fn large_open(&mut self, oid: u32, mode: i64) -> Step<Value> {
        self.must_exist(oid).await?;
        let (reads, writes) = (mode & INV_READ != 0, mode & INV_WRITE != 0);
        if !reads && !writes {
            let message = format!("invalid flags for opening a large object: {mode}");
            return Err(Error::client(state::INVALID_PARAMETER_VALUE, message).into());
        }
        // PostgreSQL's INV_WRITE reads, too.
        let descriptor = Descriptor { oid, at: 0, reads: true, writes };
        let open = &mut self.large;
        let free = open.iter().position(Option::is_none);
        let slot = free.unwrap_or(open.len());
        match open.get_mut(slot) {
            Some(entry) => *entry = Some(descriptor),
            None => open.push(Some(descriptor)),
        }
        Ok(Value::Int4(i64::try_from(slot).unwrap_or(i64::MAX)))
    }

    async fn large_read(&mut self, slot: i64, length: i64) -> Step<Value> {
        let Descriptor { oid, at, reads, .. } = self.descriptor(slot)?;
        if !reads {
            let message = format!("large object descriptor {slot} was not opened for reading");
            return Err(Error::client(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into());
        }
        let bytes = self.with_reader(|c| large::read(c, oid, at, length)).await?;
        self.move_to(slot, at + i64::try_from(bytes.len()).unwrap_or(0))?;
        Ok(Value::Bytes(bytes))
    }

    async fn large_write(&mut self, slot: i64, bytes: &[u8]) -> Step<Value> {
        let descriptor = self.descriptor(slot)?;
        may_write(slot, &descriptor)?;
        let Descriptor { oid, at, .. } = descriptor;
        self.with_writer(|c| large::write(c, oid, at, bytes)).await?;
        let length = i64::try_from(bytes.len()).unwrap_or(0);
        self.move_to(slot, at + length)?;
        Ok(Value::Int4(length))
    }

    async fn large_seek(&mut self, slot: i64, offset: i64, whence: i64) -> Step<i64> {
        let Descriptor { oid, at, .. } = self.descriptor(slot)?;
        let base = match whence {
            0 => 0,
            1 => at,
            2 => self.with_reader(|c| large::size(c, oid)).await?.unwrap_or(0),
            _ => {
                let message = format!("invalid whence setting: {whence}");
                return Err(Error::client(state::INVALID_PARAMETER_VALUE, message).into());
            }
        };
        let to = base.saturating_add(offset);
        if to < 0 {
            let message = format!("invalid large object seek target: {to}");
            return Err(Error::client(state::INVALID_PARAMETER_VALUE, message).into());
        }
        self.move_to(slot, to)?;
        Ok(to)
    }

    fn descriptor_slot(&mut self, slot: i64) -> Result<&mut Option<Descriptor>> {
        let found = usize::try_from(slot).ok().and_then(|i| self.large.get_mut(i));
        found.filter(|d| d.is_some()).ok_or_else(|| {
            let message = format!("invalid large-object descriptor: {slot}");
            Error::client(state::UNDEFINED_OBJECT, message)
        })
    }

    fn descriptor(&mut self, slot: i64) -> Result<Descriptor> {
        let found = self.descriptor_slot(slot)?.clone();
        found.ok_or_else(|| Error::internal("a descriptor without an object"))
    }

    fn move_to(&mut self, slot: i64, at: i64) -> Result<()> {
        if let Some(descriptor) = self.descriptor_slot(slot)? {
            descriptor.at = at;
        }
        Ok(())
    }

    async fn must_exist(&mut self, oid: u32) -> Step<()> {
        match self.with_reader(|c| large::size(c, oid)).await? {
            Some(_) => Ok(()),
            None => Err(missing(oid).into()),
        }
    }

    async fn with_reader<T>(&mut self, run: impl FnOnce(&Connection) -> Result<T>) -> Step<T> {
        let reader = self.lane(QueryKind::Read).await?;
        let connection = match &reader {
            Some(reader) => reader,
            None => self.connection().ok_or_else(|| Error::internal("no connection"))?,
        };
        Ok(block_in_place(|| run(connection))?)
    }

    async fn with_writer<T>(&mut self, run: impl FnOnce(&Connection) -> Result<T>) -> Step<T> {
        if self.shared.upstreams.is_some() {
            return Err(Error::unsupported("writing large objects while PostgreSQL is attached")
                .hint("Store the bytes in a column of type bytea.")
                .into());
        }
        if self.transaction.read_only {
            return Err(super::query::read_only("a large object function").into());
        }
        self.take_writer().await?;
        let writer = self.transaction.writer().ok_or_else(|| Error::internal("no writer"))?;
        Ok(block_in_place(|| run(writer))?)
    }
}

/// Functions served here.
pub(super) fn is_large(name: &str) -> bool {
    name.starts_with("lo_") || matches!(name, "loread" | "lowrite")
}

fn may_write(slot: i64, descriptor: &Descriptor) -> Result<()> {
    if descriptor.writes {
        return Ok(());
    }
    let message = format!("large object descriptor {slot} was not opened for writing");
    Err(Error::client(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message))
}

/// A position, as wide as the function returns it.
fn sized(name: &str, at: i64) -> Result<Value> {
    if name.ends_with("64") {
        return Ok(Value::Int8(at));
    }
    if i32::try_from(at).is_err() {
        let message = format!("{name} result out of range for large-object descriptor");
        return Err(Error::client(state::NUMERIC_VALUE_OUT_OF_RANGE, message));
    }
    Ok(Value::Int4(at))
}

fn missing(oid: u32) -> Error {
    Error::client(state::UNDEFINED_OBJECT, format!("large object {oid} does not exist"))
}

fn argument(ty: u32, format: Format, bytes: &Bytes) -> Result<Value> {
    use crate::value::oid;
    let wrong = || {
        Error::client(
            state::INVALID_BINARY_REPRESENTATION,
            "incorrect binary data format in function argument",
        )
    };
    if format == Format::Text {
        let text = std::str::from_utf8(bytes).map_err(|_| wrong())?;
        return Ok(match (ty, text.strip_prefix("\\x")) {
            (oid::BYTEA, Some(hex)) => Value::Bytes(from_hex(hex)),
            (oid::BYTEA, None) => Value::Bytes(bytes.to_vec()),
            _ => Value::Int8(text.trim().parse().map_err(|_| wrong())?),
        });
    }
    Ok(match ty {
        oid::BYTEA => Value::Bytes(bytes.to_vec()),
        oid::INT8 => {
            Value::Int8(i64::from_be_bytes(bytes.as_ref().try_into().map_err(|_| wrong())?))
        }
        oid::INT4 => {
            let raw: [u8; 4] = bytes.as_ref().try_into().map_err(|_| wrong())?;
            Value::Int4(i64::from(i32::from_be_bytes(raw)))
        }
        _ => {
            let raw: [u8; 4] = bytes.as_ref().try_into().map_err(|_| wrong())?;
            Value::Oid(i64::from(u32::from_be_bytes(raw)))
        }
    })
}

fn from_hex(hex: &str) -> Vec<u8> {
    let digit = |b: &u8| (*b as char).to_digit(16).unwrap_or(0) as u8;
    hex.as_bytes()
        .chunks_exact(2)
        .map(|pair| pair.iter().map(digit).fold(0, |sum, d| sum << 4 | d))
        .collect()
}
