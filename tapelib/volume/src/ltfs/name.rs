//! Names of files as LTFS writes them in an index.

/// Longest name of a file or directory, in bytes of UTF-8. (LTFS allows 255 code points.)
pub const NAME_BYTES_MAX: usize = 255;

/// The percent-encoded form of a name that cannot stand in an index as it is: one with `%`, `:` or a character that
/// XML cannot hold. `None` when the name stands as it is.
pub fn encode(name: &str) -> Option<String> {
    if name.chars().all(|character| !matches!(character, '%' | ':') && !character.is_control()) {
        return None;
    }
    let mut encoded = String::with_capacity(name.len() * 3);
    for byte in name.bytes() {
        match byte {
            b'%' | b':' | 0..=0x20 | 0x7f..=0xff => encoded.push_str(&format!("%{byte:02X}")),
            plain => encoded.push(char::from(plain)),
        }
    }
    Some(encoded)
}

/// The name that `encode` made into `text`.
pub fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, tail) =
            rest.split_at_checked(2).ok_or_else(|| format!("name {text:?} ends in an escape"))?;
        let digits = std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(digits.ok_or_else(|| format!("name {text:?} has an escape that is not hexadecimal"))?);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| format!("name {text:?} is not UTF-8"))
}

/// Whether a name may be given to a file: not empty, not `.` or `..`, no `/` or NUL, not too long.
pub fn is_valid(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name != "."
        && name != ".."
        && !name.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;

    #[test]
    fn names_go_and_come_back() {
        for (name, encoded) in [
            ("01ARZ3NDEKTSV4RRFFQ69G5FAV.tar.zst", None),
            ("über & <co>", None),
            ("a:b", Some("a%3Ab")),
            ("100%", Some("100%25")),
            ("tab\tand é", Some("tab%09and%20%C3%A9")),
        ] {
            assert_eq!(encode(name).as_deref(), encoded, "{name}");
            assert_eq!(decode(encoded.unwrap_or(name)).unwrap(), name);
        }
        for bad in ["%", "%4", "%zz", "%ff"] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }
}
