//! The edge over a real embedded store and an in-memory catalog, asked as clients ask.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, missing_docs)]

mod archived;
mod copies;
mod direct;
mod failing;
mod faults;
mod gate;
mod lifecycle;
mod listing;
mod mutations;
mod restore;
mod socket;
mod world;
