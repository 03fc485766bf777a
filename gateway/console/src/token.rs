//! The secret that opens the admin listener.

use std::fmt;

use subtle::ConstantTimeEq;

/// Fewest characters of a token.
const LENGTH_MIN: usize = 32;

/// The admin token: at least 32 visible ASCII characters. Never printed.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Parses a token as it stands in its file, blanks around it ignored.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let legal = text.len() >= LENGTH_MIN && text.bytes().all(|byte| byte.is_ascii_graphic());
        legal.then(|| Self(text.to_owned()))
    }

    /// The value of the `Authorization` header that shows it.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether this `Authorization` header shows the token; takes the same time for every wrong one of a length.
    pub(crate) fn is_shown_by(&self, authorization: &[u8]) -> bool {
        self.bearer().as_bytes().ct_eq(authorization).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
