drive::secret! {
    /// The key that both ends of a pre-shared key authentication hold, as octets.
    pub struct PreSharedKey;
}
