//! New group mode, RFC 2409 §5.6: read, and refused by its name.
//!
//! A group of the peer's making would have to be proven a good one, which costs more than any phase 1; the groups
//! that both ends know by number are enough.

use crate::action::Direction;
use crate::counters::count;
use crate::error::DropReason;
use crate::event::Event;
use crate::ids::Role;
use crate::informational::notify;
use crate::machine::Endpoint;
use crate::machine::phase1::Taken;
use crate::machine::receive::Incoming;
use crate::machine::sa::IkeSa;
use crate::machine::send::Name;
use crate::message::check_hash_1;
use crate::state_name::StateName;
use crate::transition::{self, Protection};
use alloc::vec::Vec;
use drive::Instant;
use ipsec_wire::isakmp::payload::{AttributeValue, SecurityAssociation};
use ipsec_wire::isakmp::{Body, Payloads};
use ipsec_wire::registry::{ExchangeType, Group, IkeAttribute, NotifyType, PayloadType};

impl Endpoint {
    /// Takes in a message of new group mode.
    pub(super) fn on_new_group(&mut self, now: Instant, incoming: &Incoming<'_>) -> Taken {
        let found = self.table.with_cookies(incoming.cookies);
        let mut sa = found.and_then(|id| self.table.take(id)).ok_or(DropReason::UnknownCookies)?;
        let reason = self.new_group(now, &mut sa, incoming);
        self.table.put(sa);
        Err(reason)
    }

    /// Refuses it: before its HASH is found right without a trace, then with a notification and an event.
    fn new_group(&mut self, now: Instant, sa: &mut IkeSa, incoming: &Incoming<'_>) -> DropReason {
        let group = match self.read_new_group(sa, incoming) {
            Ok(group) => group,
            Err(reason) => return reason,
        };
        if let Some(up) = sa.up_mut() {
            up.finished.insert(incoming.message_id());
        }
        self.proved_alive(now, sa, incoming.path);
        count(&mut self.own.new_groups_refused);
        self.event(Event::NewGroupRefused { ike_sa: sa.core.id, group });
        if self.plan.connection(sa.core.connection).is_some_and(|connection| connection.send_notifies) {
            let notify = NotifyType::ATTRIBUTES_NOT_SUPPORTED;
            self.inform_up(sa, &notify::about_isakmp(notify, sa.core.cookies, Vec::new()));
            self.event(Event::NotifySent { path: sa.core.path, notify, protected: true });
        }
        DropReason::Refused
    }

    /// Decrypts a message, checks its HASH, and returns the number that the group was to have.
    fn read_new_group(&mut self, sa: &IkeSa, incoming: &Incoming<'_>) -> Result<Option<Group>, DropReason> {
        let message_id = incoming.message_id();
        let up = sa.up().ok_or(DropReason::Unexpected)?;
        if !sa.is_open() {
            return Err(DropReason::NotOpen);
        }
        let Body::Encrypted(body) = incoming.body else { return Err(DropReason::ClearText) };
        if !self.may_come(&sa.core, incoming.path) {
            return Err(DropReason::WrongSource);
        }
        up.finished.admits(message_id)?;
        let row = transition::row(ExchangeType::NEW_GROUP, Role::Responder, StateName::InfoIdle)
            .ok_or(DropReason::Unexpected)?;
        let opened = self.open(incoming, body, (&up.keys, &up.iv.for_message_id(message_id)), row)?;
        let payloads = opened.payloads()?;
        check_hash_1(&up.keys, message_id, &payloads)?;
        count(&mut self.counters.rx_decrypt_good);
        let name = Name::new_group(message_id);
        let (from, length) = (sa.core.envelope(), incoming.length);
        self.trace(Direction::Inbound, from, name, &payloads, Protection::Encrypted, length);
        Ok(wanted(&payloads))
    }
}

/// Returns the number of the first group that is described, if any transform gives one.
fn wanted(payloads: &Payloads<'_>) -> Option<Group> {
    let offer = SecurityAssociation::parse(payloads.find(PayloadType::SA)?).ok()?;
    let mut transforms = offer.proposals().flat_map(|proposal| proposal.transforms());
    transforms.find_map(|transform| {
        let class = IkeAttribute::GROUP_DESCRIPTION.0;
        let attribute = transform.attributes.into_iter().find(|attribute| attribute.class == class)?;
        match attribute.value {
            AttributeValue::Basic(number) => Some(Group(number)),
            AttributeValue::Variable(octets) => <[u8; 2]>::try_from(octets).ok().map(u16::from_be_bytes).map(Group),
        }
    })
}
