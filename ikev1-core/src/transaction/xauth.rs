//! The attributes of XAUTH, draft-beaulieu-ike-xauth §6: questions, answers and the outcome.

use crate::crypto::HashAlgorithm;
use crate::identity::Identity;
use crate::ids::{ConnectionId, IkeSaId, Ticket};
use crate::transaction::UserName;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use drive::{Path, SecretBytes};
use ipsec_wire::isakmp::payload::{Attribute, AttributeValue, Attributes};
use ipsec_wire::registry::{ConfigAttribute, XauthStatus, XauthType};

/// The longest name, password, challenge or message that is taken, in octets.
pub(crate) const MAX_FIELD: usize = 1_024;

/// How the user proves who he is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum XauthKind {
    /// A name and a password, or whatever is asked for.
    #[default]
    Generic,
    /// An MD5 response to a challenge, as RADIUS has it (RFC 2865 §5.3).
    RadiusChap,
    /// A one-time password (RFC 2289).
    Otp,
    /// S/KEY (RFC 1760).
    SKey,
}

impl XauthKind {
    /// All members.
    pub const ALL: [Self; 4] = [Self::Generic, Self::RadiusChap, Self::Otp, Self::SKey];

    /// Returns the attribute value on the wire.
    pub const fn number(self) -> XauthType {
        match self {
            Self::Generic => XauthType::GENERIC,
            Self::RadiusChap => XauthType::RADIUS_CHAP,
            Self::Otp => XauthType::OTP,
            Self::SKey => XauthType::S_KEY,
        }
    }
}

/// Something that a user can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum XauthField {
    /// The name.
    User,
    /// The password, or the response to a challenge.
    Password,
    /// The code of a token.
    Passcode,
    /// The domain the name is of.
    Domain,
    /// A PIN of the user's choosing.
    NextPin,
    /// The answer to the question that the message asks.
    Answer,
}

impl XauthField {
    /// All members, in the order they are asked.
    pub const ALL: [Self; 6] = [Self::User, Self::Password, Self::Passcode, Self::Domain, Self::NextPin, Self::Answer];

    const fn attribute(self) -> ConfigAttribute {
        match self {
            Self::User => ConfigAttribute::XAUTH_USER_NAME,
            Self::Password => ConfigAttribute::XAUTH_USER_PASSWORD,
            Self::Passcode => ConfigAttribute::XAUTH_PASSCODE,
            Self::Domain => ConfigAttribute::XAUTH_DOMAIN,
            Self::NextPin => ConfigAttribute::XAUTH_NEXT_PIN,
            Self::Answer => ConfigAttribute::XAUTH_ANSWER,
        }
    }
}

/// One round of questions to the user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XauthQuestion {
    /// How the user proves who he is.
    pub kind: XauthKind,
    /// A text to show.
    pub message: Option<String>,
    /// The challenge to respond to.
    pub challenge: Option<Vec<u8>>,
    /// What is asked for.
    pub asks: Vec<XauthField>,
}

impl XauthQuestion {
    /// Returns the question for a name and a password.
    pub fn password() -> Self {
        Self { asks: alloc::vec![XauthField::User, XauthField::Password], ..Self::default() }
    }
}

/// The user's answer to one round of questions; all but the name and the domain are secret.
#[derive(Debug, Default)]
pub struct XauthAnswer {
    /// The name.
    pub user: Option<UserName>,
    /// The password, or the response to a challenge.
    pub password: Option<SecretBytes>,
    /// The code of a token.
    pub passcode: Option<SecretBytes>,
    /// The domain the name is of.
    pub domain: Option<UserName>,
    /// A PIN of the user's choosing.
    pub next_pin: Option<SecretBytes>,
    /// The answer to the question that the message asked.
    pub answer: Option<SecretBytes>,
}

impl XauthAnswer {
    /// Returns the answer to the ordinary question.
    pub fn password(user: UserName, password: SecretBytes) -> Self {
        Self { user: Some(user), password: Some(password), ..Self::default() }
    }

    fn octets(&self, field: XauthField) -> Option<&[u8]> {
        match field {
            XauthField::User => self.user.as_ref().map(UserName::octets),
            XauthField::Domain => self.domain.as_ref().map(UserName::octets),
            XauthField::Password => self.password.as_ref().map(SecretBytes::expose),
            XauthField::Passcode => self.passcode.as_ref().map(SecretBytes::expose),
            XauthField::NextPin => self.next_pin.as_ref().map(SecretBytes::expose),
            XauthField::Answer => self.answer.as_ref().map(SecretBytes::expose),
        }
    }

    fn set(&mut self, field: XauthField, octets: &[u8]) {
        match field {
            XauthField::User => self.user = Some(UserName::new(octets)),
            XauthField::Domain => self.domain = Some(UserName::new(octets)),
            // Some clients end the password with a NUL.
            XauthField::Password => {
                self.password = Some(SecretBytes::copied(octets.strip_suffix(&[0]).unwrap_or(octets)));
            }
            XauthField::Passcode => self.passcode = Some(SecretBytes::copied(octets)),
            XauthField::NextPin => self.next_pin = Some(SecretBytes::copied(octets)),
            XauthField::Answer => self.answer = Some(SecretBytes::copied(octets)),
        }
    }

    /// Returns whether everything that was asked for is there; an empty name is none.
    pub(crate) fn answers(&self, question: &XauthQuestion) -> bool {
        question.asks.iter().all(|field| match field {
            XauthField::User => self.octets(*field).is_some_and(|name| !name.is_empty()),
            XauthField::Password
            | XauthField::Passcode
            | XauthField::Domain
            | XauthField::NextPin
            | XauthField::Answer => self.octets(*field).is_some(),
        })
    }
}

/// The question whether a user is who he says; answer with
/// [`Command::ProvideVerdict`](crate::Command::ProvideVerdict).
#[derive(Debug)]
pub struct VerifyUser {
    /// The number the answer must carry.
    pub ticket: Ticket,
    /// The SA.
    pub ike_sa: IkeSaId,
    /// Its connection.
    pub connection: ConnectionId,
    /// Who the peer proved to be in phase 1: with a group key, the group.
    pub peer: Identity,
    /// Where the peer is.
    pub path: Path,
    /// The round, from 1.
    pub round: u32,
    /// How often the user was refused before.
    pub failures: u32,
    /// The name given in this round or, if none was asked for, in one before.
    pub user: Option<UserName>,
    /// What was asked.
    pub question: XauthQuestion,
    /// What the user answered: everything that was asked for is there.
    pub answer: XauthAnswer,
}

/// What the caller says of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserVerdict {
    /// It is he.
    Accept,
    /// It is not he; he may try again as often as the plan allows.
    Refuse {
        /// A text for the user.
        message: Option<String>,
    },
    /// Another round is needed: a challenge, a passcode, a next PIN.
    Ask(XauthQuestion),
}

/// The peer asks the user of this end; answer with
/// [`Command::ProvideAnswer`](crate::Command::ProvideAnswer).
///
/// With a pre-shared key of a group, whoever is in the group can ask: the peer is not proven to be
/// the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskUser {
    /// The number the answer must carry.
    pub ticket: Ticket,
    /// The SA.
    pub ike_sa: IkeSaId,
    /// Its connection.
    pub connection: ConnectionId,
    /// The round, from 1.
    pub round: u32,
    /// What is asked.
    pub question: XauthQuestion,
}

/// Why attributes of XAUTH are no question and no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// One of them is there twice.
    Repeated,
    /// One of them is too long or not of its form.
    Form,
    /// The kind is unknown, or not the one that was asked.
    Kind,
    /// The client says that it cannot answer.
    Failed,
}

/// What a lawful question or answer held besides.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Attributes that nobody here understands.
    pub(crate) unsupported: Vec<ConfigAttribute>,
}

fn octets<'a>(attribute: &'a Attribute<&'a [u8]>) -> Cow<'a, [u8]> {
    match attribute.value {
        AttributeValue::Variable(octets) => Cow::Borrowed(octets),
        // Two octets of text may come in the short form.
        AttributeValue::Basic(value) => Cow::Owned(value.to_be_bytes().to_vec()),
    }
}

/// Returns the attributes of a question, as a REQUEST has them.
pub(crate) fn write_question(question: &XauthQuestion) -> Vec<Attribute<Vec<u8>>> {
    let mut attributes = Vec::new();
    if question.kind != XauthKind::Generic {
        attributes.push(Attribute::basic(ConfigAttribute::XAUTH_TYPE, question.kind.number()));
    }
    if let Some(message) = &question.message {
        attributes.push(Attribute::variable(ConfigAttribute::XAUTH_MESSAGE, message.as_bytes().to_vec()));
    }
    if let Some(challenge) = &question.challenge {
        attributes.push(Attribute::variable(ConfigAttribute::XAUTH_CHALLENGE, challenge.clone()));
    }
    attributes.extend(question.asks.iter().map(|field| Attribute::variable(field.attribute(), Vec::new())));
    attributes
}

/// Reads a question.
pub(crate) fn read_question(attributes: Attributes<'_>) -> Result<(XauthQuestion, Told), Bad> {
    check_once(attributes)?;
    let (mut question, mut told) = (XauthQuestion::default(), Told::default());
    for attribute in attributes {
        let class = ConfigAttribute(attribute.class);
        let value = octets(&attribute);
        if value.len() > MAX_FIELD {
            return Err(Bad::Form);
        }
        match class {
            ConfigAttribute::XAUTH_TYPE => question.kind = kind(&attribute)?,
            ConfigAttribute::XAUTH_MESSAGE => question.message = Some(text(&value)),
            ConfigAttribute::XAUTH_CHALLENGE => question.challenge = Some(value.into_owned()),
            other => match XauthField::ALL.into_iter().find(|field| field.attribute() == other) {
                Some(field) => question.asks.push(field),
                None => told.unsupported.push(other),
            },
        }
    }
    Ok((question, told))
}

/// Returns the attributes of an answer, as a REPLY has them; without one, the status that says so.
pub(crate) fn write_answer(question: &XauthQuestion, answer: Option<&XauthAnswer>) -> Vec<Attribute<Vec<u8>>> {
    let Some(answer) = answer else { return status(XauthStatus::FAIL) };
    let mut attributes = Vec::new();
    if question.kind != XauthKind::Generic {
        attributes.push(Attribute::basic(ConfigAttribute::XAUTH_TYPE, question.kind.number()));
    }
    let fields = question.asks.iter().filter_map(|field| Some((field, answer.octets(*field)?)));
    attributes.extend(fields.map(|(field, octets)| Attribute::variable(field.attribute(), octets.to_vec())));
    attributes
}

/// Reads the answer to a question.
pub(crate) fn read_answer(question: &XauthQuestion, attributes: Attributes<'_>) -> Result<(XauthAnswer, Told), Bad> {
    check_once(attributes)?;
    let (mut answer, mut told) = (XauthAnswer::default(), Told::default());
    for attribute in attributes {
        let class = ConfigAttribute(attribute.class);
        let value = octets(&attribute);
        if value.len() > MAX_FIELD {
            return Err(Bad::Form);
        }
        match class {
            ConfigAttribute::XAUTH_TYPE if kind(&attribute)? != question.kind => return Err(Bad::Kind),
            ConfigAttribute::XAUTH_TYPE => {}
            // Whatever its value: a client never says that all is well.
            ConfigAttribute::XAUTH_STATUS => return Err(Bad::Failed),
            other => match XauthField::ALL.into_iter().find(|field| field.attribute() == other) {
                // What was not asked for is not looked at.
                Some(field) if question.asks.contains(&field) => answer.set(field, &value),
                Some(_) => {}
                None => told.unsupported.push(other),
            },
        }
    }
    Ok((answer, told))
}

/// Returns the one attribute of the outcome: in short form and alone, as some clients demand.
pub(crate) fn status(status: XauthStatus) -> Vec<Attribute<Vec<u8>>> {
    alloc::vec![Attribute::basic(ConfigAttribute::XAUTH_STATUS, status)]
}

/// Reads the outcome and the text with it, if there is one: anything but OK is a refusal.
pub(crate) fn read_status(attributes: Attributes<'_>) -> Option<(bool, Option<String>)> {
    let status = attributes.find(ConfigAttribute::XAUTH_STATUS)?;
    let message = attributes.find(ConfigAttribute::XAUTH_MESSAGE);
    let message = message.map(|message| text(&octets(&message))).filter(|text| text.len() <= 4 * MAX_FIELD);
    let doubled = attributes.iter().filter(|other| other.class == status.class).count() != 1;
    Some((!doubled && status.to_u16() == Ok(XauthStatus::OK.0), message))
}

/// Returns the response of RADIUS-CHAP, RFC 2865 §5.3: the identifier, then the hash.
///
/// ```text
/// MD5(identifier | secret | challenge)
/// ```
pub(crate) fn chap_response(identifier: u8, secret: &[u8], challenge: &[u8]) -> SecretBytes {
    let hash = HashAlgorithm::Md5.digest(&[&[identifier], secret, challenge]);
    let mut response = alloc::vec![identifier];
    response.extend_from_slice(hash.as_bytes());
    SecretBytes::new(response)
}

fn kind(attribute: &Attribute<&[u8]>) -> Result<XauthKind, Bad> {
    let number = attribute.to_u16().map_err(|_| Bad::Form)?;
    XauthKind::ALL.into_iter().find(|kind| kind.number().0 == number).ok_or(Bad::Kind)
}

/// Returns a text that can be shown: what could forge a display, control characters and those that turn the direction of
/// writing, is left out.
pub(super) fn text(octets: &[u8]) -> String {
    let turns = |c: &char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let can_be_shown = |c: &char| (!c.is_control() || *c == '\n') && !turns(c);
    String::from_utf8_lossy(octets).chars().filter(can_be_shown).collect()
}

/// Refuses lists in which an attribute of XAUTH stands twice: which of them counts would be a guess.
fn check_once(attributes: Attributes<'_>) -> Result<(), Bad> {
    let is_ours = |class: u16| (ConfigAttribute::XAUTH_TYPE.0..=ConfigAttribute::XAUTH_ANSWER.0).contains(&class);
    let mut seen = [0usize; 10];
    for attribute in attributes.iter().filter(|attribute| is_ours(attribute.class)) {
        let at = usize::from(attribute.class.saturating_sub(ConfigAttribute::XAUTH_TYPE.0));
        if let Some(count) = seen.get_mut(at) {
            *count = count.saturating_add(1);
        }
    }
    if seen.iter().any(|count| *count > 1) { Err(Bad::Repeated) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use ipsec_wire::isakmp::payload::{Configuration, Emit, OwnedConfiguration};
    use ipsec_wire::registry::ConfigType;
    use proptest::prelude::*;

    fn carried<T>(attributes: Vec<Attribute<Vec<u8>>>, read: impl FnOnce(Attributes<'_>) -> T) -> T {
        let body =
            OwnedConfiguration { config_type: ConfigType::REQUEST, identifier: 7, attributes }.to_body().unwrap();
        read(Configuration::parse(body.as_slice()).unwrap().attributes)
    }

    #[test]
    fn every_question_reads_back() {
        let challenge = XauthQuestion {
            kind: XauthKind::RadiusChap,
            message: Some("who is there?".into()),
            challenge: Some(vec![7; 16]),
            asks: XauthField::ALL.to_vec(),
        };
        for question in [XauthQuestion::password(), challenge] {
            let (read, told) = carried(write_question(&question), read_question).unwrap();
            assert_eq!(read, question);
            assert!(told.unsupported.is_empty());
        }
    }

    #[test]
    fn an_answer_reads_back_without_what_was_not_asked_for() {
        let question = XauthQuestion { asks: vec![XauthField::User, XauthField::Passcode], ..XauthQuestion::default() };
        let mut answer = XauthAnswer::password("alice".into(), SecretBytes::copied(b"secret"));
        answer.passcode = Some(SecretBytes::copied(b"123456"));
        let everything = XauthQuestion { asks: XauthField::ALL.to_vec(), ..XauthQuestion::default() };
        let (read, _) =
            carried(write_answer(&everything, Some(&answer)), |attributes| read_answer(&question, attributes)).unwrap();
        assert_eq!(read.user, Some("alice".into()));
        assert_eq!(read.passcode.unwrap().expose(), b"123456");
        assert!(read.password.is_none());
    }

    #[test]
    fn one_nul_after_the_password_is_taken_off() {
        let mut answer = XauthAnswer::default();
        answer.set(XauthField::Password, b"secret\0");
        assert_eq!(answer.password.unwrap().expose(), b"secret");
    }

    #[test]
    fn repeated_long_and_foreign_attributes_are_refused_or_told() {
        let question = XauthQuestion::password();
        let name = |octets: &[u8]| Attribute::variable(ConfigAttribute::XAUTH_USER_NAME, octets.to_vec());
        let read = |attributes| carried(attributes, |attributes| read_answer(&question, attributes).map(|_| ()));
        assert_eq!(read(vec![name(b"a"), name(b"b")]), Err(Bad::Repeated));
        assert_eq!(read(vec![name(&[b'a'; MAX_FIELD])]), Ok(()));
        assert_eq!(read(vec![name(&[b'a'; MAX_FIELD + 1])]), Err(Bad::Form));
        assert_eq!(read(status(XauthStatus::OK)), Err(Bad::Failed));
        assert_eq!(read(status(XauthStatus::FAIL)), Err(Bad::Failed));
        let otp = vec![Attribute::basic(ConfigAttribute::XAUTH_TYPE, XauthType::OTP)];
        assert_eq!(read(otp), Err(Bad::Kind));
        let foreign = vec![name(b"a"), Attribute::basic(21u16, 1u16)];
        let (_, told) = carried(foreign, |attributes| read_answer(&question, attributes)).unwrap();
        assert_eq!(told.unsupported, [ConfigAttribute(21)]);
    }

    #[test]
    fn an_empty_name_or_a_missing_password_answers_nothing() {
        let question = XauthQuestion::password();
        assert!(!XauthAnswer::password("".into(), SecretBytes::copied(b"p")).answers(&question));
        assert!(!XauthAnswer { user: Some("a".into()), ..XauthAnswer::default() }.answers(&question));
        assert!(XauthAnswer::password("a".into(), SecretBytes::copied(b"")).answers(&question));
    }

    #[test]
    fn only_one_status_of_one_is_ok() {
        let ok = || Attribute::basic(ConfigAttribute::XAUTH_STATUS, XauthStatus::OK);
        let fail = || Attribute::basic(ConfigAttribute::XAUTH_STATUS, XauthStatus::FAIL);
        let outcome = |attributes| carried(attributes, |attributes| read_status(attributes).map(|(ok, _)| ok));
        assert_eq!(outcome(vec![ok()]), Some(true));
        assert_eq!(outcome(vec![fail()]), Some(false));
        assert_eq!(outcome(vec![Attribute::variable(ConfigAttribute::XAUTH_STATUS, vec![0, 1])]), Some(true));
        assert_eq!(outcome(vec![Attribute::variable(ConfigAttribute::XAUTH_STATUS, vec![])]), Some(false));
        assert_eq!(outcome(vec![ok(), fail()]), Some(false));
        assert_eq!(outcome(vec![]), None);
    }

    #[test]
    fn a_message_cannot_move_the_cursor() {
        assert_eq!(text(b"hi\x1b[2Jthere\nyou"), "hi[2Jthere\nyou");
        assert_eq!(text("gro.\u{202e}elpmaxe\u{2028}".as_bytes()), "gro.elpmaxe");
    }

    proptest! {
        #[test]
        fn no_list_of_attributes_makes_a_reader_fall(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(attributes) = Attributes::parse(octets.as_slice()) {
                let _ = read_question(attributes);
                let _ = read_answer(&XauthQuestion::password(), attributes);
                let _ = read_status(attributes);
            }
        }
    }
}
