//! ISAKMP SAs as a capture shows them: messages decrypted where a key is known, hashes proved.

use super::keys::Keys;
use super::proof::{Proof, Proven};
use ikev1_core::crypto::{CipherAlgorithm, CipherKey, DhShared, HashAlgorithm};
use ikev1_core::keys::{IvChain, Phase1Keys, Phase1Seed, Transcript};
use ipsec_wire::isakmp::payload::{NatNumbering, Payload};
use ipsec_wire::isakmp::vendor::{self, Meaning, NatTraversal};
use ipsec_wire::isakmp::{Body, Cookie, Header, Message, MessageId, Payloads};
use ipsec_wire::registry::{AuthMethod, ExchangeType, IkeAttribute, IkeCipher, IkeHash, PayloadType};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Everything that is known of the ISAKMP SAs of a capture.
#[derive(Default)]
pub struct Associations {
    by_cookie: BTreeMap<Cookie, Association>,
}

/// What one ISAKMP SA has shown.
#[derive(Default)]
struct Association {
    /// Who sent the first message.
    initiator: Option<IpAddr>,
    /// SAi_b: the body of the SA payload that the initiator offered.
    offer: Option<Vec<u8>>,
    /// Public values and nonces, the initiator's first.
    public_values: Vec<Vec<u8>>,
    nonces: Vec<Vec<u8>>,
    /// IDii_b and IDir_b.
    identities: [Option<Vec<u8>>; 2],
    /// Nonces of quick modes, by message id, the initiator's first.
    later_nonces: BTreeMap<MessageId, Vec<Vec<u8>>>,
    responder_cookie: Cookie,
    choice: Option<Choice>,
    nat_numbering: NatNumbering,
    opener: Option<Opener>,
    /// Plaintexts by ciphertext: a retransmission must not move the chain again.
    opened: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The transform that the responder chose.
#[derive(Clone, Copy)]
struct Choice {
    cipher: CipherAlgorithm,
    hash: HashAlgorithm,
    method: AuthMethod,
}

/// What opens the messages of an SA.
struct Opener {
    key: CipherKey,
    phase_1: IvChain,
    later: BTreeMap<MessageId, IvChain>,
}

/// What became of an encrypted message.
pub enum Opening {
    /// Its payload chain and padding.
    Plain(Vec<u8>),
    /// No key is known for it.
    NoKey,
    /// A key is known, and this is in the way.
    Failed(&'static str),
}

impl Associations {
    /// Takes note of a clear message.
    pub fn learn(&mut self, source: IpAddr, message: &Message<'_>) {
        let Body::Clear(payloads) = message.body() else { return };
        let header = message.header();
        // Fragments alone say nothing of an SA, and clear notifications may be anyone's.
        if payloads.first_type() == PayloadType::FRAGMENT || header.exchange == ExchangeType::INFORMATIONAL {
            return;
        }
        let sa = self.by_cookie.entry(header.initiator_cookie).or_default();
        if header.responder_cookie.is_zero() {
            sa.initiator.get_or_insert(source);
        }
        sa.learn(source, header, payloads);
    }

    /// Takes note of a decrypted message, and checks the HASH in a clear or a decrypted one.
    ///
    /// `None` where there is no HASH, or nothing to check it with.
    pub fn prove(&mut self, source: IpAddr, header: &Header, payloads: Payloads<'_>, keys: &Keys) -> Option<Proof> {
        let sa = self.by_cookie.get_mut(&header.initiator_cookie)?;
        // A Delete of vpnc may have message id 0.
        let of_phase_1 = header.message_id == MessageId::ZERO && header.exchange != ExchangeType::INFORMATIONAL;
        if of_phase_1 {
            sa.learn(source, header, payloads);
        } else if let Some(nonce) = payloads.find(PayloadType::NONCE) {
            keep_two(sa.later_nonces.entry(header.message_id).or_default(), nonce.body());
        }
        let hash = payloads.find(PayloadType::HASH)?;
        let proven = if of_phase_1 {
            sa.prove_phase_1(source, header, hash.body(), keys)?
        } else {
            let known = sa.keys(header.initiator_cookie, keys)?;
            let nonces = sa.later_nonces.get(&header.message_id).map(Vec::as_slice).unwrap_or_default();
            Proven::later(known.isakmp(), header, payloads.after(&hash), nonces)
        };
        Some(proven.compare(hash.body()))
    }

    /// Returns under which numbers an SA sends NAT-D and NAT-OA.
    pub fn nat_numbering(&self, header: &Header) -> NatNumbering {
        self.by_cookie.get(&header.initiator_cookie).map_or(NatNumbering::default(), |sa| sa.nat_numbering)
    }

    /// Compares the NAT-D payloads of a message with the ends that it has in the capture (RFC 3947 §3.2).
    ///
    /// Each is the end it speaks of, the destination first, and whether it is that of the capture.
    pub fn nat_detection(
        &self,
        ends: (SocketAddr, SocketAddr),
        header: &Header,
        payloads: Payloads<'_>,
    ) -> Vec<(&'static str, bool)> {
        let Some(choice) = self.by_cookie.get(&header.initiator_cookie).and_then(|sa| sa.choice) else {
            return Vec::new();
        };
        let types = [PayloadType::NAT_D, PayloadType::NAT_D_DRAFT, self.nat_numbering(header).nat_d()];
        let hash_of = |end: SocketAddr| {
            let port = end.port().to_be_bytes();
            let cookies = [&header.initiator_cookie.0[..], &header.responder_cookie.0[..]];
            match end.ip() {
                IpAddr::V4(address) => choice.hash.digest(&[cookies[0], cookies[1], &address.octets(), &port]),
                IpAddr::V6(address) => choice.hash.digest(&[cookies[0], cookies[1], &address.octets(), &port]),
            }
        };
        let (source, destination) = (hash_of(ends.0), hash_of(ends.1));
        let hashes: Vec<_> = payloads.iter().filter(|raw| types.contains(&raw.payload_type())).collect();
        match &hashes[..] {
            [] => Vec::new(),
            [first, rest @ ..] => {
                let of_source = rest.iter().any(|raw| source.matches(raw.body()));
                vec![
                    ("NAT-D of the destination", destination.matches(first.body())),
                    ("NAT-D of the source", of_source),
                ]
            }
        }
    }

    /// Decrypts a message if a key is known.
    pub fn open(&mut self, header: &Header, ciphertext: &[u8], keys: &Keys) -> Opening {
        let cookie = header.initiator_cookie;
        let sa = self.by_cookie.entry(cookie).or_default();
        if let Some(plain) = sa.opened.get(ciphertext) {
            return Opening::Plain(plain.clone());
        }
        if sa.opener.is_none() {
            match sa.make_opener(cookie, keys) {
                Ok(opener) => sa.opener = Some(opener),
                Err(opening) => return opening,
            }
        }
        let Some(opener) = &mut sa.opener else { return Opening::NoKey };
        match opener.open(header, ciphertext) {
            Ok(plain) => {
                sa.opened.insert(ciphertext.to_vec(), plain.clone());
                Opening::Plain(plain)
            }
            Err(reason) => Opening::Failed(reason),
        }
    }
}

impl Association {
    fn learn(&mut self, source: IpAddr, header: &Header, payloads: Payloads<'_>) {
        if !header.responder_cookie.is_zero() {
            self.responder_cookie = header.responder_cookie;
        }
        for raw in payloads {
            if let Ok(payload) = Payload::parse(raw) {
                self.learn_payload(source, header, &payload, raw.body());
            }
        }
    }

    fn learn_payload(&mut self, source: IpAddr, header: &Header, payload: &Payload<'_>, body: &[u8]) {
        match payload {
            Payload::KeyExchange(key) => keep_two(&mut self.public_values, key.data),
            Payload::Nonce(nonce) => keep_two(&mut self.nonces, nonce.data),
            Payload::Identification(_) if self.initiator.is_some() => {
                let [initiator, responder] = &mut self.identities;
                let identity = if self.initiator == Some(source) { initiator } else { responder };
                identity.get_or_insert_with(|| body.to_vec());
            }
            Payload::SecurityAssociation(_) if header.responder_cookie.is_zero() => {
                self.offer.get_or_insert_with(|| body.to_vec());
            }
            Payload::SecurityAssociation(sa) => {
                let transform = sa.proposals().next().and_then(|proposal| proposal.transforms().next());
                let number = |class: IkeAttribute| {
                    transform.and_then(|transform| transform.attributes.find(class.0)).and_then(|a| a.to_u16().ok())
                };
                self.choice = choice(&number);
            }
            Payload::VendorId(id) if !header.responder_cookie.is_zero() => {
                if let Some(Meaning::NatTraversal(version)) =
                    vendor::recognise(id.data).map(|found| found.known.meaning)
                    && (NatTraversal::Draft04..=NatTraversal::Draft08).contains(&version)
                {
                    self.nat_numbering = NatNumbering::Drafts04To08;
                }
            }
            _ => {}
        }
    }

    /// Computes what HASH_I or HASH_R must be, by who sends it.
    fn prove_phase_1(&self, source: IpAddr, header: &Header, hash: &[u8], keys: &Keys) -> Option<Proven> {
        // Base mode hashes otherwise, and HASH of an informational exchange has message id 0 only by mistake.
        if ![ExchangeType::MAIN, ExchangeType::AGGRESSIVE].contains(&header.exchange) || hash.is_empty() {
            return None;
        }
        let known = self.keys(header.initiator_cookie, keys).or_else(|| self.keys_without_secret(keys))?;
        let [g_xi, g_xr] = &self.public_values[..] else { return None };
        let transcript = Transcript {
            cky_i: &header.initiator_cookie.0,
            cky_r: &self.responder_cookie.0,
            g_xi,
            g_xr,
            sai_b: self.offer.as_deref()?,
        };
        let [initiator, responder] = &self.identities;
        Some(if self.initiator? == source {
            Proven::hash_i(known.hash_i(&transcript, initiator.as_deref()?))
        } else {
            Proven::hash_r(known.hash_r(&transcript, responder.as_deref()?))
        })
    }

    /// Returns the key schedule, if everything that it needs is known.
    fn keys(&self, cookie: Cookie, keys: &Keys) -> Option<Phase1Keys> {
        let (choice, secret) = (self.choice?, keys.shared_secrets.get(&cookie)?);
        self.derive(cookie, choice, secret, keys).ok()
    }

    /// HASH_I and HASH_R need SKEYID alone, and that of a pre-shared key does without g^xy.
    fn keys_without_secret(&self, keys: &Keys) -> Option<Phase1Keys> {
        let choice = self.choice.filter(|choice| is_pre_shared(choice.method))?;
        self.derive(Cookie::ZERO, choice, &[], keys).ok()
    }

    fn make_opener(&self, cookie: Cookie, keys: &Keys) -> Result<Opener, Opening> {
        let given = keys.isakmp.get(&cookie);
        let secret = keys.shared_secrets.get(&cookie);
        if given.is_none() && secret.is_none() {
            return Err(Opening::NoKey);
        }
        let choice = self.choice.ok_or(Opening::Failed("the capture does not show which transform was chosen"))?;
        let [g_xi, g_xr] = &self.public_values[..] else {
            return Err(Opening::Failed("the capture does not show both public values"));
        };
        let key = match (given, secret) {
            (Some(key), _) => CipherKey::new(choice.cipher, key),
            (None, Some(secret)) => {
                let schedule = self.derive(cookie, choice, secret, keys).map_err(Opening::Failed)?;
                CipherKey::new(choice.cipher, schedule.isakmp().cipher().expose())
            }
            (None, None) => return Err(Opening::NoKey),
        };
        let key = key.map_err(|_| Opening::Failed("the key does not fit the cipher that was chosen"))?;
        let phase_1 = IvChain::phase_1(choice.hash, choice.cipher, g_xi, g_xr);
        Ok(Opener { key, phase_1, later: BTreeMap::new() })
    }

    /// Computes the keys as both sides did (RFC 2409 §5, appendix B).
    fn derive(&self, cookie: Cookie, choice: Choice, secret: &[u8], keys: &Keys) -> Result<Phase1Keys, &'static str> {
        let [ni, nr] = &self.nonces[..] else {
            return Err("the capture does not show both nonces");
        };
        let g_xy = DhShared::copied(secret);
        let seed = if is_pre_shared(choice.method) {
            let psk = keys.psk.as_deref().ok_or("the pre-shared key is not given")?;
            Phase1Seed::from_psk(choice.hash, &ikev1_core::auth::PreSharedKey::copied(psk), ni, nr)
        } else {
            Phase1Seed::from_signature(choice.hash, ni, nr, &g_xy)
        };
        Ok(seed.expand(&g_xy, &cookie.0, &self.responder_cookie.0, choice.cipher))
    }
}

impl Opener {
    /// Decrypts with the chain of the message id, and moves it when the chain of payloads is sound.
    fn open(&mut self, header: &Header, ciphertext: &[u8]) -> Result<Vec<u8>, &'static str> {
        let id = header.message_id;
        let later = |opener: &mut Self| {
            let chain = opener.later.entry(id).or_insert_with(|| opener.phase_1.for_message_id(id.0));
            Self::open_in(chain, &opener.key, header, ciphertext)
        };
        if id != MessageId::ZERO {
            return later(self);
        }
        // Deletes have random message ids, and those of vpnc may be 0 (RFC 2409 §5.7 asks for another).
        let of_phase_1 = Self::open_in(&mut self.phase_1, &self.key, header, ciphertext);
        if of_phase_1.is_err() && header.exchange == ExchangeType::INFORMATIONAL {
            return later(self);
        }
        of_phase_1
    }

    fn open_in(
        chain: &mut IvChain,
        key: &CipherKey,
        header: &Header,
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, &'static str> {
        let mut octets = ciphertext.to_vec();
        let next = chain.open(key, &mut octets).map_err(|_| "not a whole number of blocks")?;
        if Payloads::parse_decrypted(header.next_payload, &octets[..]).is_err() {
            return Err("decrypted to garbage: another key, or a message before it is missing");
        }
        chain.commit(next);
        Ok(octets)
    }
}

fn keep_two(values: &mut Vec<Vec<u8>>, value: &[u8]) {
    if values.len() < 2 && !values.iter().any(|kept| kept == value) {
        values.push(value.to_vec());
    }
}

fn choice(number: &dyn Fn(IkeAttribute) -> Option<u16>) -> Option<Choice> {
    let key_length = number(IkeAttribute::KEY_LENGTH);
    let cipher = IkeCipher(number(IkeAttribute::ENCRYPTION_ALGORITHM)?);
    let fits = |candidate: &CipherAlgorithm| {
        candidate.number() == cipher && candidate.key_length_attribute().is_none_or(|bits| Some(bits) == key_length)
    };
    let hash = IkeHash(number(IkeAttribute::HASH_ALGORITHM)?);
    Some(Choice {
        cipher: CipherAlgorithm::ALL.into_iter().find(fits)?,
        hash: HashAlgorithm::ALL.into_iter().find(|candidate| candidate.number() == hash)?,
        method: AuthMethod(number(IkeAttribute::AUTHENTICATION_METHOD)?),
    })
}

fn is_pre_shared(method: AuthMethod) -> bool {
    [AuthMethod::PRE_SHARED_KEY, AuthMethod::XAUTH_INIT_PRE_SHARED, AuthMethod::XAUTH_RESP_PRE_SHARED].contains(&method)
}
