//! L2TPv3 sessions as a capture's control messages tell them: what stands in front of their frames.
//!
//! Data packets say neither how long their cookie is nor whether a sublayer follows; the end that
//! assigned the session id said both (RFC 3931 §4.1, §5.4.4).

use super::l2tp::standard;
use l2tpv3::registry::{AttributeType, MessageType, PseudowireType, SublayerType};
use l2tpv3::wire::{Avp, ControlMessage, Cookie, Sublayer};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

/// Sessions that are remembered; the oldest goes first.
const SESSIONS: usize = 4096;

/// What one end wants to see in front of the frames that it gets.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// The cookie; `None` where it was hidden.
    pub cookie: Option<Cookie>,
    /// The sublayer; `None` for one that is not read here.
    pub sublayer: Option<Sublayer>,
    /// What the frames are.
    pub pseudowire: Option<PseudowireType>,
}

/// The end that assigned an id, and the id.
type Name = (IpAddr, u32);

/// The sessions that were negotiated so far.
#[derive(Debug, Default)]
pub struct Sessions {
    sessions: BTreeMap<Name, Session>,
    order: VecDeque<Name>,
}

impl Sessions {
    /// Returns what is known of the session with this id at the end that a data packet is for.
    pub fn find(&self, receiver: IpAddr, id: u32) -> Option<&Session> {
        self.sessions.get(&(receiver, id))
    }

    /// Takes note of what a control message says of a session of its sender.
    pub fn learn(&mut self, source: IpAddr, destination: IpAddr, message: &ControlMessage<'_>) {
        let mut kind = None;
        let (mut local, mut remote) = (None, None);
        let mut session = Session { cookie: Some(Cookie::NONE), sublayer: Some(Sublayer::None), pseudowire: None };
        for avp in message.avps().map_while(Result::ok) {
            let number = avp.value.try_into().ok().map(u32::from_be_bytes).filter(|_| !avp.hidden);
            match standard(&avp) {
                Some(AttributeType::MESSAGE_TYPE) => kind = word(&avp).map(MessageType),
                Some(AttributeType::LOCAL_SESSION_ID) => local = number,
                Some(AttributeType::REMOTE_SESSION_ID) => remote = number,
                Some(AttributeType::ASSIGNED_COOKIE) => {
                    session.cookie = if avp.hidden { None } else { Cookie::from_slice(avp.value) };
                }
                Some(AttributeType::SUBLAYER) => {
                    session.sublayer = word(&avp).and_then(|number| Sublayer::try_from(SublayerType(number)).ok());
                }
                Some(AttributeType::PSEUDOWIRE_TYPE) => session.pseudowire = word(&avp).map(PseudowireType),
                _ => {}
            }
        }
        let begins = [MessageType::ICRQ, MessageType::ICRP, MessageType::OCRQ, MessageType::OCRP];
        let (Some(local), true) = (local.filter(|id| *id != 0), kind.is_some_and(|kind| begins.contains(&kind))) else {
            return;
        };
        if session.pseudowire.is_none() {
            // A reply does not repeat what the request said the frames are.
            session.pseudowire = remote.and_then(|id| self.find(destination, id)).and_then(|other| other.pseudowire);
        }
        let name = (source, local);
        if self.sessions.insert(name, session).is_none() {
            self.order.push_back(name);
        }
        if self.order.len() > SESSIONS
            && let Some(oldest) = self.order.pop_front()
        {
            self.sessions.remove(&oldest);
        }
    }
}

/// Reads a value of two octets.
fn word(avp: &Avp<'_>) -> Option<u16> {
    avp.value.try_into().ok().map(u16::from_be_bytes).filter(|_| !avp.hidden)
}
