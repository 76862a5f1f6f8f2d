use crate::action::{Direction, Lifetimes, RemoveReason, SpiPair};
use crate::crypto::DhGroup;
use crate::error::Failure;
use crate::identity::Identity;
use crate::ids::{ChildId, ConnectionId, Cookies, IkeSaId, PolicyId, Role};
use crate::negotiate::Refusals;
use crate::proposal::{Bundle, Phase1Transform};
use crate::selector::TrafficSelector;
use crate::transaction::{ClientSettings, UserName};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;
use drive::Path;
use ipsec_wire::registry::{ConfigAttribute, ExchangeType, Group, NotifyType, PayloadType};
use nat_t::{Location, Version};

/// News for people: what happened, in full.
///
/// No event holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A message went out for the first time, or came in and was understood; only when the plan asks
    /// for a trace. Resends are told by [`Resent`](Self::Resent).
    Message(Box<MessageTrace>),
    /// A message was not answered in time and went out again.
    Resent {
        /// The SA.
        ike_sa: IkeSaId,
        /// The exchange.
        exchange: ExchangeType,
        /// The message id.
        message_id: u32,
        /// How often it was sent by now.
        sendings: u32,
        /// How often it will be sent still.
        left: u32,
    },
    /// Phase 1 began.
    Phase1Started {
        /// The SA that is being made.
        ike_sa: IkeSaId,
        /// Which end sent the first message.
        role: Role,
        /// The connection; a responder may still change it when it learns who the peer is.
        connection: ConnectionId,
        /// Where the peer is.
        path: Path,
        /// The SA it will replace.
        replaces: Option<IkeSaId>,
    },
    /// The transforms of phase 1 were compared and one was chosen.
    Phase1Negotiated {
        /// The SA.
        ike_sa: IkeSaId,
        /// The transform in force.
        chosen: Phase1Transform,
        /// The number of its transform in the offer, from 1.
        number: usize,
        /// As responder, why those before it were passed over.
        passed_over: Refusals,
    },
    /// Both ends compared addresses: where NATs stand.
    NatDetected {
        /// The SA.
        ike_sa: IkeSaId,
        /// Where.
        nat: Location,
        /// The specification that the ends have in common.
        version: Version,
        /// The path from now on, on the NAT-T ports when there is a NAT.
        path: Path,
    },
    /// As responder of aggressive mode or initiator of base mode, this end sent a hash over the pre-shared
    /// key to someone who has proven nothing: a key that can be guessed is found offline.
    KeyHashExposed {
        /// The SA that is being made.
        ike_sa: IkeSaId,
        /// The connection whose key it is.
        connection: ConnectionId,
        /// Where it went.
        path: Path,
        /// Who asked or answered, as it says.
        peer: Identity,
    },
    /// Phase 1 is done: each end knows who the other is.
    Phase1Established {
        /// The SA.
        ike_sa: IkeSaId,
        /// Its cookies.
        cookies: Cookies,
        /// The connection.
        connection: ConnectionId,
        /// Which end sent the first message.
        role: Role,
        /// Who the peer proved to be.
        peer: Identity,
        /// Where the peer is.
        path: Path,
        /// The transform in force.
        transform: Phase1Transform,
        /// How long it lives.
        lifetime: Duration,
        /// The SA it replaces.
        replaces: Option<IkeSaId>,
    },
    /// Phase 1 failed; nothing of it stays.
    Phase1Failed {
        /// The SA that was being made.
        ike_sa: IkeSaId,
        /// The connection, if one was found.
        connection: Option<ConnectionId>,
        /// Which end sent the first message.
        role: Role,
        /// Where the peer is, or seemed to be.
        path: Path,
        /// Why.
        failure: Failure,
        /// For a refused offer, why each transform was refused.
        refusals: Refusals,
    },
    /// The peer could not prove who it is, or is another than wanted.
    AuthenticationFailed {
        /// The SA that was being made.
        ike_sa: IkeSaId,
        /// The connection whose credential was looked up.
        connection: ConnectionId,
        /// Where the peer is.
        path: Path,
        /// Who it says it is, if that could be read.
        peer: Option<Identity>,
        /// Who was wanted, `None` if anyone.
        wanted: Option<Identity>,
        /// What was looked up: `pre-shared key of site-b`.
        credential: String,
        /// Why.
        failure: Failure,
    },
    /// An ISAKMP SA ended.
    IkeSaEnded {
        /// The SA.
        ike_sa: IkeSaId,
        /// Its connection.
        connection: ConnectionId,
        /// Why.
        reason: RemoveReason,
    },
    /// Phase 2 began.
    Phase2Started {
        /// The pair that is being made.
        child: ChildId,
        /// The SA it is negotiated under.
        ike_sa: IkeSaId,
        /// The policy.
        policy: PolicyId,
        /// Which end sent the first message.
        role: Role,
        /// The message id.
        message_id: u32,
        /// The pair it will replace.
        replaces: Option<ChildId>,
    },
    /// The proposals of phase 2 were compared and one was chosen.
    Phase2Negotiated {
        /// The pair.
        child: ChildId,
        /// What was chosen.
        chosen: Bundle,
        /// The number of its proposal in the offer.
        number: u8,
        /// As responder, why those before it were passed over.
        passed_over: Refusals,
    },
    /// What failed before is tried again.
    Retrying {
        /// The connection.
        connection: ConnectionId,
        /// How often it was tried again by now.
        attempt: u32,
    },
    /// An ISAKMP SA lives on because traffic came under it lately.
    LifeExtended {
        /// The SA.
        ike_sa: IkeSaId,
        /// How much longer it lives.
        by: Duration,
    },
    /// An ISAKMP SA was to live on while it is used, but its IPsec SAs live shorter than it does.
    ExtensionInactive {
        /// The SA.
        ike_sa: IkeSaId,
    },
    /// A pair of IPsec SAs is there, in both directions.
    SaEstablished {
        /// The pair.
        child: ChildId,
        /// The SA it was negotiated under.
        ike_sa: IkeSaId,
        /// Its connection.
        connection: ConnectionId,
        /// Its policy.
        policy: PolicyId,
        /// Which end sent the first message.
        role: Role,
        /// Its protocols with their SPIs, in the order in which they are applied to an outbound packet.
        sas: Vec<SpiPair>,
        /// The group of perfect forward secrecy.
        pfs: Option<DhGroup>,
        /// The traffic of this side.
        local: TrafficSelector,
        /// The traffic of the peer's side.
        remote: TrafficSelector,
        /// How long it lives.
        lifetimes: Lifetimes,
        /// The pair it replaces.
        replaces: Option<ChildId>,
    },
    /// Phase 2 failed; nothing of it stays, and phase 1 lives on.
    Phase2Failed {
        /// The pair that was being made.
        child: ChildId,
        /// The SA it was negotiated under.
        ike_sa: Option<IkeSaId>,
        /// The connection.
        connection: ConnectionId,
        /// The policy, if one was found.
        policy: Option<PolicyId>,
        /// Which end sent the first message.
        role: Role,
        /// Why.
        failure: Failure,
        /// For a refused offer, why each transform was refused.
        refusals: Refusals,
        /// The traffic the peer asked for: its own side, then ours.
        asked: Option<(TrafficSelector, TrafficSelector)>,
    },
    /// A newer pair took the place of an older one.
    SaRekeyed {
        /// The pair that is for sending now.
        child: ChildId,
        /// The pair that is not any more.
        replaced: ChildId,
    },
    /// A pair came to its soft or hard limit.
    SaExpired {
        /// The pair.
        child: ChildId,
        /// Whether it is gone: `false` means that it is being renewed.
        hard: bool,
    },
    /// A pair of IPsec SAs ended.
    SaEnded {
        /// The pair.
        child: ChildId,
        /// Its connection.
        connection: ConnectionId,
        /// Its policy.
        policy: PolicyId,
        /// Why.
        reason: RemoveReason,
    },
    /// The IPsec SAs of an ISAKMP SA moved to the one that took its place.
    SasAdopted {
        /// The SA they were under.
        from: IkeSaId,
        /// The SA they are under now.
        to: IkeSaId,
        /// How many.
        count: usize,
    },
    /// The peer was asked whether it lives.
    PeerProbed {
        /// The SA.
        ike_sa: IkeSaId,
        /// The number of the question.
        sequence: u32,
        /// How often it was asked before without an answer.
        retries: u32,
    },
    /// So many heartbeats of the peer in a row did not come: it is dead.
    HeartbeatsMissed {
        /// The SA.
        ike_sa: IkeSaId,
        /// How many.
        missed: u32,
    },
    /// The peer is dead: its SAs are gone.
    PeerDead {
        /// The SA.
        ike_sa: IkeSaId,
        /// Its connection.
        connection: ConnectionId,
        /// The pairs of IPsec SAs that went with it.
        children: Vec<ChildId>,
    },
    /// The peer deleted SAs, under protection.
    DeleteReceived {
        /// The SA the message came under.
        ike_sa: IkeSaId,
        /// 1 for ISAKMP, 2 for AH, 3 for ESP.
        protocol: u8,
        /// The SPIs of the peer that name SAs of this end.
        spis: Vec<u32>,
    },
    /// The peer asked, under protection, for new group mode (RFC 2409 §5.6), which this end does not speak.
    NewGroupRefused {
        /// The SA the message came under.
        ike_sa: IkeSaId,
        /// The number that the group was to have, if it said one.
        group: Option<Group>,
    },
    /// A notification came.
    NotifyReceived {
        /// The SA the message came under.
        ike_sa: IkeSaId,
        /// What it says.
        notify: NotifyType,
        /// Whether it was protected. One that was not is a hint and changes nothing.
        protected: bool,
        /// The SPI in it, if it has four octets.
        spi: Option<u32>,
    },
    /// A notification went out.
    NotifySent {
        /// Where to.
        path: Path,
        /// What it says.
        notify: NotifyType,
        /// Whether it was protected.
        protected: bool,
    },
    /// The peer said that it knows of no older SA: those were removed.
    InitialContact {
        /// The SA it came under.
        ike_sa: IkeSaId,
        /// How many ISAKMP SAs went.
        ike_sas: usize,
        /// How many pairs of IPsec SAs went.
        children: usize,
    },
    /// The peer was found at another address or port, by a message that proved authentic.
    PathChanged {
        /// The SA.
        ike_sa: IkeSaId,
        /// The path before.
        from: Path,
        /// The path now.
        to: Path,
    },
    /// An acquire waits for phase 1, or was merged with one that does.
    AcquireQueued {
        /// The connection.
        connection: ConnectionId,
        /// The policy.
        policy: PolicyId,
        /// Whether an equal one was there already.
        merged: bool,
    },
    /// XAUTH: a round of questions went to the peer's user, or came to that of this end.
    UserAsked {
        /// The SA.
        ike_sa: IkeSaId,
        /// Its connection.
        connection: ConnectionId,
        /// The round, from 1.
        round: u32,
    },
    /// XAUTH: the user is proven. Only he is: what XAUTH says of its server is nothing, so with a
    /// pre-shared key of a group the server is whoever has that key.
    UserAuthenticated {
        /// The SA.
        ike_sa: IkeSaId,
        /// Its connection.
        connection: ConnectionId,
        /// The user.
        user: UserName,
        /// Whether he sits at the peer, and not here.
        is_peer: bool,
    },
    /// XAUTH: the user is not who he says.
    UserRefused {
        /// The SA.
        ike_sa: IkeSaId,
        /// Its connection.
        connection: ConnectionId,
        /// Who he says he is, if he said it.
        user: Option<UserName>,
        /// How often he may try again; 0 ends the SA.
        left: u32,
        /// What the gateway says to it.
        message: Option<String>,
    },
    /// Mode-config: this end was told what to use.
    Configured {
        /// The SA.
        ike_sa: IkeSaId,
        /// Its connection.
        connection: ConnectionId,
        /// What to use.
        settings: Box<ClientSettings>,
    },
    /// Mode-config: a client was given its address.
    AddressLeased {
        /// The SA.
        ike_sa: IkeSaId,
        /// Its connection.
        connection: ConnectionId,
        /// Who the client proved to be in phase 1.
        peer: Identity,
        /// The user that XAUTH proved.
        user: Option<UserName>,
        /// The address.
        address: IpAddr,
    },
    /// Mode-config: a client gave its address back, by going.
    AddressReleased {
        /// The connection.
        connection: ConnectionId,
        /// The address.
        address: IpAddr,
    },
    /// Mode-config: a client asked for an address and there was none.
    NoAddressLeft {
        /// The SA.
        ike_sa: IkeSaId,
        /// Its connection.
        connection: ConnectionId,
    },
    /// The peer sent an attribute that this end does not support or that makes no sense, or asked for one that it does
    /// not support: it is passed over.
    AttributeNotSupported {
        /// The SA.
        ike_sa: IkeSaId,
        /// The attribute.
        attribute: ConfigAttribute,
    },
    /// The endpoint is closed.
    Closed,
}

/// One message of an exchange, as the trace shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageTrace {
    /// Whether it came or went.
    pub direction: Direction,
    /// The SA.
    pub ike_sa: IkeSaId,
    /// Its cookies.
    pub cookies: Cookies,
    /// The path it took.
    pub path: Path,
    /// The exchange.
    pub exchange: ExchangeType,
    /// The number of the message in its exchange, from 1; 0 if the exchange has no numbers.
    pub number: u8,
    /// The message id.
    pub message_id: u32,
    /// Whether it was encrypted.
    pub encrypted: bool,
    /// The payloads, in order.
    pub payloads: Vec<PayloadType>,
    /// Its length in octets, without the non-ESP marker.
    pub length: usize,
    /// The type of the first payload of `clear`.
    pub first: PayloadType,
    /// The payload chain in clear, for a decoder such as `ipsec_wire::isakmp::describe`; it holds
    /// no key and no password (those of XAUTH are zeros), but identities and nonces.
    pub clear: Vec<u8>,
}
