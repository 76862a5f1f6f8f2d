use crate::fragment::FragmentFault;
use crate::ids::{ChildId, ConnectionId, IkeSaId, PolicyId, Ticket};
use crate::negotiate::AnswerError;
use crate::proposal::Lifetime;
use alloc::string::String;
use ipsec_wire::registry::ExchangeType;

/// Why a datagram was dropped: the network or the peer is to blame, and nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DropReason {
    /// It is shorter than the 28 octets of an ISAKMP header, or longer than UDP carries.
    #[error("bad length")]
    BadLength,
    /// The length in the header is not that of the datagram.
    #[error("the header's length is not the datagram's")]
    InconsistentLength,
    /// It came to the NAT-T port without the non-ESP marker.
    #[error("no non-ESP marker")]
    NoMarker,
    /// The major version is not 1.
    #[error("version {0:#04x}")]
    Version(u8),
    /// A flag bit is set that has no meaning, or one that has no place here.
    #[error("flags {0:#04x}")]
    Flags(u8),
    /// The initiator's cookie is zero, or both cookies are the same.
    #[error("bad cookies")]
    BadCookies,
    /// No ISAKMP SA has these cookies.
    #[error("unknown cookies")]
    UnknownCookies,
    /// The exchange type is one that is not spoken here.
    #[error("exchange type {}", ExchangeType(*_0))]
    ExchangeType(u8),
    /// A phase 1 message has a message id, or a phase 2 message has none.
    #[error("message id {0:#010x}")]
    MessageId(u32),
    /// It does not follow from the state of its exchange.
    #[error("not expected now")]
    Unexpected,
    /// It is clear where encryption is due.
    #[error("clear text where encryption is due")]
    ClearText,
    /// It is encrypted where no keys exist.
    #[error("encrypted where no keys exist")]
    NoKeys,
    /// The ciphertext is empty or not a whole number of blocks.
    #[error("ciphertext is not whole blocks")]
    CiphertextLength,
    /// The payloads do not parse.
    #[error("malformed payloads")]
    Malformed,
    /// The payloads do not parse after decryption: the keys of the two ends probably differ.
    #[error("decrypts to garbage")]
    DecryptFailed,
    /// A payload is missing, doubled, or not allowed in this message.
    #[error("payload set not allowed")]
    PayloadSet,
    /// The HASH of the message is wrong.
    #[error("wrong HASH")]
    WrongHash,
    /// The message is lawful but its content was refused; an event holds the reason.
    #[error("refused")]
    Refused,
    /// It came from another address or port than this unproven SA uses.
    #[error("from another address")]
    WrongSource,
    /// No connection of the plan takes this peer.
    #[error("no connection for this peer")]
    NoConnection,
    /// Too many half-open SAs, in all or from this address.
    #[error("too many half-open SAs")]
    HalfOpenLimit,
    /// A limit on SAs or exchanges is reached.
    #[error("limit reached")]
    Limit,
    /// The message id was used before: a replay.
    #[error("message id used before")]
    Replay,
    /// A repeat that is answered no more.
    #[error("repeat is answered no more")]
    RepeatLimit,
    /// An unprotected notification: taken as a hint only.
    #[error("unprotected notification")]
    Hint,
    /// An unprotected Delete or status notification, which never acts.
    #[error("unprotected informational")]
    Unprotected,
    /// Peers that have proven nothing cause more work than the plan allows: the peer's resend may pass.
    #[error("too much work for peers that have proven nothing")]
    WorkLimit,
    /// It is a part of a message, and it or the whole cannot be used.
    #[error("fragment: {0}")]
    Fragment(FragmentFault),
    /// The endpoint is closed.
    #[error("closed")]
    Closed,
    /// The answer of a transaction has another identifier than its question, and not zero either.
    #[error("identifier {0:#06x} of another transaction")]
    Identifier(u16),
    /// Phase 2 was begun before phase 1.5 was done: the user is not proven, or has no address.
    #[error("not open for phase 2")]
    NotOpen,
}

/// Why one exchange or SA ended without success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No answer came after the last resend.
    #[error("no answer after {sendings} sendings{}", hint.as_ref().map_or("", |_| " (the peer hinted why)"))]
    Timeout {
        /// How often the message was sent.
        sendings: u32,
        /// The last unprotected notification of the peer, which proves nothing.
        hint: Option<u16>,
    },
    /// The peer proved nothing in time.
    #[error("half-open for too long")]
    HalfOpenTimeout,
    /// No offer was acceptable.
    #[error("no proposal chosen")]
    NoProposalChosen,
    /// The answer is not one of the transforms offered.
    #[error("the answer was not offered: {0}")]
    AnswerNotOffered(AnswerError),
    /// The key exchange value is not of the group or not in range.
    #[error("bad key exchange value")]
    KeyExchange,
    /// The nonce is shorter than 8 or longer than 256 octets, or our own came back.
    #[error("bad nonce")]
    Nonce,
    /// The message could not be decrypted: the pre-shared keys probably differ.
    #[error("decrypts to garbage: probably wrong pre-shared key")]
    ProbablyWrongKey,
    /// The HASH of the peer is wrong.
    #[error("authentication hash is wrong")]
    AuthenticationFailed,
    /// The peer proved an identity other than the one the connection wants.
    #[error("identity is not the one wanted")]
    WrongIdentity,
    /// The identification payload names nobody.
    #[error("identity cannot be read")]
    BadIdentity,
    /// The caller does not trust the peer's certificates, or one of them is too long to be looked at.
    #[error("certificate is not trusted")]
    CertificateRefused,
    /// The signature was not made by the peer's key over this exchange.
    #[error("signature is wrong")]
    WrongSignature,
    /// The peer's RSA key has fewer than 2048 bits, which the connection does not allow.
    #[error("RSA key of {0} bits is too weak")]
    WeakKey(usize),
    /// The caller gave no verdict on a certificate in time.
    #[error("no verdict on the certificate")]
    NoVerdict,
    /// The key of this end could not sign.
    #[error("this end could not sign")]
    Signing,
    /// No pre-shared key is known for the peer.
    #[error("no pre-shared key")]
    NoKey,
    /// No policy of the connection has these traffic selectors.
    #[error("traffic selectors match no policy")]
    NoPolicy,
    /// The peer changed the traffic selectors in its answer.
    #[error("traffic selectors changed in the answer")]
    SelectorsChanged,
    /// The responder announced a lifetime outside of what the policy takes.
    #[error("lifetime {0} is outside of what the policy takes")]
    Lifetime(Lifetime),
    /// Transport mode was asked for traffic of other addresses than those of the two ends.
    #[error("transport mode is for the two ends themselves")]
    NotTheEnds,
    /// All that the policy offers has AH, which a NAT between the ends breaks.
    #[error("AH cannot pass the NAT between the ends")]
    AhBehindNat,
    /// The NAT-OA payloads are more than two, or of another family than the packets.
    #[error("bad NAT-OA payloads")]
    OriginalAddress,
    /// The payloads are malformed.
    #[error("malformed")]
    Malformed,
    /// The peer refused, in a protected notification.
    #[error("the peer refused: notification {0}")]
    RefusedByPeer(u16),
    /// The caller gave no SPI in time, or refused to give one.
    #[error("no SPI")]
    NoSpi,
    /// A limit on SAs or exchanges is reached.
    #[error("limit reached")]
    Limit,
    /// The ISAKMP SA that carried the exchange ended.
    #[error("the ISAKMP SA ended")]
    IkeSaGone,
    /// The caller closed the connection.
    #[error("closed")]
    Closed,
    /// No traffic and no answer: the peer is dead.
    #[error("peer is dead")]
    PeerDead,
    /// XAUTH did not prove the user.
    #[error("the user was refused")]
    UserRefused,
    /// XAUTH did not end in time, or took too many rounds.
    #[error("the user was not proven in time")]
    UserTimeout,
    /// Mode-config gave no address that fits.
    #[error("no address was given")]
    NoAddress,
}

/// Why the caller's command was refused; the machine is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The plan has no such connection.
    #[error("no such {0}")]
    UnknownConnection(ConnectionId),
    /// The connection has no such policy.
    #[error("{0} has no such {1}")]
    UnknownPolicy(ConnectionId, PolicyId),
    /// There is no policy of the name that was given: of machines around the endpoint, which know policies by name.
    #[error("no policy of that name")]
    UnknownPolicyName,
    /// There is no such ISAKMP SA.
    #[error("no such {0}")]
    UnknownIkeSa(IkeSaId),
    /// There is no such pair of IPsec SAs.
    #[error("no such {0}")]
    UnknownChild(ChildId),
    /// The question was answered already, or its exchange is gone.
    #[error("no such {0}")]
    UnknownTicket(Ticket),
    /// The connection has no fixed peer, so this end cannot start.
    #[error("{0} has no fixed peer address")]
    NoPeerAddress(ConnectionId),
    /// The plan gives no local address for the connection.
    #[error("{0} has no local address")]
    NoLocalAddress(ConnectionId),
    /// An SPI below 256 is reserved, RFC 2406 §2.1.
    #[error("SPI {0:#010x} is reserved")]
    ReservedSpi(u32),
    /// Too many requests wait already.
    #[error("too many requests wait")]
    TooMany,
    /// The endpoint is closed.
    #[error("closed")]
    Closed,
}

/// Why a configuration makes no plan: the field, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    /// The field, with the connection and policy it stands in, such as `site-b.lan.lifetime`.
    pub field: String,
    /// What is wrong with it.
    pub problem: ConfigProblem,
}

/// What is wrong with a field of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// It must be given.
    #[error("must be given")]
    Missing,
    /// It is outside the range allowed.
    #[error("{value} is not within {least} to {most}")]
    OutOfRange {
        /// The value given.
        value: u64,
        /// The least allowed.
        least: u64,
        /// The most allowed.
        most: u64,
    },
    /// A name must have 1 to 24 printable characters.
    #[error("a name has 1 to 24 printable characters")]
    Name,
    /// The name is used twice.
    #[error("used twice")]
    Duplicate,
    /// Two addresses that must be of one family are not.
    #[error("address families differ")]
    Family,
    /// Two settings that must agree do not.
    #[error("{0}")]
    Conflict(&'static str),
    /// A weak algorithm is used without saying so.
    #[error("{0} is weak: it must be allowed by name with the prefix dangerously_")]
    Weak(String),
    /// The combination is not one that this program speaks.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
}
