//! Nothing but tests: cartridges judged by a reader that shares no code with their writer.
