//! Renewals: in time, at once on both ends, crossed by deletes.

use crate::common;
use crate::common::{A, B, Pair, SITE, connection, esp, net, plan, policy};
use core::time::Duration;
use ikev1_core::{ChildId, Command, ConnectionConfig, Direction, Event, IkeSaState, PolicyConfig, RemoveReason};

fn short(local: [u8; 4], peer: [u8; 4], ike: u64, child: u64) -> ConnectionConfig {
    let (from, to) = if local == A { ([10, 10, 1, 0], [10, 10, 2, 0]) } else { ([10, 10, 2, 0], [10, 10, 1, 0]) };
    let policy = policy(from, to).lifetime(Duration::from_secs(child));
    connection(local, peer).lifetime(Duration::from_secs(ike)).policy(policy)
}

fn up(ike: u64, child: u64) -> Pair {
    let mut pair = Pair::new(plan(short(A, B, ike, child)), plan(short(B, A, ike, child)));
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
    pair
}

/// The pair that an end sends with.
fn sending(end: &common::End) -> Vec<ChildId> {
    let status = end.endpoint.status();
    status.children.iter().filter(|child| child.complete && !child.superseded).map(|child| child.child).collect()
}

fn outbound_spi(end: &common::End) -> u32 {
    let status = end.endpoint.status();
    status.children.iter().find(|child| child.complete && !child.superseded).unwrap().sas[0].outbound
}

fn inbound_spis(end: &common::End) -> Vec<u32> {
    end.installed.iter().filter(|sa| sa.direction == Direction::Inbound).map(|sa| sa.spi).collect()
}

#[test]
fn a_pair_is_renewed_before_its_end_and_the_old_one_takes_in_for_the_delete_delay() {
    let mut pair = up(86_400, 300);
    let first = sending(&pair.left)[0];
    // The initiator renews at 87.5 % less 1 %.
    pair.advance(Duration::from_secs(263));
    assert_eq!(sending(&pair.left).len(), 1);
    assert_ne!(sending(&pair.left)[0], first);
    assert_eq!(inbound_spis(&pair.left).len(), 2);
    assert!(inbound_spis(&pair.right).contains(&outbound_spi(&pair.left)));
    pair.advance(Duration::from_secs(31));
    assert_eq!(inbound_spis(&pair.left).len(), 1);
    let replaced = |event: &Event| matches!(event, Event::SaEnded { child, reason: RemoveReason::Replaced, .. } if *child == first);
    assert!(pair.left.has(replaced));
    assert!(pair.right.has(|event| matches!(event, Event::SaEnded { reason: RemoveReason::DeletedByPeer, .. })));
    pair.assert_mirrored();
}

#[test]
fn renewals_go_on_for_days_without_piling_up() {
    let mut pair = up(3_600, 600);
    for _ in 0..200 {
        pair.advance(Duration::from_secs(433));
        for end in [&pair.left, &pair.right] {
            assert_eq!(sending(end).len(), 1);
            let status = end.endpoint.status();
            assert!(status.children.len() <= 2 && status.ike_sas.len() <= 2);
        }
    }
    assert!(!pair.left.has(|event| matches!(event, Event::SaExpired { hard: true, .. })));
}

#[test]
fn a_renewed_isakmp_sa_adopts_the_pairs_and_the_old_one_is_deleted() {
    let mut pair = up(600, 86_400);
    let child = sending(&pair.left)[0];
    pair.advance(Duration::from_secs(526));
    for end in [&pair.left, &pair.right] {
        assert!(end.has(|event| matches!(event, Event::SasAdopted { count: 1, .. })));
    }
    let status = pair.left.endpoint.status();
    assert_eq!(status.ike_sas.iter().filter(|sa| sa.state == IkeSaState::Expired).count(), 1);
    pair.advance(Duration::from_secs(40));
    for end in [&pair.left, &pair.right] {
        let status = end.endpoint.status();
        assert_eq!(status.ike_sas.len(), 1);
        assert_eq!(status.children[0].ike_sa, status.ike_sas[0].ike_sa);
        assert_eq!(end.installed.len(), 2);
    }
    assert_eq!(sending(&pair.left)[0], child);
}

#[test]
fn renewal_by_command_works_for_both_kinds_and_from_both_ends() {
    for from_left in [true, false] {
        let mut pair = up(86_400, 28_800);
        let end = if from_left { &mut pair.left } else { &mut pair.right };
        let status = end.endpoint.status();
        end.endpoint.handle_command(pair.now, Command::RekeyChild { child: status.children[0].child }).unwrap();
        end.endpoint.handle_command(pair.now, Command::RekeyIke { ike_sa: status.ike_sas[0].ike_sa }).unwrap();
        pair.settle();
        assert!(pair.left.has(|event| matches!(event, Event::SaRekeyed { .. })));
        assert!(pair.right.has(|event| matches!(event, Event::SaRekeyed { .. })));
        pair.advance(Duration::from_secs(60));
        pair.assert_mirrored();
        assert_eq!(pair.left.installed.len(), 2);
        assert_eq!(pair.right.endpoint.status().ike_sas.len(), 1);
    }
}

#[test]
fn both_ends_renewing_at_once_agree_on_one_pair() {
    let mut pair = up(86_400, 28_800);
    for end in [&mut pair.left, &mut pair.right] {
        let child = end.endpoint.status().children[0].child;
        end.endpoint.handle_command(pair.now, Command::RekeyChild { child }).unwrap();
    }
    pair.settle();
    // Every pair lives on both ends until the delete delay is over; each end sends with one.
    assert_eq!(inbound_spis(&pair.left).len(), 3);
    for end in [&pair.left, &pair.right] {
        assert_eq!(sending(end).len(), 1);
    }
    assert!(inbound_spis(&pair.right).contains(&outbound_spi(&pair.left)));
    pair.advance(Duration::from_secs(60));
    assert_eq!(inbound_spis(&pair.left).len(), 1);
    assert_eq!(sending(&pair.left).len(), 1);
    pair.assert_mirrored();
}

#[test]
fn both_ends_starting_at_once_come_to_rest_with_traffic_flowing() {
    let mut pair = Pair::ordinary();
    for end in [&mut pair.left, &mut pair.right] {
        end.endpoint.handle_command(pair.now, Command::Initiate { connection: SITE }).unwrap();
    }
    pair.settle();
    pair.advance(Duration::from_secs(120));
    for end in [&pair.left, &pair.right] {
        assert_eq!(sending(end).len(), 1, "{:?}", end.endpoint.status().children);
    }
    assert!(inbound_spis(&pair.right).contains(&outbound_spi(&pair.left)));
    assert!(inbound_spis(&pair.left).contains(&outbound_spi(&pair.right)));
}

#[test]
fn a_delete_of_the_old_pair_that_crosses_its_renewal_leaves_the_new_one() {
    let mut pair = up(86_400, 28_800);
    let old = sending(&pair.left)[0];
    let theirs = sending(&pair.right)[0];
    pair.left.endpoint.handle_command(pair.now, Command::RekeyChild { child: old }).unwrap();
    pair.right.endpoint.handle_command(pair.now, Command::DeleteChild { child: theirs }).unwrap();
    pair.settle();
    for end in [&pair.left, &pair.right] {
        assert_eq!(sending(end).len(), 1);
    }
    pair.assert_mirrored();
}

#[test]
fn two_deletes_that_cross_leave_nothing_and_harm_nothing() {
    let mut pair = up(86_400, 28_800);
    for end in [&mut pair.left, &mut pair.right] {
        let child = end.endpoint.status().children[0].child;
        end.endpoint.handle_command(pair.now, Command::DeleteChild { child }).unwrap();
    }
    pair.settle();
    for end in [&pair.left, &pair.right] {
        assert!(end.installed.is_empty());
        assert_eq!(end.endpoint.status().ike_sas.len(), 1);
    }
}

#[test]
fn a_peer_that_rebooted_is_taken_in_by_initial_contact_and_its_old_sas_go() {
    let mut pair = up(86_400, 28_800);
    pair.left = common::End::new(common::endpoint(plan(short(A, B, 86_400, 28_800)), 77));
    pair.initiate();
    pair.settle();
    assert!(pair.right.has(|event| matches!(event, Event::InitialContact { ike_sas: 1, children: 1, .. })));
    assert_eq!(pair.right.endpoint.status().ike_sas.len(), 1);
    pair.assert_mirrored();
}

#[test]
fn initial_contact_touches_no_sa_of_another_peer() {
    let other = [192, 0, 2, 3];
    let hub = || {
        ikev1_core::Config::new()
            .connection(short(B, A, 86_400, 28_800))
            .connection(
                ConnectionConfig::new("other")
                    .peer(ikev1_core::Peer::Address(other.into()))
                    .local(std::net::IpAddr::from(B))
                    .pre_shared_key(ikev1_core::auth::PreSharedKey::copied(b"other"))
                    .phase1(vec![common::transform(ikev1_core::crypto::DhGroup::Modp768)])
                    .dangerously_allow_weak_algorithms(true)
                    .policy(
                        PolicyConfig::new("net")
                            .local(net([10, 10, 2, 0]))
                            .remote(net([10, 10, 3, 0]))
                            .suites(vec![esp()]),
                    ),
            )
            .build()
            .unwrap()
    };
    let mut pair = Pair::new(plan(short(A, B, 86_400, 28_800)), hub());
    pair.initiate();
    pair.settle();
    let third = connection(other, B)
        .pre_shared_key(ikev1_core::auth::PreSharedKey::copied(b"other"))
        .policy(policy([10, 10, 3, 0], [10, 10, 2, 0]));
    pair.left = common::End::new(common::endpoint(plan(third), 9));
    pair.initiate();
    // The third machine plays the left one's part on the wire.
    for _ in 0..40 {
        let Some(transmit) = pair.wire.pop_front() else { break };
        let now = pair.now;
        let end = if transmit.path.remote.ip() == std::net::IpAddr::from(B) { &mut pair.right } else { &mut pair.left };
        let _ = end.endpoint.handle_datagram(now, transmit.as_received());
        pair.drain();
    }
    assert!(pair.left.established());
    assert_eq!(pair.right.endpoint.status().ike_sas.len(), 2);
    assert_eq!(pair.right.endpoint.status().children.len(), 2);
}

#[test]
fn an_end_that_lost_its_isakmp_sa_makes_a_new_one_to_renew_a_pair() {
    let mut pair = up(86_400, 300);
    let ike_sa = pair.right.endpoint.status().ike_sas[0].ike_sa;
    // The peer deletes phase 1 only; the pair lives on under the default setting.
    let chain = pair.right.endpoint.handle_command(pair.now, Command::RekeyIke { ike_sa });
    assert!(chain.is_ok());
    pair.settle();
    pair.advance(Duration::from_secs(40));
    pair.advance(Duration::from_secs(240));
    assert_eq!(sending(&pair.left).len(), 1);
    assert!(pair.left.has(|event| matches!(event, Event::SaRekeyed { .. })));
}
