//! A ready answerer for callers who keep their users in memory.

use crate::transaction::{
    UserName, UserVerdict, VerifyUser, XauthAnswer, XauthField, XauthKind, XauthQuestion, chap_response,
};
use alloc::collections::BTreeMap;
use drive::{SecretBytes, ct_eq};

/// Users and their passwords, which answers [`Action::VerifyUser`](crate::Action::VerifyUser).
///
/// It checks passwords and responses of RADIUS-CHAP; whatever else is asked it refuses.
#[derive(Debug, Default)]
pub struct Users(BTreeMap<UserName, SecretBytes>);

impl Users {
    /// Returns nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a user, or changes his password.
    pub fn insert(&mut self, user: UserName, password: SecretBytes) {
        self.0.insert(user, password);
    }

    /// Returns the number of users.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says whether a user is who he says.
    pub fn verify(&self, asked: &VerifyUser) -> UserVerdict {
        if self.is_right(asked.user.as_ref(), &asked.question, &asked.answer) {
            UserVerdict::Accept
        } else {
            UserVerdict::Refuse { message: None }
        }
    }

    fn is_right(&self, user: Option<&UserName>, question: &XauthQuestion, answer: &XauthAnswer) -> bool {
        let plain = question.asks.iter().all(|field| [XauthField::User, XauthField::Password].contains(field));
        let Some(given) = answer.password.as_ref().filter(|_| plain) else { return false };
        let known = user.and_then(|user| self.0.get(user));
        // Unknown names take the same steps as known ones.
        let password = known.map_or(&[][..], SecretBytes::expose);
        let right = match question.kind {
            XauthKind::Generic => ct_eq(password, given.expose()),
            XauthKind::RadiusChap => {
                let identifier = given.expose().first().copied().unwrap_or(0);
                let challenge = question.challenge.as_deref().unwrap_or(&[]);
                !challenge.is_empty() && chap_response(identifier, password, challenge).ct_eq(given)
            }
            XauthKind::Otp | XauthKind::SKey => false,
        };
        right && known.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn users() -> Users {
        let mut users = Users::new();
        users.insert("alice".into(), SecretBytes::copied(b"alice password"));
        users
    }

    fn is_right(user: &str, question: &XauthQuestion, password: SecretBytes) -> bool {
        let answer = XauthAnswer::password(user.into(), password);
        users().is_right(answer.user.as_ref(), question, &answer)
    }

    #[test]
    fn the_right_password_of_a_known_user_is_accepted_and_nothing_else() {
        let question = XauthQuestion::password();
        assert!(is_right("alice", &question, SecretBytes::copied(b"alice password")));
        assert!(!is_right("alice", &question, SecretBytes::copied(b"alice passwore")));
        assert!(!is_right("alice", &question, SecretBytes::copied(b"")));
        assert!(!is_right("Alice", &question, SecretBytes::copied(b"alice password")));
        assert!(!is_right("bob", &question, SecretBytes::copied(b"")));
    }

    #[test]
    fn chap_proves_the_password_for_this_challenge_only() {
        let chap = |challenge: &[u8]| XauthQuestion {
            kind: XauthKind::RadiusChap,
            challenge: Some(challenge.to_vec()),
            ..XauthQuestion::password()
        };
        let response = || chap_response(9, b"alice password", &[1; 16]);
        assert!(is_right("alice", &chap(&[1; 16]), response()));
        assert!(!is_right("alice", &chap(&[2; 16]), response()));
        assert!(!is_right("alice", &chap(&[]), chap_response(9, b"alice password", &[])));
        for length in 0..17 {
            assert!(!is_right("alice", &chap(&[1; 16]), SecretBytes::copied(&response().expose()[..length])));
        }
    }

    #[test]
    fn a_one_time_password_is_not_a_password() {
        let otp = XauthQuestion { kind: XauthKind::Otp, ..XauthQuestion::password() };
        assert!(!is_right("alice", &otp, SecretBytes::copied(b"alice password")));
        let pin = XauthQuestion { asks: vec![XauthField::User, XauthField::NextPin], ..XauthQuestion::default() };
        assert!(!is_right("alice", &pin, SecretBytes::copied(b"alice password")));
    }
}
