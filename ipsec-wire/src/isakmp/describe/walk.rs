use super::payloads::payload;
use super::{Field, Options, Sink, Value, long_name};
use crate::error::{ErrorKind, WireError};
use crate::isakmp::header::generic;
use crate::isakmp::{Flags, Header, limits};
use crate::reader::Reader;
use crate::registry::PayloadType;
use core::fmt;

/// Describes a datagram: the header, and the chain behind it unless it is encrypted.
pub(super) fn message(datagram: &[u8], options: Options, sink: &mut dyn Sink) -> fmt::Result {
    let header = match Header::parse(datagram) {
        Ok(header) => header,
        Err(error) => {
            sink.begin("ISAKMP", &[])?;
            sink.line(&[fault(&error), Field::new("Octets", Value::Octets(datagram))])?;
            return sink.end();
        }
    };
    begin_header(&header, sink)?;
    let stated = usize::try_from(header.length).unwrap_or(usize::MAX);
    let (body, surplus) = datagram.split_at_checked(stated).unwrap_or((datagram, &[]));
    let body = body.get(Header::LEN..).unwrap_or_default();
    if stated != datagram.len() {
        let error = WireError::new(ErrorKind::Length, "message length", 24);
        sink.line(&[fault(&error), Field::count("Octets of the datagram", datagram.len())])?;
    }
    if header.flags.contains(Flags::ENCRYPTION) && header.next_payload != PayloadType::FRAGMENT {
        sink.line(&[Field::new("Encrypted", Value::Octets(body))])?;
    } else {
        let rest = chain(&header, Reader::at(body, Header::LEN), options, sink)?;
        if !rest.is_empty() {
            sink.line(&[Field::new("After the last payload", Value::Octets(rest))])?;
        }
    }
    if !surplus.is_empty() {
        sink.line(&[Field::new("After the message", Value::Octets(surplus))])?;
    }
    sink.end()
}

/// Describes a chain that was decrypted, under the header of its message.
pub(super) fn decrypted(header: &Header, octets: &[u8], options: Options, sink: &mut dyn Sink) -> fmt::Result {
    begin_header(header, sink)?;
    let rest = chain(header, Reader::new(octets), options, sink)?;
    if !rest.is_empty() {
        sink.line(&[Field::new("Padding", Value::Octets(rest))])?;
    }
    sink.end()
}

fn begin_header(header: &Header, sink: &mut dyn Sink) -> fmt::Result {
    sink.begin(
        "ISAKMP",
        &[
            Field::new(
                "Cookies",
                Value::Shown(&format_args!("{}:{}", header.initiator_cookie, header.responder_cookie)),
            ),
            Field::new("Xchg", Value::Named(header.exchange.name(), header.exchange.0.into())),
            Field::new("Ver", Value::Bits(Header::VERSION.into(), 2)),
            Field::new("Flags", Value::Shown(&header.flags)),
            Field::new("MessageID", Value::Shown(&header.message_id)),
            Field::number("Total Length", header.length),
        ],
    )
}

/// Describes payloads until the chain ends or breaks, and returns what is left.
fn chain<'a>(
    header: &Header,
    octets: Reader<'a>,
    options: Options,
    sink: &mut dyn Sink,
) -> Result<&'a [u8], fmt::Error> {
    let mut rest = octets;
    let mut next = header.next_payload;
    for number in 0..limits::PAYLOADS {
        if next == PayloadType::NONE {
            return Ok(rest.rest());
        }
        let this = next;
        let offset = rest.offset();
        match generic(&mut rest) {
            Ok((after, body)) => {
                sink.begin(
                    "Payload",
                    &[
                        Field::count("#", number),
                        Field::count("Length", body.len().saturating_add(4)),
                        Field::new("Type", Value::Named(Some(long_name(this)), this.0.into())),
                    ],
                )?;
                payload(header, this, body, offset, options, sink)?;
                sink.end()?;
                next = after;
            }
            Err(error) => {
                sink.begin(
                    "Payload",
                    &[
                        Field::count("#", number),
                        Field::new("Type", Value::Named(Some(long_name(this)), this.0.into())),
                    ],
                )?;
                sink.line(&[fault(&error)])?;
                sink.end()?;
                return Ok(rest.rest());
            }
        }
    }
    if next != PayloadType::NONE {
        sink.line(&[fault(&rest.error(ErrorKind::TooMany, "payloads"))])?;
    }
    Ok(rest.rest())
}

/// The field that tells an error.
pub(super) fn fault(error: &WireError) -> Field<'_> {
    Field::new("ERROR", Value::Shown(error))
}
