//! A snapshot as JSON, under the names that routers show.

use gateway::{DataStatus, ManualStatus, PairStatus, PolicyStatus, SessionStatus, Snapshot};
use ikev1_core::IkeSaStatus;
use serde_json::{Map, Value, json};

/// Returns a snapshot as one JSON object.
pub fn of(snapshot: &Snapshot) -> Value {
    json!({
        "time": snapshot.now.to_string(),
        "isakmp": snapshot.isakmp.iter().map(|sa| ike_sa(snapshot, sa)).collect::<Vec<_>>(),
        "embryonic": snapshot.embryonic,
        "ipsec": snapshot.ipsec.iter().map(|pair| ipsec_pair(snapshot, pair)).collect::<Vec<_>>(),
        "manual": snapshot.manual.iter().map(manual).collect::<Vec<_>>(),
        "sessions": snapshot.sessions.iter().map(|session| self::session(snapshot, session)).collect::<Vec<_>>(),
        "built_in_policies": snapshot.built_in.iter().map(policy).collect::<Vec<_>>(),
        "policies": snapshot.policies.iter().map(policy).collect::<Vec<_>>(),
        "waiting": snapshot.waiting,
        "udp_tunnel": {
            "status": if snapshot.udp_tunnel.open { "OPEN" } else { "CLOSED" },
            "listen_port": snapshot.udp_tunnel.listen_port,
            "counters": named(snapshot.udp_tunnel.counters.iter()),
        },
        "counters": named(snapshot.counters.iter()),
        "isakmp_counters": named(snapshot.ike_counters.iter()),
        "sad_counters": named(snapshot.sad_counters.iter()),
        "spd_counters": named(snapshot.spd_counters.iter()),
        "filter_counters": named(snapshot.filter_counters.iter()),
        "fragment_counters": named(snapshot.fragment_counters.iter()),
        "bundle_counters": named(snapshot.bundle_counters.iter()),
        "protocol_counters": named(snapshot.protocol_counters.iter()),
        "algorithm_counters": named(snapshot.algorithm_counters.iter().flat_map(|(algorithm, counters)| {
            counters.iter().map(|(name, value)| (format!("{}{name}", algorithm.name()), value))
        })),
    })
}

fn named(counters: impl Iterator<Item = (impl Into<String>, u64)>) -> Value {
    let counted = counters.filter(|(_, value)| *value > 0);
    Value::Object(counted.map(|(name, value)| (name.into(), value.into())).collect::<Map<_, _>>())
}

fn session(snapshot: &Snapshot, session: &SessionStatus) -> Value {
    let SessionStatus { connection, policy, peer, since, pairs, traffic } = session;
    let named = |of: &&gateway::PolicyStatus| of.negotiation == Some((*connection, *policy));
    json!({
        "policy": snapshot.policies.iter().find(named).map(|policy| policy.name.clone()),
        "peer": peer.to_string(),
        "seconds": (snapshot.now - *since).as_secs(),
        "pairs": pairs,
        "in": { "packets": traffic.in_packets, "bytes": traffic.in_octets },
        "out": { "packets": traffic.out_packets, "bytes": traffic.out_octets },
    })
}

/// What the data path of a pair is like, under the names that routers show.
fn data(data: &DataStatus) -> Value {
    json!({
        "path": data.path.to_string(),
        "inbound_cpi": data.cpi.0,
        "outbound_cpi": data.cpi.1,
        "compression": data.compression.as_ref().map(|counters| named(counters.iter())),
        "path_mtu": data.path_mtu,
        "mtu": data.longest,
        "tcp_mss": data.longest.saturating_sub(40),
        "ipsec_overhead": data.overhead,
        "df_bit": format!("{:?}", data.outer.dont_fragment).to_lowercase(),
        "original_source": data.original.map(|(source, _)| source.to_string()),
        "original_destination": data.original.map(|(_, destination)| destination.to_string()),
    })
}

fn ike_sa(snapshot: &Snapshot, sa: &IkeSaStatus) -> Value {
    json!({
        "sa_id": sa.ike_sa.0,
        "connection": sa.name,
        "initiator_cookie": sa.cookies.initiator.to_string(),
        "responder_cookie": sa.cookies.responder.to_string(),
        "side": sa.role.to_string(),
        "state": sa.state.to_string(),
        "exchange_state": sa.exchange_state.to_string(),
        "local_address": sa.path.local.to_string(),
        "remote_address": sa.path.remote.to_string(),
        "local_id": sa.local_identity.as_ref().map(ToString::to_string),
        "remote_id": sa.remote_identity.as_ref().map(ToString::to_string),
        "user": sa.user.as_ref().map(ToString::to_string),
        "dynamic_allocated_peer_ip": sa.client_address.map(|address| address.to_string()),
        "transform": sa.transform.as_ref().map(ToString::to_string),
        "nat_discovered": sa.nat.to_string(),
        "dpd_state": sa.dpd.to_string(),
        "lifetime_seconds": sa.lifetime.map(|lifetime| lifetime.as_secs()),
        "seconds_used": sa.established.map(|at| (snapshot.now - at).as_secs()),
        "phase2_negotiations": sa.phase2_negotiations,
        "acquires_queued": sa.queued,
    })
}

fn ipsec_pair(snapshot: &Snapshot, pair: &PairStatus) -> Value {
    let status = &pair.status;
    // The innermost association counts the octets of the packets themselves.
    let counters = |side: &[sad::SaStatus]| {
        let counters = side.first().and_then(|side| side.detail.as_ref()).map(|detail| detail.counters);
        counters.map(|counters| json!({ "packets": counters.packets(), "bytes": counters.octets() }))
    };
    let state = match pair.inbound.first() {
        Some(inbound) if status.complete => inbound.state.name(),
        Some(_) | None => "larval",
    };
    json!({
        "sa_id": status.child.0,
        "isakmp_sa_id": status.ike_sa.0,
        "connection": pair.connection,
        "policy": status.name,
        "side": status.role.to_string(),
        "state": state,
        "superseded": status.superseded,
        "protocols": status.sas.iter().map(|sa| json!({
            "protection": sa.suite.to_string(),
            "inbound_spi": format!("{:#010x}", sa.inbound),
            "outbound_spi": format!("{:#010x}", sa.outbound),
        })).collect::<Vec<_>>(),
        "local": status.local.to_string(),
        "remote": status.remote.to_string(),
        "encapsulation": match status.encapsulation {
            ikev1_core::Encapsulation::Native => "native".to_owned(),
            ikev1_core::Encapsulation::Udp(path) => format!("udp {path}"),
        },
        "lifetime_seconds": status.lifetimes.hard.as_secs(),
        "soft_seconds": status.lifetimes.soft.as_secs(),
        "seconds_used": (snapshot.now - status.established).as_secs(),
        "inbound": counters(&pair.inbound),
        "outbound": counters(&pair.outbound),
        "data": pair.data.as_ref().map(data),
        "inbound_associations": pair.inbound.iter().map(association).collect::<Vec<_>>(),
        "outbound_associations": pair.outbound.iter().map(association).collect::<Vec<_>>(),
    })
}

fn manual(pair: &ManualStatus) -> Value {
    json!({
        "name": pair.name,
        "data": data(&pair.data),
        "inbound_associations": pair.inbound.iter().map(association).collect::<Vec<_>>(),
        "outbound_associations": pair.outbound.iter().map(association).collect::<Vec<_>>(),
    })
}

/// One association with the fields and counters that routers show of it.
fn association(sa: &sad::SaStatus) -> Value {
    let detail = sa.detail.as_ref().map(|detail| {
        json!({
            "mode": match detail.mode {
                sad::SaMode::Tunnel => "tunnel",
                sad::SaMode::Transport => "transport",
                sad::SaMode::Beet => "beet",
            },
            "path": detail.path.to_string(),
            "algorithms": detail.suite.map(|suite| suite.to_string())
                .or_else(|| detail.integrity.map(|integrity| integrity.to_string())),
            "packets": detail.counters.packets(),
            "bytes": detail.counters.octets(),
            "bytes_left": detail.octets_left,
            "last_sequence": detail.last_sequence,
            "replay_window": detail.window,
            "received": detail.bitmap.iter().map(|seen| if *seen { '1' } else { '0' }).collect::<String>(),
            "used": detail.used.map(|at| at.to_string()),
            "counters": named(detail.counters.iter()),
        })
    });
    json!({
        "protocol": sa.protocol.to_string(),
        "spi": format!("{:#010x}", sa.spi.get()),
        "state": sa.state.name(),
        "created": sa.created.to_string(),
        "detail": detail,
    })
}

fn policy(policy: &PolicyStatus) -> Value {
    json!({
        "position": policy.position,
        "name": policy.name,
        "action": match policy.action {
            spd::Action::Discard => "discard",
            spd::Action::Bypass => "bypass",
            spd::Action::Protect(_) => "protect",
        },
        "selector": policy.selector.to_string(),
        "udp_tunnel": policy.udp_tunnel.map(|tunnel| json!({
            "remote_port": tunnel.remote_port,
            "heartbeat": tunnel.heartbeat,
        })),
        "hits": policy.hits,
        "waiting": policy.waiting,
        "counters": named(policy.counters.iter()),
    })
}
