//! The gateway's own datagrams pass before any policy: UDP 500, 4500 and, where a policy has it on, 2746.

use crate::common::{KEY, LEFT, LEFT_HOST, OFFICE, RIGHT, RIGHT_HOST};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use drive::{Instant, Transmit};
use gateway::{Action, Command, Config, Exemption, Gateway, Outcome, UdpTunnel};
use ikev1_core::auth::PreSharedKey;
use ikev1_core::{ConnectionConfig, Peer, PolicyConfig, TrafficSelector};
use simnet::Entropy;
use spd::{Decision, Direction, ProtocolSelector, Selector};

const NOW: Instant = Instant::from_secs(1);

/// A gateway whose one policy protects everything, and before it one that discards all UDP.
fn gateway(tunnel: bool) -> Gateway {
    let all = TrafficSelector::subnet(Ipv4Addr::UNSPECIFIED.into(), 0).unwrap();
    let connection = ConnectionConfig::new("office")
        .local(IpAddr::from(LEFT))
        .peer(Peer::Address(RIGHT.into()))
        .pre_shared_key(PreSharedKey::copied(KEY))
        .nat_traversal(!tunnel)
        .policy(PolicyConfig::new("all").local(all).remote(all));
    let config = Config::new(ikev1_core::Config::new().connection(connection));
    let config = if tunnel { config.udp_tunnel("all", UdpTunnel::default()) } else { config };
    let udp = Selector { protocol: ProtocolSelector::Number(17), ..Selector::default() };
    let plan = config.exempt("no udp", udp, Exemption::Discard).build().unwrap();
    Gateway::new(plan, Box::new(Entropy::new(1)))
}

/// A UDP packet of 4 octets.
fn udp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16)) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend_from_slice(&from.0.octets());
    packet.extend_from_slice(&to.0.octets());
    packet.extend_from_slice(&from.1.to_be_bytes());
    packet.extend_from_slice(&to.1.to_be_bytes());
    packet.extend_from_slice(&[0, 12, 0, 0, 1, 2, 3, 4]);
    packet
}

/// Returns the next datagram that the gateway sends.
fn sent(gateway: &mut Gateway) -> Option<Transmit> {
    core::iter::from_fn(|| gateway.poll_action()).find_map(|action| match action {
        Action::Transmit(transmit, _) => Some(transmit),
        _ => None,
    })
}

#[test]
fn what_the_gateway_sends_is_let_pass_by_a_policy_that_protects_everything() {
    let mut gateway = gateway(false);
    gateway.handle_command(NOW, Command::Initiate { connection: OFFICE }).unwrap();
    let Some(Transmit { path, payload }) = sent(&mut gateway) else { panic!("no negotiation was started") };
    assert_eq!(path.remote, SocketAddr::from((RIGHT, 500)));
    assert_eq!(gateway.handle_transmit(NOW, Transmit { path, payload: payload.clone() }), Outcome::Bypassed);
    assert_eq!(sent(&mut gateway), Some(Transmit { path, payload }));
}

#[test]
fn only_datagrams_of_our_addresses_and_ports_are_let_pass_and_both_ways() {
    for tunnel in [false, true] {
        let mut gateway = gateway(tunnel);
        for (port, own) in [(500, true), (4500, true), (2746, tunnel), (501, false), (53, false)] {
            let ours = udp((LEFT, port), (RIGHT, 7));
            assert_eq!(gateway.handle_packet(NOW, &ours) == Outcome::Bypassed, own, "{port}");
            let theirs = udp((RIGHT, 7), (LEFT, port));
            assert_eq!(gateway.admit_clear(NOW, &theirs).is_ok(), own, "{port}");
            // Of a machine behind the gateway.
            let hosts = udp((LEFT_HOST, port), (RIGHT_HOST, port));
            assert_ne!(gateway.handle_packet(NOW, &hosts), Outcome::Bypassed, "{port}");
            assert!(gateway.admit_clear(NOW, &udp((RIGHT_HOST, port), (LEFT_HOST, port))).is_err(), "{port}");
        }
    }
}

#[test]
fn they_come_before_every_policy_and_are_shown_and_counted() {
    let mut gateway = gateway(true);
    let packet = udp((LEFT, 500), (RIGHT, 500));
    assert_eq!(gateway.handle_packet(NOW, &packet), Outcome::Bypassed);
    assert_eq!(gateway.admit_clear(NOW, &udp((RIGHT, 500), (LEFT, 500))), Ok(()));
    let shown = gateway.snapshot(NOW);
    let names: Vec<_> = shown.built_in.iter().map(|policy| (policy.position, policy.name.as_str())).collect();
    assert_eq!(names, [(1, "ike 1"), (2, "nat-t 1"), (3, "udp-tunnel 1")]);
    assert!(shown.built_in.iter().all(|policy| policy.action == spd::Action::Bypass));
    let ike = &shown.built_in[0];
    assert_eq!((ike.counters.out_permit, ike.counters.in_permit), (1, 1));
    assert_eq!((shown.counters.out_bypassed, shown.counters.in_bypassed), (1, 1));
    assert_eq!(shown.policies[0].hits, 0, "the policy that discards all UDP was not asked");
    let explained = gateway.explain(Direction::Outbound, &packet).unwrap();
    assert!(matches!(explained.decision, Decision::Bypass { policy: Some(_) }), "{explained:?}");
    assert_eq!(gateway.decision(Direction::Outbound, &packet).unwrap(), explained.decision);
}
