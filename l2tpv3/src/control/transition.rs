//! Which message is lawful when, and what it must carry: RFC 3931 §6 and §7 as data.

use crate::registry::{AttributeType as A, MessageType as M};
use crate::wire::Attributes;

/// The states of a control connection, as the RFC names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConnectionState {
    /// Nothing is there.
    Idle,
    /// SCCRQ sent.
    WaitCtlReply,
    /// SCCRP sent.
    WaitCtlConn,
    /// Up.
    Established,
    /// StopCCN sent or received.
    Closing,
}

impl ConnectionState {
    /// Returns the RFC's name of the state.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::WaitCtlReply => "wait-ctl-reply",
            Self::WaitCtlConn => "wait-ctl-conn",
            Self::Established => "established",
            Self::Closing => "closing",
        }
    }
}

/// One row: a message, where it is lawful, what must be in it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The message.
    pub message: M,
    /// The states of the connection in which it is lawful. In others it ends the connection, once
    /// its digest and number are right.
    pub lawful: &'static [ConnectionState],
    /// The AVPs without which it is malformed.
    pub required: &'static [A],
    /// The AVPs that the RFC demands too, but that peers in the field leave out.
    pub expected: &'static [A],
    /// Where the RFC says so.
    pub section: &'static str,
}

use ConnectionState::{Established, Idle, WaitCtlConn, WaitCtlReply};

const EVERYWHERE: &[ConnectionState] = &[WaitCtlReply, WaitCtlConn, Established];
const UP: &[ConnectionState] = &[Established];
const REQUEST: &[A] = &[A::LOCAL_SESSION_ID, A::PSEUDOWIRE_TYPE, A::REMOTE_END_ID];
const REQUEST_EXPECTED: &[A] = &[A::REMOTE_SESSION_ID, A::SERIAL_NUMBER, A::CIRCUIT_STATUS];
const IDS: &[A] = &[A::LOCAL_SESSION_ID, A::REMOTE_SESSION_ID];

/// The rows, by number of the message.
pub const TABLE: &[Row] = &[
    Row {
        message: M::SCCRQ,
        lawful: &[Idle],
        required: &[A::HOST_NAME, A::ASSIGNED_CONNECTION_ID, A::PSEUDOWIRE_CAPABILITIES],
        expected: &[A::ROUTER_ID],
        section: "RFC 3931 §6.1",
    },
    Row {
        message: M::SCCRP,
        lawful: &[WaitCtlReply],
        required: &[A::HOST_NAME, A::ASSIGNED_CONNECTION_ID, A::PSEUDOWIRE_CAPABILITIES],
        expected: &[A::ROUTER_ID],
        section: "RFC 3931 §6.2",
    },
    Row { message: M::SCCCN, lawful: &[WaitCtlConn], required: &[], expected: &[], section: "RFC 3931 §6.3" },
    Row {
        message: M::STOP_CCN,
        lawful: EVERYWHERE,
        required: &[],
        expected: &[A::RESULT_CODE, A::ASSIGNED_CONNECTION_ID],
        section: "RFC 3931 §6.4",
    },
    Row { message: M::HELLO, lawful: UP, required: &[], expected: &[], section: "RFC 3931 §6.5" },
    Row { message: M::OCRQ, lawful: UP, required: REQUEST, expected: REQUEST_EXPECTED, section: "RFC 3931 §6.9" },
    Row { message: M::OCRP, lawful: UP, required: IDS, expected: &[A::CIRCUIT_STATUS], section: "RFC 3931 §6.10" },
    Row { message: M::OCCN, lawful: UP, required: IDS, expected: &[], section: "RFC 3931 §6.11" },
    Row { message: M::ICRQ, lawful: UP, required: REQUEST, expected: REQUEST_EXPECTED, section: "RFC 3931 §6.6" },
    Row { message: M::ICRP, lawful: UP, required: IDS, expected: &[A::CIRCUIT_STATUS], section: "RFC 3931 §6.7" },
    Row { message: M::ICCN, lawful: UP, required: IDS, expected: &[], section: "RFC 3931 §6.8" },
    Row {
        message: M::CDN,
        lawful: UP,
        required: &[],
        expected: &[A::RESULT_CODE, A::LOCAL_SESSION_ID, A::REMOTE_SESSION_ID],
        section: "RFC 3931 §6.12",
    },
    Row { message: M::WEN, lawful: UP, required: &[A::CIRCUIT_ERRORS], expected: IDS, section: "RFC 3931 §6.13" },
    Row { message: M::SLI, lawful: UP, required: &[], expected: IDS, section: "RFC 3931 §6.14" },
];

/// Returns the row of a message.
pub fn row(message: M) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.message == message)
}

impl Row {
    /// Returns the first AVP that is missing.
    pub fn missing(&self, attributes: &Attributes<'_>) -> Option<A> {
        self.required.iter().copied().find(|attribute| !carries(attributes, *attribute))
    }
}

/// Returns whether one of the AVPs that the table names is there.
fn carries(attributes: &Attributes<'_>, attribute: A) -> bool {
    match attribute {
        A::RESULT_CODE => attributes.result.is_some(),
        A::HOST_NAME => attributes.host_name.is_some(),
        A::ROUTER_ID => attributes.router_id.is_some(),
        A::ASSIGNED_CONNECTION_ID => attributes.assigned_connection_id.is_some(),
        A::PSEUDOWIRE_CAPABILITIES => attributes.capabilities.is_some(),
        A::LOCAL_SESSION_ID => attributes.local_session_id.is_some(),
        A::REMOTE_SESSION_ID => attributes.remote_session_id.is_some(),
        A::SERIAL_NUMBER => attributes.serial_number.is_some(),
        A::PSEUDOWIRE_TYPE => attributes.pseudowire.is_some(),
        A::REMOTE_END_ID => attributes.remote_end_id.is_some(),
        A::CIRCUIT_STATUS => attributes.circuit_status.is_some(),
        A::CIRCUIT_ERRORS => attributes.circuit_errors.is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Collected, ControlMessage, RawAvp, RawMessage};

    #[test]
    fn an_empty_message_lacks_the_first_required_avp_of_its_row() {
        for row in TABLE {
            assert_eq!(row.missing(&Attributes::default()), row.required.first().copied(), "{}", row.message);
        }
    }

    #[test]
    fn every_avp_of_the_table_is_seen_when_it_is_there() {
        for attribute in TABLE.iter().flat_map(|row| row.required.iter().chain(row.expected)) {
            let length = match *attribute {
                A::CIRCUIT_ERRORS => 18,
                A::RESULT_CODE | A::PSEUDOWIRE_TYPE | A::PSEUDOWIRE_CAPABILITIES | A::CIRCUIT_STATUS => 2,
                _ => 4,
            };
            let kind = RawAvp { flags: 0x8000, value: alloc::vec![0, 1], ..RawAvp::default() };
            let avp = RawAvp { attribute: attribute.0, value: alloc::vec![1; length], ..RawAvp::default() };
            let octets = RawMessage { avps: alloc::vec![kind, avp], ..RawMessage::default() }.octets();
            let collected = Collected::read(&ControlMessage::parse(&octets).unwrap(), None).unwrap();
            assert!(carries(&collected.attributes, *attribute), "{attribute}");
        }
    }
}
