//! What becomes of fragments: the three approaches of RFC 4301 §7, §7.4, and the attacks of RFC 1858 and RFC 3128.

use core::time::Duration;
use drive::Instant;
use proptest::prelude::*;
use spd::{
    Action, Arrival, Database, Decision, Direction, FragmentCheck, FragmentLimits, FragmentRefusal, FragmentTracker,
    InboundRefusal, InterfaceId, PacketKey, Policy, PolicyId, PortSet, Position, ProtocolSelector, Selector,
    TemplateId, WhenEmpty,
};

const WAN: InterfaceId = InterfaceId(0);
const PROTECT: Action = Action::Protect(TemplateId(7));
const NOW: Instant = Instant::from_secs(100);
const MORE: bool = true;
const LAST: bool = false;

/// A list of policies and the tracker beside it.
struct Wan {
    policies: Database,
    fragments: FragmentTracker,
}

impl Wan {
    fn new(check: FragmentCheck) -> Self {
        let mut policies = Database::new();
        policies.add_interface(WAN, WhenEmpty::Discard).unwrap();
        policies.set_fragment_check(WAN, check).unwrap();
        Self { policies, fragments: FragmentTracker::default() }
    }

    fn add(&mut self, name: &str, ports: PortSet, action: Action) -> PolicyId {
        let selector =
            Selector { protocol: ProtocolSelector::Number(6), remote_port: ports.clone(), ..Selector::default() };
        self.policies.insert(WAN, Position::Last, Policy::new(name, selector, action).unwrap()).unwrap()
    }

    fn send_at(&mut self, now: Instant, packet: &[u8]) -> Result<Decision, FragmentRefusal> {
        let (key, fragment) = PacketKey::with_fragment(packet, Direction::Outbound).unwrap();
        self.fragments.outbound(now, &mut self.policies, WAN, &key, fragment.as_ref())
    }

    fn send(&mut self, packet: &[u8]) -> Result<Decision, FragmentRefusal> {
        self.send_at(NOW, packet)
    }

    fn receive(&mut self, packet: &[u8], arrival: Arrival) -> Result<Option<PolicyId>, InboundRefusal> {
        let (key, fragment) = PacketKey::with_fragment(packet, Direction::Inbound).unwrap();
        self.fragments.inbound(NOW, &mut self.policies, WAN, &key, fragment.as_ref(), arrival)
    }
}

/// A TCP segment to `port`, or what is left of it from its start.
fn tcp(port: u16, length: usize) -> Vec<u8> {
    let mut segment = vec![0; length.max(4)];
    segment[0..2].copy_from_slice(&40_000u16.to_be_bytes());
    segment[2..4].copy_from_slice(&port.to_be_bytes());
    segment.truncate(length);
    segment
}

/// A fragment of an IPv4 packet of TCP; `offset` in octets.
fn ipv4(id: u16, offset: usize, more: bool, data: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 192, 0, 2, 9];
    packet.extend_from_slice(data);
    let length = (packet.len() as u16).to_be_bytes();
    packet[2..4].copy_from_slice(&length);
    packet[4..6].copy_from_slice(&id.to_be_bytes());
    let flags = u16::from(more) << 13 | (offset / 8) as u16;
    packet[6..8].copy_from_slice(&flags.to_be_bytes());
    packet
}

/// The same of IPv6.
fn ipv6(id: u32, offset: usize, more: bool, data: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, 44, 64];
    packet.extend_from_slice(&[0x20; 32]);
    let flags = offset as u16 | u16::from(more);
    packet.extend_from_slice(&[6, 0]);
    packet.extend_from_slice(&flags.to_be_bytes());
    packet.extend_from_slice(&id.to_be_bytes());
    packet.extend_from_slice(data);
    let length = (packet.len() as u16 - 40).to_be_bytes();
    packet[4..6].copy_from_slice(&length);
    packet
}

/// A first and a last fragment of a TCP segment to `port`, in both versions.
fn pairs(port: u16) -> [(Vec<u8>, Vec<u8>); 2] {
    let first = tcp(port, 512);
    [
        (ipv4(77, 0, MORE, &first), ipv4(77, 512, LAST, &[0xaa; 100])),
        (ipv6(77, 0, MORE, &first), ipv6(77, 512, LAST, &[0xaa; 100])),
    ]
}

fn bypass(policy: PolicyId) -> Result<Decision, FragmentRefusal> {
    Ok(Decision::Bypass { policy: Some(policy) })
}

fn protect(policy: PolicyId) -> Result<Decision, FragmentRefusal> {
    Ok(Decision::Protect { policy, template: TemplateId(7) })
}

#[test]
fn approach_1_a_policy_for_any_port_carries_every_fragment() {
    for check in [FragmentCheck::Selectors, FragmentCheck::Stateful, FragmentCheck::StatefulProtected] {
        let mut wan = Wan::new(check);
        let all = wan.add("all", PortSet::any(), PROTECT);
        for (first, last) in pairs(23) {
            // In any order: nothing depends on the first.
            assert_eq!(wan.send(&last), protect(all));
            assert_eq!(wan.send(&first), protect(all));
            assert_eq!(wan.receive(&last, Arrival::Protected { policy: all }), Ok(Some(all)));
        }
        assert!(wan.fragments.is_empty());
    }
}

#[test]
fn approach_2_a_policy_for_fragments_carries_the_later_ones_and_others_the_first() {
    for check in [FragmentCheck::Selectors, FragmentCheck::Stateful] {
        let mut wan = Wan::new(check);
        let telnet = wan.add("telnet", PortSet::port(23), PROTECT);
        let fragments = wan.add("fragments", PortSet::opaque(), PROTECT);
        for (first, last) in pairs(23) {
            assert_eq!(wan.send(&last), protect(fragments));
            assert_eq!(wan.send(&first), protect(telnet));
            assert_eq!(wan.send(&last), protect(fragments));
            assert_eq!(wan.receive(&last, Arrival::Protected { policy: fragments }), Ok(Some(fragments)));
        }
        // Receivers MUST check the offset of IPv4's.
        let low = ipv4(77, 120, LAST, &[0; 100]);
        let received = wan.receive(&low, Arrival::Protected { policy: fragments });
        assert_eq!(received, Err(InboundRefusal::Fragment(FragmentRefusal::Overlap)));
        let least = ipv4(77, 128, LAST, &[0; 100]);
        assert_eq!(wan.receive(&least, Arrival::Protected { policy: fragments }), Ok(Some(fragments)));
    }
}

#[test]
fn approach_3_an_association_for_some_ports_carries_later_fragments_only_where_that_was_agreed() {
    for (check, agreed) in [(FragmentCheck::Stateful, false), (FragmentCheck::StatefulProtected, true)] {
        let mut wan = Wan::new(check);
        let telnet = wan.add("telnet", PortSet::port(23), PROTECT);
        let arrival = Arrival::Protected { policy: telnet };
        for (first, last) in pairs(23) {
            assert_eq!(wan.send(&first), protect(telnet));
            assert_eq!(wan.send(&last), if agreed { protect(telnet) } else { Err(FragmentRefusal::NotAgreed) });
        }
        let (first, last) = (ipv4(5, 0, MORE, &back(tcp(23, 512))), ipv4(5, 512, LAST, &[0; 8]));
        assert_eq!(wan.receive(&first, arrival), Ok(Some(telnet)));
        let expected = if agreed { Ok(Some(telnet)) } else { Err(FragmentRefusal::NotAgreed.into()) };
        assert_eq!(wan.receive(&last, arrival), expected);
        // Without its first it does not comply with the policy of the whole packet: none is known.
        assert_eq!(wan.receive(&ipv4(6, 512, LAST, &[0; 8]), arrival), Err(InboundRefusal::NoPolicy));
    }
}

#[test]
fn approach_3_one_policy_may_agree_to_it_and_others_not() {
    let mut wan = Wan::new(FragmentCheck::Stateful);
    let telnet = wan.add("telnet", PortSet::port(23), PROTECT);
    let selector = wan.policies.policy(telnet).unwrap().selector().clone();
    let selector = Selector { remote_port: PortSet::port(25), ..selector };
    let agreed = Policy::new("smtp", selector, PROTECT).unwrap().with_carries_fragments(true);
    let smtp = wan.policies.insert(WAN, Position::Last, agreed).unwrap();
    for (first, last) in pairs(25) {
        assert_eq!((wan.send(&first), wan.send(&last)), (protect(smtp), protect(smtp)));
    }
    for (first, last) in pairs(23) {
        assert_eq!((wan.send(&first), wan.send(&last)), (protect(telnet), Err(FragmentRefusal::NotAgreed)));
    }
}

/// A segment that comes from the port it would go to.
fn back(mut segment: Vec<u8>) -> Vec<u8> {
    segment.swap(0, 2);
    segment.swap(1, 3);
    segment
}

/// RFC 4301 §7.4: telnet is protected, NNTP is not, and a forged fragment must not slip through with the latter.
#[test]
fn a_forged_fragment_does_not_pass_with_a_bypass_for_other_ports() {
    let mut wan = Wan::new(FragmentCheck::Stateful);
    let telnet = wan.add("telnet", PortSet::port(23), PROTECT);
    let nntp = wan.add("nntp", PortSet::port(119), Action::Bypass);
    let rest = wan.add("rest", PortSet::any(), Action::Bypass);
    let arrivals: [fn(Vec<u8>) -> Vec<u8>; 2] =
        [|data| ipv4(9, 0, MORE, &back(data)), |data| ipv6(9, 0, MORE, &back(data))];
    let lasts = [ipv4(9, 512, LAST, &[0xaa; 64]), ipv6(9, 512, LAST, &[0xaa; 64])];
    for (first, last) in arrivals.into_iter().zip(lasts) {
        let unseen = Err(InboundRefusal::Fragment(FragmentRefusal::NoFirst));
        assert_eq!(wan.receive(&last, Arrival::Clear), unseen);
        // The protected packet of the same number says nothing about what comes in the clear.
        assert_eq!(wan.receive(&first(tcp(23, 512)), Arrival::Protected { policy: telnet }), Ok(Some(telnet)));
        assert_eq!(wan.receive(&last, Arrival::Clear), unseen);
        // Telnet in the clear is refused, and so is what follows it.
        let clear = Err(InboundRefusal::NotProtected(telnet));
        assert_eq!(wan.receive(&first(tcp(23, 512)), Arrival::Clear), clear);
        assert_eq!(wan.receive(&last, Arrival::Clear), Err(FragmentRefusal::NotAgreed.into()));
        // And lawful NNTP passes, whole and in fragments.
        assert_eq!(wan.receive(&first(tcp(119, 512)), Arrival::Clear), Ok(Some(nntp)));
        assert_eq!(wan.receive(&last, Arrival::Clear), Ok(Some(nntp)));
        assert_eq!(wan.receive(&first(tcp(80, 512)), Arrival::Clear), Ok(Some(rest)));
        assert_eq!(wan.receive(&last, Arrival::Clear), Ok(Some(rest)));
    }
    assert_eq!(wan.policies.hits(nntp), Some(4));
    assert_eq!((wan.fragments.counters().no_first, wan.fragments.counters().not_agreed), (4, 2));
}

#[test]
fn fragments_of_discarded_packets_are_discarded_by_their_policy() {
    for check in [FragmentCheck::Selectors, FragmentCheck::Stateful] {
        let mut wan = Wan::new(check);
        let smtp = wan.add("smtp", PortSet::port(25), Action::Discard);
        let discard = Ok(Decision::Discard { policy: Some(smtp) });
        for (first, last) in pairs(25) {
            assert_eq!(wan.send(&first), discard);
            // By the selectors none matches, which is a discard as well.
            let nobody = Ok(Decision::Discard { policy: None });
            assert_eq!(wan.send(&last), if check == FragmentCheck::Stateful { discard } else { nobody });
        }
    }
}

#[test]
fn a_fragment_before_its_first_is_dropped_and_counted_and_passes_after_it() {
    let mut wan = Wan::new(FragmentCheck::Stateful);
    let web = wan.add("web", PortSet::port(80), Action::Bypass);
    wan.add("rest", PortSet::any(), Action::Bypass);
    for (first, last) in pairs(80) {
        assert_eq!(wan.send(&last), Err(FragmentRefusal::NoFirst));
        assert_eq!(wan.send(&first), bypass(web));
        assert_eq!(wan.send(&last), bypass(web));
    }
    assert_eq!(wan.fragments.counters().no_first, 2);
    assert_eq!(wan.fragments.counters().followed, 2);
}

#[test]
fn each_part_of_what_names_a_packet_tells_it_from_others() {
    let mut wan = Wan::new(FragmentCheck::Stateful);
    let web = wan.add("web", PortSet::port(80), Action::Bypass);
    let udp = Selector { protocol: ProtocolSelector::Number(17), ..Selector::default() };
    wan.policies.insert(WAN, Position::Last, Policy::new("udp", udp, Action::Bypass).unwrap()).unwrap();
    wan.add("rest", PortSet::any(), Action::Bypass);
    let (first, last) = pairs(80)[0].clone();
    assert_eq!(wan.send(&first), bypass(web));
    for octet in [5, 9, 15, 19] {
        let mut other = last.clone();
        other[octet] = if octet == 9 { 17 } else { other[octet] ^ 1 };
        assert_eq!(wan.send(&other), Err(FragmentRefusal::NoFirst), "octet {octet}");
    }
    assert_eq!(wan.receive(&last, Arrival::Clear), Err(FragmentRefusal::NoFirst.into()));
    assert_eq!(wan.send(&last), bypass(web));
    // IPv6 goes by addresses and number alone, RFC 8200 §4.5: what a later fragment says of the protocol is nothing.
    let (first, mut last) = pairs(80)[1].clone();
    assert_eq!(wan.send(&first), bypass(web));
    last[40] = 17;
    assert_eq!(wan.send(&last), bypass(web));
}

#[test]
fn the_first_fragment_of_tcp_shows_its_flags_or_is_dropped() {
    for check in [FragmentCheck::Selectors, FragmentCheck::Stateful] {
        let mut wan = Wan::new(check);
        let all = wan.add("all", PortSet::any(), Action::Bypass);
        for make in [|data: &[u8]| ipv4(1, 0, MORE, data), |data: &[u8]| ipv6(1, 0, MORE, data)] {
            assert_eq!(wan.send(&make(&tcp(23, 8))), Err(FragmentRefusal::Tiny));
            assert_eq!(wan.send(&make(&tcp(23, 16))), bypass(all));
        }
        // The second fragment of the tiny fragment attack, and RFC 3128's: both write over flags and ports.
        for offset in [8, 16, 120] {
            assert_eq!(wan.send(&ipv4(1, offset, LAST, &[0; 64])), Err(FragmentRefusal::Overlap));
        }
        assert_eq!(wan.fragments.counters().tiny, 2);
        assert_eq!(wan.fragments.counters().overlap, 3);
        // A short packet that is whole is no fragment.
        assert_eq!(wan.send(&ipv4(1, 0, LAST, &tcp(23, 8))), bypass(all));
    }
}

#[test]
fn a_later_fragment_does_not_write_over_the_first() {
    let mut wan = Wan::new(FragmentCheck::Stateful);
    let web = wan.add("web", PortSet::port(80), Action::Bypass);
    let (v4, v6) = (pairs(80)[0].0.clone(), pairs(80)[1].0.clone());
    assert_eq!((wan.send(&v4), wan.send(&v6)), (bypass(web), bypass(web)));
    for offset in [8, 128, 504] {
        assert_eq!(wan.send(&ipv4(77, offset, LAST, &[0; 600])), Err(FragmentRefusal::Overlap), "{offset}");
        assert_eq!(wan.send(&ipv6(77, offset, LAST, &[0; 600])), Err(FragmentRefusal::Overlap), "{offset}");
    }
    assert_eq!(wan.send(&ipv4(77, 512, LAST, &[0; 600])), bypass(web));
    assert_eq!(wan.send(&ipv6(77, 512, LAST, &[0; 600])), bypass(web));
}

#[test]
fn fragments_that_no_sender_makes_are_dropped() {
    let mut wan = Wan::new(FragmentCheck::Selectors);
    let all = wan.add("all", PortSet::any(), Action::Bypass);
    let ping_of_death = Err(FragmentRefusal::TooLong);
    assert_eq!(wan.send(&ipv4(1, 65_528, LAST, &[0; 8])), ping_of_death);
    assert_eq!(wan.send(&ipv4(1, 65_528, LAST, &[0; 7])), bypass(all));
    assert_eq!(wan.send(&ipv6(1, 65_528, LAST, &[0; 8])), ping_of_death);
    let malformed = Err(FragmentRefusal::Malformed);
    assert_eq!(wan.send(&ipv4(1, 512, LAST, &[])), malformed);
    assert_eq!(wan.send(&ipv4(1, 512, MORE, &[0; 9])), malformed);
    assert_eq!(wan.send(&ipv4(1, 512, LAST, &[0; 9])), bypass(all));
    assert_eq!(wan.send(&ipv6(1, 512, MORE, &[0; 9])), malformed);
    // A fragment header within another, whichever of the two says what.
    for (outer, inner) in [(1u8, 0u8), (0, 1), (1, 1), (0, 0)] {
        let mut nested = ipv6(1, 0, LAST, &[&[6, 0, 0, inner, 0, 0, 0, 2][..], &tcp(80, 64)].concat());
        (nested[40], nested[43]) = (44, outer);
        assert_eq!(wan.send(&nested), malformed, "{outer} {inner}");
    }
    assert_eq!((wan.fragments.counters().malformed, wan.fragments.counters().too_long), (7, 2));
}

#[test]
fn an_ipv6_packet_with_a_fragment_header_and_no_other_fragments_is_whole() {
    let mut wan = Wan::new(FragmentCheck::Stateful);
    let web = wan.add("web", PortSet::port(80), Action::Bypass);
    let packet = ipv6(3, 0, LAST, &tcp(80, 8));
    assert_eq!(PacketKey::with_fragment(&packet, Direction::Outbound).unwrap().1, None);
    assert_eq!(wan.send(&packet), bypass(web));
    assert!(wan.fragments.is_empty());
}

#[test]
fn a_number_that_is_used_again_means_the_newest_packet() {
    let mut wan = Wan::new(FragmentCheck::Stateful);
    let web = wan.add("web", PortSet::port(80), Action::Bypass);
    let smtp = wan.add("smtp", PortSet::port(25), Action::Discard);
    let ([(web_first, last), _], [(smtp_first, _), _]) = (pairs(80), pairs(25));
    assert_eq!(wan.send(&web_first), bypass(web));
    assert_eq!(wan.send(&smtp_first), Ok(Decision::Discard { policy: Some(smtp) }));
    assert_eq!(wan.send(&last), Ok(Decision::Discard { policy: Some(smtp) }));
    assert_eq!(wan.send(&web_first), bypass(web));
    assert_eq!(wan.send(&last), bypass(web));
    assert_eq!((wan.fragments.len(), wan.fragments.counters().replaced), (1, 2));
}

#[test]
fn a_changed_policy_decides_about_the_next_fragment() {
    let mut wan = Wan::new(FragmentCheck::Stateful);
    let web = wan.add("web", PortSet::port(80), Action::Bypass);
    let (first, last) = pairs(80)[0].clone();
    assert_eq!(wan.send(&first), bypass(web));
    wan.policies.remove(web).unwrap();
    let shut = wan.add("shut", PortSet::port(80), Action::Discard);
    assert_eq!(wan.send(&last), Ok(Decision::Discard { policy: Some(shut) }));
}

#[test]
fn memory_is_bounded_and_the_oldest_goes_first() {
    let mut wan = Wan::new(FragmentCheck::Stateful);
    let web = wan.add("web", PortSet::port(80), Action::Bypass);
    wan.fragments = FragmentTracker::new(FragmentLimits { packets: 16, ..FragmentLimits::default() });
    let last = |id| ipv4(id, 512, LAST, &[0; 8]);
    for id in 0..5000 {
        assert_eq!(wan.send(&ipv4(id, 0, MORE, &tcp(80, 512))), bypass(web));
        assert!(wan.fragments.len() <= 16);
    }
    assert_eq!(wan.send(&last(4984)), bypass(web));
    // None matches it without its first: a discard, as of any packet.
    assert_eq!(wan.send(&last(4983)), Ok(Decision::Discard { policy: None }));
    assert_eq!(wan.fragments.counters().evicted, 5000 - 16);
}

#[test]
fn a_first_fragment_is_forgotten_in_time_and_the_clock_never_goes_back() {
    let mut wan = Wan::new(FragmentCheck::Stateful);
    let web = wan.add("web", PortSet::port(80), Action::Bypass);
    wan.add("rest", PortSet::any(), Action::Bypass);
    assert_eq!(wan.fragments.poll_timeout(), None);
    for id in 0..20 {
        assert_eq!(wan.send(&ipv4(id, 0, MORE, &tcp(80, 512))), bypass(web));
    }
    let deadline = NOW + Duration::from_secs(30);
    assert_eq!(wan.fragments.poll_timeout(), Some(deadline));
    let just_before = Instant::from_micros(deadline.as_micros() - 1);
    wan.fragments.handle_timeout(just_before);
    assert_eq!(wan.fragments.len(), 20);
    let last = ipv4(19, 512, LAST, &[0; 8]);
    assert_eq!(wan.send_at(just_before, &last), bypass(web));
    // One call forgets some; what is over is not used all the same.
    assert_eq!(wan.send_at(deadline, &last), Err(FragmentRefusal::NoFirst));
    assert_eq!(wan.fragments.len(), 20 - FragmentTracker::FORGOTTEN_A_CALL);
    assert_eq!(wan.send_at(Instant::ZERO, &last), Err(FragmentRefusal::NoFirst));
    wan.fragments.handle_timeout(deadline);
    assert!(wan.fragments.is_empty());
    assert_eq!(wan.fragments.poll_timeout(), None);
    assert_eq!(wan.fragments.counters().expired, 20);
}

#[test]
fn an_interface_may_decide_by_selectors_alone() {
    assert_eq!(Wan::new(FragmentCheck::default()).policies.fragment_check(WAN), Some(FragmentCheck::Stateful));
    let mut wan = Wan::new(FragmentCheck::Selectors);
    let web = wan.add("web", PortSet::port(80), Action::Bypass);
    let rest = wan.add("rest", PortSet::any(), Action::Bypass);
    for (first, last) in pairs(80) {
        assert_eq!(wan.send(&first), bypass(web));
        assert_eq!(wan.send(&last), bypass(rest));
    }
    assert!(wan.fragments.is_empty());
    assert_eq!(wan.policies.fragment_check(WAN), Some(FragmentCheck::Selectors));
    assert!(wan.policies.set_fragment_check(InterfaceId(9), FragmentCheck::Stateful).is_err());
    wan.policies.remove(web).unwrap();
    assert!(!wan.policies.selects_ports(WAN));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn fragments_in_any_order_after_the_first_meet_the_policy_of_the_whole_packet(
        port in prop_oneof![Just(23u16), Just(25), Just(80), Just(119)],
        v6: bool,
        cuts in proptest::collection::vec(16usize..180, 1..6),
        order in any::<u64>(),
    ) {
        let mut wan = Wan::new(FragmentCheck::StatefulProtected);
        wan.add("telnet", PortSet::port(23), PROTECT);
        wan.add("smtp", PortSet::port(25), Action::Discard);
        wan.add("nntp", PortSet::range(100, 200).unwrap(), Action::Bypass);
        wan.add("rest", PortSet::any(), Action::Bypass);
        let make = |offset, more, data: &[u8]| if v6 { ipv6(1, offset, more, data) } else { ipv4(1, offset, more, data) };
        let segment = tcp(port, 2000);
        let expected = wan.send(&make(0, LAST, &segment));
        let mut offsets = vec![0];
        offsets.extend(cuts.iter().scan(0, |at, cut| { *at += cut * 8; Some(*at) }).filter(|at| *at < segment.len()));
        offsets.push(segment.len());
        let mut parts: Vec<_> = offsets
            .windows(2)
            .map(|part| make(part[0], part[1] < segment.len(), &segment[part[0]..part[1]]))
            .collect();
        prop_assert_eq!(wan.send(&parts.remove(0)), expected);
        let turn = order as usize % parts.len().max(1);
        parts.rotate_left(turn);
        for part in parts {
            prop_assert_eq!(wan.send(&part), expected);
        }
    }
}
