//! ISAKMP SAs as a capture shows them: fragments joined, messages decrypted where a key is known.

use super::keys::Keys;
use ikev1_core::crypto::{CipherAlgorithm, CipherKey, DhShared, HashAlgorithm};
use ikev1_core::keys::{IvChain, Phase1Seed};
use ipsec_wire::isakmp::payload::{Fragment, NatNumbering, Payload};
use ipsec_wire::isakmp::vendor::{self, Meaning, NatTraversal};
use ipsec_wire::isakmp::{Body, Cookie, Header, Message, MessageId, Payloads};
use ipsec_wire::registry::{AuthMethod, IkeAttribute, IkeCipher, IkeHash};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Everything that is known of the ISAKMP SAs of a capture.
#[derive(Default)]
pub struct Associations {
    by_cookie: BTreeMap<Cookie, Association>,
    fragments: BTreeMap<(Cookie, IpAddr, u16), Parts>,
}

/// The parts of one fragmented message by number: whether it is the last, and its data.
type Parts = BTreeMap<u8, (bool, Vec<u8>)>;

/// What one ISAKMP SA has shown.
#[derive(Default)]
struct Association {
    /// Public values and nonces, the initiator's first.
    public_values: Vec<Vec<u8>>,
    nonces: Vec<Vec<u8>>,
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
    /// Takes note of a clear message, and returns the whole when it was the last missing fragment.
    pub fn learn(&mut self, source: IpAddr, message: &Message<'_>) -> Option<Vec<u8>> {
        let Body::Clear(payloads) = message.body() else { return None };
        let mut whole = None;
        let header = *message.header();
        for raw in payloads {
            match Payload::parse(raw) {
                Ok(Payload::Fragment(fragment)) => whole = self.join(header.initiator_cookie, source, &fragment),
                Ok(payload) => self.by_cookie.entry(header.initiator_cookie).or_default().learn(&header, &payload),
                Err(_) => {}
            }
        }
        whole
    }

    fn join(&mut self, cookie: Cookie, source: IpAddr, fragment: &Fragment<&[u8]>) -> Option<Vec<u8>> {
        let name = (cookie, source, fragment.id);
        let parts = self.fragments.entry(name).or_default();
        parts.entry(fragment.number).or_insert((fragment.is_last(), fragment.data.to_vec()));
        let last = parts.iter().find(|(_, (is_last, _))| *is_last).map(|(number, _)| usize::from(*number))?;
        if parts.len() < last {
            return None;
        }
        let parts = self.fragments.remove(&name)?;
        Some(parts.into_values().flat_map(|(_, data)| data).collect())
    }

    /// Returns under which numbers an SA sends NAT-D and NAT-OA.
    pub fn nat_numbering(&self, header: &Header) -> NatNumbering {
        self.by_cookie.get(&header.initiator_cookie).map_or(NatNumbering::default(), |sa| sa.nat_numbering)
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
    fn learn(&mut self, header: &Header, payload: &Payload<'_>) {
        if !header.responder_cookie.is_zero() {
            self.responder_cookie = header.responder_cookie;
        }
        match payload {
            Payload::KeyExchange(key) => keep_two(&mut self.public_values, key.data),
            Payload::Nonce(nonce) => keep_two(&mut self.nonces, nonce.data),
            Payload::SecurityAssociation(sa) if !header.responder_cookie.is_zero() => {
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
            (None, Some(secret)) => Ok(self.derive(cookie, choice, secret, keys)?),
            (None, None) => return Err(Opening::NoKey),
        };
        let key = key.map_err(|_| Opening::Failed("the key does not fit the cipher that was chosen"))?;
        let phase_1 = IvChain::phase_1(choice.hash, choice.cipher, g_xi, g_xr);
        Ok(Opener { key, phase_1, later: BTreeMap::new() })
    }

    /// Computes the key as both sides did (RFC 2409 §5, appendix B).
    fn derive(&self, cookie: Cookie, choice: Choice, secret: &[u8], keys: &Keys) -> Result<CipherKey, Opening> {
        let [ni, nr] = &self.nonces[..] else {
            return Err(Opening::Failed("the capture does not show both nonces"));
        };
        let g_xy = DhShared::copied(secret);
        let seed = if is_pre_shared(choice.method) {
            let psk = keys.psk.as_deref().ok_or(Opening::Failed("the pre-shared key is not given"))?;
            Phase1Seed::from_psk(choice.hash, &ikev1_core::auth::PreSharedKey::copied(psk), ni, nr)
        } else {
            Phase1Seed::from_signature(choice.hash, ni, nr, &g_xy)
        };
        let keys = seed.expand(&g_xy, &cookie.0, &self.responder_cookie.0, choice.cipher);
        CipherKey::new(choice.cipher, keys.isakmp().cipher().expose())
            .map_err(|_| Opening::Failed("the key does not fit the cipher that was chosen"))
    }
}

impl Opener {
    /// Decrypts with the chain of the message id, and moves it when the chain of payloads is sound.
    fn open(&mut self, header: &Header, ciphertext: &[u8]) -> Result<Vec<u8>, &'static str> {
        let later = header.message_id != MessageId::ZERO;
        let chain = if later {
            self.later.entry(header.message_id).or_insert_with(|| self.phase_1.for_message_id(header.message_id.0))
        } else {
            &mut self.phase_1
        };
        let mut octets = ciphertext.to_vec();
        let next = chain.open(&self.key, &mut octets).map_err(|_| "not a whole number of blocks")?;
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
