//! Offers against plans: what is chosen, what is refused, and what is said about it.

mod support;

use ikev1_core::crypto::{CipherAlgorithm, DhGroup, HashAlgorithm};
use ikev1_core::negotiate::{
    AnswerError, Order, Phase1Policy, Reason, Rules, Suite, check_phase1_answer, check_phase2_answer, choose_phase1,
    choose_phase2, offer_phase1, offer_phase2,
};
use ikev1_core::proposal::{
    AesKey, AttributeError, AuthenticationMethod, Compression, EspCipher, Icv, Integrity, IpsecTransform, Lifetime,
    LifetimeRule, Mismatch, Mode, Phase1Transform, Protection, Term, UdpEncapsulation,
};
use ipsec_wire::isakmp::payload::{
    Attribute, AttributeValue, Emit, Offer, OfferedProposal, OfferedTransform, SecurityAssociation,
};
use ipsec_wire::registry::{AuthMethod, Group, IkeCipher, IkeHash, LifeType, ProtocolId};
use proptest::prelude::*;
use support::{every_phase1, every_protection};

/// 2^31 milliseconds in seconds, in four octets: what Cisco clients offer.
const CISCO_LIFE: u64 = 0x0020_c49b;

fn body(offer: &Offer) -> Vec<u8> {
    offer.to_body().unwrap()
}

fn sa(body: &[u8]) -> SecurityAssociation<'_> {
    SecurityAssociation::parse(body).unwrap()
}

const fn phase1(cipher: CipherAlgorithm, hash: HashAlgorithm, authentication: AuthenticationMethod) -> Phase1Transform {
    let lifetime = Lifetime::seconds(86_400);
    Phase1Transform { cipher, hash, group: DhGroup::Modp1024, authentication, lifetime }
}

const STRONG: Phase1Transform = Phase1Transform {
    cipher: CipherAlgorithm::Aes256,
    hash: HashAlgorithm::Sha2_256,
    group: DhGroup::Modp2048,
    authentication: AuthenticationMethod::PreSharedKey,
    lifetime: Lifetime::seconds(3600),
};

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

/// Builds an offer of one transform from attributes given by hand.
fn by_hand(attributes: Vec<Attribute<Vec<u8>>>) -> Vec<u8> {
    let transforms = vec![OfferedTransform { number: 1, id: 1, attributes }];
    let proposal = OfferedProposal { number: 1, protocol: ProtocolId::ISAKMP, spi: Vec::new(), transforms };
    body(&Offer { proposals: vec![proposal], ..Offer::default() })
}

fn strong_attributes() -> Vec<Attribute<Vec<u8>>> {
    STRONG.to_offered(1).attributes
}

fn judge(attributes: Vec<Attribute<Vec<u8>>>) -> Result<Phase1Transform, Reason> {
    let policy = Phase1Policy { number: 1, transform: STRONG };
    match choose_phase1(&sa(&by_hand(attributes)), &[policy], &Rules::default()) {
        Ok(choice) => Ok(choice.transform),
        Err(refusals) => Err(refusals.iter().next().unwrap().reason),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The two of a lifetime must stay neighbours; all else may come in any order and either form.
    #[test]
    fn attributes_are_read_in_any_order_and_either_form(order in Just([0, 1, 2, 3, 4, 5]).prop_shuffle(), long: [bool; 7]) {
        let attributes = strong_attributes();
        let mut shuffled = Vec::new();
        for index in order {
            shuffled.push(attributes[index].clone());
            if index == 5 {
                shuffled.push(attributes[6].clone());
            }
        }
        for (attribute, long) in shuffled.iter_mut().zip(long) {
            if let (AttributeValue::Basic(value), true) = (&attribute.value, long) {
                attribute.value = AttributeValue::Variable(u32::from(*value).to_be_bytes().to_vec());
            }
        }
        prop_assert_eq!(judge(shuffled), Ok(STRONG));
    }

    #[test]
    fn noise_for_attributes_never_panics_and_is_never_chosen(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut body = vec![0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0];
        body.extend(&octets);
        let len = body.len() as u16;
        body[10..12].copy_from_slice(&(len - 8).to_be_bytes());
        body[18..20].copy_from_slice(&(len - 16).to_be_bytes());
        if let Ok(offer) = SecurityAssociation::parse(&body[..]) {
            let policy = Phase1Policy { number: 1, transform: STRONG };
            prop_assert!(choose_phase1(&offer, &[policy], &Rules::default()).is_err());
            prop_assert!(check_phase1_answer(&[STRONG], &offer).is_err());
        }
    }
}

#[test]
fn an_attribute_twice_is_refused_even_with_the_same_value() {
    for index in 0..5 {
        let mut attributes = strong_attributes();
        attributes.push(attributes[index].clone());
        assert!(matches!(judge(attributes), Err(Reason::Attributes(AttributeError::Repeated(_)))));
    }
    let mut attributes = strong_attributes();
    attributes.extend([Attribute::basic(11_u16, 1_u16), Attribute::basic(12_u16, 60_u16)]);
    let repeated = AttributeError::Repeated("lifetime in seconds");
    assert_eq!(judge(attributes), Err(Reason::Attributes(repeated)));
}

#[test]
fn a_missing_attribute_is_a_mismatch_with_none() {
    for (index, offered) in [
        (0, Term::Encryption(None, Some(256))),
        (1, Term::Encryption(Some(IkeCipher::AES_CBC), None)),
        (2, Term::Hash(None)),
        (3, Term::Group(None)),
        (4, Term::Authentication(None)),
    ] {
        let mut attributes = strong_attributes();
        attributes.remove(index);
        let Err(Reason::Mismatch(mismatch)) = judge(attributes) else { panic!("taken without {offered:?}") };
        assert_eq!(mismatch.offered, offered);
    }
}

#[test]
fn an_unknown_attribute_is_never_passed_over() {
    for class in (13..32768_u16).filter(|class| ![14].contains(class)).step_by(97).chain([0, 6, 10, 13, 15, 16, 16384])
    {
        let mut attributes = strong_attributes();
        attributes.push(Attribute::basic(class, 1_u16));
        assert_eq!(judge(attributes), Err(Reason::Attributes(AttributeError::Unknown(class))));
    }
}

#[test]
fn a_group_type_that_fits_the_group_is_taken_and_another_is_not() {
    let with = |form: u16| {
        let mut attributes = strong_attributes();
        attributes.push(Attribute::basic(5_u16, form));
        judge(attributes)
    };
    assert_eq!(with(1), Ok(STRONG));
    assert!(matches!(with(2), Err(Reason::Mismatch(Mismatch { offered: Term::GroupType(_), .. }))));
}

#[test]
fn key_lengths_that_do_not_fit_their_cipher_are_refused() {
    for cipher in CipherAlgorithm::ALL {
        let policy = Phase1Policy { number: 1, transform: Phase1Transform { cipher, ..STRONG } };
        for bits in [0_u16, 1, 40, 56, 64, 127, 128, 129, 160, 168, 192, 255, 256, 257, 512, 65535] {
            let mut attributes = policy.transform.to_offered(1).attributes;
            attributes.retain(|attribute| attribute.class != 14);
            attributes.push(Attribute::basic(14_u16, bits));
            let offer = by_hand(attributes);
            let taken = choose_phase1(&sa(&offer), &[policy], &Rules::default()).is_ok();
            assert_eq!(taken, usize::from(bits) == 8 * cipher.key_len(), "{cipher} with {bits}");
        }
        // Without the attribute: fixed lengths only.
        let mut attributes = policy.transform.to_offered(1).attributes;
        attributes.retain(|attribute| attribute.class != 14);
        let offer = by_hand(attributes);
        let taken = choose_phase1(&sa(&offer), &[policy], &Rules::default()).is_ok();
        assert_eq!(taken, cipher.key_length_attribute().is_none(), "{cipher}");
    }
}

/// Replaces the lifetime of the strong suite by the attributes given.
fn with_life(life: &[Attribute<Vec<u8>>]) -> Result<Phase1Transform, Reason> {
    let mut attributes = strong_attributes();
    attributes.truncate(5);
    attributes.extend_from_slice(life);
    judge(attributes)
}

#[test]
fn lifetimes_of_every_length_are_read_and_saturate() {
    let seconds = Attribute::basic(11_u16, LifeType::SECONDS);
    let own = STRONG.lifetime.seconds.unwrap();
    for (octets, expected) in [
        (vec![1], 1),
        (vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9], 9),
        (vec![0x0e, 0x0f], 3599),
        (vec![0, 0x20, 0xc4, 0x9b], own),
        (vec![0x7f, 0xff, 0xff, 0xff], own),
        (vec![0xff; 8], own),
        (vec![0xff; 9], own),
        (vec![1; 200], own),
    ] {
        let taken = with_life(&[seconds.clone(), Attribute::variable(12_u16, octets)]).unwrap();
        assert_eq!(taken.lifetime, Lifetime::seconds(expected));
    }
    let rules = Rules { lifetime: LifetimeRule::Obey, ..Rules::default() };
    let mut attributes = strong_attributes();
    attributes.truncate(5);
    attributes.extend([seconds, Attribute::variable(12_u16, vec![1; 200])]);
    let policy = Phase1Policy { number: 1, transform: STRONG };
    let choice = choose_phase1(&sa(&by_hand(attributes)), &[policy], &rules).unwrap();
    assert_eq!(choice.transform.lifetime, Lifetime::seconds(u64::MAX));
}

#[test]
fn lifetimes_of_zero_of_nothing_or_without_their_other_half_are_refused() {
    let seconds = || Attribute::basic(11_u16, LifeType::SECONDS);
    let kilobytes = || Attribute::basic(11_u16, LifeType::KILOBYTES);
    let duration = |value: u16| Attribute::basic(12_u16, value);
    for (life, expected) in [
        (vec![seconds(), duration(0)], AttributeError::LifeZero(LifeType::SECONDS)),
        (vec![kilobytes(), Attribute::variable(12_u16, vec![0; 4])], AttributeError::LifeZero(LifeType::KILOBYTES)),
        (vec![seconds(), Attribute::variable(12_u16, vec![])], AttributeError::Range("life duration")),
        (vec![seconds()], AttributeError::LifeUnpaired),
        (vec![duration(5)], AttributeError::LifeUnpaired),
        (vec![seconds(), kilobytes(), duration(5)], AttributeError::LifeUnpaired),
        (vec![Attribute::basic(11_u16, 3_u16), duration(5)], AttributeError::LifeType(LifeType(3))),
    ] {
        assert_eq!(with_life(&life), Err(Reason::Attributes(expected)));
    }
    // A duration before its type, and no lifetime at all, are taken.
    assert_eq!(with_life(&[duration(60), seconds()]).unwrap().lifetime, Lifetime::seconds(60));
    assert_eq!(with_life(&[]).unwrap().lifetime, STRONG.lifetime);
    let both = with_life(&[seconds(), duration(60), kilobytes(), duration(70)]).unwrap().lifetime;
    assert_eq!(both, Lifetime { seconds: Some(60), kilobytes: Some(70) });
}

#[test]
fn each_lifetime_rule_does_what_it_says() {
    let settle = |rule, shortest, offered| {
        let rules = Rules { lifetime: rule, shortest: Lifetime::seconds(shortest), ..Rules::default() };
        let offer = body(&offer_phase1(&[Phase1Transform { lifetime: Lifetime::seconds(offered), ..STRONG }]));
        let policy = Phase1Policy { number: 1, transform: STRONG };
        choose_phase1(&sa(&offer), &[policy], &rules).ok().and_then(|choice| choice.transform.lifetime.seconds)
    };
    use LifetimeRule::{Exact, Obey, Shorter, Strict};
    for (rule, shorter, same, longer) in [
        (Shorter, Some(600), Some(3600), Some(3600)),
        (Obey, Some(600), Some(3600), Some(7200)),
        (Strict, Some(600), Some(3600), None),
        (Exact, None, Some(3600), None),
    ] {
        assert_eq!([settle(rule, 1, 600), settle(rule, 1, 3600), settle(rule, 1, 7200)], [shorter, same, longer]);
        assert_eq!(settle(rule, 601, 600), None);
    }
}

#[test]
fn a_number_that_does_not_fit_its_field_is_refused() {
    let mut attributes = strong_attributes();
    attributes[0] = Attribute::variable(1_u16, vec![1, 0, 7]);
    assert_eq!(judge(attributes), Err(Reason::Attributes(AttributeError::Range("encryption"))));
    let mut attributes = strong_attributes();
    attributes[2] = Attribute::variable(2_u16, vec![]);
    assert_eq!(judge(attributes), Err(Reason::Attributes(AttributeError::Range("hash"))));
}

#[test]
fn algorithms_that_nobody_has_are_refused_by_their_names() {
    let mut attributes = strong_attributes();
    attributes[0] = Attribute::basic(1_u16, IkeCipher::BLOWFISH_CBC);
    assert_eq!(judge(attributes).unwrap_err().to_string(), "encryption Blowfish-CBC 256, wanted AES-CBC 256");
    let mut attributes = strong_attributes();
    attributes[2] = Attribute::basic(2_u16, IkeHash::TIGER);
    assert_eq!(judge(attributes).unwrap_err().to_string(), "hash Tiger, wanted SHA2-256");
    let mut attributes = strong_attributes();
    attributes[3] = Attribute::basic(4_u16, Group(0));
    assert_eq!(judge(attributes).unwrap_err().to_string(), "group 0, wanted 14 (MODP-2048)");
    let mut attributes = strong_attributes();
    attributes[4] = Attribute::basic(3_u16, AuthMethod::RSA_ENCRYPTION);
    assert_eq!(judge(attributes).unwrap_err().to_string(), "auth Encryption with RSA, wanted pre-shared key");
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
