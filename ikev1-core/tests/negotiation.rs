//! Offers against plans: what is chosen, what is refused, and what is said about it.

use crate::support::{STRONG, body, every_phase1, every_protection, sa};
use ikev1_core::crypto::{CipherAlgorithm, DhGroup, HashAlgorithm};
use ikev1_core::negotiate::{
    AnswerError, Order, Phase1Policy, Reason, Rules, Suite, check_phase1_answer, check_phase2_answer, choose_phase1,
    choose_phase2, offer_phase1, offer_phase2,
};
use ikev1_core::proposal::{
    AesKey, AuthenticationMethod, Compression, EspCipher, Icv, Integrity, IpsecTransform, Lifetime, LifetimeRule, Mode,
    OfferedIpsec, Phase1Transform, Protection, UdpEncapsulation,
};
use ipsec_wire::isakmp::payload::{Attribute, Offer, OfferedProposal, OfferedTransform, SecurityAssociation};
use ipsec_wire::registry::ProtocolId;
use proptest::prelude::*;

/// 2^31 milliseconds in seconds, in four octets: what Cisco clients offer.
const CISCO_LIFE: u64 = 0x0020_c49b;

const fn phase1(cipher: CipherAlgorithm, hash: HashAlgorithm, authentication: AuthenticationMethod) -> Phase1Transform {
    let lifetime = Lifetime::seconds(86_400);
    Phase1Transform { cipher, hash, group: DhGroup::Modp1024, authentication, lifetime }
}

const fn esp(cipher: EspCipher, integrity: Integrity) -> IpsecTransform {
    IpsecTransform::esp(cipher, Some(integrity))
}

const AES_SHA: IpsecTransform = esp(EspCipher::AesCbc(AesKey::Bits128), Integrity::HmacSha1);

fn alone(number: u32, part: IpsecTransform) -> Suite {
    Suite { number, parts: vec![part] }
}

const LZS: IpsecTransform = IpsecTransform::new(Protection::Ipcomp { compression: Compression::Lzs });

fn lines(refusals: &ikev1_core::negotiate::Refusals) -> Vec<String> {
    refusals.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn a_pix_for_des_and_sha_takes_the_seventh_transform_of_a_cisco_client_and_says_why_not_the_others() {
    use AuthenticationMethod::{PreSharedKey, XauthInitPreSharedKey};
    use CipherAlgorithm::{Des, TripleDes};
    use HashAlgorithm::{Md5, Sha1};
    let client = [
        phase1(TripleDes, Sha1, XauthInitPreSharedKey),
        phase1(TripleDes, Md5, XauthInitPreSharedKey),
        phase1(TripleDes, Sha1, PreSharedKey),
        phase1(TripleDes, Md5, PreSharedKey),
        phase1(Des, Sha1, XauthInitPreSharedKey),
        phase1(Des, Md5, XauthInitPreSharedKey),
        phase1(Des, Sha1, PreSharedKey),
    ]
    .map(|transform| Phase1Transform { lifetime: Lifetime::seconds(CISCO_LIFE), ..transform });
    let offer = body(&offer_phase1(&client));
    let policy = Phase1Policy { number: 10, transform: phase1(Des, Sha1, PreSharedKey) };
    let choice = choose_phase1(&sa(&offer), &[policy], &Rules::default()).unwrap();
    assert_eq!((choice.policy, choice.transform_number), (0, 7));
    assert_eq!(choice.transform.lifetime, Lifetime::seconds(86_400));
    assert_eq!(
        lines(&choice.refusals),
        [
            "transform 1 against policy 10: encryption 3DES-CBC, wanted DES-CBC",
            "transform 2 against policy 10: encryption 3DES-CBC, wanted DES-CBC",
            "transform 3 against policy 10: encryption 3DES-CBC, wanted DES-CBC",
            "transform 4 against policy 10: encryption 3DES-CBC, wanted DES-CBC",
            "transform 5 against policy 10: auth XAUTHInitPreShared, wanted pre-shared key",
            "transform 6 against policy 10: hash MD5, wanted SHA-1",
        ]
    );
    // The answer is the transform as it came, and the client takes it.
    let answer = body(&choice.answer);
    assert_eq!(check_phase1_answer(&client, &sa(&answer)), Ok(6));
    let offered = sa(&offer).proposals().next().unwrap().transforms().nth(6).unwrap();
    let answered = sa(&answer).proposals().next().unwrap().transforms().next().unwrap();
    assert_eq!(answered.attributes.octets(), offered.attributes.octets());
}

#[test]
fn a_pix_for_esp_des_and_md5_takes_the_seventh_proposal_skips_anded_ones_and_refuses_the_fifth_for_its_ipcomp() {
    let (des, triple) = (EspCipher::Des, EspCipher::TripleDes);
    let (md5, sha) = (Integrity::HmacMd5, Integrity::HmacSha1);
    let life = |part: IpsecTransform| IpsecTransform { lifetime: Lifetime::seconds(CISCO_LIFE), ..part };
    let suite = |parts: &[IpsecTransform]| Suite { number: 0, parts: parts.iter().copied().map(life).collect() };
    let client = [
        suite(&[esp(triple, md5), LZS]),
        suite(&[esp(triple, sha), LZS]),
        suite(&[esp(triple, md5)]),
        suite(&[esp(triple, sha)]),
        suite(&[esp(des, md5), LZS]),
        suite(&[esp(des, sha), LZS]),
        suite(&[esp(des, md5)]),
    ];
    // The client numbers every suite as a proposal of its own.
    let mut offer = Offer::default();
    for (suite, number) in client.iter().zip(1..) {
        let mut one = offer_phase2(std::slice::from_ref(suite), None, |_| 0x3f85_4d43);
        one.proposals.iter_mut().for_each(|proposal| proposal.number = number);
        offer.proposals.append(&mut one.proposals);
    }
    assert_eq!(offer.proposals.len(), 11);
    let offer = body(&offer);
    let plan = [alone(10, esp(des, md5))];
    let choice = choose_phase2(&sa(&offer), &plan, None, &Rules::default()).unwrap();
    assert_eq!(choice.agreement.proposal_number, 7);
    assert_eq!(choice.agreement.parts[0].peer_spi, 0x3f85_4d43);
    assert_eq!(choice.agreement.parts[0].transform.lifetime, Lifetime::seconds(28_800));
    assert_eq!(
        lines(&choice.refusals),
        [
            "proposal 1, transform 1 against policy 10: transform ESP_3DES, wanted ESP_DES",
            "proposal 1 against policy 10: ANDed IPComp skipped",
            "proposal 2, transform 1 against policy 10: transform ESP_3DES, wanted ESP_DES",
            "proposal 2 against policy 10: ANDed IPComp skipped",
            "proposal 3, transform 1 against policy 10: transform ESP_3DES, wanted ESP_DES",
            "proposal 4, transform 1 against policy 10: transform ESP_3DES, wanted ESP_DES",
            "proposal 5 against policy 10: ANDed IPComp with an SPI of 2 octets is not wanted",
            "proposal 6, transform 1 against policy 10: authenticator HMAC-SHA, wanted HMAC-MD5",
            "proposal 6 against policy 10: ANDed IPComp skipped",
        ]
    );
    let answer = body(&choice.answer(|_| 0x1122_3344));
    let agreement = check_phase2_answer(&client, None, &sa(&answer)).unwrap();
    assert_eq!((agreement.suite, agreement.parts[0].peer_spi), (6, 0x1122_3344));
}

#[test]
fn the_order_is_the_offers_unless_the_plan_comes_first() {
    let [weak, strong] = [phase1(CipherAlgorithm::Aes128, HashAlgorithm::Sha1, STRONG.authentication), STRONG];
    let offer = body(&offer_phase1(&[weak, strong]));
    let plan = [Phase1Policy { number: 1, transform: strong }, Phase1Policy { number: 2, transform: weak }];
    let choose = |order| choose_phase1(&sa(&offer), &plan, &Rules { order, ..Rules::default() }).unwrap();
    assert_eq!((choose(Order::Offer).transform_number, choose(Order::Offer).policy), (1, 1));
    assert_eq!((choose(Order::Plan).transform_number, choose(Order::Plan).policy), (2, 0));

    let (first, second) = (AES_SHA, esp(EspCipher::TripleDes, Integrity::HmacSha1));
    let offer = body(&offer_phase2(&[alone(1, first), alone(2, second)], None, |_| 4096));
    let plan = [alone(1, second), alone(2, first)];
    let choose = |order| choose_phase2(&sa(&offer), &plan, None, &Rules { order, ..Rules::default() }).unwrap();
    assert_eq!(choose(Order::Offer).agreement.suite, 1);
    assert_eq!(choose(Order::Plan).agreement.suite, 0);
}

#[test]
fn every_phase1_suite_meets_itself_and_no_other() {
    let all = every_phase1(STRONG.lifetime);
    for (at, suite) in all.iter().enumerate() {
        let offer = body(&offer_phase1(std::slice::from_ref(suite)));
        let own = Phase1Policy { number: 1, transform: *suite };
        let choice = choose_phase1(&sa(&offer), &[own], &Rules::default()).unwrap();
        assert_eq!(choice.transform, *suite);
        assert_eq!(check_phase1_answer(&[*suite], &sa(&body(&choice.answer))), Ok(0));
        let other = all[(at * 7 + 1) % all.len()];
        let other = Phase1Policy { number: 1, transform: other };
        if other.transform != *suite {
            let refusals = choose_phase1(&sa(&offer), &[other], &Rules::default()).unwrap_err();
            assert!(matches!(refusals.iter().next().unwrap().reason, Reason::Mismatch(_)));
        }
    }
}

#[test]
fn every_protection_in_every_mode_meets_itself_and_no_other() {
    let all = every_protection();
    assert!(all.len() > 80, "{}", all.len());
    let mut wrong = 0;
    for (at, protection) in all.iter().enumerate() {
        for (mode, pfs, extended_sequence) in [
            (Mode::Tunnel, None, false),
            (Mode::Transport, Some(DhGroup::Modp2048), false),
            (Mode::Tunnel, Some(DhGroup::Modp1024), true),
        ] {
            let part = IpsecTransform { mode, pfs, extended_sequence, ..IpsecTransform::new(*protection) };
            let offer = body(&offer_phase2(&[alone(1, part)], None, |_| 4096));
            let choice = choose_phase2(&sa(&offer), &[alone(1, part)], None, &Rules::default()).unwrap();
            assert_eq!(choice.agreement.parts[0].transform, part);
            let answer = body(&choice.answer(|_| 8192));
            let agreed = check_phase2_answer(&[alone(1, part)], None, &sa(&answer)).unwrap();
            assert_eq!(agreed.parts[0].transform, part);
            assert_eq!(agreed.parts[0].peer_spi, 8192);

            let other = IpsecTransform { protection: all[(at + 1) % all.len()], ..part };
            assert!(choose_phase2(&sa(&offer), &[alone(1, other)], None, &Rules::default()).is_err());
            for other in [
                IpsecTransform { mode: if mode == Mode::Tunnel { Mode::Transport } else { Mode::Tunnel }, ..part },
                IpsecTransform { pfs: Some(DhGroup::Modp4096), ..part },
                IpsecTransform { extended_sequence: !extended_sequence, ..part },
            ] {
                wrong += 1;
                let refusals = choose_phase2(&sa(&offer), &[alone(1, other)], None, &Rules::default()).unwrap_err();
                assert!(matches!(refusals.iter().next().unwrap().reason, Reason::Mismatch(_)));
            }
        }
    }
    assert_eq!(wrong, all.len() * 9);
}

#[test]
fn strongswans_own_offers_are_written_octet_for_octet() {
    // Main mode message 1 and quick mode message 1 of the capture main_quick_psk_strongswan_fullkeys,
    // but for the number of the proposal, which strongSwan begins at 0.
    let lifetime = Lifetime::seconds(3600);
    let suite = phase1(CipherAlgorithm::Aes128, HashAlgorithm::Sha1, AuthenticationMethod::PreSharedKey);
    let mut offer = offer_phase1(&[Phase1Transform { lifetime, ..suite }]);
    offer.proposals[0].number = 0;
    assert_eq!(
        hex::encode(body(&offer)),
        "00000001000000010000002c00010001000000240101000080010007800e0080800200028004000280030001800b0001800c0e10"
    );
    let lifetime = Lifetime::seconds(1200);
    let part = IpsecTransform { lifetime, ..esp(EspCipher::AesCbc(AesKey::Bits128), Integrity::HmacSha2_256) };
    let mut offer = offer_phase2(&[alone(1, part)], None, |_| 0xcc36_d0c6);
    offer.proposals[0].number = 0;
    assert_eq!(
        hex::encode(body(&offer)),
        "00000001000000010000002800030401cc36d0c60000001c010c000080060080800500058004000180010001800204b0"
    );
}

#[test]
fn an_answer_that_changed_anything_is_refused_with_what_changed() {
    let other = phase1(CipherAlgorithm::Aes128, HashAlgorithm::Sha1, STRONG.authentication);
    let offered = [STRONG, other];
    let answer = |suite: Phase1Transform| body(&offer_phase1(&[suite]));
    assert_eq!(check_phase1_answer(&offered, &sa(&answer(STRONG))), Ok(0));
    assert_eq!(check_phase1_answer(&offered, &sa(&answer(other))), Ok(1));
    for (changed, expected) in [
        (Phase1Transform { lifetime: Lifetime::seconds(60), ..STRONG }, "changed: lifetime 60 s, wanted 3600 s"),
        (Phase1Transform { hash: HashAlgorithm::Md5, ..STRONG }, "changed: hash MD5, wanted SHA2-256"),
        (
            Phase1Transform { cipher: CipherAlgorithm::Aes128, ..STRONG },
            "changed: encryption AES-CBC 128, wanted AES-CBC 256",
        ),
        (Phase1Transform { group: DhGroup::Modp768, ..STRONG }, "changed: group 1 (MODP-768), wanted 14 (MODP-2048)"),
    ] {
        assert_eq!(check_phase1_answer(&offered, &sa(&answer(changed))).unwrap_err().to_string(), expected);
    }
    let both = body(&offer_phase1(&offered));
    assert_eq!(check_phase1_answer(&offered, &sa(&both)), Err(AnswerError::Transforms(2)));
    let mut twice = offer_phase1(&[STRONG]);
    twice.proposals.push(twice.proposals[0].clone());
    assert_eq!(check_phase1_answer(&offered, &sa(&body(&twice))), Err(AnswerError::Proposals(2)));
}

#[test]
fn a_bundle_needs_all_its_parts_in_whichever_order() {
    let ah = IpsecTransform::new(Protection::Ah { integrity: Integrity::HmacSha1 });
    let bundle = Suite { number: 3, parts: vec![AES_SHA, ah] };
    let spi = |protocol| if protocol == ProtocolId::ESP { 0x1000 } else { 0x2000 };
    let offer = offer_phase2(std::slice::from_ref(&bundle), None, spi);
    assert_eq!(offer.proposals.iter().map(|proposal| proposal.number).collect::<Vec<_>>(), [1, 1]);
    let offered = body(&offer);
    let choice = choose_phase2(&sa(&offered), std::slice::from_ref(&bundle), None, &Rules::default()).unwrap();
    let spis: Vec<u32> = choice.agreement.parts.iter().map(|part| part.peer_spi).collect();
    assert_eq!(spis, [0x1000, 0x2000]);

    let reversed = Suite { parts: vec![ah, AES_SHA], ..bundle.clone() };
    let choice = choose_phase2(&sa(&offered), &[reversed], None, &Rules::default()).unwrap();
    assert_eq!(choice.agreement.parts[0].transform, AES_SHA);
    let answer = body(&choice.answer(|_| 0x3000));
    let agreed = check_phase2_answer(std::slice::from_ref(&bundle), None, &sa(&answer)).unwrap();
    assert_eq!(agreed.parts.len(), 2);

    // Half a bundle is none, on either side.
    let refusals = choose_phase2(&sa(&offered), &[alone(1, AES_SHA)], None, &Rules::default()).unwrap_err();
    assert_eq!(lines(&refusals), ["proposal 1 against policy 1: ANDed AH with an SPI of 4 octets is not wanted"]);
    let half = body(&offer_phase2(&[alone(1, AES_SHA)], None, spi));
    let refusals = choose_phase2(&sa(&half), std::slice::from_ref(&bundle), None, &Rules::default()).unwrap_err();
    assert_eq!(lines(&refusals), ["proposal 1 against policy 3: no ANDed AH, which is wanted"]);
    let refused = check_phase2_answer(std::slice::from_ref(&bundle), None, &sa(&half)).unwrap_err();
    assert_eq!(refused, AnswerError::Protocols(ProtocolId::AH));
}

#[test]
fn behind_a_nat_only_udp_will_do_in_either_numbering_and_without_one_it_will_not() {
    let suites = [alone(1, AES_SHA)];
    let offer = |udp| body(&offer_phase2(&suites, udp, |_| 4096));
    let numberings = [UdpEncapsulation::Rfc3947, UdpEncapsulation::Drafts];
    for offered in numberings {
        for found in numberings {
            let choice = choose_phase2(&sa(&offer(Some(offered))), &suites, Some(found), &Rules::default()).unwrap();
            assert_eq!(choice.agreement.parts[0].udp, Some(offered));
        }
        let refusals = choose_phase2(&sa(&offer(Some(offered))), &suites, None, &Rules::default()).unwrap_err();
        assert!(refusals.to_string().contains("encapsulation UDP-Encapsulated-Tunnel"), "{refusals}");
    }
    let plain = choose_phase2(&sa(&offer(None)), &suites, Some(UdpEncapsulation::Rfc3947), &Rules::default());
    assert_eq!(
        plain.unwrap_err().to_string(),
        "proposal 1, transform 1 against policy 1: encapsulation Tunnel, wanted UDP-Encapsulated-Tunnel"
    );
    assert_eq!(
        choose_phase2(&sa(&offer(None)), &suites, None, &Rules::default()).unwrap().agreement.parts[0].udp,
        None
    );
}

#[test]
fn reserved_spis_are_refused_by_both_sides() {
    let suites = [alone(1, AES_SHA)];
    for spi in [0, 1, 255] {
        let offer = body(&offer_phase2(&suites, None, |_| spi));
        let refusals = choose_phase2(&sa(&offer), &suites, None, &Rules::default()).unwrap_err();
        assert_eq!(refusals.iter().next().unwrap().reason, Reason::ReservedSpi(spi));
        assert_eq!(check_phase2_answer(&suites, None, &sa(&offer)), Err(AnswerError::ReservedSpi(spi)));
    }
    let offer = body(&offer_phase2(&suites, None, |_| 256));
    assert!(choose_phase2(&sa(&offer), &suites, None, &Rules::default()).is_ok());
}

#[test]
fn single_suites_of_one_protocol_share_a_proposal_and_others_get_their_own() {
    let ah = IpsecTransform::new(Protection::Ah { integrity: Integrity::HmacSha1 });
    let gcm = IpsecTransform::esp(EspCipher::AesGcm(AesKey::Bits256, Icv::Octets16), None);
    let suites = [
        alone(1, AES_SHA),
        alone(2, gcm),
        Suite { number: 3, parts: vec![AES_SHA, LZS] },
        alone(4, AES_SHA),
        alone(5, ah),
    ];
    let offer = offer_phase2(&suites, None, |_| 0x0001_1234);
    let shape: Vec<(u8, ProtocolId, usize, usize)> = offer
        .proposals
        .iter()
        .map(|proposal| (proposal.number, proposal.protocol, proposal.spi.len(), proposal.transforms.len()))
        .collect();
    assert_eq!(
        shape,
        [
            (1, ProtocolId::ESP, 4, 2),
            (2, ProtocolId::ESP, 4, 1),
            (2, ProtocolId::IPCOMP, 2, 1),
            (3, ProtocolId::ESP, 4, 1),
            (4, ProtocolId::AH, 4, 1),
        ]
    );
    // More suites than one proposal can number go on in the next.
    let many: Vec<Suite> = (0..300).map(|number| alone(number, AES_SHA)).collect();
    let offer = offer_phase2(&many, None, |_| 4096);
    let counts: Vec<usize> = offer.proposals.iter().map(|proposal| proposal.transforms.len()).collect();
    assert_eq!(counts, [255, 45]);
}

#[test]
fn refusals_are_kept_up_to_a_limit_and_counted_beyond() {
    let suites: Vec<Phase1Transform> = vec![STRONG; 255];
    let offer = body(&offer_phase1(&suites));
    let other = phase1(CipherAlgorithm::Des, HashAlgorithm::Md5, AuthenticationMethod::PreSharedKey);
    let plan: Vec<Phase1Policy> = (1..=8).map(|number| Phase1Policy { number, transform: other }).collect();
    let refusals = choose_phase1(&sa(&offer), &plan, &Rules::default()).unwrap_err();
    assert_eq!(refusals.len(), 255 * 8);
    assert_eq!(refusals.iter().count(), 256);
    assert_eq!(refusals.omitted(), 255 * 8 - 256);
    assert!(refusals.to_string().ends_with("and 1784 more"));
}

#[test]
fn a_proposal_of_another_protocol_is_refused_once_however_many_transforms_it_has() {
    let suites: Vec<Suite> = (0..5).map(|number| alone(number, AES_SHA)).collect();
    let ah = [alone(9, IpsecTransform::new(Protection::Ah { integrity: Integrity::HmacSha1 }))];
    let offer = body(&offer_phase2(&suites, None, |_| 4096));
    let refusals = choose_phase2(&sa(&offer), &ah, None, &Rules::default()).unwrap_err();
    assert_eq!(lines(&refusals), ["proposal 1 against policy 9: ESP with an SPI of 4 octets is not wanted"]);
}

#[test]
fn every_transform_and_authenticator_number_is_judged_without_a_panic() {
    let suites: Vec<Suite> = every_protection().into_iter().map(|part| alone(1, IpsecTransform::new(part))).collect();
    for protocol in [ProtocolId::ESP, ProtocolId::AH] {
        for id in 0..=u8::MAX {
            for authenticator in (0..16_u16).chain([250, 61439, 65535]) {
                for bits in [None, Some(0_u16), Some(128), Some(65535)] {
                    let mut attributes = vec![Attribute::basic(5_u16, authenticator), Attribute::basic(4_u16, 1_u16)];
                    attributes.extend(bits.map(|bits| Attribute::basic(6_u16, bits)));
                    let transforms = vec![OfferedTransform { number: 1, id, attributes }];
                    let proposal = OfferedProposal { number: 1, protocol, spi: vec![9; 4], transforms };
                    let offer = body(&Offer { proposals: vec![proposal], ..Offer::default() });
                    if let Ok(choice) = choose_phase2(&sa(&offer), &suites, None, &Rules::default()) {
                        let (encryption, integrity) = choice.agreement.parts[0].transform.protection.keymat_lens();
                        assert!((16..=96).contains(&(encryption + integrity)), "{protocol} {id} {authenticator}");
                    }
                }
            }
        }
    }
}

/// Attributes of a phase 2 transform that are likely to mean something.
fn any_attributes() -> impl Strategy<Value = Vec<Attribute<Vec<u8>>>> {
    let value = prop_oneof![4 => 0..8_u16, 1 => any::<u16>(), 1 => Just(128_u16)];
    let attribute = (1..8_u16, value).prop_map(|(class, value)| Attribute::basic(class, value));
    proptest::collection::vec(attribute, 0..6)
}

fn any_transform() -> impl Strategy<Value = OfferedTransform> {
    let lawful = (0..every_protection().len(), any::<u8>())
        .prop_map(|(index, number)| IpsecTransform::new(every_protection()[index]).to_offered(number, None));
    let wild = (any::<u8>(), 0..25_u8, any_attributes()).prop_map(|(number, id, attributes)| OfferedTransform {
        number,
        id,
        attributes,
    });
    prop_oneof![lawful, wild]
}

fn any_proposal() -> impl Strategy<Value = OfferedProposal> {
    let transforms = proptest::collection::vec(any_transform(), 0..5);
    (0..4_u8, 1..5_u8, any::<[u8; 4]>(), transforms).prop_map(|(number, protocol, spi, transforms)| OfferedProposal {
        number,
        protocol: ProtocolId(protocol),
        spi: spi.to_vec(),
        transforms,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_is_offered_the_answer_is_one_of_the_offers_and_the_other_end_takes_it(
        proposals in proptest::collection::vec(any_proposal(), 0..6),
        parts in proptest::collection::vec((0..every_protection().len(), 0..3_usize), 1..8),
        order in prop_oneof![Just(Order::Offer), Just(Order::Plan)],
    ) {
        let offer = body(&Offer { proposals: proposals.clone(), ..Offer::default() });
        let Ok(parsed) = SecurityAssociation::parse(&offer[..]) else { return Ok(()) };
        let all = every_protection();
        let suites: Vec<Suite> = parts
            .iter()
            .map(|(index, more)| {
                let mut parts = vec![IpsecTransform::new(all[*index])];
                parts.extend(all.iter().take(*more).map(|protection| IpsecTransform::new(*protection)));
                Suite { number: 1, parts }
            })
            .collect();
        let rules = Rules { order, lifetime: LifetimeRule::Obey, ..Rules::default() };
        let Ok(choice) = choose_phase2(&parsed, &suites, None, &rules) else { return Ok(()) };
        let answer = choice.answer(|_| 4096);
        for proposal in &answer.proposals {
            prop_assert!(proposals.iter().any(|offered| offered.number == proposal.number
                && offered.protocol == proposal.protocol
                && offered.transforms.contains(&proposal.transforms[0])));
        }
        // The other end knows what it offered, with the lifetimes that it said.
        let answer = body(&answer);
        let answer = sa(&answer);
        let said = answer.proposals().map(|proposal| {
            OfferedIpsec::read(proposal.protocol, &proposal.transforms().next().unwrap()).unwrap().lifetime
        });
        let parts = choice.agreement.parts.iter().zip(said);
        let parts = parts.map(|(part, lifetime)| IpsecTransform { lifetime, ..part.transform }).collect();
        let agreed = check_phase2_answer(&[Suite { number: 1, parts }], None, &answer).unwrap();
        prop_assert_eq!(agreed.parts.len(), choice.agreement.parts.len());
    }
}
