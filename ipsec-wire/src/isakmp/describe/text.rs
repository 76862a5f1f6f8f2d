use super::{Field, Sink, Value};
use core::fmt::{self, Write};

/// Octets in one row of text.
const ROW: usize = 32;

/// A sink that prints lines, indented by two for each level.
pub struct Text<'w> {
    out: &'w mut dyn Write,
    depth: usize,
}

impl<'w> Text<'w> {
    /// Returns a sink that prints to `out`.
    pub fn new(out: &'w mut dyn Write) -> Self {
        Self { out, depth: 0 }
    }

    fn indent(&mut self) -> fmt::Result {
        (0..self.depth).try_for_each(|_| self.out.write_str("  "))
    }

    /// Prints what fits on one line, then the long octets below it.
    fn fields(&mut self, head: &str, fields: &[Field<'_>]) -> fmt::Result {
        self.indent()?;
        self.out.write_str(head)?;
        let mut separator = if head.is_empty() { "" } else { " " };
        for field in fields {
            self.out.write_str(separator)?;
            separator = "  ";
            self.out.write_str(field.name)?;
            if let Some(number) = field.number {
                write!(self.out, " ({number})")?;
            }
            self.out.write_str(": ")?;
            self.value(&field.value)?;
        }
        self.out.write_str("\n")?;
        for field in fields {
            if let Value::Octets(octets) | Value::Broken(_, octets) = field.value
                && octets.len() > ROW
            {
                self.rows(octets)?;
            }
        }
        Ok(())
    }

    fn value(&mut self, value: &Value<'_>) -> fmt::Result {
        match *value {
            Value::Number(number) => write!(self.out, "{number}"),
            Value::Named(name, number) => write!(self.out, "{} ({number})", name.unwrap_or("unknown")),
            Value::Bits(bits, digits) => write!(self.out, "{bits:0digits$x}"),
            Value::Shown(shown) => write!(self.out, "{shown}"),
            Value::Address(address) => write!(self.out, "{address}"),
            Value::Readable(octets) => write!(self.out, "\"{}\"", octets.escape_ascii()),
            Value::Octets(octets) => self.octets(octets),
            Value::Hidden(count) => write!(self.out, "({count} octets, not shown)"),
            Value::Broken(kind, octets) => {
                write!(self.out, "BROKEN, {kind}: ")?;
                self.octets(octets)
            }
        }
    }

    fn octets(&mut self, octets: &[u8]) -> fmt::Result {
        match octets.len() {
            0 => self.out.write_str("(empty)"),
            1..=ROW => self.hex(octets),
            long => write!(self.out, "({long} octets)"),
        }
    }

    fn rows(&mut self, octets: &[u8]) -> fmt::Result {
        for row in octets.chunks(ROW) {
            self.indent()?;
            self.out.write_str("  ")?;
            self.hex(row)?;
            self.out.write_str("\n")?;
        }
        Ok(())
    }

    fn hex(&mut self, octets: &[u8]) -> fmt::Result {
        octets.iter().try_for_each(|octet| write!(self.out, "{octet:02x}"))
    }
}

impl Sink for Text<'_> {
    fn begin(&mut self, kind: &'static str, fields: &[Field<'_>]) -> fmt::Result {
        self.fields(kind, fields)?;
        self.depth = self.depth.saturating_add(1);
        Ok(())
    }

    fn line(&mut self, fields: &[Field<'_>]) -> fmt::Result {
        self.fields("", fields)
    }

    fn end(&mut self) -> fmt::Result {
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }
}
