//! What stands in the way of taking an object over, as its head tells it.

/// Encryption at rest and locks of one object version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// `x-amz-server-side-encryption`: the store encrypts with a key of its own or of its key manager.
    pub encryption: Option<String>,
    /// The client's own key encrypts it (SSE-C).
    pub customer_key: bool,
    /// It is under a retention (`x-amz-object-lock-mode`).
    pub retention: bool,
    /// It is under a legal hold.
    pub legal_hold: bool,
}

// === impl Protection ===

impl Protection {
    /// Why an object is not taken over and what helps; none when nothing stands in the way. `in_place` says that the
    /// store keeps locks while bytes are swapped, `sealed` that what goes to tape is encrypted there.
    pub fn objection(&self, in_place: bool, sealed: bool) -> Option<&'static str> {
        if self.customer_key {
            return Some(
                "it is encrypted with its client's own key (SSE-C), which is never known here: it stays where it is",
            );
        }
        if self.encryption.is_some() && !sealed {
            return Some(
                "the store keeps it encrypted and its pool is not sealed: write it again without server-side \
                 encryption, or send its class to a sealed pool",
            );
        }
        if !in_place && self.legal_hold {
            return Some("it is under a legal hold: it stays where it is until the hold is taken off");
        }
        if !in_place && self.retention {
            return Some("it is under a retention (Object Lock): it stays where it is until that ends");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encrypted_and_locked_objects_stay() {
        let object = |set: fn(&mut Protection)| {
            let mut protection = Protection::default();
            set(&mut protection);
            move |in_place, sealed| protection.objection(in_place, sealed).is_some()
        };
        let plain = object(|_| {});
        let customer = object(|p| p.customer_key = true);
        let encrypted = object(|p| p.encryption = Some("aws:kms".to_owned()));
        let held = object(|p| p.legal_hold = true);
        let retained = object(|p| p.retention = true);
        for (in_place, sealed) in [(false, false), (false, true), (true, false), (true, true)] {
            assert!(!plain(in_place, sealed));
            assert!(customer(in_place, sealed), "SSE-C never");
            assert_eq!(encrypted(in_place, sealed), !sealed);
            assert_eq!(held(in_place, sealed), !in_place);
            assert_eq!(retained(in_place, sealed), !in_place);
        }
    }
}
