//! The edge over a real embedded store and an in-memory catalog, asked as clients ask.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, missing_docs)]

mod archived;
mod attributes;
mod callers;
mod copies;
mod direct;
mod failing;
mod faults;
mod forged;
mod forms;
mod gate;
mod guard;
mod lifecycle;
mod listing;
mod mutations;
mod redating;
mod restore;
mod socket;
mod tagged;
mod unheard;
mod unmanaged;
mod versions;
mod world;
