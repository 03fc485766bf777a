//! Big-endian fields at byte offsets, as the standards draw them: reading is checked, never indexed blindly.

/// Bytes from a device or from a host that are not what the standard says they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The data ends before a field that must be there.
    #[error("{what} ends after {length} bytes, a field needs {needed}")]
    Truncated {
        /// Which structure.
        what: &'static str,
        /// Bytes the field needs, counted from the structure's start.
        needed: usize,
        /// Bytes that came.
        length: usize,
    },
    /// A field has a value that the standard does not give a meaning, or that is beyond our bounds.
    #[error("{what} has an impossible value at byte {byte}")]
    Invalid {
        /// Which structure.
        what: &'static str,
        /// Offset of the field.
        byte: usize,
    },
}

/// A structure being read, with its name for errors.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub(crate) what: &'static str,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, bytes }
    }

    pub(crate) fn slice(&self, at: usize, length: usize) -> Result<&'a [u8], ParseError> {
        let needed = at.saturating_add(length);
        self.bytes.get(at..needed).ok_or(ParseError::Truncated {
            what: self.what,
            needed,
            length: self.bytes.len(),
        })
    }

    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], ParseError> {
        let mut array = [0; N];
        array.copy_from_slice(self.slice(at, N)?);
        Ok(array)
    }

    pub(crate) fn u8(&self, at: usize) -> Result<u8, ParseError> {
        Ok(u8::from_be_bytes(self.array(at)?))
    }

    pub(crate) fn u16(&self, at: usize) -> Result<u16, ParseError> {
        Ok(u16::from_be_bytes(self.array(at)?))
    }

    pub(crate) fn u24(&self, at: usize) -> Result<u32, ParseError> {
        let [a, b, c] = self.array(at)?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    pub(crate) fn u32(&self, at: usize) -> Result<u32, ParseError> {
        Ok(u32::from_be_bytes(self.array(at)?))
    }

    pub(crate) fn u64(&self, at: usize) -> Result<u64, ParseError> {
        Ok(u64::from_be_bytes(self.array(at)?))
    }

    pub(crate) fn invalid(&self, byte: usize) -> ParseError {
        ParseError::Invalid { what: self.what, byte }
    }
}

/// The three bytes of a 24-bit field. Panics on a larger value: callers bound it, so a larger one is a bug.
pub(crate) fn be24(value: u32) -> [u8; 3] {
    let [top, a, b, c] = value.to_be_bytes();
    assert_eq!(top, 0, "{value} does not fit a 24-bit field");
    [a, b, c]
}

/// A length that must fit one byte. Panics otherwise: our own structures are smaller.
pub(crate) fn len8(length: usize) -> u8 {
    u8::try_from(length).expect("a structure of ours is under 256 bytes")
}

/// A length that must fit two bytes. Panics otherwise: our own structures are smaller.
pub(crate) fn len16(length: usize) -> u16 {
    u16::try_from(length).expect("a structure of ours is under 64 KiB")
}

/// Text padded with spaces (or cut) to a field of `width` bytes; anything that is not printable ASCII becomes '?'.
pub(crate) fn padded_ascii(text: &str, width: usize) -> Vec<u8> {
    let printable = |c: char| {
        if c == ' ' || c.is_ascii_graphic() { c as u8 } else { b'?' }
    };
    text.chars().map(printable).chain(std::iter::repeat(b' ')).take(width).collect()
}

/// The printable ASCII of a field without the spaces and NULs around it; other bytes become '?'.
pub(crate) fn trimmed_ascii(bytes: &[u8]) -> String {
    let text: String = bytes
        .iter()
        .map(|&byte| match byte {
            0 => ' ',
            b' '..=b'~' => char::from(byte),
            _ => '?',
        })
        .collect();
    text.trim().to_owned()
}
