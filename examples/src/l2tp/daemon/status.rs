//! The status as JSON.

use crate::gatewayd;
use crate::l2tp::router::Router;
use drive::Instant;
use l2tpv3::{ConnectionStatus, SessionId, SessionStatus};
use rand_core::CryptoRng;
use serde_json::{Value, json};

/// Returns everything a show command prints, by connection and session.
pub fn of<R: CryptoRng>(router: &Router<R>, statics: &[SessionId], now: Instant) -> Value {
    let endpoint = router.endpoint();
    let connections: Vec<_> = endpoint.connection_statuses(now).iter().map(connection).collect();
    let alone = statics.iter().filter_map(|session| endpoint.session_status(now, *session));
    let sessions: Vec<_> =
        endpoint.session_statuses(now).into_iter().chain(alone).map(|status| session(&status)).collect();
    let drops: serde_json::Map<_, _> = endpoint
        .counters()
        .drops
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| (name.to_owned(), count.into()))
        .collect();
    let mut status = json!({ "tunnels": connections, "sessions": sessions, "drops": drops });
    if let (Some(gateway), Some(fields)) = (router.ipsec(), status.as_object_mut()) {
        fields.insert("ipsec".to_owned(), gatewayd::status::of(&gateway.snapshot(now)));
    }
    status
}

fn connection(status: &ConnectionStatus) -> Value {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    json!({
        "state": status.state,
        "path": status.path.to_string(),
        "remote_host_name": status.remote.as_ref().map(|remote| text(&remote.host_name)),
        "remote_router_id": status.remote.as_ref().and_then(|remote| remote.router_id),
        "local_tunnel_id": status.connection.0.get(),
        "remote_tunnel_id": status.remote_id,
        "ns": status.ns,
        "nr": status.nr,
        "retransmissions": status.retransmissions,
        "bad_digests": status.bad_digests,
        "authenticated": status.authenticated,
        "seconds_up": status.since_change.as_secs(),
    })
}

fn session(status: &SessionStatus) -> Value {
    let counters = status.counters.interface();
    json!({
        "status": status.interface(),
        "state": status.state,
        "mtu": status.mtu,
        "seconds_since_change": status.since_change.map(|since| since.as_secs()),
        "remote_end_id": String::from_utf8_lossy(&status.remote_end_id),
        "local_session_id": status.session.0.get(),
        "remote_session_id": status.remote_id,
        "serial_no": status.serial_number,
        "local_cookie": status.local_cookie.to_string(),
        "remote_cookie": status.remote_cookie.to_string(),
        "pseudowire": status.pseudowire.to_string(),
        "circuit_up": status.circuits.0,
        "peer_circuit_up": status.circuits.1,
        "ipkts": counters.ipkts,
        "ierrs": counters.ierrs,
        "opkts": counters.opkts,
        "oerrs": counters.oerrs,
        "colls": counters.colls,
        "in_octets": counters.in_octets,
        "out_octets": counters.out_octets,
        "in_drops": counters.in_drops,
        "out_discards": counters.out_discards,
        "in_unknown_protos": counters.in_unknown_protos,
    })
}
