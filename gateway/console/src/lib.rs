//! What an administrator asks a running gateway, on a listener of its own.
//!
//! Words: *question* (one thing that can be asked, typed), *answer* (JSON), *token* (the secret in a file of the data
//! directory that whoever asks must show).
//!
//! A question goes: HTTP -> token -> [`Question::parse`] -> [`Admin::answer`] -> JSON. The command line takes the same
//! way back: a [`Question`] knows its method, path and body, and can be answered without HTTP by anybody who
//! implements [`Admin`], such as a reader of a data directory whose gateway is not running.
//!
//! Not here: what the answers are (whoever implements [`Admin`]), the S3 port, pages for people (later).

mod admin;
mod connection;
mod listen;
mod machine;
mod question;
mod token;

pub use admin::{Admin, AdminError};
pub use listen::serve;
pub use machine::{Hands, MachineAction, MachineOrder};
pub use question::{
    BadQuestion, BucketAction, BucketOrder, Migrate, PAGE_ROWS, Question, Repair, VolumeOrder,
};
pub use token::Token;
