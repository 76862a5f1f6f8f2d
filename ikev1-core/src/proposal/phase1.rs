use super::attributes::{AttributeError, LifetimeReader, key_fits, number, once};
use super::term::{Mismatch, Term};
use super::{Lifetime, lifetime};
use crate::Unsupported;
use crate::crypto::{CipherAlgorithm, DhGroup, HashAlgorithm};
use alloc::vec;
use core::fmt;
use ipsec_wire::isakmp::payload::{Attribute, Attributes, OfferedTransform};
use ipsec_wire::registry::{AuthMethod, Group, GroupType, IkeAttribute, IkeCipher, IkeHash, IsakmpTransform};

/// The ways in which the peers of a phase 1 authenticate each other.
///
/// Those of XAUTH and of hybrid authentication name the side that the user sits at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthenticationMethod {
    /// A pre-shared key (RFC 2409 §5.4).
    PreSharedKey,
    /// RSA signatures (RFC 2409 §5.1).
    RsaSignature,
    /// A pre-shared key, then the initiator as a user by XAUTH.
    XauthInitPreSharedKey,
    /// A pre-shared key, then the responder as a user by XAUTH.
    XauthRespPreSharedKey,
    /// RSA signatures, then the initiator as a user by XAUTH.
    XauthInitRsaSignature,
    /// RSA signatures, then the responder as a user by XAUTH.
    XauthRespRsaSignature,
    /// The responder by RSA signature, the initiator as a user by XAUTH alone.
    HybridInitRsa,
    /// The initiator by RSA signature, the responder as a user by XAUTH alone.
    HybridRespRsa,
}

impl AuthenticationMethod {
    /// All members.
    pub const ALL: [Self; 8] = [
        Self::PreSharedKey,
        Self::RsaSignature,
        Self::XauthInitPreSharedKey,
        Self::XauthRespPreSharedKey,
        Self::XauthInitRsaSignature,
        Self::XauthRespRsaSignature,
        Self::HybridInitRsa,
        Self::HybridRespRsa,
    ];

    /// Returns the attribute value on the wire.
    pub const fn number(self) -> AuthMethod {
        match self {
            Self::PreSharedKey => AuthMethod::PRE_SHARED_KEY,
            Self::RsaSignature => AuthMethod::RSA_SIGNATURES,
            Self::XauthInitPreSharedKey => AuthMethod::XAUTH_INIT_PRE_SHARED,
            Self::XauthRespPreSharedKey => AuthMethod::XAUTH_RESP_PRE_SHARED,
            Self::XauthInitRsaSignature => AuthMethod::XAUTH_INIT_RSA,
            Self::XauthRespRsaSignature => AuthMethod::XAUTH_RESP_RSA,
            Self::HybridInitRsa => AuthMethod::HYBRID_INIT_RSA,
            Self::HybridRespRsa => AuthMethod::HYBRID_RESP_RSA,
        }
    }

    /// Returns whether SKEYID comes from a pre-shared key.
    pub const fn is_pre_shared_key(self) -> bool {
        matches!(self, Self::PreSharedKey | Self::XauthInitPreSharedKey | Self::XauthRespPreSharedKey)
    }

    /// Returns whether an XAUTH transaction must follow phase 1.
    pub const fn has_xauth(self) -> bool {
        !matches!(self, Self::PreSharedKey | Self::RsaSignature)
    }
}

impl TryFrom<AuthMethod> for AuthenticationMethod {
    type Error = Unsupported;

    fn try_from(number: AuthMethod) -> Result<Self, Unsupported> {
        Self::ALL.into_iter().find(|member| member.number() == number).ok_or(Unsupported(number.0))
    }
}

/// A phase 1 suite: what one transform of an ISAKMP proposal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Phase1Transform {
    /// The cipher with its key length.
    pub cipher: CipherAlgorithm,
    /// The hash, which is the prf too.
    pub hash: HashAlgorithm,
    /// The Diffie-Hellman group.
    pub group: DhGroup,
    /// How the peers authenticate each other.
    pub authentication: AuthenticationMethod,
    /// How long the ISAKMP SA lives.
    pub lifetime: Lifetime,
}

impl Phase1Transform {
    /// Returns whether any part of it must be asked for by a `dangerously_` name.
    pub const fn is_weak(&self) -> bool {
        self.cipher.is_weak() || self.hash.is_weak() || self.group.is_weak()
    }

    /// Writes the transform, the attributes in the order strongSwan has.
    pub fn to_offered(&self, number: u8) -> OfferedTransform {
        let mut attributes = vec![Attribute::basic(IkeAttribute::ENCRYPTION_ALGORITHM, self.cipher.number())];
        attributes
            .extend(self.cipher.key_length_attribute().map(|bits| Attribute::basic(IkeAttribute::KEY_LENGTH, bits)));
        attributes.push(Attribute::basic(IkeAttribute::HASH_ALGORITHM, self.hash.number()));
        attributes.push(Attribute::basic(IkeAttribute::GROUP_DESCRIPTION, self.group.number()));
        attributes.push(Attribute::basic(IkeAttribute::AUTHENTICATION_METHOD, self.authentication.number()));
        let (unit, duration) = (IkeAttribute::LIFE_TYPE.0, IkeAttribute::LIFE_DURATION.0);
        attributes.extend(lifetime::attributes(unit, duration, self.lifetime));
        OfferedTransform { number, id: IsakmpTransform::KEY_IKE.0, attributes }
    }
}

impl fmt::Display for Phase1Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cipher, hash, group, authentication, lifetime } = self;
        let authentication = Term::Authentication(Some(authentication.number()));
        write!(f, "{cipher}, {hash}, {group}, {authentication}, lifetime {lifetime}")
    }
}

/// A phase 1 transform as it was offered: open numbers, nothing judged but its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OfferedPhase1 {
    /// Encryption algorithm.
    pub cipher: Option<IkeCipher>,
    /// Key length in bits.
    pub key_length: Option<u16>,
    /// Hash algorithm.
    pub hash: Option<IkeHash>,
    /// Authentication method.
    pub authentication: Option<AuthMethod>,
    /// Group description.
    pub group: Option<Group>,
    /// Group type, which must fit the group if it comes.
    pub group_type: Option<GroupType>,
    /// Lifetime.
    pub lifetime: Lifetime,
}

impl OfferedPhase1 {
    /// Reads the attributes of a transform, in any order and either form.
    pub fn read(attributes: Attributes<'_>) -> Result<Self, AttributeError> {
        let mut offered = Self::default();
        let mut life = LifetimeReader::default();
        for attribute in attributes {
            let read = |field| number(&attribute, field);
            match IkeAttribute(attribute.class) {
                IkeAttribute::ENCRYPTION_ALGORITHM => {
                    once(&mut offered.cipher, IkeCipher(read("encryption")?), "encryption")?;
                }
                IkeAttribute::KEY_LENGTH => once(&mut offered.key_length, read("key length")?, "key length")?,
                IkeAttribute::HASH_ALGORITHM => once(&mut offered.hash, IkeHash(read("hash")?), "hash")?,
                IkeAttribute::AUTHENTICATION_METHOD => {
                    once(&mut offered.authentication, AuthMethod(read("auth")?), "auth")?;
                }
                IkeAttribute::GROUP_DESCRIPTION => once(&mut offered.group, Group(read("group")?), "group")?,
                IkeAttribute::GROUP_TYPE => {
                    once(&mut offered.group_type, GroupType(read("group type")?), "group type")?;
                }
                IkeAttribute::LIFE_TYPE => life.life_type(&attribute)?,
                IkeAttribute::LIFE_DURATION => life.duration(&attribute)?,
                IkeAttribute(unknown) => return Err(AttributeError::Unknown(unknown)),
            }
        }
        offered.lifetime = life.finish()?;
        Ok(offered)
    }

    /// Finds the first term, lifetime apart, in which the offer differs from what is wanted.
    pub(crate) fn compare(&self, wanted: &Phase1Transform) -> Result<(), Mismatch> {
        let key_length = wanted.cipher.key_length_attribute();
        let cipher = wanted.cipher.number();
        Mismatch::unless(
            self.cipher == Some(cipher) && key_fits(self.key_length, key_length, wanted.cipher.key_len()),
            Term::Encryption(self.cipher, self.key_length),
            Term::Encryption(Some(cipher), key_length),
        )?;
        let hash = Some(wanted.hash.number());
        Mismatch::unless(self.hash == hash, Term::Hash(self.hash), Term::Hash(hash))?;
        let authentication = Some(wanted.authentication.number());
        Mismatch::unless(
            self.authentication == authentication,
            Term::Authentication(self.authentication),
            Term::Authentication(authentication),
        )?;
        let group = Some(wanted.group.number());
        Mismatch::unless(self.group == group, Term::Group(self.group), Term::Group(group))?;
        let group_type = wanted.group.group_type();
        Mismatch::unless(
            self.group_type.is_none_or(|offered| offered == group_type),
            Term::GroupType(self.group_type),
            Term::GroupType(Some(group_type)),
        )
    }
}
