use crate::error::ErrorKind;
use core::fmt;
use core::net::IpAddr;

/// Takes a description, piece by piece.
///
/// A description is a tree: [`begin`](Self::begin) opens a node with the fields that belong on its
/// first line, [`line`](Self::line) adds fields to it, [`end`](Self::end) closes it.
pub trait Sink {
    /// Opens a node: a header, a payload, a proposal.
    ///
    /// # Errors
    /// When the sink cannot go on.
    fn begin(&mut self, kind: &'static str, fields: &[Field<'_>]) -> fmt::Result;

    /// Adds fields to the open node.
    ///
    /// # Errors
    /// When the sink cannot go on.
    fn line(&mut self, fields: &[Field<'_>]) -> fmt::Result;

    /// Closes the open node.
    ///
    /// # Errors
    /// When the sink cannot go on.
    fn end(&mut self) -> fmt::Result;
}

/// One field of a node.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    /// What it is called.
    pub name: &'static str,
    /// The number that names it on the wire, for attributes.
    pub number: Option<u16>,
    /// What it holds.
    pub value: Value<'a>,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// A number.
    Number(u64),
    /// A number of a registry, with its name if it has one.
    Named(Option<&'static str>, u64),
    /// Bits, printed in hexadecimal of this many digits.
    Bits(u64, usize),
    /// Something that prints itself on one line.
    Shown(&'a dyn fmt::Display),
    /// An address.
    Address(IpAddr),
    /// Octets that are meant to be read.
    Readable(&'a [u8]),
    /// Octets.
    Octets(&'a [u8]),
    /// Octets that must not be shown, by their count.
    Hidden(usize),
    /// Octets that cannot be read as what they should be.
    Broken(ErrorKind, &'a [u8]),
}

impl<'a> Field<'a> {
    /// Returns a field.
    pub const fn new(name: &'static str, value: Value<'a>) -> Self {
        Self { name, number: None, value }
    }

    /// Returns a field of a plain number.
    pub fn number(name: &'static str, number: impl Into<u64>) -> Self {
        Self::new(name, Value::Number(number.into()))
    }

    /// Returns a field of a count or a length.
    pub fn count(name: &'static str, count: usize) -> Self {
        Self::new(name, Value::Number(u64::try_from(count).unwrap_or(u64::MAX)))
    }
}
