#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
