//! One line for a control message or an event.

use drive::Path;
use l2tpv3::registry::{CdnResult, StopResult};
use l2tpv3::wire::{Carrier, Collected, Packet, classify};
use l2tpv3::{Cause, DownReason, Event, SessionDownReason};
use std::fmt::Write as _;

/// Describes a control message; `None` for data and what is no L2TP.
pub fn control(path: Path, payload: &[u8]) -> Option<String> {
    let Ok(Packet::Control(message)) = classify(Carrier::of(path)?, payload) else { return None };
    let header = message.header;
    let name = match Collected::read(&message, None) {
        _ if message.is_zero_length_body() => "ZLB".to_owned(),
        Ok(read) => read.message_type.to_string(),
        Err(error) => error.to_string(),
    };
    let (id, ns, nr) = (header.connection_id, header.ns, header.nr);
    Some(format!("{name:<7} to {id:>10}, Ns {ns}, Nr {nr}, {} octets", message.octets().len()))
}

/// Describes an event.
pub fn event(event: &Event) -> String {
    match event {
        Event::ConnectionUp { connection, identity, .. } => {
            let name = String::from_utf8_lossy(&identity.host_name);
            let mut text = format!("connection {connection} up, peer is {name}");
            if let Some(router_id) = identity.router_id {
                _ = write!(text, ", router id {}", core::net::Ipv4Addr::from_bits(router_id));
            }
            text
        }
        Event::ConnectionDown { connection, reason, .. } => {
            format!("connection {connection} down: {}", connection_reason(reason))
        }
        Event::SessionUp { parameters, remote_end_id, .. } => format!(
            "session {} up for {}: {}, peer's id {}",
            parameters.local_id,
            String::from_utf8_lossy(remote_end_id),
            parameters.pseudowire,
            parameters.remote_id
        ),
        Event::SessionDown { session, reason, .. } => {
            format!("session {session} down: {}", session_reason(reason))
        }
        Event::PeerCircuit { session, active } => {
            format!("session {session}: the peer's circuit is {}", if *active { "up" } else { "down" })
        }
        Event::PeerErrors { session, errors } => format!("session {session}: the peer reports {errors:?}"),
        other => format!("{other:?}"),
    }
}

fn connection_reason(reason: &DownReason) -> String {
    match reason {
        DownReason::Local(cause) => format!("closed here, {}", stop(cause)),
        DownReason::Peer(cause) => format!("the peer says {}", stop(cause)),
        DownReason::Protocol(cause) => format!("protocol error, told the peer {}", stop(cause)),
        DownReason::Silent => "the peer does not answer".to_owned(),
        DownReason::SetupTimeout => "did not come up in time".to_owned(),
        DownReason::NotAuthenticated => "the peer's answers are not authenticated, or by another secret".to_owned(),
        DownReason::SecretNeeded => "the peer wants authentication and no secret is configured".to_owned(),
        DownReason::SpeaksVersion2 => "the peer speaks version 2 only".to_owned(),
        DownReason::Replaced(other) => format!("connection {other} took its place"),
        other => format!("{other:?}"),
    }
}

fn session_reason(reason: &SessionDownReason) -> String {
    match reason {
        SessionDownReason::Local(cause) => format!("closed here, {}", cdn(cause)),
        SessionDownReason::Peer(cause) => format!("the peer says {}", cdn(cause)),
        SessionDownReason::Protocol(cause) => format!("protocol error, told the peer {}", cdn(cause)),
        SessionDownReason::LostTie => "the peer's own request for the circuit won".to_owned(),
        SessionDownReason::SetupTimeout => "did not come up in time".to_owned(),
        SessionDownReason::ConnectionDown => "its connection ended".to_owned(),
        other => format!("{other:?}"),
    }
}

fn stop(cause: &Cause) -> String {
    with_error(StopResult(cause.result).to_string(), cause)
}

fn cdn(cause: &Cause) -> String {
    with_error(CdnResult(cause.result).to_string(), cause)
}

fn with_error(mut text: String, cause: &Cause) -> String {
    if let Some(error) = cause.error {
        _ = write!(text, ", {error}");
    }
    if !cause.text.is_empty() {
        _ = write!(text, " ({})", cause.text);
    }
    text
}
