//! The body of RestoreObject.

use model::{TapeClass, Tier};

use crate::error::{Code, Result, S3Error};
use crate::xml::{self, Element};

/// Longest body read, in bytes.
pub const BYTES_MAX: usize = 2 << 20;

/// A valid request to restore an archived object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreRequest {
    /// How many days the copy is to live, at least 1.
    pub days: u32,
    /// How soon; Standard when not said.
    pub tier: Tier,
}

impl RestoreRequest {
    /// Reads and validates the body of a request for an object in `class`. To be called after the object was found
    /// and seen to be archived: its state is answered before its body.
    ///
    /// Errors: `MalformedXML` (also for an empty body or one without `Days`), `InvalidArgument` (`Days` below 1,
    /// Expedited on DEEP_ARCHIVE), `MethodNotAllowed` (SELECT jobs).
    pub fn read(body: &[u8], class: TapeClass) -> Result<Self> {
        let root = xml::read(body, "RestoreRequest", BYTES_MAX)?;
        root.only(&[
            "Days",
            "GlacierJobParameters",
            "Type",
            "Tier",
            "Description",
            "SelectParameters",
            "OutputLocation",
        ])?;
        match root.leaf("Type")? {
            None => {}
            Some("SELECT") => return Err(select_not_allowed()),
            Some(_) => return Err(S3Error::malformed_xml()),
        }
        if ["Tier", "SelectParameters", "OutputLocation"].iter().any(|name| root.child(name).is_some()) {
            return Err(S3Error::malformed_xml());
        }
        let days = days(&root)?;
        let tier = match root.at_most_one("GlacierJobParameters")? {
            Some(parameters) => tier(parameters)?,
            None => Tier::Standard,
        };
        match (tier, class) {
            (Tier::Expedited, TapeClass::DeepArchive) => Err(S3Error::with_message(
                Code::InvalidArgument,
                "Retrieval option is not supported by this storage class",
            )),
            _ => Ok(Self { days, tier }),
        }
    }
}

fn days(root: &Element) -> Result<u32> {
    let days = root.at_most_one("Days")?.ok_or_else(S3Error::malformed_xml)?.integer()?;
    if days < 1 {
        return Err(S3Error::argument("restoration days should be at least 1", "Days", days.to_string()));
    }
    i32::try_from(days).map(i32::unsigned_abs).map_err(|_| S3Error::malformed_xml())
}

fn tier(parameters: &Element) -> Result<Tier> {
    parameters.only(&["Tier"])?;
    match parameters.leaf("Tier")? {
        Some("Bulk") => Ok(Tier::Bulk),
        Some("Standard") => Ok(Tier::Standard),
        Some("Expedited") => Ok(Tier::Expedited),
        _ => Err(S3Error::malformed_xml()),
    }
}

fn select_not_allowed() -> S3Error {
    S3Error::with_message(
        Code::MethodNotAllowed,
        "The specific method for Select type jobs is not allowed against this resource.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(inner: &str, class: TapeClass, expected: std::result::Result<(u32, Tier), (Code, &str)>) {
        for open in ["<RestoreRequest>", "<RestoreRequest xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"]
        {
            let body = format!("{open}{inner}</RestoreRequest>");
            let read = RestoreRequest::read(body.as_bytes(), class);
            match expected {
                Ok((days, tier)) => assert_eq!(read, Ok(RestoreRequest { days, tier }), "{inner}"),
                Err((code, message)) => {
                    let error = read.err();
                    assert_eq!(
                        error.as_ref().map(|e| (e.code, e.message.as_ref())),
                        Some((code, message)),
                        "{inner}"
                    );
                }
            }
        }
    }

    #[test]
    fn bodies() {
        use TapeClass::{DeepArchive, Glacier};
        let malformed = Err((Code::MalformedXML, crate::error::MALFORMED_XML));
        let too_few = Err((Code::InvalidArgument, "restoration days should be at least 1"));
        let select = "The specific method for Select type jobs is not allowed against this resource.";
        let expedited = "<GlacierJobParameters><Tier>Expedited</Tier></GlacierJobParameters>";
        for (inner, class, expected) in [
            ("<Days>3</Days>", Glacier, Ok((3, Tier::Standard))),
            ("<Days>2147483647</Days>", Glacier, Ok((2_147_483_647, Tier::Standard))),
            (
                "<GlacierJobParameters>\n<Tier>Bulk</Tier>\n</GlacierJobParameters> <Days> 3 </Days>",
                DeepArchive,
                Ok((3, Tier::Bulk)),
            ),
            (&format!("<Days>1</Days>{expedited}"), Glacier, Ok((1, Tier::Expedited))),
            (
                &format!("<Days>1</Days>{expedited}"),
                DeepArchive,
                Err((Code::InvalidArgument, "Retrieval option is not supported by this storage class")),
            ),
            ("", Glacier, malformed),
            (expedited, Glacier, malformed),
            ("<Days>0</Days>", Glacier, too_few),
            ("<Days>-5</Days>", Glacier, too_few),
            ("<Days>2147483648</Days>", Glacier, malformed),
            ("<Days>99999999999999999999</Days>", Glacier, malformed),
            ("<Days>x</Days>", Glacier, malformed),
            ("<Days>1.5</Days>", Glacier, malformed),
            ("<Days/>", Glacier, malformed),
            ("<Days>1</Days><Days>2</Days>", Glacier, malformed),
            (
                "<Days>1</Days><GlacierJobParameters><Tier>Fast</Tier></GlacierJobParameters>",
                Glacier,
                malformed,
            ),
            ("<Days>1</Days><GlacierJobParameters/>", Glacier, malformed),
            ("<Days>1</Days><Tier>Bulk</Tier>", Glacier, malformed),
            ("<Days>1</Days><OutputLocation/>", Glacier, malformed),
            ("<Days>1</Days><SelectParameters/>", Glacier, malformed),
            ("<Days>1</Days><Type>OTHER</Type>", Glacier, malformed),
            ("<Days>1</Days><Unheard/>", Glacier, malformed),
            ("<Type>SELECT</Type><Tier>Bulk</Tier>", Glacier, Err((Code::MethodNotAllowed, select))),
        ] {
            check(inner, class, expected);
        }
        for body in [&b""[..], b"<RestoreRequest/>", b"<Other><Days>1</Days></Other>", b"\xff"] {
            assert_eq!(RestoreRequest::read(body, Glacier), Err(S3Error::malformed_xml()));
        }
    }
}
