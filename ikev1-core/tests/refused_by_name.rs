//! What is read and not spoken is refused by its name: new group mode, other ways to authenticate, other
//! exchanges.

use crate::common::{A, B, endpoint, plan, right, transform};
use crate::scripted::{Scripted, chain, hashed};
use drive::{Datagram, Instant, Path, Verdict};
use ikev1_core::crypto::DhGroup;
use ikev1_core::{Action, DropReason, Event, Failure};
use ipsec_wire::isakmp::payload::{Attribute, Emit, Offer, OfferedProposal, OfferedTransform, Situation};
use ipsec_wire::isakmp::{Chain, Cookie, Flags, Header, MessageId};
use ipsec_wire::registry::{AuthMethod, ExchangeType, Group, IkeAttribute, NotifyType, PayloadType, ProtocolId};

/// The offer of a group of the peer's own making: its number, the type MODP, a prime and a generator.
fn new_group(number: Attribute<Vec<u8>>) -> Chain {
    let attributes = vec![
        number,
        Attribute::basic(IkeAttribute::GROUP_TYPE.0, 1_u16),
        Attribute::variable(6_u16, vec![0xff; 96]),
        Attribute::variable(7_u16, vec![2]),
    ];
    let transforms = vec![OfferedTransform { number: 1, id: 1, attributes }];
    let proposals = vec![OfferedProposal { number: 1, protocol: ProtocolId::ISAKMP, spi: Vec::new(), transforms }];
    let offer = Offer { situation: Situation::IDENTITY_ONLY, proposals };
    chain(|chain| chain.push_body(PayloadType::SA, &offer.to_body().unwrap()))
}

fn private_group() -> Chain {
    new_group(Attribute::basic(IkeAttribute::GROUP_DESCRIPTION.0, 0x8001_u16))
}

fn ask(peer: &Scripted, id: u32, rest: &Chain) -> Vec<u8> {
    let hash = peer.keys.isakmp().hash_1(id, rest.octets());
    peer.sealed(ExchangeType::NEW_GROUP, id, &hashed(hash.as_bytes(), rest))
}

fn refusals(peer: &Scripted) -> Vec<Option<Group>> {
    let group = |event: &Event| match event {
        Event::NewGroupRefused { group, .. } => Some(*group),
        _ => None,
    };
    peer.end.events.iter().filter_map(group).collect()
}

#[test]
fn new_group_mode_is_refused_with_its_number_and_the_notification_of_the_rfc() {
    for number in [
        Attribute::basic(IkeAttribute::GROUP_DESCRIPTION.0, 0x8001_u16),
        Attribute::variable(IkeAttribute::GROUP_DESCRIPTION.0, vec![0x80, 1]),
    ] {
        let mut peer = Scripted::up(plan(right()));
        let before = peer.answers.len();
        let message = ask(&peer, 77, &new_group(number));
        assert_eq!(peer.deliver(&message), Verdict::Ignored(DropReason::Refused));
        assert_eq!(refusals(&peer), [Some(Group(0x8001))]);
        assert_eq!(peer.end.endpoint.own_counters().new_groups_refused, 1);
        let sent = |event: &Event| {
            matches!(event, Event::NotifySent { notify: NotifyType::ATTRIBUTES_NOT_SUPPORTED, protected: true, .. })
        };
        assert_eq!((peer.end.count(sent), peer.answers.len()), (1, before + 1));
        let header = Header::parse(peer.answers.last().unwrap()).unwrap();
        assert!(header.exchange == ExchangeType::INFORMATIONAL && header.flags.contains(Flags::ENCRYPTION));
        // The same again is a replay, and the SA goes on as if nothing had been said.
        assert_eq!(peer.deliver(&message), Verdict::Ignored(DropReason::Replay));
        peer.answers.clear();
        peer.quick();
    }
}

#[test]
fn without_notifications_it_is_refused_in_silence() {
    let mut peer = Scripted::up(plan(right().send_notifies(false)));
    let before = peer.answers.len();
    let message = ask(&peer, 77, &private_group());
    assert_eq!(peer.deliver(&message), Verdict::Ignored(DropReason::Refused));
    assert_eq!((refusals(&peer).len(), peer.answers.len()), (1, before));
}

#[test]
fn new_group_mode_that_proves_nothing_is_dropped_without_a_word() {
    let mut peer = Scripted::up(plan(right()));
    let before = peer.answers.len();
    let rest = private_group();
    let wrong_hash = peer.sealed(ExchangeType::NEW_GROUP, 78, &hashed(&[0; 20], &rest));
    assert_eq!(peer.deliver(&wrong_hash), Verdict::Ignored(DropReason::WrongHash));
    let no_hash = peer.sealed(ExchangeType::NEW_GROUP, 79, &rest);
    assert_eq!(peer.deliver(&no_hash), Verdict::Ignored(DropReason::DecryptFailed));
    let header = |id| Header::new(peer.cookies[0], peer.cookies[1], ExchangeType::NEW_GROUP, MessageId(id));
    let clear = header(80).enclose(rest.first(), rest.octets()).unwrap();
    assert_eq!(peer.deliver(&clear), Verdict::Ignored(DropReason::ClearText));
    let no_id = ask(&peer, 0, &rest);
    assert_eq!(peer.deliver(&no_id), Verdict::Ignored(DropReason::MessageId(0)));
    let mut elsewhere = ask(&peer, 81, &rest);
    elsewhere[15] ^= 1;
    assert_eq!(peer.deliver(&elsewhere), Verdict::Ignored(DropReason::UnknownCookies));
    assert_eq!((refusals(&peer).len(), peer.answers.len()), (0, before));
    assert_eq!(peer.end.endpoint.own_counters().new_groups_refused, 0);
    let right_one = ask(&peer, 82, &rest);
    assert_eq!(peer.deliver(&right_one), Verdict::Ignored(DropReason::Refused));
}

#[test]
fn new_group_mode_before_the_proof_is_not_looked_at() {
    let mut peer = Scripted::keyed(plan(right()));
    let message = ask(&peer, 77, &private_group());
    assert_eq!(peer.deliver(&message), Verdict::Ignored(DropReason::Unexpected));
    assert!(refusals(&peer).is_empty());
    let _ = peer.proven();
}

/// The whole way: message 1 offers nothing but a method that is not spoken, and all that an operator sees names it.
#[test]
fn every_way_to_authenticate_that_is_not_spoken_is_refused_by_its_name() {
    for (method, name) in [
        (AuthMethod::DSS_SIGNATURES, "DSS signatures"),
        (AuthMethod::RSA_ENCRYPTION, "Encryption with RSA"),
        (AuthMethod::RSA_REVISED_ENCRYPTION, "Revised encryption with RSA"),
        (AuthMethod::ECDSA_SIGNATURES, "ECDSA signatures"),
        (AuthMethod::ECDSA_P256, "ECDSA SHA-256 P-256"),
        (AuthMethod::ECDSA_P384, "ECDSA SHA-384 P-384"),
        (AuthMethod::ECDSA_P521, "ECDSA SHA-512 P-521"),
        (AuthMethod::XAUTH_INIT_RSA_ENCRYPTION, "XAUTHInitRSAEncryption"),
        (AuthMethod::HYBRID_INIT_DSS, "HybridInitDSS"),
    ] {
        let mut offered = transform(DhGroup::Modp768).to_offered(1);
        let attribute = |attribute: &&mut Attribute<Vec<u8>>| attribute.class == IkeAttribute::AUTHENTICATION_METHOD.0;
        *offered.attributes.iter_mut().find(attribute).unwrap() =
            Attribute::basic(IkeAttribute::AUTHENTICATION_METHOD.0, method);
        let transforms = vec![offered];
        let proposals = vec![OfferedProposal { number: 1, protocol: ProtocolId::ISAKMP, spi: Vec::new(), transforms }];
        let offer = Offer { situation: Situation::IDENTITY_ONLY, proposals };
        let message_1 = chain(|chain| chain.push_body(PayloadType::SA, &offer.to_body().unwrap()));
        let header = Header::new(Cookie([0xc1; 8]), Cookie::ZERO, ExchangeType::MAIN, MessageId::ZERO);
        let octets = header.enclose(message_1.first(), message_1.octets()).unwrap();
        let mut end = endpoint(plan(right()), 2);
        let now = Instant::from_secs(1);
        let path = Path::new((B, 500).into(), (A, 500).into());
        let verdict = end.handle_datagram(now, Datagram { path, payload: &octets });
        assert_eq!(verdict, Verdict::Ignored(DropReason::Refused), "{name}");
        let mut told = Vec::new();
        let mut notified = false;
        while let Some(action) = end.poll_action() {
            match action {
                Action::Event(Event::Phase1Failed { failure, refusals, .. }) => {
                    assert_eq!(failure, Failure::NoProposalChosen);
                    told.push(refusals.to_string());
                }
                Action::Event(Event::NotifySent { notify, .. }) => {
                    notified |= notify == NotifyType::NO_PROPOSAL_CHOSEN;
                }
                _ => {}
            }
        }
        assert_eq!(told.len(), 1, "{name}");
        assert!(told[0].contains(&format!("auth {name}, wanted pre-shared key")) && notified, "{}", told[0]);
    }
}

#[test]
fn other_exchanges_are_dropped_by_their_name() {
    let mut peer = Scripted::up(plan(right()));
    for (number, name) in [
        (3, "exchange type Authentication Only (3)"),
        (34, "exchange type Acknowledged Informational (34)"),
        (0, "exchange type NONE (0)"),
        (99, "exchange type unknown (99)"),
    ] {
        let message = peer.sealed(ExchangeType(number), 90, &private_group());
        let verdict = peer.deliver(&message);
        assert_eq!(verdict, Verdict::Ignored(DropReason::ExchangeType(number)));
        assert_eq!(DropReason::ExchangeType(number).to_string(), name);
    }
    assert_eq!(peer.end.endpoint.counters().rx_phase1_unknown_type, 4);
}
